package checker

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// httpSpec is an HTTP check of a target with the usual parameters.
func httpSpec(target netip.AddrPort, timeout time.Duration) Spec {
	spec := tcpSpec(target, timeout)
	spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200-399"}
	return spec
}

// answer reads a request and writes a text.
func answer(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// endless writes a text again and again until the client goes away.
func endless(first, again string) func(net.Conn) {
	return func(conn net.Conn) {
		answer(first)(conn)
		for {
			if _, err := io.WriteString(conn, again); err != nil {
				return
			}
		}
	}
}

func TestHTTP(t *testing.T) {
	noLeak(t)
	tests := []struct {
		name   string
		handle func(net.Conn)
		want   string
	}{
		{"ok", answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), ""},
		{"HTTP/1.0", answer("HTTP/1.0 200 OK\r\n\r\nok"), ""},
		{"without a body", answer("HTTP/1.1 204 No Content\r\n\r\n"), ""},
		{"chunks", answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ""},
		{"without a reason", answer("HTTP/1.1 200\r\n\r\n"), ""},
		{"a body that never ends", endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)), ""},
		{"a body that is cut off", answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nok"), ""},
		{"interim replies", answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), ""},
		{"a redirect", answer("HTTP/1.1 301 Moved\r\nLocation: http://192.0.2.1/\r\n\r\n"), ""},
		{"server error", answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), "HTTP 503, wanted 200-399"},
		{"not found", answer("HTTP/1.1 404 Not Found\r\n\r\n"), "HTTP 404, wanted 200-399"},
		{"another protocol offered", answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "HTTP 101, wanted 200-399"},
		{"closed after the request", answer(""), "connection closed before a whole HTTP header"},
		{"closed within the header", answer("HTTP/1.1 200 OK\r\nServer: x"), "connection closed before a whole HTTP header"},
		{"closed behind an interim reply", answer("HTTP/1.1 100 Continue\r\n\r\n"), "connection closed before a whole HTTP header"},
		{"another protocol", answer("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), `not an HTTP reply: "SSH-2.0-OpenSSH_9.2p1 Debian-2"`},
		{"status without a number", answer("HTTP/1.1 OK\r\n\r\n"), `not an HTTP reply: "malformed HTTP status code \"OK\""`},
		{"binary garbage", answer("\x00\xff\x15\x03\x01\r\n\r\n"), `not an HTTP reply: "\x00\xff\x15\x03\x01"`},
		{"a long line of garbage", answer(strings.Repeat("y", 1000) + "\r\n\r\n"), `not an HTTP reply: "` + strings.Repeat("y", 79) + `…"`},
		{"a header that never ends", endless("HTTP/1.1 200 OK\r\n", "X-Header: "+strings.Repeat("z", 100)+"\r\n"), "HTTP header over 64 KiB"},
		{"a line that never ends", endless("HTTP/1.1 200 OK\r\nX-Header: ", strings.Repeat("z", 100)), "HTTP header over 64 KiB"},
		{"interim replies without end", endless("", "HTTP/1.1 100 Continue\r\n\r\n"), "more than 8 interim HTTP replies"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, httpSpec(serve(t, test.handle), patience)), test.want)
		})
	}
}

// A server that closes at once is noticed in one of three ways, depending on
// who is faster.
func TestHTTPClosedAtOnce(t *testing.T) {
	noLeak(t)
	err := check(t, httpSpec(serve(t, func(net.Conn) {}), patience))
	words := []string{"connection reset by peer", "broken pipe", "connection closed before a whole HTTP header"}
	if err == nil || !slices.Contains(words, err.Error()) {
		t.Errorf("error %v, want one of %q", err, words)
	}
}

