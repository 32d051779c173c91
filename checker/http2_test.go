package checker

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// silent is a log for servers whose clients misbehave on purpose.
var silent = log.New(io.Discard, "", 0)

// http2Peer is a fake server of HTTP/2: it reads the preface and the request,
// and then does what a test wants.
func http2Peer(reply func(framer *http2.Framer)) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		framer := http2.NewFramer(conn, conn)
		_ = framer.WriteSettings()
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if headers, ok := frame.(*http2.HeadersFrame); ok && headers.StreamEnded() {
				break
			}
			if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() {
				break
			}
		}
		reply(framer)
		// Closing with something unread would be a reset.
		_ = conn.(*net.TCPConn).CloseWrite()
		hold(framer)
	}
}

// http2Fields writes header fields, given as name and value in turn.
func http2Fields(framer *http2.Framer, end bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// hold keeps a connection open until the client goes away.
func hold(framer *http2.Framer) {
	for {
		if _, err := framer.ReadFrame(); err != nil {
			return
		}
	}
}

// http2Spec is a check in clear HTTP/2.
func http2Spec(t *testing.T, handle func(net.Conn), body Body) Spec {
	t.Helper()
	spec := httpSpec(serve(t, handle), patience)
	spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200-399", Version: "2", Body: body}
	return spec
}

func TestHTTP2(t *testing.T) {
	noLeak(t)
	root := newAuthority(t)
	handle := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			_, _ = io.WriteString(w, strings.Join([]string{r.Proto, r.Method, r.Host, r.URL.String(), r.Header.Get("X-A"), r.Header.Get("User-Agent")}, " "))
		}
	}
	all := func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) }
	plain, secure := httpServer(t, nil, all, handle), httpServer(t, withCertificate(root.site(t, "a.example")), all, handle)
	old := httpServer(t, withCertificate(root.site(t, "a.example")), onlyHTTP1, handle)
	oldPlain := httpServer(t, nil, onlyHTTP1, handle)
	wanted := Body{Contains: "HTTP/2.0 GET a.example /health?x=1 v bascule"}
	for _, test := range []struct {
		name string
		spec Spec
		want string
	}{
		{"in clear", httpsSpec(plain, HTTP{Version: "2", Host: "a.example", Headers: headers(t, "X-A: v"), Body: wanted}), ""},
		{"over TLS", httpsSpec(secure, HTTP{Version: "2", Secure: true, Host: "a.example", Headers: headers(t, "X-A: v"), Body: wanted,
			TLS: TLSOptions{CA: root.file(t)}}), ""},
		{"over TLS, not offered", httpsSpec(old, HTTP{Version: "2", Secure: true}), `TLS handshake: server speaks none of ["h2"]`},
		{"in clear, not spoken", httpsSpec(oldPlain, HTTP{Version: "2"}), `not HTTP/2: "HTTP/1.1 200 OK"`},
		{"refused", func() Spec {
			spec := httpSpec(unused(t), patience)
			spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200", Version: "2"}
			return spec
		}(), "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, test.spec), test.want)
		})
	}
}

func TestHTTP2Replies(t *testing.T) {
	noLeak(t)
	ok := Body{Contains: "ok"}
	tests := []struct {
		name  string
		reply func(*http2.Framer)
		body  Body
		want  string
	}{
		{"status", func(f *http2.Framer) { http2Fields(f, true, ":status", "503") }, Body{}, "HTTP 503, wanted 200-399"},
		{"interim", func(f *http2.Framer) {
			http2Fields(f, false, ":status", "103")
			http2Fields(f, true, ":status", "204")
		}, Body{}, ""},
		{"a body nobody wants", func(f *http2.Framer) { http2Fields(f, false, ":status", "200"); hold(f) }, Body{}, ""},
		{"body", func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200")
			_ = f.WriteData(1, true, []byte("ok"))
		}, ok, ""},
		{"body cut off", func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200")
			_ = f.WriteData(1, false, []byte("ok"))
		}, ok, "connection closed before the end of the HTTP body"},
		{"body reset", func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200")
			_ = f.WriteRSTStream(1, http2.ErrCodeInternal)
		}, ok, "no HTTP body: stream error: stream ID 1; INTERNAL_ERROR; received from peer"},
		{"reset", func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) }, Body{}, "HTTP/2 stream reset: ENHANCE_YOUR_CALM"},
		{"go away", func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeInadequateSecurity, []byte("too\nold")) }, Body{},
			"HTTP/2 GOAWAY INADEQUATE_SECURITY"},
		{"go away, with words", func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeInternal, []byte("too\nbad")) }, Body{},
			`HTTP/2 GOAWAY INTERNAL_ERROR "too"`},
		{"closed", func(*http2.Framer) {}, Body{}, "connection closed before a whole HTTP header"},
		{"headers without status", func(f *http2.Framer) { http2Fields(f, true, "x", "y") }, Body{}, `HTTP/2 reply malformed: "malformed response from server: missing status pseudo header"`},
		{"a broken frame", func(f *http2.Framer) { _ = f.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) }, Body{}, "HTTP/2 broken by the server: PROTOCOL_ERROR"},
		{"a header too long", func(f *http2.Framer) {
			http2Fields(f, false, ":status", "200", "a", strings.Repeat("x", 16000))
		}, Body{}, ""},
		{"headers too long", func(f *http2.Framer) {
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			for range 2000 { // indexed after the first one, so that it is a small block
				_ = encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 100)})
			}
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		}, Body{}, "HTTP header over 64 KiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, http2Spec(t, http2Peer(test.reply), test.body)), test.want)
		})
	}
	for name, text := range map[string]string{
		`not HTTP/2: "SSH-2.0-OpenSSH_9.2p1"`:  "SSH-2.0-OpenSSH_9.2p1\r\n",
		`not HTTP/2: "HTTP/1.1 404 Not Found"`: "HTTP/1.1 404 Not Found\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, check(t, http2Spec(t, func(conn net.Conn) {
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, text)
				_, _ = io.Copy(io.Discard, conn)
			}, Body{})), name)
		})
	}
}

// A server that goes silent takes no longer than the timeout, at whatever
// point it does.
func TestHTTP2Timeout(t *testing.T) {
	noLeak(t)
	for name, handle := range map[string]func(net.Conn){
		"settings": func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"reply":    http2Peer(hold),
		"body":     http2Peer(func(f *http2.Framer) { http2Fields(f, false, ":status", "200"); hold(f) }),
	} {
		t.Run(name, func(t *testing.T) {
			spec := http2Spec(t, handle, Body{Contains: "x"})
			spec.Timeout = 300 * time.Millisecond
			wantError(t, check(t, spec), "timed out after 300ms")
		})
	}
}
