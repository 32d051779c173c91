package checker

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// conversations are one probe of every kind that speaks first or second over
// TCP, and what each waits for first.
var conversations = []struct {
	probe Probe
	first string // what a probe waits for
	quiet bool   // what came instead is not quoted
}{
	{SMTP{}, "SMTP greeting", false},
	{IMAP{}, "IMAP greeting", false},
	{POP3{}, "POP3 greeting", false},
	{FTP{}, "FTP greeting", false},
	{NNTP{}, "NNTP greeting", false},
	{Redis{}, "Redis reply to PING", false},
	{MySQL{}, "MySQL greeting", false},
	{PostgreSQL{}, "PostgreSQL reply to the login", false},
	{PostgreSQL{Encryption: StartTLS}, "PostgreSQL reply to SSLRequest", true},
	{LDAP{}, "LDAP reply to bind", false},
	{SIP{Network: "tcp"}, "SIP reply to OPTIONS", false},
	{SMTP{Encryption: TLSFirst}, "TLS handshake", true},
	{LDAP{Encryption: TLSFirst}, "TLS handshake", true},
}

// What can go wrong with any protocol.
func TestConversationFails(t *testing.T) {
	noLeak(t)
	for _, c := range conversations {
		name := fmt.Sprintf("%s %s", c.probe.Kind(), c.first)
		t.Run(name+"/refused", func(t *testing.T) {
			wantError(t, check(t, probeSpec(c.probe, unused(t), patience)), "connection refused")
		})
		t.Run(name+"/closed", func(t *testing.T) {
			target := serve(t, func(net.Conn) {})
			err := check(t, probeSpec(c.probe, target, patience))
			if err == nil || err.Error() != "connection closed within the TLS handshake" || c.first != "TLS handshake" {
				wantError(t, err, "connection closed before the "+c.first)
			}
		})
		t.Run(name+"/silence", func(t *testing.T) {
			target := serve(t, silence)
			wantError(t, check(t, probeSpec(c.probe, target, 200*time.Millisecond)), "timed out after 200ms waiting for the "+c.first)
		})
		t.Run(name+"/called off", func(t *testing.T) {
			begun := make(chan struct{})
			target := serve(t, func(conn net.Conn) {
				close(begun)
				silence(conn)
			})
			checker, err := New(probeSpec(c.probe, target, patience))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-begun
				cancel()
			}()
			if _, err := checker.Check(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, context.Canceled)
			}
		})
		for what, garbage := range map[string]string{
			"another protocol": "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
			"web server":       "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
			"zeros":            strings.Repeat("\x00", 100),
			"ones":             strings.Repeat("\xff", 100),
			"an empty line":    "\r\n",
			"an endless line":  strings.Repeat("x", maxMessage+maxLine),
			"many lines":       strings.Repeat("250-x\r\n", 1000),
			"many others":      strings.Repeat("* x\r\n", 1000),
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				target := serve(t, func(conn net.Conn) {
					_ = conn.SetDeadline(time.Now().Add(patience))
					_, _ = io.WriteString(conn, garbage)
				})
				err := check(t, probeSpec(c.probe, target, patience))
				if err == nil {
					t.Fatal("garbage is taken for a good answer")
				}
				wantReadable(t, err)
				if what == "another protocol" && !c.quiet && !strings.Contains(err.Error(), `: "SSH-2.0-OpenSSH_9.2p1 Debian-2`) {
					t.Errorf("error %q does not tell what came", err)
				}
			})
		}
	}
}

// A connection that is not made has nothing to wait for yet.
func TestConversationNoAnswer(t *testing.T) {
	noLeak(t)
	wantError(t, check(t, probeSpec(SMTP{}, blackhole(t), 200*time.Millisecond)), "timed out after 200ms")
}

// A server that does not close in time has said what it had to say.
func TestConversationLateGoodbye(t *testing.T) {
	noLeak(t)
	const timeout = 300 * time.Millisecond // less than a farewell
	for _, test := range []struct {
		name   string
		probe  Probe
		script []string
		want   string
	}{
		{"good", SMTP{Hello: "lb"}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "silence"}, ""},
		{"wrong answer", SMTP{}, []string{"> 554 no service\r\n", "silence"}, "SMTP 554 no service, wanted 220"},
		{"error of a database", MySQL{}, []string{"> " + mysqlErrorPacket(1040, "Too many connections"), "silence"}, "MySQL error 1040: Too many connections"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, probeSpec(test.probe, serve(t, play(t, test.script...)), timeout)), test.want)
		})
	}
}

// Databases too may repeat what they were told.
func TestDatabasesRepeatPasswords(t *testing.T) {
	noLeak(t)
	password := NewSecret("hunter2")
	target := serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, mysqlErrorPacket(1045, "Access denied with hunter2"))
	})
	wantError(t, check(t, probeSpec(MySQL{User: "u", Password: password}, target, patience)), "MySQL error 1045: Access denied with ***")
	const fields = "SFATAL\x00C28P01\x00Mhunter2 is wrong\x00\x00"
	target = serve(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1<<10))
		_, _ = io.WriteString(conn, pgMessage('E', fields))
	})
	wantError(t, check(t, probeSpec(PostgreSQL{User: "u", Password: password}, target, patience)), "PostgreSQL FATAL 28P01: *** is wrong")
}

