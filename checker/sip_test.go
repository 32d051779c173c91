package checker

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// sipServer answers a request with a text, in which CALL is the Call-ID, and
// says what is wrong with the request.
func sipServer(t *testing.T, request, reply string) []byte {
	in := textproto.NewReader(bufio.NewReader(strings.NewReader(request)))
	line, _ := in.ReadLine()
	header, err := in.ReadMIMEHeader()
	if err != nil {
		t.Errorf("request %q: %v", request, err)
	}
	if !strings.HasPrefix(line, "OPTIONS sip:") || !strings.HasSuffix(line, " SIP/2.0") {
		t.Errorf("request line %q", line)
	}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Content-Length"} {
		if header.Get(name) == "" {
			t.Errorf("%s is missing in %q", name, request)
		}
	}
	return []byte(strings.ReplaceAll(reply, "CALL", header.Get("Call-ID")))
}

func TestSIP(t *testing.T) {
	noLeak(t)
	const ok = "SIP/2.0 200 OK\r\nCall-ID: CALL\r\nContent-Length: 0\r\n\r\n"
	tests := []struct {
		name, reply, status, want string
	}{
		{"ok", ok, "", ""},
		{"short names", "SIP/2.0 200 OK\r\ni : CALL\r\nl:2\r\n\r\nab", "", ""},
		{"no reason", "SIP/2.0 200\r\nCall-ID: CALL\r\nContent-Length: 0\r\n\r\n", "", ""},
		{"trying", "SIP/2.0 100 Trying\r\nCall-ID: CALL\r\nContent-Length: 0\r\n\r\n" + ok, "", ""},
		{"another probe's", "SIP/2.0 503 No\r\nCall-ID: x\r\nContent-Length: 3\r\n\r\nabc" + ok, "", ""},
		{"unavailable", "SIP/2.0 503 Service Unavailable\r\nCall-ID: CALL\r\nContent-Length: 0\r\n\r\n", "", "SIP 503 Service Unavailable, wanted 200"},
		{"accepted", "SIP/2.0 404 Not Found\r\nCall-ID: CALL\r\nContent-Length: 0\r\n\r\n", "200,404", ""},
		{"declined", "SIP/2.0 603 Decline\r\nCall-ID: CALL\r\nContent-Length: 0\r\n\r\n", "200-599", "SIP 603 Decline, wanted 200-599"},
		{"web server", "HTTP/1.1 400 Bad Request\r\n\r\n", "", `not SIP: "HTTP/1.1 400 Bad Request"`},
		{"no code", "SIP/2.0 OK\r\n\r\n", "", `not SIP: "SIP/2.0 OK"`},
	}
	for _, test := range tests {
		t.Run("tcp/"+test.name, func(t *testing.T) {
			target := serve(t, func(conn net.Conn) {
				_ = conn.SetDeadline(time.Now().Add(patience))
				buffer := make([]byte, 4096)
				n := 0
				for !strings.HasSuffix(string(buffer[:n]), "\r\n\r\n") {
					more, err := conn.Read(buffer[n:])
					if n += more; err != nil {
						t.Errorf("server: %v", err)
						return
					}
				}
				_, _ = conn.Write(sipServer(t, string(buffer[:n]), test.reply))
				if _, err := conn.Read(buffer); !errors.Is(err, io.EOF) {
					t.Errorf("the connection ends with %v, wanted an orderly end", err)
				}
			})
			wantError(t, check(t, probeSpec(SIP{Network: "tcp", Status: test.status}, target, patience)), test.want)
		})
		t.Run("udp/"+test.name, func(t *testing.T) {
			target := serveUDP(t, func(packet []byte) [][]byte {
				var replies [][]byte
				for _, reply := range strings.SplitAfter(string(sipServer(t, string(packet), test.reply)), "abc") {
					for i, part := range strings.SplitAfter(reply, "\r\n\r\n") {
						if part != "" && (i == 0 || strings.HasPrefix(part, "SIP")) {
							replies = append(replies, []byte(part))
						}
					}
				}
				return replies
			})
			wantError(t, check(t, probeSpec(SIP{Network: "udp", URI: "sip:ping@example.org", Status: test.status}, target, patience)), test.want)
		})
	}
	t.Run("refused", func(t *testing.T) {
		wantError(t, check(t, probeSpec(SIP{Network: "udp"}, unusedUDP(t), patience)), "connection refused")
	})
	t.Run("silence", func(t *testing.T) {
		silent := serveUDP(t, func([]byte) [][]byte { return nil })
		wantError(t, check(t, probeSpec(SIP{Network: "udp"}, silent, 200*time.Millisecond)), "timed out after 200ms waiting for the SIP reply to OPTIONS")
	})
	t.Run("endless", func(t *testing.T) {
		target := serve(t, func(conn net.Conn) {
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, strings.Repeat("SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n", 100))
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		})
		wantError(t, check(t, probeSpec(SIP{Network: "tcp"}, target, patience)), "more than 8 other SIP replies")
	})
}
