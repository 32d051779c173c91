package config

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// position is where a key path occurs first in a file.
type position struct {
	path    string // the key path, so that who looks for it need not make another string
	line    int    // from 1
	seq     int    // counts the paths of the file
	implied bool   // a table that so far only the header of another one in it names
}

// positions maps the path of every key, table and array element of a TOML
// text to where it occurs first; of a table that has a header, that is where
// the header is. The decoder has no lines for keys.
type positions map[string]position

// scanner walks over a TOML text that the decoder has accepted. It finds keys
// and the extent of values; on anything unexpected it ends at the end of the
// text, because the decoder is the judge of syntax.
type scanner struct {
	text   string
	pos    int
	line   int
	found  positions
	counts map[string]int // elements of each array of tables so far
	path   []byte         // where paths are put together: most of them have been found before
	keys   []string       // of the latest key with dots
}

// perPath is about how many bytes of a text there are for each of its paths.
const perPath = 24

// scan returns the positions of a syntactically valid text.
func scan(text string) positions {
	s := &scanner{text: text, line: 1, found: make(positions, len(text)/perPath), counts: map[string]int{}}
	table := ""
	for s.skipBlank(); s.pos < len(s.text); s.skipBlank() {
		if s.peek() == '[' {
			table = s.header()
		} else {
			s.pair(table)
		}
	}
	return s.found
}

// joinKey appends a key to the path of its table.
func joinKey(path, key string) string { return string(appendKey(nil, path, key)) }

// appendKey appends the path of a key, which is that of its table and the key.
func appendKey(to []byte, path, key string) []byte {
	to = append(to, path...)
	if path != "" {
		to = append(to, '.')
	}
	if !bare(key) {
		return strconv.AppendQuote(to, key)
	}
	return append(to, key...)
}

// bare is true of a key that needs no quotes.
func bare(key string) bool {
	for i := range len(key) {
		if !bareKey(rune(key[i])) {
			return false
		}
	}
	return key != ""
}

// appendIndex appends the path of an element of an array, counted from 0.
func appendIndex(to []byte, path string, i int) []byte {
	to = append(append(to, path...), '[')
	return append(strconv.AppendInt(to, int64(i), 10), ']')
}

