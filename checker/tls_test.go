package checker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTLSVerify(t *testing.T) {
	noLeak(t)
	trusted, other := newAuthority(t), newAuthority(t)
	ca := trusted.file(t)
	good := trusted.site(t, "a.example")
	past, future := time.Now().AddDate(0, 0, -2), time.Now().AddDate(0, 0, 2)
	expired := trusted.issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: past})
	early := trusted.issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotBefore: future})
	many := trusted.site(t, "a.example", "b.example", "c.example")
	common := x509.Certificate{}
	common.Subject.CommonName = "a.example"
	named := TLSOptions{ServerName: "a.example", CA: ca}
	tests := []struct {
		name    string
		server  tls.Certificate
		options TLSOptions
		want    string
	}{
		{"nothing is asked for", other.site(t, "x.example"), TLSOptions{}, ""},
		{"nothing is asked for, expired", expired, TLSOptions{}, ""},
		{"name and authority", good, named, ""},
		{"the address and authority", good, TLSOptions{CA: ca}, ""},
		{"another name", good, TLSOptions{ServerName: "b.example", CA: ca}, "certificate is for a.example, 127.0.0.1, wanted b.example"},
		{"many names", many, TLSOptions{ServerName: "d.example", CA: ca}, "certificate is for a.example, b.example and 2 more, wanted d.example"},
		{"only a common name", trusted.issue(t, common), named, `certificate is for no host, only for the common name "a.example", wanted a.example`},
		{"no name", trusted.issue(t, x509.Certificate{}), named, "certificate is for no host, wanted a.example"},
		{"not the address", expired, TLSOptions{ServerName: "127.0.0.1", CA: ca}, "certificate expired " + day(past)},
		{"expired", expired, named, "certificate expired " + day(past)},
		{"not valid yet", early, named, "certificate not valid before " + day(future)},
		{"another authority", other.site(t, "a.example"), named, "certificate signed by unknown authority"},
		{"the system's authorities, by name", good, TLSOptions{ServerName: "a.example"}, "certificate signed by unknown authority"},
		{"the system's authorities, by wish", good, TLSOptions{Verify: VerifyAlways}, "certificate signed by unknown authority"},
		{"a name only to be asked for", good, TLSOptions{ServerName: "b.example", Verify: VerifyNever}, ""},
		{"not for servers", trusted.issue(t, x509.Certificate{DNSNames: []string{"a.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), named,
			`certificate not valid: "certificate specifies an incompatible key usage"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := serve(t, overTLS(withCertificate(test.server), untilEnd))
			wantError(t, check(t, tlsSpec(target, TLS{Options: test.options})), test.want)
		})
	}
}

// An expired certificate is seen at once, although an earlier probe of the
// same checker has found a good one: no session is resumed. With TLS 1.2 the
// server offers that within the handshake.
func TestTLSNotResumed(t *testing.T) {
	root := newAuthority(t)
	past := time.Now().AddDate(0, 0, -1)
	certificates := []tls.Certificate{
		root.site(t, "a.example"),
		root.issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: past}),
	}
	handshakes := 0
	config := &tls.Config{MaxVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		handshakes++
		return &certificates[handshakes-1], nil
	}}
	target := serve(t, overTLS(config, untilEnd))
	c, err := New(tlsSpec(target, TLS{Options: TLSOptions{ServerName: "a.example", CA: root.file(t)}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "certificate expired " + day(past)} {
		_, err := c.Check(t.Context())
		wantError(t, err, want)
	}
}

// The server is asked for the name, if there is one.
func TestTLSServerName(t *testing.T) {
	root := newAuthority(t)
	for _, name := range []string{"a.example", ""} {
		asked := make(chan string, 1)
		config := withCertificate(root.site(t, "a.example"))
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			asked <- hello.ServerName
			return nil, nil
		}
		target := serve(t, overTLS(config, untilEnd))
		wantError(t, check(t, tlsSpec(target, TLS{Options: TLSOptions{ServerName: name, Verify: VerifyNever}})), "")
		if got := <-asked; got != name {
			t.Errorf("asked for %q, want %q", got, name)
		}
	}
}

func TestTLSHandshake(t *testing.T) {
	noLeak(t)
	root := newAuthority(t)
	config := func(change func(*tls.Config)) func(net.Conn) {
		c := withCertificate(root.site(t, "a.example"))
		change(c)
		return overTLS(c, untilEnd)
	}
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	closing := func(conn net.Conn) { // reads all of the first flight, so that it is no reset
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Read(make([]byte, 64<<10))
	}
	old := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }
	protocols := func(names ...string) func(*tls.Config) {
		return func(c *tls.Config) { c.NextProtos = names }
	}
	unnamed := func(c *tls.Config) {
		c.Certificates = nil
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	}
	tests := []struct {
		name   string
		handle func(net.Conn)
		probe  TLS
		want   string
	}{
		{"TLS 1.3", config(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), TLS{}, ""},
		{"TLS 1.2", config(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), TLS{}, ""},
		{"too old", config(old), TLS{}, "TLS handshake: server refuses: protocol version not supported"},
		{"too old for what is asked", config(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), TLS{Options: TLSOptions{MinVersion: "1.3"}},
			"TLS handshake: server refuses: protocol version not supported"},
		{"no certificate", config(unnamed), TLS{Options: TLSOptions{ServerName: "a.example"}},
			`TLS handshake: server does not know the name "a.example"`},
		{"another protocol", say("220 smtp.example ESMTP\r\n"), TLS{}, `not TLS: "220 smtp.example ESMTP"`},
		{"HTTP", say("HTTP/1.1 400 Bad Request\r\n\r\n"), TLS{}, `not TLS: "HTTP/1.1 400 Bad Request"`},
		{"garbage", say("\x00\xff\x01\x02\x03\x04"), TLS{}, `not TLS: "\x00\xff\x01\x02\x03\x04"`},
		{"long garbage", say(strings.Repeat("x", 200)), TLS{}, `not TLS: "` + strings.Repeat("x", 79) + `…"`},
		{"an overlong record", say("\x16\x03\x03\xff\xff"), TLS{}, "TLS handshake: oversized record received with length 65535"},
		{"an unknown alert", say("\x15\x03\x03\x00\x02\x02\xf0"), TLS{}, "TLS handshake: server refuses: alert(240)"},
		{"closed", closing, TLS{}, "connection closed within the TLS handshake"},
		{"ALPN", config(protocols("h2", "x")), TLS{ALPN: "x,h2"}, ""},
		{"another ALPN", config(protocols("h2")), TLS{ALPN: "x"}, `TLS handshake: server speaks none of ["x"]`},
		{"no ALPN", config(protocols()), TLS{ALPN: "h2,x"}, "TLS: server chose no protocol by ALPN, wanted h2 or x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, tlsSpec(serve(t, test.handle), test.probe)), test.want)
		})
	}
	t.Run("refused", func(t *testing.T) {
		wantError(t, check(t, tlsSpec(unused(t), TLS{})), "connection refused")
	})
}

// A server that insists on a key exchange against quantum computers is offered
// it within the first probe, and at once by the next.
func TestTLSHybrid(t *testing.T) {
	noLeak(t)
	config := withCertificate(newAuthority(t).site(t))
	config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
	var hellos atomic.Int32
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		hellos.Add(1)
		return nil, nil
	}
	done := make(chan struct{}, 4)
	c, err := New(tlsSpec(serve(t, func(conn net.Conn) {
		overTLS(config, untilEnd)(conn)
		done <- struct{}{}
	}), TLS{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, connections := range []int32{2, 1} {
		hellos.Store(0)
		_, err := c.Check(t.Context())
		wantError(t, err, "")
		for range connections {
			<-done
		}
		if got := hellos.Load(); got != connections {
			t.Errorf("%d handshakes, want %d", got, connections)
		}
	}
}

// So it is of protocols that speak TLS after something else.
func TestTLSHybridInConversations(t *testing.T) {
	noLeak(t)
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate()}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}
	target := serve(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "+OK\r\n")
		if mustCome(conn, "STLS\r\n") != nil {
			t.Error("the probe does not want TLS")
		}
		_, _ = io.WriteString(conn, "+OK\r\n")
		encrypted := tls.Server(conn, config)
		if encrypted.Handshake() != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(encrypted, int64(len("QUIT\r\n"))))
		_ = encrypted.Close()
	})
	for _, probe := range []Probe{
		POP3{Encryption: StartTLS},
		Expect{Network: "tcp", Steps: steps(t, `expect +OK\r\n`, `send STLS\r\n`, `expect +OK\r\n`, "starttls", `send QUIT\r\n`)},
	} {
		wantError(t, check(t, probeSpec(probe, target, patience)), "")
	}
}

// A server that never answers takes no longer than the timeout, and a probe
// that is called off ends.
func TestTLSSilent(t *testing.T) {
	noLeak(t)
	spec := tlsSpec(serve(t, untilEnd), TLS{})
	spec.Timeout = 200 * time.Millisecond
	wantError(t, check(t, spec), "timed out after 200ms")
	c, err := New(tlsSpec(spec.Target, TLS{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// A server that wants a client certificate gets one, and it is known whether
// it is content, although TLS 1.3 ends the handshake before.
func TestTLSClientCertificate(t *testing.T) {
	noLeak(t)
	root, other := newAuthority(t), newAuthority(t)
	files := func(pair tls.Certificate) TLSOptions {
		return TLSOptions{
			Certificate: writeFile(t, "cert.pem", certificatePEM(pair.Certificate[0])),
			Key:         writeFile(t, "key.pem", keyPEM(t, pair)),
		}
	}
	client := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	good := root.issue(t, client)
	both := TLSOptions{Certificate: writeFile(t, "both.pem", append(certificatePEM(good.Certificate[0]), keyPEM(t, good)...))}
	tests := []struct {
		name    string
		options TLSOptions
		auth    tls.ClientAuthType
		want    string
	}{
		{"wanted", files(good), tls.RequireAndVerifyClientCert, ""},
		{"in one file", both, tls.RequireAndVerifyClientCert, ""},
		{"none", TLSOptions{}, tls.RequireAndVerifyClientCert, "TLS handshake: server requires a client certificate"},
		{"none, and none is needed", TLSOptions{}, tls.VerifyClientCertIfGiven, ""},
		{"unknown", files(other.issue(t, client)), tls.RequireAndVerifyClientCert,
			"TLS handshake: server refuses the client certificate: unknown certificate authority"},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range tests {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				config := withCertificate(root.site(t, "a.example"))
				config.ClientAuth, config.ClientCAs, config.MaxVersion = test.auth, root.pool(), version
				target := serve(t, overTLS(config, untilEnd))
				wantError(t, check(t, tlsSpec(target, TLS{Options: test.options})), test.want)
			})
		}
	}
}

// A certificate that ends soon is a warning and no failure.
func TestTLSExpiryWarning(t *testing.T) {
	root := newAuthority(t)
	soon, past := time.Now().Add(5*24*time.Hour), time.Now().Add(-5*24*time.Hour)
	ending := root.issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: soon})
	own := root.issue(t, x509.Certificate{NotAfter: soon})
	ownFile := writeFile(t, "both.pem", append(certificatePEM(own.Certificate[0]), keyPEM(t, own)...))
	const week = 7 * 24 * time.Hour
	tests := []struct {
		name    string
		server  tls.Certificate
		options TLSOptions
		want    string
	}{
		{"soon", ending, TLSOptions{ExpiryWarning: week}, "certificate expires " + day(soon)},
		{"soon, verified", ending, TLSOptions{ExpiryWarning: week, CA: root.file(t), ServerName: "a.example"}, "certificate expires " + day(soon)},
		{"not so soon", ending, TLSOptions{ExpiryWarning: 24 * time.Hour}, ""},
		{"no warning wanted", ending, TLSOptions{}, ""},
		{"expired, where that does not count", root.issue(t, x509.Certificate{NotAfter: past}), TLSOptions{ExpiryWarning: week}, "certificate expired " + day(past)},
		{"the authority", root.site(t, "a.example"), TLSOptions{ExpiryWarning: 20 * 365 * 24 * time.Hour, CA: root.file(t)},
			"certificate expires " + day(time.Now().AddDate(1, 0, 0))},
		{"our own", root.site(t, "a.example"), TLSOptions{ExpiryWarning: week, Certificate: ownFile}, "client certificate expires " + day(soon)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := withCertificate(test.server)
			config.ClientAuth = tls.RequestClientCert
			c, err := New(tlsSpec(serve(t, overTLS(config, untilEnd)), TLS{Options: test.options}))
			if err != nil {
				t.Fatal(err)
			}
			advice, err := c.Check(t.Context())
			if err != nil || advice.Warning != test.want {
				t.Errorf("warning %q, error %v, want %q", advice.Warning, err, test.want)
			}
		})
	}
}

// A chain ends with its first certificate, and of several chains the one
// counts that is good for longest.
func TestFirstEnd(t *testing.T) {
	at := func(days int) *x509.Certificate {
		return &x509.Certificate{NotAfter: clockFloor.AddDate(0, 0, days)}
	}
	tests := []struct {
		name  string
		state tls.ConnectionState
		want  time.Time
	}{
		{"nothing", tls.ConnectionState{}, time.Time{}},
		{"not verified", tls.ConnectionState{PeerCertificates: []*x509.Certificate{at(9), at(1)}}, at(9).NotAfter},
		{"an intermediate", tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{at(9), at(3), at(5)}}}, at(3).NotAfter},
		{"two chains", tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{at(9), at(3)}, {at(9), at(7)}}}, at(7).NotAfter},
	}
	for _, test := range tests {
		if got := firstEnd(&test.state); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// A director whose clock was never set says nothing about a server.
func TestExplainValidity(t *testing.T) {
	certificate := &x509.Certificate{NotBefore: clockFloor.AddDate(1, 0, 0), NotAfter: clockFloor.AddDate(2, 0, 0)}
	for now, want := range map[time.Time]string{
		time.Unix(0, 0):             "no verdict: the clock of this director says 1970-01-01",
		clockFloor.AddDate(0, 6, 0): "certificate not valid before 2027-01-01",
		clockFloor.AddDate(3, 0, 0): "certificate expired 2028-01-01",
	} {
		wantError(t, explainValidity(certificate, now), want)
	}
}

func TestTLSValidate(t *testing.T) {
	tests := []struct {
		probe TLS
		want  string // how the error begins; "" for none
	}{
		{TLS{}, ""},
		{TLS{ALPN: "h2,http/1.1", Options: TLSOptions{
			ServerName: "_x.A-b.example", CA: "/ca", Certificate: "/c", Key: "/k", Verify: VerifyAlways, ExpiryWarning: time.Hour, MinVersion: "1.3",
		}}, ""},
		{TLS{Options: TLSOptions{ServerName: "2001:db8::1"}}, ""},
		{TLS{ALPN: "h2,,x"}, `alpn "h2,,x" is no list of protocols`},
		{TLS{ALPN: "h2, x"}, `alpn "h2, x" is no list of protocols`},
		{TLS{ALPN: strings.Repeat("x", 256)}, `alpn "xxx`},
		{TLS{Options: TLSOptions{ServerName: "a.example:443"}}, `server_name "a.example:443" is no host name`},
		{TLS{Options: TLSOptions{ServerName: "a b"}}, `server_name "a b" is no host name`},
		{TLS{Options: TLSOptions{ServerName: "é.example"}}, `server_name "é.example" is no host name`},
		{TLS{Options: TLSOptions{ServerName: ".example"}}, `server_name ".example" is no host name`},
		{TLS{Options: TLSOptions{CA: "ca.pem"}}, `ca "ca.pem" is no absolute path`},
		{TLS{Options: TLSOptions{Certificate: "c.pem"}}, `certificate "c.pem" is no absolute path`},
		{TLS{Options: TLSOptions{Certificate: "/c", Key: "k.pem"}}, `key "k.pem" is no absolute path`},
		{TLS{Options: TLSOptions{Key: "/k"}}, "key is given without certificate"},
		{TLS{Options: TLSOptions{Verify: 9}}, "verify 9 is none of the constants"},
		{TLS{Options: TLSOptions{Verify: VerifyNever, CA: "/ca"}}, "ca is given, but verify is off"},
		{TLS{Options: TLSOptions{ExpiryWarning: -time.Second}}, "expiry_warning -1s is negative"},
		{TLS{Options: TLSOptions{MinVersion: "1.4"}}, `min_version "1.4" is none of "1.0", "1.1", "1.2" and "1.3"`},
	}
	for _, test := range tests {
		err := test.probe.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q…", test.probe, err, test.want)
		}
	}
}

// What a server says before or instead of TLS is one short line.
func FuzzTLSReply(f *testing.F) {
	f.Add("220 smtp\r\n")
	f.Add("\x15\x03\x03\x00\x02\x02\x28")
	f.Add("\x16\x03\x03\x00\x04\x02\x00\x00\x00")
	client, err := TLSOptions{ServerName: "a.example"}.client("")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		_, err := client.handshake(&canned{reply: strings.NewReader(reply)})
		switch {
		case err == nil:
			t.Errorf("handshake with %q", reply)
		case strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 200:
			t.Errorf("error %q of %q", err, reply)
		}
	})
}

// The kind's address and port go through unmapped, and what comes with an
// IPv6 target is its address as the name.
func TestTLSNameOfTarget(t *testing.T) {
	c, err := TLS{}.checker(endpoint{AddrPort: netip.MustParseAddrPort("[2001:db8::1]:443")})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.(*tlsChecker).client.name; got != "2001:db8::1" {
		t.Errorf("name %q, want the address", got)
	}
}
