package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// alreadyDefined matches what the decoder says of a key given twice.
var alreadyDefined = regexp.MustCompile(`^Key '(.*)' has already been defined`)

// syntax reports what the decoder says of a file.
func (p *problems) syntax(file, text string, err error) {
	at := place{file: file, line: 1}
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		p.add(at, "%s", oneLine(err.Error()))
		return
	}
	at.line = lineOf(text, parse.Position)
	at.key = oneLine(parse.LastKey)
	message := parse.Message
	if key := alreadyDefined.FindStringSubmatch(message); key != nil {
		at.key, message = oneLine(key[1]), "is given twice"
		if first, ok := scan(text)[key[1]]; ok && first.line < at.line {
			message += ": also at " + place{file: file, line: first.line}.String()
		}
	}
	p.add(at, "%s", oneLine(strings.TrimSuffix(message, ".")))
}

// lineOf is the line of the last byte of a token. The line that the decoder
// counts is one too many if that is the end of a line.
func lineOf(text string, token toml.Position) int {
	last := token.Start + token.Len - 1
	if last < 0 || last > len(text) {
		return max(token.Line, 1)
	}
	return 1 + strings.Count(text[:last], "\n")
}

// oneLine replaces what would break the line of an error.
func oneLine(message string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' {
			return ' '
		}
		return r
	}, message)
}