// mysqlErrorPacket is the first packet of a server that refuses.
func mysqlErrorPacket(code uint16, text string) string {
	data := append([]byte{mysqlErr, byte(code), byte(code >> 8)}, text...)
	return string(append([]byte{byte(len(data)), 0, 0, 0}, data...))
}

// The options of TLS count, whenever it begins, and a certificate that ends
// soon is told of a target that works.
func TestConversationTLS(t *testing.T) {
	noLeak(t)
	first := []string{"tls", "> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "< QUIT\r\n"}
	later := []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "< STARTTLS\r\n", "> 220 go\r\n", "tls", "< EHLO lb\r\n", "> 250 mx\r\n", "< QUIT\r\n"}
	step := []string{"< A", "tls", "< B", "> C"}
	soon := TLSOptions{ExpiryWarning: 48 * time.Hour}
	upgraded := steps(t, "send A", "starttls", "send B", "expect C")
	tests := []struct {
		name   string
		probe  Probe
		script []string
		warns  bool
	}{
		{"no warning", SMTP{Hello: "lb", Encryption: TLSFirst}, first, false},
		{"from the start", SMTP{Hello: "lb", Encryption: TLSFirst, TLS: soon}, first, true},
		{"later", SMTP{Hello: "lb", Encryption: StartTLS, TLS: soon}, later, true},
		{"a step", Expect{Network: "tcp", Steps: upgraded, TLS: soon}, step, true},
		{"all steps", Expect{Network: "tcp", Encryption: TLSFirst, Steps: steps(t, "expect C"), TLS: soon}, []string{"tls", "> C"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := New(probeSpec(test.probe, serve(t, play(t, test.script...)), patience))
			if err != nil {
				t.Fatal(err)
			}
			advice, err := c.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if warns := strings.HasPrefix(advice.Warning, "certificate expires "); warns != test.warns {
				t.Errorf("warning %q", advice.Warning)
			}
		})
	}
	untrusted := func(handshakes func(net.Conn) error) func(net.Conn) {
		return func(conn net.Conn) {
			_ = conn.SetDeadline(time.Now().Add(patience))
			if err := handshakes(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{testCertificate()}})); err == nil {
				t.Error("the client goes on with a certificate that nobody has signed")
			}
		}
	}
	target := serve(t, untrusted(func(conn net.Conn) error { return mustCome(conn, "A") }))
	named := TLSOptions{ServerName: "mx.example.org"}
	for _, probe := range []Probe{
		SMTP{Hello: "lb", Encryption: TLSFirst, TLS: named},
		Expect{Network: "tcp", Encryption: TLSFirst, Steps: steps(t, "send A"), TLS: named},
	} {
		wantError(t, check(t, probeSpec(probe, target, patience)), "certificate is for no host, wanted mx.example.org")
	}
}

func TestPasswordsNotPrinted(t *testing.T) {
	password := NewSecret("hunter2")
	coded, err := json.Marshal(struct{ S Secret }{password})
	if err != nil {
		t.Fatal(err)
	}
	steps, err := NewSteps(Step{StepSend, "AUTH hunter2\r\n"}, Step{StepExpect, "+OK"})
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec()
	var printed bytes.Buffer
	type hidden struct {
		probe Probe
		steps Steps
	}
	for _, value := range []any{
		password, &password, []Secret{password}, steps, Expect{Steps: steps},
		IMAP{Password: password}, POP3{Password: password}, FTP{Password: password}, Redis{Password: password},
		MySQL{Password: password}, PostgreSQL{Password: password}, LDAP{Password: password},
		RADIUS{Password: password, Secret: password}, hidden{IMAP{Password: password}, steps},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10s"} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
		if probe, ok := value.(Probe); ok {
			spec.Probe = probe
			fmt.Fprintf(&printed, "%v %+v %#v\n", spec, spec, spec)
		}
	}
	fmt.Fprintln(&printed, password.String(), password.GoString(), steps.GoString(), string(coded))
	for _, leak := range []string{"hunter2", "68756e74657232"} {
		if strings.Contains(printed.String(), leak) {
			t.Errorf("the password is in\n%s", printed.String())
		}
	}
}

// Every kind is comparable: lists, maps and functions are not, and would panic.
func TestProbesAreComparable(t *testing.T) {
	seen := map[Probe]string{}
	for _, probe := range []Probe{
		Expect{}, SMTP{}, IMAP{}, POP3{}, FTP{}, NNTP{}, Redis{}, MySQL{}, PostgreSQL{}, LDAP{}, SIP{}, RADIUS{},
	} {
		if seen[probe] != "" || probe.Kind() == "" {
			t.Errorf("%T has the kind %q", probe, probe.Kind())
		}
		seen[probe] = probe.Kind()
	}
	if len(seen) != 12 {
		t.Errorf("%d different probes, want 12", len(seen))
	}
}

