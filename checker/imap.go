package checker

import (
	"errors"
	"fmt"
	"strings"
)

// IMAP succeeds when a server greets with OK or PREAUTH, encrypts if that is
// asked for and, with User, lets it log in.
type IMAP struct {
	Encryption Encryption // "starttls", or "tls" for imaps
	TLS        TLSOptions // of the encryption
	User       string     // empty: no login
	Password   Secret
}

// Kind returns "imap".
func (IMAP) Kind() string { return "imap" }

// Validate says what is wrong with the parameters.
func (p IMAP) Validate() error {
	if err := p.Encryption.validate(p.TLS, TLSFirst, StartTLS); err != nil {
		return err
	}
	return validateLogin(p.User, p.Password)
}

// checker returns the probe of one target.
func (p IMAP) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "IMAP", p.Encryption, p.TLS, p.Password, p.talk)
}

// talk is the conversation.
func (p IMAP) talk(s *conversation) error {
	err := p.session(s)
	s.part("z LOGOUT\r\n")
	return err
}

// session is the conversation up to the goodbye.
func (p IMAP) session(s *conversation) error {
	if err := imapGreeting(s); err != nil {
		return err
	}
	if s.crypt == StartTLS {
		if err := imapCommand(s, "a", "STARTTLS"); err != nil {
			return err
		}
		if err := s.encrypt(); err != nil {
			return err
		}
	}
	if p.User == "" {
		return nil
	}
	return imapCommand(s, "b", "LOGIN "+imapString(p.User)+" "+imapString(p.Password.text()))
}

// imapGreeting demands a greeting that lets clients in (RFC 9051, section 7.1).
func imapGreeting(s *conversation) error {
	s.waiting = "IMAP greeting"
	line, err := s.line()
	if err != nil {
		return err
	}
	text, untagged := strings.CutPrefix(line, "* ")
	status, _, _ := strings.Cut(text, " ")
	switch {
	case untagged && (strings.EqualFold(status, "OK") || strings.EqualFold(status, "PREAUTH")):
		return nil
	case untagged:
		return fmt.Errorf("IMAP %s, wanted OK as greeting", s.plain(text))
	}
	return fmt.Errorf("not IMAP: %q", s.plain(line))
}

// imapCommand sends a command under a tag and demands OK.
func imapCommand(s *conversation, tag, command string) error {
	verb, _, _ := strings.Cut(command, " ")
	s.waiting = "IMAP reply to " + verb
	if err := s.write(tag + " " + command + "\r\n"); err != nil {
		return err
	}
	for range maxLines {
		line, err := s.line()
		if err != nil {
			return err
		}
		text, tagged := strings.CutPrefix(line, tag+" ")
		if !tagged {
			continue // capabilities and the like
		}
		if status, _, _ := strings.Cut(text, " "); strings.EqualFold(status, "OK") {
			return nil
		}
		return fmt.Errorf("IMAP %s, wanted OK after %s", s.plain(text), verb)
	}
	return errors.New("IMAP reply to " + verb + " of more than 200 lines")
}

// imapString is a quoted string (RFC 9051, section 4.3).
func imapString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
