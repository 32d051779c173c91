package checker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Redis succeeds when a server answers PING and, with Role, has that role.
type Redis struct {
	Encryption Encryption // "tls"
	TLS        TLSOptions // of the encryption
	User       string     // for an ACL; empty: the default user
	Password   Secret     // empty: no AUTH
	Role       string     // "master", "slave" or "sentinel"; empty: any
}

// Kind returns "redis".
func (Redis) Kind() string { return "redis" }

// Validate says what is wrong with the parameters.
func (p Redis) Validate() error {
	switch p.Role {
	case "", "master", "slave", "sentinel":
	default:
		return fmt.Errorf("role %q is no role of Redis: \"master\", \"slave\" or \"sentinel\", or empty for any", p.Role)
	}
	if p.User != "" && p.Password == (Secret{}) {
		return errors.New("user is given without password")
	}
	return p.Encryption.validate(p.TLS, TLSFirst)
}

// checker returns the probe of one target.
func (p Redis) checker(to endpoint) (Checker, error) {
	return newDialogue(to, "Redis", p.Encryption, p.TLS, p.Password, p.talk)
}

// talk is the conversation.
func (p Redis) talk(s *conversation) error {
	err := p.session(s)
	s.part(redisCommand("QUIT"))
	return err
}

// session is the conversation up to the goodbye.
func (p Redis) session(s *conversation) error {
	if p.Password != (Secret{}) {
		arguments := []string{"AUTH", p.Password.text()}
		if p.User != "" {
			arguments = []string{"AUTH", p.User, p.Password.text()}
		}
		if err := redisWant(s, "+OK", arguments...); err != nil {
			return err
		}
	}
	if err := redisWant(s, "+PONG", "PING"); err != nil || p.Role == "" {
		return err
	}
	role, err := redisRole(s)
	if err == nil && role != p.Role {
		return fmt.Errorf("%s is %s, wanted %s", s.protocol, s.plain(role), p.Role)
	}
	return err
}

// redisWant sends a command and demands a line in reply.
func redisWant(s *conversation, want string, arguments ...string) error {
	line, err := redisAsk(s, arguments...)
	if err == nil && line != want {
		return fmt.Errorf("not Redis: %q after %s, wanted %s", s.plain(line), arguments[0], want)
	}
	return err
}

// redisAsk sends a command and returns the first line of the reply. An error
// of Redis is an error.
func redisAsk(s *conversation, arguments ...string) (string, error) {
	s.waiting = "Redis reply to " + arguments[0]
	if err := s.write(redisCommand(arguments...)); err != nil {
		return "", err
	}
	line, err := s.line()
	if text, failed := strings.CutPrefix(line, "-"); failed && err == nil {
		return "", fmt.Errorf("%s %s after %s", s.protocol, s.plain(text), arguments[0])
	}
	return line, err
}

// redisRole asks for the role: the first element of an array.
func redisRole(s *conversation) (string, error) {
	line, err := redisAsk(s, "ROLE")
	if err != nil {
		return "", err
	}
	length, err := s.line()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "*") || !strings.HasPrefix(length, "$") {
		return "", fmt.Errorf("not Redis: %q after ROLE, wanted a list", s.plain(line+" "+length))
	}
	return s.line()
}

// redisCommand is a command as an array of strings, in which anything may be.
func redisCommand(arguments ...string) string {
	var b strings.Builder
	b.WriteString("*" + strconv.Itoa(len(arguments)) + "\r\n")
	for _, argument := range arguments {
		b.WriteString("$" + strconv.Itoa(len(argument)) + "\r\n" + argument + "\r\n")
	}
	return b.String()
}
