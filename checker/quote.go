package checker

import (
	"strconv"
	"strings"
)

// maxQuoted is how much of a foreign text goes into a reason.
const maxQuoted = 80

// excerpt is the first line of a foreign text as an administrator may see it:
// at most maxQuoted bytes, all of it printable.
func excerpt(text string) string { return firstLine(text, maxQuoted) }

// firstLine is an excerpt of another length.
func firstLine(text string, length int) string {
	text = strings.TrimSpace(text)
	if end := strings.IndexAny(text, "\r\n"); end >= 0 {
		text = strings.TrimSpace(text[:end])
	}
	return shown(text, length)
}

// printable is the same of all lines.
func printable(text string) string { return shown(strings.TrimRight(text, "\r\n"), maxQuoted) }

// shown is the beginning of a text, without what could disturb a terminal or
// a log.
func shown(text string, length int) string {
	var short strings.Builder
	for _, r := range text {
		printed := string(r)
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			printed = "?"
		}
		if short.Len()+len(printed) > length {
			return short.String() + "…"
		}
		short.WriteString(printed)
	}
	return short.String()
}

// printed is the first line of a foreign text, quoted and cut to maxQuoted
// bytes.
func printed(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = strings.TrimRight(text, "\r")
	quoted := strconv.Quote(text[:min(len(text), maxQuoted)])
	if len(quoted) > maxQuoted || len(text) > maxQuoted {
		cut := strings.ToValidUTF8(quoted[:min(len(quoted), maxQuoted)], "") // within a character
		quoted = strings.TrimSuffix(cut, `"`) + `…"`
	}
	return quoted
}

// clip cuts a text to some bytes, without half a letter at the end.
func clip(text string, size int) string {
	if len(text) <= size {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:size-len(more)], "") + more
}
