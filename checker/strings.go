package checker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Strings is a list of texts as one comparable value: each in double quotes as
// in Go, with spaces between. The zero value is the empty list.
type Strings string

// NewStrings returns a list.
func NewStrings(list ...string) Strings {
	var all strings.Builder
	for i, text := range list {
		if i > 0 {
			all.WriteByte(' ')
		}
		all.WriteString(strconv.Quote(text))
	}
	return Strings(all.String())
}

// List returns the texts, or an error if the value does not come from
// NewStrings.
func (s Strings) List() ([]string, error) {
	var list []string
	for rest := string(s); rest != ""; {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, errNoStrings
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, errNoStrings
		}
		list = append(list, text)
		if rest = rest[len(quoted):]; rest != "" {
			rest = rest[1:]
		}
	}
	if NewStrings(list...) != s {
		return nil, errNoStrings
	}
	return list, nil
}

// errNoStrings is the error of a text that is no list.
var errNoStrings = errors.New("this is no list of quoted texts")

// arguments returns the texts of a list for the command line or the
// environment of a program, or an error if one is no text: the kernel takes no
// NUL, and the launcher of scripts nothing but UTF-8.
func (s Strings) arguments() ([]string, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, text := range list {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return nil, fmt.Errorf("%q is no text: UTF-8 without NUL", text)
		}
	}
	return list, nil
}
