package checker

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// SMTP succeeds when a mail server greets with 220, accepts EHLO or HELO, and
// encrypts if that is asked for. It begins no mail and takes its leave.
type SMTP struct {
	Hello      string     // the name to say in EHLO; empty: the address that the probe comes from
	Encryption Encryption // "starttls", or "tls" for submissions (port 465)
	TLS        TLSOptions // of the encryption
}

// Kind returns "smtp".
func (SMTP) Kind() string { return "smtp" }

// Validate says what is wrong with the parameters.
func (p SMTP) Validate() error {
	if strings.ContainsFunc(p.Hello, unprintable) {
		return fmt.Errorf("hello %q is no host name: such as \"lb.example.org\"", p.Hello)
	}
	return p.Encryption.validate(p.TLS, TLSFirst, StartTLS)
}

// checker returns the probe of one target.
func (p SMTP) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "SMTP", p.Encryption, p.TLS, Secret{}, p.talk)
}

// talk is the conversation.
func (p SMTP) talk(s *conversation) error {
	err := p.session(s)
	s.part("QUIT\r\n")
	return err
}

// session is the conversation up to the goodbye.
func (p SMTP) session(s *conversation) error {
	if _, err := s.want("", 220); err != nil {
		return err
	}
	hello := p.Hello
	if hello == "" {
		hello = addressLiteral(s.conn.LocalAddr())
	}
	if err := greet(s, hello); err != nil || s.crypt != StartTLS {
		return err
	}
	if err := s.startTLS("STARTTLS", 220); err != nil {
		return err
	}
	// Under TLS the conversation begins anew (RFC 3207, section 4.2).
	return greet(s, hello)
}

// greet says EHLO, or HELO to a server that does not know that.
func greet(s *conversation, hello string) error {
	code, err := s.command("EHLO "+hello, 250)
	if code >= 500 && code != 521 && code != 554 {
		_, err = s.command("HELO "+hello, 250)
	}
	return err
}

// addressLiteral is an address as a name in EHLO (RFC 5321, section 4.1.3).
func addressLiteral(addr net.Addr) string {
	ip, _ := netip.ParseAddrPort(addr.String())
	address := ip.Addr().Unmap().WithZone("")
	if address.Is6() {
		return "[IPv6:" + address.String() + "]"
	}
	return "[" + address.String() + "]"
}
