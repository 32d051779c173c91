package checker

import (
	"errors"
	"fmt"
)

// LDAP succeeds when a server accepts a bind, anonymous or with User, and, with
// Base, has that entry.
type LDAP struct {
	Encryption Encryption // "starttls", or "tls" for ldaps
	TLS        TLSOptions // of the encryption
	User       string     // a distinguished name; empty: anonymous
	Password   Secret
	Base       string // an entry that must be there; empty: none is looked for
}

// Kind returns "ldap".
func (LDAP) Kind() string { return "ldap" }

// Validate says what is wrong with the parameters.
func (p LDAP) Validate() error {
	if err := p.Encryption.validate(p.TLS, TLSFirst, StartTLS); err != nil {
		return err
	}
	if p.User != "" && p.Password == (Secret{}) {
		// RFC 4513, section 5.1.2: success would say nothing of the user.
		return errors.New("user is given without password, which would be an anonymous bind")
	}
	if err := validateText("base", p.Base); err != nil {
		return err
	}
	return validateLogin(p.User, p.Password)
}

// checker returns the probe of one target.
func (p LDAP) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "LDAP", p.Encryption, p.TLS, p.Password, p.talk)
}

// Operations of LDAP (RFC 4511), as tags.
const (
	ldapBind             = 0x60
	ldapBindResponse     = 0x61
	ldapUnbind           = 0x42
	ldapSearch           = 0x63
	ldapSearchEntry      = 0x64
	ldapSearchDone       = 0x65
	ldapSearchReference  = 0x73
	ldapExtended         = 0x77
	ldapExtendedResponse = 0x78
)

// Numbers of the requests of a probe.
const (
	ldapStartTLSID = iota + 1
	ldapBindID
	ldapSearchID
	ldapUnbindID
)

// talk is the conversation.
func (p LDAP) talk(s *conversation) error {
	err := p.session(s)
	s.part(string(ldapMessage(ldapUnbindID, []byte{ldapUnbind, 0})))
	return err
}

// session is the conversation up to the goodbye.
func (p LDAP) session(s *conversation) error {
	if p.Encryption == StartTLS {
		const oid = "1.3.6.1.4.1.1466.20037"
		request := berElement(ldapExtended, berText(0x80, oid))
		if err := ldapAsk(s, ldapStartTLSID, request, ldapExtendedResponse, "StartTLS"); err != nil {
			return err
		}
		if err := s.encrypt(); err != nil {
			return err
		}
	}
	const version = 3
	bind := berElement(ldapBind, berSmall(berInteger, version), berText(berBytes, p.User), berText(0x80, p.Password.text()))
	if err := ldapAsk(s, ldapBindID, bind, ldapBindResponse, "bind"); err != nil || p.Base == "" {
		return err
	}
	return p.search(s)
}

// search looks for the entry. Its attributes are not asked for.
func (p LDAP) search(s *conversation) error {
	const baseObject, neverDereference, sizeLimit, timeLimit = 0, 0, 1, 0
	request := berElement(ldapSearch,
		berText(berBytes, p.Base),
		berSmall(berEnumerated, baseObject),
		berSmall(berEnumerated, neverDereference),
		berSmall(berInteger, sizeLimit),
		berSmall(berInteger, timeLimit),
		berSmall(berBoolean, 0), // with values, if there were any
		berText(0x87, "objectClass"),
		berElement(berSequence, berText(berBytes, "1.1"))) // no attributes
	s.waiting = "LDAP reply to the search"
	if err := s.write(string(ldapMessage(ldapSearchID, request))); err != nil {
		return err
	}
	found := false
	for range maxLines {
		tag, data, err := ldapRead(s, ldapSearchID)
		switch {
		case err != nil:
			return err
		case tag == ldapSearchEntry:
			found = true
		case tag == ldapSearchReference:
		case tag != ldapSearchDone:
			return fmt.Errorf("not LDAP: operation %#x in reply to the search", tag)
		default:
			if err := ldapResult(s, data, "search"); err != nil || found {
				return err
			}
			return fmt.Errorf("LDAP has no entry %q", p.Base)
		}
	}
	return fmt.Errorf("%s reply to the search of more than %d messages", s.protocol, maxLines)
}

// ldapMessage is a request with its number.
func ldapMessage(id byte, operation []byte) []byte {
	return berElement(berSequence, berSmall(berInteger, id), operation)
}

// ldapAsk makes a request that has one reply, and demands success.
func ldapAsk(s *conversation, id byte, request []byte, reply byte, what string) error {
	s.waiting = "LDAP reply to " + what
	if err := s.write(string(ldapMessage(id, request))); err != nil {
		return err
	}
	tag, data, err := ldapRead(s, id)
	if err != nil {
		return err
	}
	if tag != reply {
		return fmt.Errorf("not LDAP: operation %#x in reply to %s", tag, what)
	}
	return ldapResult(s, data, what)
}

// ldapRead reads a reply to the request with a number.
func ldapRead(s *conversation, id byte) (tag byte, data []byte, err error) {
	packet, err := s.berPacket()
	if err != nil {
		return 0, nil, err
	}
	w := wire{rest: packet}
	number := w.number(berInteger)
	tag, data = w.element()
	switch {
	case w.err != nil:
		return 0, nil, fmt.Errorf("not LDAP: %q", s.plain(string(packet)))
	case number == 0 && tag == ldapExtendedResponse: // RFC 4511, section 4.4.1
		err := ldapResult(s, data, "nothing")
		if err == nil {
			err = errors.New("LDAP server disconnects")
		}
		return 0, nil, err
	case number != int(id):
		return 0, nil, fmt.Errorf("LDAP reply to request %d, wanted %d", number, id)
	}
	return tag, data, nil
}

// ldapResult demands success as the result of an operation.
func ldapResult(s *conversation, data []byte, what string) error {
	w := wire{rest: data}
	code := w.number(berEnumerated)
	w.element() // matched name
	_, diagnostic := w.element()
	switch {
	case w.err != nil:
		return fmt.Errorf("not LDAP: result of %s damaged", what)
	case code == 0:
		return nil
	}
	reason := fmt.Sprintf("LDAP result %d", code)
	if name := ldapCodes[code]; name != "" {
		reason = fmt.Sprintf("LDAP %s (%d)", name, code)
	}
	reason += " after " + what
	if len(diagnostic) > 0 {
		reason += ": " + s.plain(string(diagnostic))
	}
	return errors.New(reason)
}

// ldapCodes are the results that a probe may meet (RFC 4511, appendix A).
var ldapCodes = map[int]string{
	1: "operations error", 2: "protocol error", 3: "time limit exceeded", 4: "size limit exceeded",
	7: "authentication method not supported", 8: "stronger authentication required", 10: "referral",
	11: "administrative limit exceeded", 13: "confidentiality required", 32: "no such object",
	34: "invalid name", 48: "inappropriate authentication", 49: "invalid credentials",
	50: "insufficient access", 51: "busy", 52: "unavailable", 53: "unwilling to perform", 80: "other error",
}
