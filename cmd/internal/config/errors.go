package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a configuration.
type Error struct {
	File    string // as given to Load or Parse
	Line    int    // from 1; 0 if the mistake is of the file as a whole
	Key     string // the whole path of the key, or of the last one before a mistake of syntax; "" if there is none
	Message string // what was given and what is allowed
}

// Error returns "FILE:LINE: KEY: MESSAGE", without what is not known.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Message
}

// Errors are all mistakes of a configuration, by file and line.
type Errors []Error

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// place is where a key was given.
type place struct {
	file string
	line int
	key  string // the whole path
}

// child is the place of a key that should be in the table at this place.
func (at place) child(key string) place {
	at.key = joinKey(at.key, key)
	return at
}

// String returns "FILE:LINE".
func (at place) String() string { return fmt.Sprintf("%s:%d", at.file, at.line) }

// problems collects mistakes, and is what all readers of the tree report to.
type problems struct {
	list  Errors
	order map[string]int // place of each file in the order of reading
}

// newProblems returns an empty collection for these files.
func newProblems(files []File) *problems {
	p := &problems{order: map[string]int{}}
	for i, f := range files {
		p.order[f.Name] = i
	}
	return p
}

// add reports a mistake at a place.
func (p *problems) add(at place, format string, args ...any) {
	p.list = append(p.list, Error{
		File: at.file, Line: at.line, Key: at.key, Message: fmt.Sprintf(format, args...),
	})
}

// sorted returns the mistakes in the order of the files, each once.
func (p *problems) sorted() Errors {
	slices.SortStableFunc(p.list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(p.order[a.File], p.order[b.File]), cmp.Compare(a.Line, b.Line))
	})
	seen := map[Error]bool{}
	return slices.DeleteFunc(p.list, func(e Error) bool {
		twice := seen[e]
		seen[e] = true
		return twice
	})
}
