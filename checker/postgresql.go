package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// PostgreSQL succeeds when a server lets User log in to Database and, with
// Query, returns a row. If it wants a password and there is none, that is
// enough. Without User it succeeds also when the server refuses an unknown one.
type PostgreSQL struct {
	User       string // empty: any answer to a login will do
	Password   Secret
	Database   string     // empty: of the same name as User
	Query      string     // must return a row; empty: none is made
	Encryption Encryption // "starttls" (SSLRequest)
	TLS        TLSOptions // of the encryption
}

// Kind returns "postgresql".
func (PostgreSQL) Kind() string { return "postgresql" }

// Validate says what is wrong with the parameters.
func (p PostgreSQL) Validate() error {
	if err := p.Encryption.validate(p.TLS, StartTLS); err != nil {
		return err
	}
	switch {
	case p.Query != "" && p.User == "":
		return errors.New("query is given without user")
	case p.Database != "" && p.User == "":
		return errors.New("database is given without user")
	case len(p.Query) > maxLine:
		return fmt.Errorf("query of %d bytes: at most %d", len(p.Query), maxLine)
	}
	if err := validateText("database", p.Database); err != nil {
		return err
	}
	if err := validateText("query", p.Query); err != nil {
		return err
	}
	return validateLogin(p.User, p.Password)
}

// checker returns the probe of one target.
func (p PostgreSQL) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "PostgreSQL", p.Encryption, p.TLS, p.Password, (&pgChecker{PostgreSQL: p}).talk)
}

// pgChecker is the probe of one target.
type pgChecker struct {
	PostgreSQL
	salted saltedCache
}

// pgError is an error that the server tells.
type pgError struct{ severity, code, text string }

// Error returns the words for an administrator.
func (e pgError) Error() string {
	return fmt.Sprintf("PostgreSQL %s %s: %s", printable(e.severity), printable(e.code), printable(e.text))
}

// stranger is true of an error that says no more than that the user, the
// password or the database is wrong.
func (e pgError) stranger() bool { return e.code == "28000" || e.code == "28P01" || e.code == "3D000" }

// errPasswordWanted says that a server wants a password that there is not.
var errPasswordWanted = errors.New("PostgreSQL wants a password")

// talk is the conversation.
func (p *pgChecker) talk(s *conversation) error {
	err := p.login(s)
	var refused pgError
	switch {
	case errors.Is(err, errPasswordWanted) && p.Query == "",
		p.User == "" && errors.As(err, &refused) && refused.stranger():
		s.hangUp()
		return nil
	case err != nil:
		s.hangUp()
		return err
	case p.Query != "":
		err = pgQuery(s, p.Query)
	}
	s.part(pgMessage('X', "")) // Terminate
	return err
}

// login encrypts if that is asked for, and logs in.
func (p *pgChecker) login(s *conversation) error {
	if p.Encryption == StartTLS {
		if err := pgStartTLS(s); err != nil {
			return err
		}
	}
	user := p.User
	if user == "" {
		user = stranger
	}
	startup := "\x00\x03\x00\x00user\x00" + user + "\x00application_name\x00bascule\x00"
	if p.Database != "" {
		startup += "database\x00" + p.Database + "\x00"
	}
	if err := s.write(pgFrame(startup + "\x00")); err != nil {
		return err
	}
	if err := p.authenticate(s, user); err != nil {
		return err
	}
	_, err := pgUntil(s, "PostgreSQL to be ready", 'Z')
	return err
}

// pgStartTLS asks for TLS, which the server answers with a letter.
func pgStartTLS(s *conversation) error {
	s.waiting = "PostgreSQL reply to SSLRequest"
	if err := s.write(pgFrame("\x04\xd2\x16\x2f")); err != nil {
		return err
	}
	letter, err := s.in.ReadByte()
	switch {
	case err != nil:
		return err
	case letter == 'S':
		return s.encrypt()
	case letter == 'N':
		return errors.New("PostgreSQL server does not offer TLS")
	}
	return fmt.Errorf("not PostgreSQL: %q in reply to SSLRequest", letter)
}

// pgQuery demands that a statement returns a row.
func pgQuery(s *conversation, statement string) error {
	if err := s.write(pgMessage('Q', statement+"\x00")); err != nil {
		return err
	}
	rows, err := pgUntil(s, "PostgreSQL reply to the query", 'Z')
	if err == nil && rows == 0 {
		return errors.New("PostgreSQL query returned no row")
	}
	return err
}

// pgUntil reads messages up to one of a kind, and counts the rows among them.
func pgUntil(s *conversation, waiting string, kind byte) (rows int, err error) {
	for range maxLines {
		got, _, err := pgRead(s, waiting)
		switch {
		case err != nil:
			return rows, err
		case got == kind:
			return rows, nil
		case got == 'D':
			rows++
		}
	}
	if rows > 0 { // which is all that was asked
		return rows, nil
	}
	return 0, fmt.Errorf("%s goes on for more than %d messages", s.protocol, maxLines)
}

// pgRead reads a message. One that tells an error is an error.
func pgRead(s *conversation, waiting string) (kind byte, data []byte, err error) {
	s.waiting = waiting
	header, err := s.packet(5)
	if err != nil {
		return 0, nil, err
	}
	length := int64(binary.BigEndian.Uint32(header[1:])) - 4
	if length < 0 || length > maxMessage {
		return 0, nil, s.foreign(header)
	}
	if data, err = s.packet(int(length)); err != nil {
		return 0, nil, err
	}
	if header[0] == 'E' {
		told := parsePGError(data)
		told.text = s.secret.hideIn(told.text)
		return 0, nil, told
	}
	return header[0], data, nil
}

// parsePGError reads the fields of an error.
func parsePGError(data []byte) pgError {
	var e pgError
	for w := (wire{rest: data}); len(w.rest) > 1; {
		switch kind, value := w.uint8(), w.text(); kind {
		case 'S':
			e.severity = value
		case 'C':
			e.code = value
		case 'M':
			e.text = value
		}
	}
	return e
}

// pgFrame puts the length before a packet.
func pgFrame(data string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)+4))) + data
}

// pgMessage is a message of a kind.
func pgMessage(kind byte, data string) string { return string(kind) + pgFrame(data) }
