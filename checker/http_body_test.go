package checker

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestHTTPBody(t *testing.T) {
	noLeak(t)
	page := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	full := strings.Repeat("x", maxBody)
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	tests := []struct {
		name  string
		reply string
		body  Body
		want  string
	}{
		{"contains", page("all is ok."), Body{Contains: "is ok"}, ""},
		{"does not contain", page("all is well"), Body{Contains: "is ok"}, `HTTP body does not contain "is ok"`},
		{"empty", page(""), Body{Contains: "ok"}, `HTTP body does not contain "ok"`},
		{"matches", page("a\nUp: 7\n"), Body{Matches: `(?m)^Up: \d+$`}, ""},
		{"does not match", page("a\nUp: x\n"), Body{Matches: `(?m)^Up: \d+$`}, `HTTP body does not match "(?m)^Up: \\d+$"`},
		{"excludes", page("fine"), Body{Excludes: "(?i)error|down"}, ""},
		{"matches what it must not", page("Error"), Body{Excludes: "(?i)error|down"}, `HTTP body matches "(?i)error|down", wanted no match`},
		{"SHA-256", page("ok"), Body{SHA256: sum("ok")}, ""},
		{"SHA-256 in capitals", page("ok"), Body{SHA256: strings.ToUpper(sum("ok"))}, ""},
		{"another SHA-256", page("ok\n"), Body{SHA256: sum("ok")}, "HTTP body has SHA-256 " + sum("ok\n")[:12] + "…, wanted " + sum("ok")[:12] + "…"},
		{"MD5", page("ok"), Body{MD5: fmt.Sprintf("%x", md5.Sum([]byte("ok")))}, ""},
		{"another MD5", page("ko"), Body{MD5: "444bcb3a3fcf8389296c49467f27e1d6"}, "HTTP body has MD5 ed73f6b46391…, wanted 444bcb3a3fcf…"},
		{"all of it", page("ok 7"), Body{Contains: "ok", Matches: `\d`, Excludes: "x", SHA256: sum("ok 7")}, ""},
		{"all but one", page("ok 7"), Body{Contains: "ok", Matches: `\d`, Excludes: "7"}, `HTTP body matches "7", wanted no match`},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", Body{SHA256: sum("ok")}, ""},
		{"until the end", "HTTP/1.0 200 OK\r\n\r\nok", Body{SHA256: sum("ok")}, ""},
		{"behind interim replies", "HTTP/1.1 103 Early Hints\r\n\r\n" + page("ok"), Body{SHA256: sum("ok")}, ""},
		{"as large as allowed", page(full), Body{SHA256: sum(full)}, ""},
		{"too large", page(full + "x"), Body{Contains: "x"}, "HTTP body over 1 MiB"},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Body{Contains: "ok"}, "connection closed before the end of the HTTP body"},
		{"chunks cut off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", Body{Contains: "ok"}, "connection closed before the end of the HTTP body"},
		{"bad chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", Body{Contains: "ok"}, "no HTTP body: invalid byte in chunk length"},
		{"another status", "HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nok", Body{Contains: "no"}, "HTTP 500, wanted 200-399"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := httpSpec(serve(t, answer(test.reply)), patience)
			spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200-399", Body: test.body}
			wantError(t, check(t, spec), test.want)
		})
	}
	t.Run("never ends", func(t *testing.T) {
		spec := httpSpec(serve(t, endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096))), patience)
		spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200-399", Body: Body{Contains: "y"}}
		wantError(t, check(t, spec), "HTTP body over 1 MiB")
	})
}

// stalled sends a text and then nothing until the client goes away.
func stalled(text string) func(net.Conn) {
	return func(conn net.Conn) {
		answer(text)(conn)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// A body that nothing is demanded of is not waited for, whatever its length
// is said to be; one that is must come within the timeout.
func TestHTTPBodyStalled(t *testing.T) {
	noLeak(t)
	for _, header := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		target := serve(t, stalled("HTTP/1.1 200 OK\r\n"+header+"\r\n\r\n"))
		begin := time.Now()
		wantError(t, check(t, httpSpec(target, patience)), "")
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("%s: took %s for a body that nobody wants", header, took)
		}
		spec := httpSpec(target, 200*time.Millisecond)
		spec.Probe = HTTP{Method: "GET", Path: "/", Status: "200-399", Body: Body{Contains: "x"}}
		wantError(t, check(t, spec), "timed out after 200ms")
	}
}