func TestHTTPTimeout(t *testing.T) {
	noLeak(t)
	tests := map[string]func(*testing.T) netip.AddrPort{
		"connect": blackhole,
		"reply": func(t *testing.T) netip.AddrPort {
			return serve(t, func(conn net.Conn) {
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.Copy(io.Discard, conn) // never answers
			})
		},
		"header": func(t *testing.T) netip.AddrPort {
			return serve(t, func(conn net.Conn) {
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				for err == nil { // one header every 10 ms, for ever
					time.Sleep(10 * time.Millisecond)
					_, err = io.WriteString(conn, "X: y\r\n")
				}
			})
		},
	}
	for name, target := range tests {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			wantError(t, check(t, httpSpec(target(t), 300*time.Millisecond)), "timed out after 300ms")
			if took := time.Since(begin); took > patience {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestHTTPRefused(t *testing.T) {
	wantError(t, check(t, httpSpec(unused(t), patience)), "connection refused")
}

// The server sees exactly the request that was asked for, on a connection
// that is not kept, and never a proxy's form of it.
func TestHTTPRequest(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	tests := []struct {
		name       string
		http       HTTP
		line, host string // of the request; host may contain TARGET
	}{
		{"usual", HTTP{Method: "GET", Path: "/", Status: "200"}, "GET / HTTP/1.1", "TARGET"},
		{"head", HTTP{Method: "HEAD", Path: "/health", Status: "200"}, "HEAD /health HTTP/1.1", "TARGET"},
		{"query", HTTP{Method: "GET", Path: "/a%20b?c=d&e=%2F", Host: "www.example.org", Status: "200"}, "GET /a%20b?c=d&e=%2F HTTP/1.1", "www.example.org"},
		{"headers", HTTP{Method: "GET", Path: "/", Host: "h", Status: "200", User: "u", Password: NewSecret("p:w"),
			Headers: headers(t, "user-agent: x", "accept: text/html")}, "GET / HTTP/1.1", "h"},
		{"two slashes", HTTP{Method: "GET", Path: "//x/y", Host: "h:8080", Status: "200"}, "GET //x/y HTTP/1.1", "h:8080"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lines := make(chan []string, 1)
			spec := httpSpec(serve(t, func(conn net.Conn) {
				_ = conn.SetDeadline(time.Now().Add(patience))
				var got []string
				for scanner := bufio.NewScanner(conn); scanner.Scan() && scanner.Text() != ""; {
					got = append(got, scanner.Text())
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
				lines <- got
			}), patience)
			spec.Probe = test.http
			wantError(t, check(t, spec), "")
			host := strings.ReplaceAll(test.host, "TARGET", spec.Target.String())
			want := []string{test.line, "Host: " + host, "User-Agent: bascule", "Connection: close", "Accept: */*"}
			if test.http.User != "" {
				want = []string{test.line, "Host: " + host, "User-Agent: x", "Connection: close", "Accept: text/html", "Authorization: Basic dTpwOnc="}
			}
			if diff := cmp.Diff(want, <-lines); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHTTPValidate(t *testing.T) {
	valid := HTTP{Method: "GET", Path: "/", Status: "200"}
	if err := valid.Validate(); err != nil {
		t.Errorf("valid parameters: %v", err)
	}
	tests := []struct {
		change func(*HTTP)
		want   string // how the error begins
	}{
		{func(h *HTTP) { h.Method = "" }, `method "" is no HTTP method`},
		{func(h *HTTP) { h.Method = "get" }, `method "get" is no HTTP method`},
		{func(h *HTTP) { h.Method = "GET /x" }, `method "GET /x" is no HTTP method`},
		{func(h *HTTP) { h.Method = "CONNECT" }, `method "CONNECT" is for proxies`},
		{func(h *HTTP) { h.Path = "" }, `path "" is no HTTP path`},
		{func(h *HTTP) { h.Path = "x" }, `path "x" is no HTTP path`},
		{func(h *HTTP) { h.Path = "/a b" }, `path "/a b" is no HTTP path`},
		{func(h *HTTP) { h.Path = "/a#b" }, `path "/a#b" is no HTTP path`},
		{func(h *HTTP) { h.Path = "/\r\nHost: x" }, `path "/\r\nHost: x" is no HTTP path`},
		{func(h *HTTP) { h.Path = "/%zz" }, `path "/%zz" is no HTTP path: a "%" is written "%25"`},
		{func(h *HTTP) { h.Host = "a b" }, `host "a b" is no host name`},
		{func(h *HTTP) { h.Host = "http://x" }, `host "http://x" is no host name`},
		{func(h *HTTP) { h.Host = "x\r\ny" }, `host "x\r\ny" is no host name`},
		{func(h *HTTP) { h.Status = "ok" }, `status "ok" is no HTTP status code`},
		{func(h *HTTP) { h.Version = "3" }, `version "3" is neither "1.1" nor "2"`},
		{func(h *HTTP) { h.Password = NewSecret("x") }, "password is given without user"},
		{func(h *HTTP) { h.User = "a:b" }, `user "a:b" has a ":" or a control character`},
		{func(h *HTTP) { h.User, h.Password = "a", NewSecret("b\n") }, "password has a control character"},
		{func(h *HTTP) { h.User, h.Headers = "a", headers(t, "authorization: x") }, `user is given, and so is the header "Authorization"`},
		{func(h *HTTP) { h.Method, h.Body.Contains = "HEAD", "ok" }, `method "HEAD" brings no body`},
		{func(h *HTTP) { h.Body.Matches = "(" }, `matches "(" is no regular expression in RE2's syntax: missing closing )`},
		{func(h *HTTP) { h.Body.Excludes = `(?=x)` }, `excludes "(?=x)" is no regular expression`},
		{func(h *HTTP) { h.Body.SHA256 = "12" }, `sha256 "12" is no digest: 64 hexadecimal digits`},
		{func(h *HTTP) { h.Body.MD5 = strings.Repeat("x", 32) }, `md5 "xxx`},
		{func(h *HTTP) { h.TLS.ServerName = "x" }, "tls has options, but the check is in clear"},
		{func(h *HTTP) { h.Secure, h.TLS.MinVersion = true, "0" }, `min_version "0"`},
	}
	for _, test := range tests {
		h := valid
		test.change(&h)
		if err := h.Validate(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %s…", h, err, test.want)
		}
	}
}

// A server may send anything: the checker neither panics nor hangs, and its
// verdict is one line.
func FuzzHTTPReply(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\n\r\n")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\nA: b\r\n c\r\n\r\n")
	f.Add("HTTP/9.9 999\r\n:\r\n\r\n")
	f.Add("\x16\x03\x01")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	spec := httpSpec(netip.MustParseAddrPort("192.0.2.1:80"), time.Second)
	spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200-399", Body: Body{Contains: "ok"}}
	c, err := spec.Probe.(HTTP).newChecker(endpoint{AddrPort: spec.Target, timeout: spec.Timeout})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		err := c.exchange(&canned{reply: strings.NewReader(reply)})
		switch {
		case err == nil && !strings.HasPrefix(reply, "HTTP/"):
			t.Errorf("%q is a good reply", reply)
		case err != nil && (strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 200):
			t.Errorf("error %q of %q", err, reply)
		}
	})
}

// canned is a connection that swallows the request and has one reply.
type canned struct {
	net.Conn
	reply io.Reader
}

// Read reads from the reply.
func (c *canned) Read(b []byte) (int, error) { return c.reply.Read(b) }

// Write swallows the request.
func (c *canned) Write(b []byte) (int, error) { return len(b), nil }

func ExampleHTTP_Validate() {
	fmt.Println(HTTP{Method: "GET", Path: "health", Status: "200"}.Validate())
	// Output: path "health" is no HTTP path: it begins with "/" and has no spaces and no "#"
}
