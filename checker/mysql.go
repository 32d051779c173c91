package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MySQL succeeds when a server of MySQL or MariaDB lets User log in and answers
// a ping or, with Query, returns a row. Without User it succeeds when the
// server refuses an unknown one: a whole handshake, because a server blocks a
// host that often breaks it off (max_connect_errors).
type MySQL struct {
	User       string // empty: any answer to a login will do
	Password   Secret
	Query      string     // must return a row; empty: a ping
	Encryption Encryption // "starttls", which is the only way of MySQL
	TLS        TLSOptions // of the encryption
}

// Kind returns "mysql".
func (MySQL) Kind() string { return "mysql" }

// Validate says what is wrong with the parameters.
func (p MySQL) Validate() error {
	if err := p.Encryption.validate(p.TLS, StartTLS); err != nil {
		return err
	}
	if p.User == "" && p.Query != "" {
		return errors.New("query is given without user")
	}
	if len(p.Query) > maxLine {
		return fmt.Errorf("query of %d bytes: at most %d", len(p.Query), maxLine)
	}
	return validateLogin(p.User, p.Password)
}

// checker returns the probe of one target.
func (p MySQL) checker(to endpoint) (Checker, error) {
	c, err := newDialogue(to, "MySQL", p.Encryption, p.TLS, p.Password, func(s *conversation) error {
		return p.talk(&mysqlSession{conversation: s})
	})
	if err == nil && p.Encryption == StartTLS {
		c.(*dialogue).client.late = true // a server counts broken handshakes, and blocks whoever makes many
	}
	return c, err
}

// stranger is the name in logins that are expected to fail, for whoever reads
// the log of the server.
const stranger = "bascule"

// The commands of MySQL that a probe uses.
const (
	comQuit  = "\x01"
	comQuery = "\x03"
	comPing  = "\x0e"
)

// mysqlSession is a conversation in packets with sequence numbers.
type mysqlSession struct {
	*conversation
	sequence byte // of the next packet
}

// talk is the conversation.
func (p MySQL) talk(s *mysqlSession) error {
	err := p.login(s)
	var refused mysqlError
	switch {
	case p.User == "" && errors.As(err, &refused) && refused.accessDenied():
		s.hangUp()
		return nil
	case err != nil:
		s.hangUp()
		return err
	case p.Query != "":
		err = s.query(p.Query)
	case p.User != "":
		err = s.ping()
	}
	s.sequence = 0
	s.part(string(s.frame([]byte(comQuit))))
	return err
}

// read reads a packet. One that tells an error is an error.
func (s *mysqlSession) read(waiting string) ([]byte, error) {
	s.waiting = waiting
	header, err := s.packet(4)
	if err != nil {
		return nil, err
	}
	length := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	if length > maxMessage {
		return nil, s.foreign(header)
	}
	data, err := s.packet(length)
	if err != nil {
		return nil, err
	}
	s.sequence = header[3] + 1
	if len(data) == 0 {
		return nil, errors.New("not MySQL: an empty packet")
	}
	if data[0] == mysqlErr {
		err := parseMySQLError(data[1:])
		var told mysqlError
		if errors.As(err, &told) {
			told.text = s.secret.hideIn(told.text)
			return nil, told
		}
		return nil, err
	}
	return data, nil
}

// send sends a packet.
func (s *mysqlSession) send(data []byte) error { return s.write(string(s.frame(data))) }

// frame puts the header before a packet.
func (s *mysqlSession) frame(data []byte) []byte {
	header := binary.LittleEndian.AppendUint32(nil, uint32(len(data))|uint32(s.sequence)<<24)
	s.sequence++
	return append(header, data...)
}

// ping asks whether the server is there.
func (s *mysqlSession) ping() error {
	s.sequence = 0
	if err := s.send([]byte(comPing)); err != nil {
		return err
	}
	reply, err := s.read("MySQL reply to a ping")
	if err == nil && reply[0] != mysqlOK {
		return errors.New("MySQL answers a ping with something else")
	}
	return err
}

// query demands that a statement returns a row.
func (s *mysqlSession) query(statement string) error {
	s.sequence = 0
	if err := s.send([]byte(comQuery + statement)); err != nil {
		return err
	}
	const waiting = "MySQL reply to the query"
	reply, err := s.read(waiting)
	if err != nil {
		return err
	}
	if reply[0] == mysqlOK { // a statement that has no columns
		return errors.New("MySQL query returned no row")
	}
	for { // the columns
		if reply, err = s.read(waiting); err != nil {
			return err
		}
		if isMySQLEOF(reply) {
			break
		}
	}
	reply, err = s.read(waiting)
	if err == nil && isMySQLEOF(reply) {
		return errors.New("MySQL query returned no row")
	}
	return err
}

// isMySQLEOF is true of the packet that ends a list.
func isMySQLEOF(packet []byte) bool { return packet[0] == mysqlEOF && len(packet) < 9 }
