//go:build servers

package servers

import (
	"testing"
	"time"

	"bascule/checker"
)

// steps reads steps as people write them.
func steps(t *testing.T, texts ...string) checker.Steps {
	t.Helper()
	list := make([]checker.Step, len(texts))
	for i, text := range texts {
		step, err := checker.ParseStep(text)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = step
	}
	all, err := checker.NewSteps(list...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestExpect holds conversations with Redis, which encrypts from the start if
// at all, and with Dovecot, which does so when it is asked to.
func TestExpect(t *testing.T) {
	t.Parallel()
	dir := workspace(t, nobody)
	files := newAuthority(t, dir).issue(t, dir, "site", site, nextYear())
	port, encrypted := newPort(), newPort()
	s := start(t, nobody, dir, "redis-server", "--bind", "127.0.0.1", "--port", portText(port), "--dir", dir, "--save", "",
		"--loglevel", "verbose", "--tls-port", portText(encrypted), "--tls-cert-file", files.certificate,
		"--tls-key-file", files.key, "--tls-ca-cert-file", files.certificate, "--tls-auth-clients", "no").listens(port, encrypted)
	imap := newDovecot(t)

	talk := func(crypt checker.Encryption, texts ...string) checker.Expect {
		return checker.Expect{Network: "tcp", Encryption: crypt, Steps: steps(t, texts...)}
	}
	const ping, pong, quit = `send PING\r\n`, `expect +PONG\r\n`, `send QUIT\r\n`
	s.quiet(`(?i)warning|reset|error`, port,
		clause{"ping", port, talk(checker.Plain, ping, pong, quit), ""},
		clause{"in hexadecimal digits", port, talk(checker.Plain, "send-hex 50 49 4e 47 0d 0a", "expect-hex 2b50", quit), ""},
		clause{"many steps", port, talk(checker.Plain, `send SET key value\r\n`, `expect +OK`, `send GET key\r\n`, `match ^value\r$`, quit), ""},
		clause{"tls", encrypted, talk(checker.TLSFirst, ping, pong, quit), ""},
	)
	greeting, tls, login := `match ^\* OK `, `send a STARTTLS\r\n`, `send b LOGIN probe right\r\n`
	run(t,
		clause{"starttls", imap.imap, talk(checker.Plain, greeting, tls, `match ^a OK .*\r\n`, "starttls", login, `match ^b OK`, `send c LOGOUT\r\n`), ""},
		clause{"nothing more", port, talk(checker.Plain, ping, pong, quit, "expect more"), `step 4: got "+OK", wanted "more" (connection closed)`},
	)
	verification(t, imap.ca, imap.imap, func(o checker.TLSOptions) checker.Probe {
		p := talk(checker.Plain, greeting, tls, `match ^a OK .*\r\n`, "starttls", `send c LOGOUT\r\n`)
		p.TLS = o
		return p
	})
	// What is wanted might still come, until the timeout.
	const short = 5 * time.Second
	runFor(t, short,
		clause{"login fails", imap.imap, talk(checker.Plain, greeting, `send b LOGIN probe wrong\r\n`, `match ^b OK`),
			`step 3: got "b NO [AUTHENTICATIONFAILED] Authentication failed.", wanted /^b OK/ (timed out after 5s)`},
	)
	runFor(t, impatience,
		clause{"unknown command", port, talk(checker.Plain, `send PONG\r\n`, pong),
			`~step 2: got "-ERR unknown command 'PONG'.*", wanted "\+PONG.*" \(timed out after 1s\)`},
		clause{"no starttls", port, talk(checker.Plain, ping, pong, "starttls"), "step 3: timed out after 1s"},
		clause{"tls to clear", port, talk(checker.TLSFirst, ping, pong), "timed out after 1s"},
	)
	outage(t, s, port, talk(checker.Plain, ping, pong, quit), `, wanted "+PONG\r\n"`)
}
