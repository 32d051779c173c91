package checker

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// grpcSpec is a gRPC check of a target.
func grpcSpec(t testing.TB, handle func(net.Conn), probe GRPC) Spec {
	t.Helper()
	spec := tcpSpec(serve(t.(*testing.T), handle), patience)
	spec.Probe = probe
	return spec
}

// healthServer answers as the health service of gRPC does.
func healthServer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	body, _ := io.ReadAll(r.Body)
	want := string(grpcRequest("web.Shop"))
	switch {
	case r.Method != "POST" || r.URL.Path != grpcMethod || r.Header.Get("Te") != "trailers" ||
		r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Grpc-Timeout") != "20000m":
		w.Header().Set("Grpc-Status", "12")
	case string(body) == want, len(body) == grpcPrefix:
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, 1})
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	case string(body) == string(grpcRequest("long")):
		_, _ = w.Write(make([]byte, 2*maxGRPCMessage))
	default:
		w.Header().Set("Grpc-Status", "5")
	}
}

func TestGRPC(t *testing.T) {
	noLeak(t)
	root := newAuthority(t)
	all := func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) }
	plain, secure := httpServer(t, nil, all, healthServer), httpServer(t, withCertificate(root.site(t, "a.example")), all, healthServer)
	spec := func(target net.Addr, probe GRPC) Spec {
		s := tcpSpec(addrPort(target), patience)
		s.Probe = probe
		return s
	}
	ca := root.file(t)
	tests := []struct {
		name string
		spec Spec
		want string
	}{
		{"the whole server", spec(plain.Listener.Addr(), GRPC{}), ""},
		{"a service", spec(plain.Listener.Addr(), GRPC{Service: "web.Shop"}), ""},
		{"another service", spec(plain.Listener.Addr(), GRPC{Service: "x"}), `gRPC NOT_FOUND: server knows no service "x"`},
		{"over TLS", spec(secure.Listener.Addr(), GRPC{Secure: true, Host: "a.example", TLS: TLSOptions{CA: ca}}), ""},
		{"over TLS, another name", spec(secure.Listener.Addr(), GRPC{Secure: true, Host: "b.example:1", TLS: TLSOptions{CA: ca}}),
			"certificate is for a.example, 127.0.0.1, wanted b.example"},
		{"TLS where it is in clear", spec(plain.Listener.Addr(), GRPC{Secure: true}), `not TLS: "HTTP/1.1 400 Bad Request"`},
		{"an overlong message", spec(plain.Listener.Addr(), GRPC{Service: "long"}), "gRPC message over 64 KiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, test.spec), test.want)
		})
	}
	t.Run("refused", func(t *testing.T) {
		s := tcpSpec(unused(t), patience)
		s.Probe = GRPC{}
		wantError(t, check(t, s), "connection refused")
	})
}

