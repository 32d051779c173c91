package checker

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// want reads a reply with a code of three digits (RFC 5321, RFC 959, RFC 3977)
// and demands one of the codes. After is the command that it answers; "" is
// for the greeting.
func (s *conversation) want(after string, codes ...int) (code int, err error) {
	s.waiting = s.protocol + " greeting"
	if after != "" {
		s.waiting = s.protocol + " reply to " + after
	}
	code, text, err := s.reply()
	if err != nil || slices.Contains(codes, code) {
		return code, err
	}
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = strconv.Itoa(c)
	}
	reason := fmt.Sprintf("%s %s, wanted %s", s.protocol, s.plain(text), strings.Join(words, " or "))
	if after != "" {
		reason += " after " + after
	}
	return code, errors.New(reason)
}

// reply reads a reply of one line or of several, and returns its code and its
// first line. A line with the code and a space is the last one.
func (s *conversation) reply() (code int, first string, err error) {
	first, err = s.line()
	if err != nil {
		return 0, "", err
	}
	code, last, ok := replyCode(first)
	if !ok {
		return 0, "", fmt.Errorf("not %s: %q", s.protocol, s.plain(first))
	}
	for range maxLines {
		if last {
			return code, first, nil
		}
		line, err := s.line()
		if err != nil {
			return 0, "", err
		}
		c, end, ok := replyCode(line)
		last = ok && end && c == code
	}
	return 0, "", fmt.Errorf("%s reply of more than %d lines", s.protocol, maxLines)
}

// replyCode splits off the code of a line.
func replyCode(line string) (code int, last, ok bool) {
	if len(line) < 3 || strings.Trim(line[:3], "0123456789") != "" {
		return 0, false, false
	}
	code, err := strconv.Atoi(line[:3])
	rest := line[3:]
	last = rest == "" || rest[0] == ' '
	return code, last, err == nil && code >= 100 && (last || rest[0] == '-')
}

// command sends a command and demands one of the codes in reply. In reasons it
// goes by its first word: the others may be secret.
func (s *conversation) command(command string, codes ...int) (code int, err error) {
	if err := s.write(command + "\r\n"); err != nil {
		return 0, err
	}
	verb, _, _ := strings.Cut(command, " ")
	return s.want(verb, codes...)
}

// startTLS sends a command and goes on under TLS if the code is right.
func (s *conversation) startTLS(command string, code int) error {
	if s.crypt != StartTLS {
		return nil
	}
	if _, err := s.command(command, code); err != nil {
		return err
	}
	return s.encrypt()
}
