package checker

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestTextPresets plays the protocols whose messages are lines.
func TestTextPresets(t *testing.T) {
	noLeak(t)
	const hello = "EHLO [127.0.0.1]\r\n"
	tests := []struct {
		name   string
		probe  Probe
		script []string
		want   string
	}{
		{"smtp", SMTP{}, []string{"> 220 mx ready\r\n", "< " + hello, "> 250-mx\r\n250 SIZE\r\n", "< QUIT\r\n", "> 221 bye\r\n"}, ""},
		{"smtp greeting in lines", SMTP{}, []string{"> 220-mx\r\n220-second\r\n220 ready\r\n", "< " + hello, "> 250 mx\r\n", "< QUIT\r\n"}, ""},
		{"smtp with a name", SMTP{Hello: "lb"}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "< QUIT\r\n"}, ""},
		{"smtp without EHLO", SMTP{Hello: "lb"}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 502 what\r\n", "< HELO lb\r\n", "> 250 mx\r\n", "< QUIT\r\n"}, ""},
		{"smtp busy", SMTP{}, []string{"> 421 try again later\r\n"}, "SMTP 421 try again later, wanted 220"},
		{"smtp refuses and waits", SMTP{}, []string{"> 554 no service\r\n", "< QUIT\r\n", "> 221 bye\r\n"}, "SMTP 554 no service, wanted 220"},
		{"smtp refuses HELO", SMTP{Hello: "lb"}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 500 what\r\n", "< HELO lb\r\n", "> 550 go away\r\n", "< QUIT\r\n"}, "SMTP 550 go away, wanted 250 after HELO"},
		{"smtp closes after EHLO", SMTP{}, []string{"> 220 mx\r\n", "< " + hello}, "connection closed before the SMTP reply to EHLO"},
		{"smtp closes within a reply", SMTP{}, []string{"> 220 mx\r\n", "< " + hello, "> 250-mx\r\n"}, "connection closed before the SMTP reply to EHLO"},
		{"smtp starttls", SMTP{Hello: "lb", Encryption: StartTLS}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250 STARTTLS\r\n", "< STARTTLS\r\n", "> 220 go\r\n", "tls", "< EHLO lb\r\n", "> 250 mx\r\n", "< QUIT\r\n"}, ""},
		{"smtp without starttls", SMTP{Hello: "lb", Encryption: StartTLS}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "< STARTTLS\r\n", "> 454 TLS not available\r\n", "< QUIT\r\n"}, "SMTP 454 TLS not available, wanted 220 after STARTTLS"},
		{"smtp goes on in the clear", SMTP{Hello: "lb", Encryption: StartTLS}, []string{"> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "< STARTTLS\r\n", "> 220 go\r\n250 more\r\n"}, "SMTP server went on in the clear after STARTTLS"},
		{"submissions", SMTP{Hello: "lb", Encryption: TLSFirst}, []string{"tls", "> 220 mx\r\n", "< EHLO lb\r\n", "> 250 mx\r\n", "< QUIT\r\n"}, ""},
		{"submissions in the clear", SMTP{Encryption: TLSFirst}, []string{"> 220 mx ready and waiting\r\n", "silence"}, `not TLS: "220 mx ready and waiting"`},
		{"smtp with colours", SMTP{}, []string{"> 554 \x1b[31mred\r\n", "< QUIT\r\n"}, "SMTP 554 ?[31mred, wanted 220"},

		{"imap", IMAP{}, []string{"> * OK [CAPABILITY IMAP4rev1] ready\r\n", "< z LOGOUT\r\n", "> * BYE\r\nz OK\r\n"}, ""},
		{"imap preauth", IMAP{}, []string{"> * PREAUTH hi\r\n", "< z LOGOUT\r\n"}, ""},
		{"imap bye", IMAP{}, []string{"> * BYE too many connections\r\n"}, "IMAP BYE too many connections, wanted OK as greeting"},
		{"imap login", IMAP{User: `a"b`, Password: NewSecret(`c\d`)}, []string{"> * OK\r\n", `< b LOGIN "a\"b" "c\\d"` + "\r\n", "> * CAPABILITY x\r\nb OK in\r\n", "< z LOGOUT\r\n"}, ""},
		{"imap login fails", IMAP{User: "u", Password: NewSecret("hunter2")}, []string{"> * OK\r\n", `< b LOGIN "u" "hunter2"` + "\r\n", "> b NO hunter2 is wrong\r\n", "< z LOGOUT\r\n"}, "IMAP NO *** is wrong, wanted OK after LOGIN"},
		{"imap starttls", IMAP{Encryption: StartTLS, User: "u", Password: NewSecret("p")}, []string{"> * OK\r\n", "< a STARTTLS\r\n", "> a OK\r\n", "tls", `< b LOGIN "u" "p"` + "\r\n", "> b OK\r\n", "< z LOGOUT\r\n"}, ""},
		{"imap without starttls", IMAP{Encryption: StartTLS}, []string{"> * OK\r\n", "< a STARTTLS\r\n", "> a BAD no TLS\r\n", "< z LOGOUT\r\n"}, "IMAP BAD no TLS, wanted OK after STARTTLS"},
		{"imaps", IMAP{Encryption: TLSFirst}, []string{"tls", "> * OK\r\n", "< z LOGOUT\r\n"}, ""},
		{"imap never ends", IMAP{User: "u"}, []string{"> * OK\r\n", `< b LOGIN "u" ""` + "\r\n", "> " + strings.Repeat("* x\r\n", maxLines+1), "< z LOGOUT\r\n"}, "IMAP reply to LOGIN of more than 200 lines"},

		{"pop3", POP3{}, []string{"> +OK ready\r\n", "< QUIT\r\n", "> +OK\r\n"}, ""},
		{"pop3 refuses", POP3{}, []string{"> -ERR maintenance\r\n", "< QUIT\r\n"}, "POP3 -ERR maintenance, wanted +OK as greeting"},
		{"pop3 login", POP3{User: "u", Password: NewSecret("p")}, []string{"> +OK\r\n", "< USER u\r\n", "> +OK\r\n", "< PASS p\r\n", "> +OK in\r\n", "< QUIT\r\n"}, ""},
		{"pop3 login fails", POP3{User: "u", Password: NewSecret("hunter2")}, []string{"> +OK\r\n", "< USER u\r\n", "> +OK\r\n", "< PASS hunter2\r\n", "> -ERR not hunter2\r\n", "< QUIT\r\n"}, "POP3 -ERR not ***, wanted +OK as reply to PASS"},
		{"pop3 starttls", POP3{Encryption: StartTLS}, []string{"> +OK\r\n", "< STLS\r\n", "> +OK\r\n", "tls", "< QUIT\r\n"}, ""},
		{"pop3s", POP3{Encryption: TLSFirst}, []string{"tls", "> +OK\r\n", "< QUIT\r\n"}, ""},

		{"ftp", FTP{}, []string{"> 220 ready\r\n", "< QUIT\r\n", "> 221 bye\r\n"}, ""},
		{"ftp in free lines", FTP{}, []string{"> 220-Welcome\r\n  to this\r\n221 is no end\r\n220 ready\r\n", "< QUIT\r\n"}, ""},
		{"ftp not yet", FTP{}, []string{"> 120 in 5 minutes\r\n", "< QUIT\r\n"}, "FTP 120 in 5 minutes, wanted 220"},
		{"ftp login", FTP{User: "u", Password: NewSecret("p")}, []string{"> 220\r\n", "< USER u\r\n", "> 331 password\r\n", "< PASS p\r\n", "> 230 in\r\n", "< QUIT\r\n"}, ""},
		{"ftp login without password", FTP{User: "u"}, []string{"> 220\r\n", "< USER u\r\n", "> 230 in\r\n", "< QUIT\r\n"}, ""},
		{"ftp login fails", FTP{User: "u", Password: NewSecret("p")}, []string{"> 220\r\n", "< USER u\r\n", "> 331 password\r\n", "< PASS p\r\n", "> 530 wrong\r\n", "< QUIT\r\n"}, "FTP 530 wrong, wanted 230 after PASS"},
		{"ftp knows no user", FTP{User: "u", Password: NewSecret("p")}, []string{"> 220\r\n", "< USER u\r\n", "> 530 anonymous only\r\n", "< QUIT\r\n"}, "FTP 530 anonymous only, wanted 230 or 331 after USER"},

		{"nntp", NNTP{}, []string{"> 200 ready\r\n", "< QUIT\r\n", "> 205 bye\r\n"}, ""},
		{"nntp without posting", NNTP{}, []string{"> 201 ready\r\n", "< QUIT\r\n"}, ""},
		{"nntp refuses", NNTP{}, []string{"> 400 later\r\n"}, "NNTP 400 later, wanted 200 or 201"},
		{"nntp starttls", NNTP{Encryption: StartTLS}, []string{"> 200\r\n", "< STARTTLS\r\n", "> 382 go\r\n", "tls", "< QUIT\r\n"}, ""},

		{"redis", Redis{}, []string{"< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nQUIT\r\n", "> +OK\r\n"}, ""},
		{"redis loading", Redis{}, []string{"< *1\r\n$4\r\nPING\r\n", "> -LOADING Redis is loading the dataset in memory\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, "Redis LOADING Redis is loading the dataset in memory after PING"},
		{"redis wants a password", Redis{}, []string{"< *1\r\n$4\r\nPING\r\n", "> -NOAUTH Authentication required.\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, "Redis NOAUTH Authentication required. after PING"},
		{"redis with a password", Redis{Password: NewSecret("p q")}, []string{"< *2\r\n$4\r\nAUTH\r\n$3\r\np q\r\n", "> +OK\r\n", "< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, ""},
		{"redis with a user", Redis{User: "u", Password: NewSecret("p")}, []string{"< *3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n", "> +OK\r\n", "< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, ""},
		{"redis repeats the password", Redis{Password: NewSecret("hunter2")}, []string{"< *2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n", "> -ERR unknown command 'AUTH', with args: 'hunter2'\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, "Redis ERR unknown command 'AUTH', with args: '***' after AUTH"},
		{"redis master", Redis{Role: "master"}, []string{"< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nROLE\r\n", "> *3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, ""},
		{"redis slave", Redis{Role: "master"}, []string{"< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nROLE\r\n", "> *5\r\n$5\r\nslave\r\n$1\r\nx\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, "Redis is slave, wanted master"},
		{"redis role garbage", Redis{Role: "master"}, []string{"< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nROLE\r\n", "> +x\r\n:1\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, `not Redis: "+x :1" after ROLE, wanted a list`},
		{"redis under tls", Redis{Encryption: TLSFirst}, []string{"tls", "< *1\r\n$4\r\nPING\r\n", "> +PONG\r\n", "< *1\r\n$4\r\nQUIT\r\n"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, probeSpec(test.probe, serve(t, play(t, test.script...)), patience)), test.want)
		})
	}
}

// A server that does not close after the goodbye works all the same.
func TestNoFarewell(t *testing.T) {
	noLeak(t)
	target := serve(t, play(t, "> 220 ready\r\n", "< QUIT\r\n", "silence"))
	wantError(t, check(t, probeSpec(FTP{}, target, patience)), "")
	target = serve(t, play(t, "> 220 ready\r\n", "< QUIT\r\n", "silence"))
	wantError(t, check(t, probeSpec(FTP{}, target, farewell/4)), "")
}

// A server that answers the goodbye late can still do so.
func TestOrderlyEnd(t *testing.T) {
	noLeak(t)
	target := serve(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "220 ready\r\n")
		if err := mustCome(conn, "QUIT\r\n"); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond) // for a reset to arrive
		for range 2 {
			if _, err := io.WriteString(conn, "221 bye\r\n"); err != nil {
				t.Errorf("the server cannot answer: %v", err)
			}
		}
	})
	wantError(t, check(t, probeSpec(FTP{}, target, patience)), "")
}