// bareKey is true of the runes of which a key without quotes consists.
func bareKey(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// markKey marks a key in the table of a path, and returns its path.
func (s *scanner) markKey(path, key string) string {
	s.path = appendKey(s.path[:0], path, key)
	return s.mark(s.path)
}

// markIndex marks an element of the array of a path, and returns its path.
func (s *scanner) markIndex(path string, i int) string {
	s.path = appendIndex(s.path[:0], path, i)
	return s.mark(s.path)
}

// mark records the first occurrence of a path, and returns it.
func (s *scanner) mark(path []byte) string {
	if at, ok := s.found[string(path)]; ok {
		return at.path
	}
	at := position{path: string(path), line: s.line, seq: len(s.found)}
	s.found[at.path] = at
	return at.path
}

// markHeader records a table that a header names, or that it implies by naming
// one in it, and returns its path. A header of its own tells more than one
// that implied it.
func (s *scanner) markHeader(path, key string, implied bool) string {
	s.path = appendKey(s.path[:0], path, key)
	at, ok := s.found[string(s.path)]
	switch {
	case !ok:
		at = position{path: string(s.path), line: s.line, seq: len(s.found), implied: implied}
	case at.implied && !implied:
		at.line, at.implied = s.line, false
	default:
		return at.path
	}
	s.found[at.path] = at
	return at.path
}

// peek returns the byte at the position, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

// advance moves over n bytes and counts their lines.
func (s *scanner) advance(n int) {
	end := min(s.pos+n, len(s.text))
	s.line += strings.Count(s.text[s.pos:end], "\n")
	s.pos = end
}

// skipSpace moves over spaces and tabs.
func (s *scanner) skipSpace() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// skipBlank moves over space, line ends and comments.
func (s *scanner) skipBlank() {
	for s.pos < len(s.text) {
		switch s.peek() {
		case ' ', '\t', '\r', '\n':
			s.advance(1)
		case '#':
			s.advance(indexOrEnd(s.text[s.pos:], "\n"))
		default:
			return
		}
	}
}

// indexOrEnd is the index of a substring, or the length of the text.
func indexOrEnd(text, substring string) int {
	if i := strings.Index(text, substring); i >= 0 {
		return i
	}
	return len(text)
}

// header reads "[a.b]" or "[[a.b]]" and returns the path of its table. The
// name of an array of tables on the way stands for its last element.
func (s *scanner) header() string {
	brackets := 1
	if strings.HasPrefix(s.text[s.pos:], "[[") {
		brackets = 2
	}
	s.advance(brackets)
	path, keys := "", s.key()
	s.skipSpace()
	s.advance(brackets)
	for i, key := range keys {
		path = s.markHeader(path, key, i < len(keys)-1)
		if brackets == 2 && i == len(keys)-1 {
			s.counts[path]++
		}
		if n := s.counts[path]; n > 0 {
			path = s.markIndex(path, n-1)
		}
	}
	return path
}

// pair reads "key = value" in the table of a path.
func (s *scanner) pair(table string) {
	path, start := table, s.pos
	for _, key := range s.key() {
		path = s.markKey(path, key)
	}
	s.skipSpace()
	if s.peek() == '=' {
		s.advance(1)
		s.skipSpace()
		s.value(path)
	}
	if s.pos == start {
		s.pos = len(s.text)
	}
}

// key reads a key with its dots. What it returns is gone with the next call.
func (s *scanner) key() []string {
	s.keys = s.keys[:0]
	for {
		s.skipSpace()
		s.keys = append(s.keys, s.simpleKey())
		s.skipSpace()
		if s.peek() != '.' {
			return s.keys
		}
		s.advance(1)
	}
}

// simpleKey reads a key between dots.
func (s *scanner) simpleKey() string {
	start := s.pos
	if quote := s.peek(); quote == '"' || quote == '\'' {
		s.str()
		return unquote(s.text[start:s.pos])
	}
	for s.pos < len(s.text) && bareKey(rune(s.text[s.pos])) {
		s.pos++
	}
	return s.text[start:s.pos]
}

// unquote returns the meaning of a quoted key. The decoder itself reads it, so
// that there are no two opinions of escapes.
func unquote(quoted string) string {
	var v struct{ Key string }
	if err := toml.Unmarshal([]byte("Key = "+quoted), &v); err != nil {
		return quoted
	}
	return v.Key
}

// value moves over a value and marks what is in it.
func (s *scanner) value(path string) {
	switch s.peek() {
	case '"', '\'':
		s.str()
	case '[':
		s.array(path)
	case '{':
		s.inlineTable(path)
	default: // a number, boolean or time, which may contain a space
		end := strings.IndexAny(s.text[s.pos:], ",]}#\n")
		if end < 0 {
			end = len(s.text)
		}
		s.advance(end)
	}
}

// str moves over a string of any of the four kinds.
func (s *scanner) str() {
	quote := s.text[s.pos : s.pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], triple) {
		s.advance(3)
		s.closeString(triple, quote == `"`)
		for s.peek() == quote[0] { // up to two more belong to the string
			s.pos++
		}
		return
	}
	s.advance(1)
	s.closeString(quote, quote == `"`)
}

// closeString moves behind the end of a string.
func (s *scanner) closeString(end string, escapes bool) {
	for s.pos < len(s.text) && !strings.HasPrefix(s.text[s.pos:], end) {
		if escapes && s.peek() == '\\' {
			s.advance(1)
		}
		s.advance(1)
	}
	s.advance(len(end))
}

// array moves over an array and marks its elements.
func (s *scanner) array(path string) {
	s.advance(1)
	for i := 0; ; i++ {
		if s.skipBlank(); s.peek() == ']' || s.peek() == 0 {
			break
		}
		s.value(s.markIndex(path, i))
		if s.skipBlank(); s.peek() != ',' {
			break
		}
		s.advance(1)
	}
	s.advance(1)
}

// inlineTable moves over an inline table and marks its keys.
func (s *scanner) inlineTable(path string) {
	s.advance(1)
	for {
		if s.skipBlank(); s.peek() == '}' || s.peek() == 0 {
			break
		}
		s.pair(path)
		if s.skipBlank(); s.peek() != ',' {
			break
		}
		s.advance(1)
	}
	s.advance(1)
}
