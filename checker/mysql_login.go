package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// How packets of MySQL begin.
const (
	mysqlOK   = 0x00
	mysqlMore = 0x01 // more for the authentication
	mysqlEOF  = 0xfe // or another way of authentication
	mysqlErr  = 0xff
)

// Capabilities of MySQL.
const (
	mysqlLongPassword = 1 << 0
	mysqlProtocol41   = 1 << 9
	mysqlSSL          = 1 << 11
	mysqlSecure       = 1 << 15
	mysqlPluginAuth   = 1 << 19
)

// mysqlError is an error that the server tells.
type mysqlError struct {
	code uint16
	text string
}

// Error returns the words for an administrator.
func (e mysqlError) Error() string {
	return fmt.Sprintf("MySQL error %d: %s", e.code, printable(e.text))
}

// accessDenied is true of an error that says no more than that the name or
// the password is wrong.
func (e mysqlError) accessDenied() bool {
	return e.code == 1045 || e.code == 1044 || e.code == 1698
}

// parseMySQLError reads an error packet behind its first byte.
func parseMySQLError(data []byte) error {
	w := wire{rest: data}
	e := mysqlError{code: w.little16()}
	if len(w.rest) >= 6 && w.rest[0] == '#' {
		w.bytes(6) // SQLSTATE
	}
	e.text = string(w.rest)
	if w.err != nil {
		return errors.New("MySQL error packet cut off")
	}
	return e
}

// mysqlGreeting is what a server says of itself.
type mysqlGreeting struct {
	version      string
	capabilities uint32
	nonce        []byte
	plugin       string
}

// parseMySQLGreeting reads a handshake packet of version 10.
func parseMySQLGreeting(data []byte) (mysqlGreeting, error) {
	w := wire{rest: data}
	if version := w.uint8(); version != 10 {
		return mysqlGreeting{}, fmt.Errorf("not MySQL: %q", printable(string(data)))
	}
	g := mysqlGreeting{version: w.text()}
	w.bytes(4) // connection
	g.nonce = append(g.nonce, w.bytes(8)...)
	w.bytes(1)
	g.capabilities = uint32(w.little16())
	if w.err != nil {
		return mysqlGreeting{}, errors.New("MySQL greeting cut off")
	}
	if len(w.rest) == 0 {
		return g, nil
	}
	w.bytes(3) // character set, status
	g.capabilities |= uint32(w.little16()) << 16
	length := int(w.uint8())
	w.bytes(10)
	if g.capabilities&mysqlSecure != 0 {
		second := w.bytes(max(13, length-8))
		g.nonce = append(g.nonce, second[:min(12, len(second))]...)
	}
	if g.capabilities&mysqlPluginAuth != 0 {
		g.plugin = w.text()
	}
	if w.err != nil {
		return mysqlGreeting{}, errors.New("MySQL greeting cut off")
	}
	return g, nil
}

// login reads the greeting and logs in.
func (p MySQL) login(s *mysqlSession) error {
	data, err := s.read("MySQL greeting")
	if err != nil {
		return err
	}
	greeting, err := parseMySQLGreeting(data)
	if err != nil {
		return err
	}
	if greeting.capabilities&mysqlProtocol41 == 0 {
		return fmt.Errorf("MySQL %s is older than 4.1", s.plain(greeting.version))
	}
	capabilities := uint32(mysqlLongPassword|mysqlProtocol41|mysqlSecure) | greeting.capabilities&mysqlPluginAuth
	if !knownPlugin(greeting.plugin) {
		greeting.plugin = nativePassword // the server says in reply if that will not do
	}
	if p.Encryption == StartTLS && greeting.capabilities&mysqlSSL == 0 {
		s.decline(capabilities, greeting)
		return errors.New("MySQL server does not offer TLS")
	}
	if p.Encryption == StartTLS {
		capabilities |= mysqlSSL
		if err := s.send(mysqlHello(capabilities)); err != nil {
			return err
		}
		err := s.encrypt()
		if err != nil && s.tls != nil { // with whom it does not trust
			s.decline(capabilities, greeting)
		}
		if err != nil {
			return err
		}
	}
	if err := s.send(p.response(capabilities, greeting)); err != nil {
		return err
	}
	return p.authenticate(s, greeting)
}

// decline ends a handshake in order: by the login of a stranger.
func (s *mysqlSession) decline(capabilities uint32, greeting mysqlGreeting) {
	stranger := MySQL{}
	if s.send(stranger.response(capabilities, greeting)) == nil {
		_ = stranger.authenticate(s, greeting)
	}
}

// mysqlHello is the fixed part of the answer to the greeting.
func mysqlHello(capabilities uint32) []byte {
	hello := binary.LittleEndian.AppendUint32(nil, capabilities)
	hello = binary.LittleEndian.AppendUint32(hello, 1<<24) // the longest packet
	const utf8 = 33
	hello = append(hello, utf8)
	return append(hello, make([]byte, 23)...)
}

// response is the answer to the greeting.
func (p MySQL) response(capabilities uint32, greeting mysqlGreeting) []byte {
	user := p.User
	if user == "" {
		user = stranger
	}
	proof := mysqlProof(greeting.plugin, p.Password, greeting.nonce)
	out := append(mysqlHello(capabilities), user...)
	out = append(out, 0, byte(len(proof)))
	out = append(out, proof...)
	if capabilities&mysqlPluginAuth != 0 {
		out = append(append(out, greeting.plugin...), 0)
	}
	return out
}

// maxRounds bounds the back and forth of an authentication.
const maxRounds = 8

// authenticate goes on until the server says OK.
func (p MySQL) authenticate(s *mysqlSession, greeting mysqlGreeting) error {
	plugin, nonce := greeting.plugin, greeting.nonce
	for range maxRounds {
		reply, err := s.read("MySQL reply to the login")
		var refused mysqlError
		if errors.As(err, &refused) && !knownPlugin(plugin) {
			return fmt.Errorf("%w (wanted is %s, possible are %s and %s)", err, s.plain(plugin), nativePassword, cachingSHA2)
		}
		if err != nil {
			return err
		}
		switch {
		case reply[0] == mysqlOK:
			return nil
		case reply[0] == mysqlEOF && len(reply) == 1:
			return errors.New("MySQL server wants a password in the form from before 4.1")
		case reply[0] == mysqlEOF:
			w := wire{rest: reply[1:]}
			plugin = w.text()
			nonce = []byte(strings.TrimSuffix(string(w.rest), "\x00"))
			err = s.send(mysqlProof(plugin, p.Password, nonce))
		case !knownPlugin(plugin): // and what it asks
			err = s.send(nil)
		case reply[0] == mysqlMore:
			err = p.more(s, reply[1:], nonce)
		default:
			return fmt.Errorf("not MySQL: %q after the login", s.plain(string(reply)))
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("MySQL login of more than %d rounds", maxRounds)
}

// more goes on with an authentication by caching_sha2_password.
func (p MySQL) more(s *mysqlSession, data, nonce []byte) error {
	const fastOK, full, requestKey = "\x03", "\x04", "\x02"
	switch {
	case string(data) == fastOK:
		return nil
	case string(data) == full && s.tls != nil:
		return s.send(append([]byte(p.Password.text()), 0))
	case string(data) == full:
		return s.send([]byte(requestKey))
	}
	sealed, err := sealPassword(p.Password, nonce, data)
	if err != nil {
		return fmt.Errorf("MySQL login: %w", err)
	}
	return s.send(sealed)
}
