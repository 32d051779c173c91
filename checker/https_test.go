package checker

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// httpServer starts a server of the standard library, over TLS if it is given
// a configuration, that speaks the protocols.
func httpServer(t testing.TB, config *tls.Config, protocols func(*http.Protocols), handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handle)
	server.Config.Protocols = new(http.Protocols)
	protocols(server.Config.Protocols)
	server.Config.ErrorLog = silent
	if config == nil {
		server.Start()
	} else {
		server.TLS = config
		server.EnableHTTP2 = server.Config.Protocols.HTTP2()
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server
}

// onlyHTTP1 is for servers of HTTP/1.1.
func onlyHTTP1(p *http.Protocols) { p.SetHTTP1(true) }

// httpsSpec is a check of a server, with the usual method, path and status.
func httpsSpec(server *httptest.Server, probe HTTP) Spec {
	spec := httpSpec(addrPort(server.Listener.Addr()), patience)
	probe.Method, probe.Path, probe.Status = "GET", "/health?x=1", "200"
	spec.Probe = probe
	return spec
}

func TestHTTPS(t *testing.T) {
	noLeak(t)
	root := newAuthority(t)
	ca := root.file(t)
	server := httpServer(t, withCertificate(root.site(t, "a.example")), onlyHTTP1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Host + " " + r.TLS.ServerName + " " + r.URL.String()))
	})
	own := "HTTP body does not contain \"!\""
	tests := []struct {
		name  string
		probe HTTP
		want  string
	}{
		{"nothing asked for", HTTP{Secure: true}, ""},
		{"the name of the host", HTTP{Secure: true, Host: "a.example:8443", TLS: TLSOptions{CA: ca}, Body: Body{Contains: "a.example:8443 a.example /health?x=1"}}, ""},
		{"a name of its own", HTTP{Secure: true, Host: "b.example", TLS: TLSOptions{CA: ca, ServerName: "a.example"}, Body: Body{Contains: "b.example a.example /"}}, ""},
		{"another name", HTTP{Secure: true, Host: "b.example", TLS: TLSOptions{CA: ca}}, "certificate is for a.example, 127.0.0.1, wanted b.example"},
		{"the address", HTTP{Secure: true, TLS: TLSOptions{CA: ca}}, ""},
		{"another body", HTTP{Secure: true, Body: Body{Contains: "!"}}, own},
		{"in clear", HTTP{}, "HTTP 400, wanted 200"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, httpsSpec(server, test.probe)), test.want)
		})
	}
	t.Run("TLS to a server in clear", func(t *testing.T) {
		plain := httpServer(t, nil, onlyHTTP1, func(http.ResponseWriter, *http.Request) {})
		wantError(t, check(t, httpsSpec(plain, HTTP{Secure: true})), `not TLS: "HTTP/1.1 400 Bad Request"`)
	})
	if kinds := (HTTP{}).Kind() + " " + (HTTP{Secure: true}).Kind(); kinds != "http https" {
		t.Errorf("kinds %q", kinds)
	}
}

// With TLS 1.3 the server's demand for a certificate comes in place of the
// reply, in either version of HTTP.
func TestHTTPSClientCertificate(t *testing.T) {
	root := newAuthority(t)
	config := withCertificate(root.site(t, "a.example"))
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, root.pool()
	pair := root.issue(t, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	file := writeFile(t, "both.pem", append(certificatePEM(pair.Certificate[0]), keyPEM(t, pair)...))
	server := httpServer(t, config, func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }, func(http.ResponseWriter, *http.Request) {})
	for _, version := range []string{"1.1", "2"} {
		wantError(t, check(t, httpsSpec(server, HTTP{Secure: true, Version: version})), "TLS handshake: server requires a client certificate")
		wantError(t, check(t, httpsSpec(server, HTTP{Secure: true, Version: version, TLS: TLSOptions{Certificate: file}})), "")
	}
}

// A server that has refused the client and gone away is understood, although
// the request could not be written any more.
func TestHTTPSRefusedBeforeRequest(t *testing.T) {
	root := newAuthority(t)
	config := withCertificate(root.site(t, "a.example"))
	config.ClientAuth = tls.RequireAnyClientCert
	spec := tlsSpec(serve(t, overTLS(config, untilEnd)), TLS{})
	client, err := TLSOptions{}.client("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := endpoint{AddrPort: spec.Target, timeout: patience}.open(t.Context(), time.Time{}, client)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		_, err = s.Write([]byte("GET"))
	}
	wantError(t, s.explain(t.Context(), err), "TLS handshake: server requires a client certificate")
}

// The warning of TLS goes with a good reply.
func TestHTTPSWarning(t *testing.T) {
	root := newAuthority(t)
	soon := time.Now().Add(48 * time.Hour)
	server := httpServer(t, withCertificate(root.issue(t, x509.Certificate{NotAfter: soon})), onlyHTTP1, func(http.ResponseWriter, *http.Request) {})
	c, err := New(httpsSpec(server, HTTP{Secure: true, TLS: TLSOptions{ExpiryWarning: 100 * time.Hour}}))
	if err != nil {
		t.Fatal(err)
	}
	advice, err := c.Check(t.Context())
	if want := "certificate expires " + day(soon); err != nil || advice.Warning != want {
		t.Errorf("warning %q, error %v, want %q", advice.Warning, err, want)
	}
}

// A file that cannot be used is an error when the check is made.
func TestHTTPSFileError(t *testing.T) {
	spec := httpSpec(unused(t), patience)
	spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200", Secure: true, TLS: TLSOptions{CA: "/nonexistent/ca"}}
	_, err := New(spec)
	wantError(t, err, "check of "+spec.Target.String()+": CA /nonexistent/ca: no such file or directory")
}

// A server that goes silent within TLS takes no longer than the timeout.
func TestHTTPSTimeout(t *testing.T) {
	noLeak(t)
	spec := httpSpec(serve(t, overTLS(withCertificate(newAuthority(t).site(t)), untilEnd)), 500*time.Millisecond)
	spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200", Secure: true}
	wantError(t, check(t, spec), "timed out after 500ms")
}

// BenchmarkProbe is one probe of each kind with its own connection; the server
// is in the same process.
func BenchmarkProbe(b *testing.B) {
	root := newAuthority(b)
	all := func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) }
	handle := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }
	plain := httpServer(b, nil, all, handle)
	secure := httpServer(b, withCertificate(root.site(b, "a.example")), all, handle)
	options := TLSOptions{ServerName: "a.example", CA: root.file(b)}
	body := Body{Contains: "ok"}
	health := tcpSpec(addrPort(httpServer(b, nil, all, healthServer).Listener.Addr()), patience)
	health.Probe = GRPC{}
	tcp := tcpSpec(addrPort(plain.Listener.Addr()), patience)
	for name, spec := range map[string]Spec{
		"tcp":            tcp,
		"http":           httpsSpec(plain, HTTP{Body: body}),
		"http2 in clear": httpsSpec(plain, HTTP{Version: "2", Body: body}),
		"https":          httpsSpec(secure, HTTP{Secure: true, Body: body}),
		"https verified": httpsSpec(secure, HTTP{Secure: true, TLS: options, Body: body}),
		"https2":         httpsSpec(secure, HTTP{Secure: true, TLS: options, Body: body, Version: "2"}),
		"tls":            tlsSpec(addrPort(secure.Listener.Addr()), TLS{Options: options}),
		"grpc":           health,
	} {
		b.Run(name, func(b *testing.B) {
			c, err := New(spec)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Check(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
