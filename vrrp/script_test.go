package vrrp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// step is one command of a scenario with the trace that it shall leave.
type step struct {
	line    int      // in the file
	before  []string // comments and blank lines in front of it
	words   []string // the command; none at the end of the file
	text    string   // the command as written
	outcome []string // the trace, as written or as it came out
}

// commandPrefix begins the lines that are commands. Others are comments,
// which begin with '#', blank, or the trace of the command above them.
const commandPrefix = "> "

// readScript reads a scenario. Errors say file and line.
func readScript(file, text string) ([]step, error) {
	var steps []step
	var before []string
	traceable := false
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			before = append(before, line)
			traceable = false
		case strings.HasPrefix(line, commandPrefix):
			s := step{line: i + 1, before: before, text: line, words: strings.Fields(line[len(commandPrefix):])}
			if err := s.check(); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, s.line, err)
			}
			steps, before, traceable = append(steps, s), nil, true
		case !traceable:
			return nil, fmt.Errorf("%s:%d: %q is no command (%q), no comment, and follows no command as its trace", file, i+1, line, commandPrefix)
		case !isTrace(line):
			return nil, fmt.Errorf("%s:%d: a line of the trace begins with a time, not with %q", file, i+1, line)
		default:
			last := &steps[len(steps)-1]
			last.outcome = append(last.outcome, line)
		}
	}
	return append(steps, step{before: before}), nil
}

// isTrace reports whether a line begins like one of the trace.
func isTrace(line string) bool {
	word, _, _ := strings.Cut(line, " ")
	_, err := time.ParseDuration(word)
	return err == nil
}

// check looks a command up and counts its words.
func (s step) check() error {
	if len(s.words) == 0 {
		return fmt.Errorf("an empty command")
	}
	c, ok := commands()[s.words[0]]
	if !ok {
		return fmt.Errorf("unknown command %q; known are %s", s.words[0], strings.Join(commandNames(), ", "))
	}
	if n := len(s.words) - 1; n < c.min || c.max > 0 && n > c.max {
		return fmt.Errorf("usage: %s %s", s.words[0], c.usage)
	}
	return nil
}

// commandNames lists the commands.
func commandNames() []string {
	var names []string
	for name := range commands() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// runScript runs a scenario and returns it as text with the trace that came
// out.
func runScript(file string, steps []step) (string, error) {
	var out strings.Builder
	w := newWorld()
	for _, s := range steps {
		lines := s.before
		if len(s.words) > 0 {
			w.lines = nil
			if err := w.run(s.words); err != nil {
				return "", fmt.Errorf("%s:%d: %w", file, s.line, err)
			}
			lines = append(append(slices.Clone(s.before), s.text), w.lines...)
		}
		for _, line := range lines {
			fmt.Fprintln(&out, line)
		}
	}
	return out.String(), nil
}