func TestGRPCReplies(t *testing.T) {
	noLeak(t)
	// reply has a header, a body, and trailers.
	reply := func(body string, trailers ...string) func(*http2.Framer) {
		return func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200", "content-type", "application/grpc+proto")
			for ; len(body) > 16000; body = body[16000:] {
				_ = f.WriteData(1, false, []byte(body[:16000]))
			}
			_ = f.WriteData(1, false, []byte(body))
			http2Fields(f, true, trailers...)
			hold(f)
		}
	}
	only := func(fields ...string) func(*http2.Framer) { // a reply without a message
		return func(f *http2.Framer) {
			http2Fields(f, true, fields...)
			hold(f)
		}
	}
	const framed = "\x00\x00\x00\x00\x02\x08"
	tests := []struct {
		name  string
		reply func(*http2.Framer)
		want  string
	}{
		{"serving", reply(framed+"\x01", "grpc-status", "0"), ""},
		{"not serving", reply(framed+"\x02", "grpc-status", "0"), "gRPC NOT_SERVING, wanted SERVING"},
		{"unknown", reply(framed+"\x00", "grpc-status", "0"), "gRPC UNKNOWN, wanted SERVING"},
		{"unknown, left out", reply("\x00\x00\x00\x00\x00", "grpc-status", "0"), "gRPC UNKNOWN, wanted SERVING"},
		{"service unknown", reply(framed+"\x03", "grpc-status", "0"), "gRPC SERVICE_UNKNOWN, wanted SERVING"},
		{"another status", reply(framed+"\x09", "grpc-status", "0"), "gRPC health status 9, wanted SERVING"},
		{"no message", reply("", "grpc-status", "0"), "gRPC reply without a message"},
		{"cut off", reply("\x00\x00\x00\x00\x09\x08\x01", "grpc-status", "0"), "gRPC message cut off"},
		{"two", reply(framed+"\x01"+framed+"\x01", "grpc-status", "0"), "more than one gRPC message"},
		{"compressed", reply("\x01\x00\x00\x00\x02\x08\x01", "grpc-status", "0"), "gRPC message is compressed, which the check has not offered"},
		{"garbage", reply("\x00\x00\x00\x00\x02\xff\xff", "grpc-status", "0"), "gRPC message is no HealthCheckResponse"},
		{"failed after a message", reply(framed+"\x01", "grpc-status", "13"), "gRPC INTERNAL"},
		{"no status", reply(framed+"\x01", "x", "y"), "gRPC reply without a status"},
		{"no health service", only(":status", "200", "content-type", "application/grpc", "grpc-status", "12", "grpc-message", "x"),
			"gRPC UNIMPLEMENTED: server has no grpc.health.v1.Health"},
		{"unavailable", only(":status", "200", "content-type", "application/grpc", "grpc-status", "14", "grpc-message", "going%20down%0Anow"),
			`gRPC UNAVAILABLE: "going down"`},
		{"not found, as a whole", only(":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "50%"),
			`gRPC NOT_FOUND: "50%"`},
		{"a status that is none", only(":status", "200", "content-type", "application/grpc", "grpc-status", "99"), `gRPC status "99"`},
		{"a web server", only(":status", "404", "content-type", "text/html"), "HTTP 404, wanted a reply of gRPC"},
		{"a page", only(":status", "200", "content-type", "text/html"), `HTTP content type "text/html", wanted application/grpc`},
		{"web", only(":status", "200", "content-type", "application/grpc-web"), `HTTP content type "application/grpc-web", wanted application/grpc`},
		{"closed within the message", func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200", "content-type", "application/grpc")
			_ = f.WriteData(1, false, []byte(framed))
		}, "connection closed before the end of the HTTP body"},
		{"closed", func(*http2.Framer) {}, "connection closed before a whole HTTP header"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, grpcSpec(t, http2Peer(test.reply), GRPC{})), test.want)
		})
	}
}

// A server that goes silent takes no longer than the timeout.
func TestGRPCTimeout(t *testing.T) {
	noLeak(t)
	for name, reply := range map[string]func(*http2.Framer){
		"reply": hold,
		"trailers": func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200", "content-type", "application/grpc")
			_ = f.WriteData(1, false, []byte("\x00\x00\x00\x00\x02\x08\x01"))
			hold(f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := grpcSpec(t, http2Peer(reply), GRPC{})
			spec.Timeout = 300 * time.Millisecond
			wantError(t, check(t, spec), "timed out after 300ms")
		})
	}
}

func TestGRPCValidate(t *testing.T) {
	tests := []struct {
		probe GRPC
		want  string // how the error begins; "" for none
	}{
		{GRPC{}, ""},
		{GRPC{Service: "a.B", Host: "a.example:1", Secure: true, TLS: TLSOptions{ServerName: "a"}}, ""},
		{GRPC{Service: "\xff"}, `service "\xff" is no name of a service`},
		{GRPC{Service: strings.Repeat("x", 1025)}, `service "xxx`},
		{GRPC{Host: "a/b"}, `host "a/b" is no host name`},
		{GRPC{TLS: TLSOptions{CA: "/x"}}, "tls has options, but the check is in clear"},
		{GRPC{Secure: true, TLS: TLSOptions{CA: "x"}}, `ca "x" is no absolute path`},
	}
	for _, test := range tests {
		err := test.probe.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q…", test.probe, err, test.want)
		}
	}
	if got := grpcTimeout(time.Microsecond) + " " + grpcTimeout(time.Second) + " " + grpcTimeout(1000*time.Hour); got != "1m 1000m 99999999m" {
		t.Errorf("timeouts %s", got)
	}
}
