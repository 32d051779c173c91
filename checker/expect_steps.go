package checker

import (
	base16 "encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Action is what a step of an expect check does.
type Action string

// The actions.
const (
	StepSend     Action = "send"     // send Data
	StepExpect   Action = "expect"   // wait until Data has come
	StepMatch    Action = "match"    // wait until what has come matches the regular expression Data
	StepStartTLS Action = "starttls" // go on under TLS
)

// Step is a step of an expect check.
type Step struct {
	Action Action
	Data   string // bytes as they are, or a regular expression
}

// ParseStep reads a step as people write it: an action, a space, and its data.
//
//	send EHLO lb.example.org\r\n     with the escapes \r \n \t \0 \xHH \\
//	send-hex 0d 0a                   the same in hexadecimal digits
//	expect +OK                       these bytes must come, with the same escapes
//	expect-hex 2b4f4b
//	match ^250[ -]                   a regular expression (RE2), in which ^ and $ are those of a line
//	starttls
func ParseStep(text string) (Step, error) {
	word, data, _ := strings.Cut(text, " ")
	step := Step{Action: Action(word), Data: data}
	var err error
	switch word {
	case "send", "expect":
		step.Data, err = unescape(data)
	case "send-hex", "expect-hex":
		step.Action = Action(strings.TrimSuffix(word, "-hex"))
		var raw []byte
		if raw, err = base16.DecodeString(strings.Join(strings.Fields(data), "")); err != nil {
			err = errors.New("two hexadecimal digits a byte are needed")
		}
		step.Data = string(raw)
	}
	if err != nil {
		return Step{}, fmt.Errorf("%s %q: %w", word, data, err)
	}
	return step, step.validate()
}

// unescape replaces the escapes of ParseStep.
func unescape(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return "", errors.New(`a "\" at the end: "\\" is one`)
		}
		const from, to = `rnt0\`, "\r\n\t\x00\\"
		if at := strings.IndexByte(from, text[i]); at >= 0 {
			b.WriteByte(to[at])
			continue
		}
		raw, err := base16.DecodeString(text[min(i+1, len(text)):min(i+3, len(text))])
		if text[i] != 'x' || err != nil || len(raw) != 1 {
			return "", fmt.Errorf(`unknown escape "\%c": \r \n \t \0 \xHH and \\ are known`, text[i])
		}
		b.Write(raw)
		i += 2
	}
	return b.String(), nil
}

// validate says what is wrong with a step.
func (s Step) validate() error {
	switch s.Action {
	case StepSend, StepExpect:
		if s.Data == "" {
			return fmt.Errorf("%s: there is nothing to %s", s.Action, s.Action)
		}
		if len(s.Data) > maxReceived {
			return fmt.Errorf("%s of %d bytes: at most %d", s.Action, len(s.Data), maxReceived)
		}
	case StepMatch:
		if _, err := s.expression(); err != nil {
			return fmt.Errorf("match %q: %w", s.Data, err)
		}
		if s.Data == "" {
			return errors.New("match: there is no regular expression")
		}
	case StepStartTLS:
		if s.Data != "" {
			return fmt.Errorf("starttls %q: nothing may follow", s.Data)
		}
	default:
		return fmt.Errorf("step %q is not known: send, send-hex, expect, expect-hex, match or starttls", string(s.Action))
	}
	return nil
}

// expression compiles the regular expression of a step. Its ^ and $ are those
// of a line, because the rest of the line before may come late.
func (s Step) expression() (*regexp.Regexp, error) { return regexp.Compile("(?m)" + s.Data) }

// wanted is what a step waits for, in the words of an error.
func (s Step) wanted() string {
	if s.Action == StepMatch {
		return "/" + clip(s.Data, maxQuoted) + "/"
	}
	return strconv.Quote(clip(s.Data, maxQuoted))
}

// Steps is a list of steps that can be compared: two equal lists are equal. It
// may have passwords in it and prints as the actions alone.
type Steps struct{ lines Secret } // a step a line, with its data in quotes

// NewSteps returns the list of steps, or says which one is wrong.
func NewSteps(list ...Step) (Steps, error) {
	lines := make([]string, len(list))
	for i, step := range list {
		if err := step.validate(); err != nil {
			return Steps{}, fmt.Errorf("step %d: %w", i+1, err)
		}
		lines[i] = string(step.Action) + " " + strconv.Quote(step.Data)
	}
	return Steps{NewSecret(strings.Join(lines, "\n"))}, nil
}

// List returns the steps.
func (s Steps) List() []Step {
	if s == (Steps{}) {
		return nil
	}
	var list []Step
	for line := range strings.SplitSeq(s.lines.text(), "\n") {
		action, quoted, _ := strings.Cut(line, " ")
		data, _ := strconv.Unquote(quoted) // NewSteps has quoted it
		list = append(list, Step{Action(action), data})
	}
	return list
}

// String returns the actions without their data.
func (s Steps) String() string {
	var actions []string
	for _, step := range s.List() {
		actions = append(actions, string(step.Action))
	}
	return strings.Join(actions, ", ")
}

// GoString returns what String does.
func (s Steps) GoString() string { return strconv.Quote(s.String()) }