// What is wrong with parameters, and how the error begins.
func TestPresetsValidate(t *testing.T) {
	valid := []Probe{
		SMTP{}, SMTP{Hello: "lb.example.org", Encryption: StartTLS}, IMAP{Encryption: TLSFirst, User: "u", Password: NewSecret("p")},
		POP3{User: "u"}, FTP{User: "ftp"}, NNTP{Encryption: StartTLS}, Redis{Password: NewSecret("p"), Role: "master"},
		MySQL{}, MySQL{User: "u", Query: "SELECT 1", Encryption: StartTLS}, PostgreSQL{User: "u", Database: "d"},
		LDAP{}, LDAP{User: "cn=u", Password: NewSecret("p"), Base: "dc=x"}, SIP{Network: "udp"}, SIP{Network: "tcp", Encryption: TLSFirst, URI: "sip:a@b", Status: "200,404"},
		RADIUS{Secret: NewSecret("s")}, RADIUS{Secret: NewSecret("s"), User: "u", Password: NewSecret("p")},
	}
	for _, probe := range valid {
		if err := probe.Validate(); err != nil {
			t.Errorf("%#v: %v", probe, err)
		}
	}
	tests := []struct {
		probe Probe
		want  string
	}{
		{SMTP{Hello: "a b"}, `hello "a b" is no host name: such as "lb.example.org"`},
		{SMTP{Encryption: "ssl"}, `encryption "ssl" is not possible here: "tls" or "starttls", or empty for none`},
		{SMTP{TLS: TLSOptions{ServerName: "x"}}, "tls is given without encryption"},
		{SMTP{Encryption: TLSFirst, TLS: TLSOptions{MinVersion: "2"}}, `tls: min_version "2" is none of`},
		{SIP{Network: "udp", TLS: TLSOptions{ServerName: "x"}}, "tls is given without encryption"},
		{IMAP{Encryption: "x"}, `encryption "x" is not possible here`},
		{IMAP{Password: NewSecret("p")}, "password is given without user"},
		{IMAP{User: "a\r\nb"}, "user has control characters"},
		{POP3{Encryption: "x"}, `encryption "x" is not possible here`},
		{POP3{User: "u", Password: NewSecret("p\nq")}, "password has control characters"},
		{FTP{Password: NewSecret("p")}, "password is given without user"},
		{NNTP{Encryption: "x"}, `encryption "x" is not possible here`},
		{Redis{Role: "primary"}, `role "primary" is no role of Redis: "master", "slave" or "sentinel", or empty for any`},
		{Redis{Encryption: StartTLS}, `encryption "starttls" is not possible here: "tls", or empty for none`},
		{Redis{User: "u"}, "user is given without password"},
		{MySQL{Encryption: TLSFirst}, `encryption "tls" is not possible here: "starttls", or empty for none`},
		{MySQL{Query: "SELECT 1"}, "query is given without user"},
		{MySQL{User: "u", Query: strings.Repeat("x", 5000)}, "query of 5000 bytes: at most 4096"},
		{MySQL{Password: NewSecret("p")}, "password is given without user"},
		{PostgreSQL{Encryption: TLSFirst}, `encryption "tls" is not possible here`},
		{PostgreSQL{Query: "SELECT 1"}, "query is given without user"},
		{PostgreSQL{Database: "d"}, "database is given without user"},
		{PostgreSQL{User: "u", Database: "a\x00b"}, "database has control characters"},
		{PostgreSQL{User: "u", Query: "a\x00b"}, "query has control characters"},
		{PostgreSQL{User: "u", Query: strings.Repeat("x", 5000)}, "query of 5000 bytes: at most 4096"},
		{LDAP{Encryption: "x"}, `encryption "x" is not possible here`},
		{LDAP{User: "cn=u"}, "user is given without password, which would be an anonymous bind"},
		{LDAP{Base: "a\nb"}, "base has control characters"},
		{LDAP{Password: NewSecret("p")}, "password is given without user"},
		{SIP{}, `network "" is not possible: "udp" or "tcp"`},
		{SIP{Network: "udp", Encryption: TLSFirst}, `encryption "tls" is not possible over UDP`},
		{SIP{Network: "udp", URI: "example.org"}, `uri "example.org" is no address of SIP: such as "sip:ping@example.org"`},
		{SIP{Network: "udp", URI: "sip:a\r\nb"}, `uri "sip:a\r\nb" is no address of SIP`},
		{SIP{Network: "udp", Status: "ok"}, `status "ok" is no HTTP status code`},
		{RADIUS{}, "secret is missing: that of this director on the server"},
		{RADIUS{Secret: NewSecret("s"), Password: NewSecret("p")}, "password is given without user"},
		{RADIUS{Secret: NewSecret("s"), User: strings.Repeat("u", 254)}, "user of 254 bytes: at most 253"},
		{RADIUS{Secret: NewSecret("s"), User: "u", Password: NewSecret(strings.Repeat("u", 129))}, "password of 129 bytes: at most 128"},
	}
	for _, test := range tests {
		if err := test.probe.Validate(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%T %v: error %v, want %s…", test.probe, test.probe, err, test.want)
		}
	}
}
