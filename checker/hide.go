package checker

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longSecret is from which length on a secret is no part of a word by chance.
const longSecret = 6

// hideIn returns a text with asterisks where it has the secret: some
// servers repeat in their error what they were told. A short secret is hidden
// where it is a word of its own.
func (s Secret) hideIn(text string) string {
	secret := s.text()
	switch {
	case secret == "":
		return text
	case len(secret) >= longSecret:
		return strings.ReplaceAll(text, secret, s.String())
	}
	var out strings.Builder
	for before := " "; text != ""; {
		rest, found := strings.CutPrefix(text, secret)
		if found && !endsInWord(before) && !beginsWord(rest) {
			out.WriteString(s.String())
			before, text = secret, rest
			continue
		}
		out.WriteByte(text[0])
		before, text = text[:1], text[1:]
	}
	return out.String()
}

// beginsWord is true of a text that begins with a letter or a digit.
func beginsWord(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// endsInWord is true of a text that ends with a letter or a digit.
func endsInWord(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}
