package checker

import (
	"fmt"
	"strings"
)

// POP3 succeeds when a server greets with +OK, encrypts if that is asked for
// and, with User, lets it log in.
type POP3 struct {
	Encryption Encryption // "starttls" (STLS), or "tls" for pop3s
	TLS        TLSOptions // of the encryption
	User       string     // empty: no login
	Password   Secret
}

// Kind returns "pop3".
func (POP3) Kind() string { return "pop3" }

// Validate says what is wrong with the parameters.
func (p POP3) Validate() error {
	if err := p.Encryption.validate(p.TLS, TLSFirst, StartTLS); err != nil {
		return err
	}
	return validateLogin(p.User, p.Password)
}

// checker returns the probe of one target.
func (p POP3) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "POP3", p.Encryption, p.TLS, p.Password, p.talk)
}

// talk is the conversation.
func (p POP3) talk(s *conversation) error {
	err := p.session(s)
	s.part("QUIT\r\n")
	return err
}

// session is the conversation up to the goodbye.
func (p POP3) session(s *conversation) error {
	if err := popOK(s, "greeting"); err != nil {
		return err
	}
	if s.crypt == StartTLS {
		if err := popCommand(s, "STLS"); err != nil {
			return err
		}
		if err := s.encrypt(); err != nil {
			return err
		}
	}
	if p.User == "" {
		return nil
	}
	if err := popCommand(s, "USER "+p.User); err != nil {
		return err
	}
	return popCommand(s, "PASS "+p.Password.text())
}

// popCommand sends a command and demands +OK.
func popCommand(s *conversation, command string) error {
	if err := s.write(command + "\r\n"); err != nil {
		return err
	}
	verb, _, _ := strings.Cut(command, " ")
	return popOK(s, "reply to "+verb)
}

// popOK demands a line with +OK.
func popOK(s *conversation, what string) error {
	s.waiting = "POP3 " + what
	line, err := s.line()
	status, _, _ := strings.Cut(line, " ")
	switch {
	case err != nil:
		return err
	case status == "+OK":
		return nil
	case status == "-ERR":
		return fmt.Errorf("POP3 %s, wanted +OK as %s", s.plain(line), what)
	}
	return fmt.Errorf("not POP3: %q", s.plain(line))
}
