package checker

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// recorded is a connection that swallows all that is written, and has one
// answer.
type recorded struct {
	net.Conn
	answer io.Reader
}

// Read reads from the answer.
func (r *recorded) Read(b []byte) (int, error) { return r.answer.Read(b) }

// Write swallows.
func (r *recorded) Write(b []byte) (int, error) { return len(b), nil }

// SetReadDeadline does nothing: there is no wait.
func (r *recorded) SetReadDeadline(time.Time) error { return nil }

// LocalAddr is an address of loopback.
func (r *recorded) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:12345"))
}

// hear lets a probe hear an answer.
func hear(t *testing.T, d *dialogue, answer string) error {
	conn := &recorded{answer: strings.NewReader(answer)}
	s := &conversation{dialogue: d, ctx: t.Context(), conn: conn, in: bufio.NewReaderSize(conn, maxLine)}
	return s.words(s.run())
}

// FuzzConversations lets every kind hear anything: its reason is always
// readable.
func FuzzConversations(f *testing.F) {
	to := endpoint{AddrPort: netip.MustParseAddrPort("127.0.0.1:1"), timeout: time.Second}
	dialogues := []*dialogue{
		{to: to, protocol: "SMTP", talk: SMTP{}.talk},
		{to: to, protocol: "IMAP", talk: IMAP{User: "u", Password: NewSecret("p")}.talk},
		{to: to, protocol: "POP3", talk: POP3{User: "u", Password: NewSecret("p")}.talk},
		{to: to, protocol: "FTP", talk: FTP{User: "u", Password: NewSecret("p")}.talk},
		{to: to, protocol: "NNTP", talk: NNTP{}.talk},
		{to: to, protocol: "Redis", talk: Redis{Role: "master"}.talk},
		{to: to, protocol: "MySQL", talk: func(s *conversation) error { return MySQL{}.talk(&mysqlSession{conversation: s}) }},
		{to: to, protocol: "MySQL", talk: func(s *conversation) error {
			return MySQL{User: "u", Password: NewSecret("p"), Query: "SELECT 1"}.talk(&mysqlSession{conversation: s})
		}},
		{to: to, protocol: "PostgreSQL", talk: (&pgChecker{PostgreSQL: PostgreSQL{}}).talk},
		{to: to, protocol: "PostgreSQL", talk: (&pgChecker{PostgreSQL: PostgreSQL{User: "u", Password: NewSecret("p"), Query: "SELECT 1"}}).talk},
		{to: to, protocol: "LDAP", talk: LDAP{Base: "dc=x"}.talk},
		{to: to, protocol: "SIP", talk: func(s *conversation) error {
			_, _, err := sipOptions(s, "TCP", "sip:x")
			return err
		}},
	}
	ok := string(berElement(berSequence, berSmall(berInteger, ldapBindID), ldapDone(ldapBindResponse, 0, "")))
	for i, answer := range []string{
		"220 x\r\n250-y\r\n250 z\r\n", "* OK\r\nb OK\r\n", "+OK\r\n+OK\r\n+OK\r\n", "220\r\n331 \r\n230 \r\n", "200\r\n",
		"+PONG\r\n*3\r\n$6\r\nmaster\r\n", mysqlGreets(nativePassword, 0) + mysqlFrame(2, "\xff\x15\x04#28000Access denied"),
		mysqlGreets(cachingSHA2, 0) + mysqlFrame(2, "\x01\x04") + mysqlFrame(4, "\x01-----BEGIN PUBLIC KEY-----") +
			mysqlFrame(6, "\x00\x00\x00\x02\x00") + mysqlFrame(1, "\x01") + mysqlFrame(2, "\x03def") + mysqlFrame(3, "\xfe\x00\x00\x02\x00") + mysqlFrame(4, "\x011"),
		pgMessage('E', "SFATAL\x00C28000\x00Mno such role\x00\x00"),
		pgMessage('R', "\x00\x00\x00\x05salt") + pgMessage('R', "\x00\x00\x00\x00") + pgMessage('Z', "I") + pgMessage('D', "") + pgMessage('Z', "I"),
		ok + string(berElement(berSequence, berSmall(berInteger, ldapSearchID), ldapDone(ldapSearchDone, 32, "no"))),
		"SIP/2.0 200 OK\r\nCall-ID: x\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add(i, answer)
	}
	f.Fuzz(func(t *testing.T, kind int, answer string) {
		if kind < 0 || kind >= len(dialogues) {
			return
		}
		if err := hear(t, dialogues[kind], answer); err != nil {
			wantReadable(t, err)
		}
	})
}
