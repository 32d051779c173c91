package checker

import "encoding/gob"

// What encoding/gob cannot do by itself: values without exported fields. It
// takes a Spec to another process of this program, and nowhere else.
var (
	_ gob.GobEncoder = Secret{}
	_ gob.GobEncoder = Steps{}
	_ gob.GobEncoder = Headers{}
	_ gob.GobEncoder = TCP{}
	_ gob.GobEncoder = Ping{}
)

// Probes returns the zero value of every kind of check, for gob.Register.
func Probes() []Probe {
	return []Probe{
		Agent{}, DNS{}, Expect{}, FTP{}, File{}, GRPC{}, HTTP{}, IMAP{}, LDAP{}, MySQL{}, NNTP{}, POP3{}, Ping{},
		PostgreSQL{}, RADIUS{}, Redis{}, SIP{}, SMTP{}, Script{}, TCP{}, TLS{}, UDP{},
	}
}

// GobEncode returns the text.
func (s Secret) GobEncode() ([]byte, error) { return []byte(s.text()), nil }

// GobDecode takes the text.
func (s *Secret) GobDecode(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// GobEncode returns the steps with their data.
func (s Steps) GobEncode() ([]byte, error) { return s.lines.GobEncode() }

// GobDecode takes the steps.
func (s *Steps) GobDecode(lines []byte) error { return s.lines.GobDecode(lines) }

// GobEncode returns the fields with their values.
func (h Headers) GobEncode() ([]byte, error) { return h.lines.GobEncode() }

// GobDecode takes the fields.
func (h *Headers) GobDecode(lines []byte) error { return h.lines.GobDecode(lines) }

// GobEncode returns nothing: there are no parameters.
func (TCP) GobEncode() ([]byte, error) { return nil, nil }

// GobDecode takes nothing.
func (*TCP) GobDecode([]byte) error { return nil }

// GobEncode returns nothing: there are no parameters.
func (Ping) GobEncode() ([]byte, error) { return nil, nil }

// GobDecode takes nothing.
func (*Ping) GobDecode([]byte) error { return nil }
