package checker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxWords bounds the line that an agent or a file gives.
	maxWords = 1 << 10
	// maxWeight is the largest weight that IPVS is given, and the largest
	// percentage of one.
	maxWeight = 65535
)

// statement is what one line of text says about a real server. The zero value
// says nothing.
type statement struct {
	advice Advice
	failed string // the word that says that it does not work; "" if none does
	reason string // what stands behind "#"
	words  int    // how many words were understood
	alien  string // the first word that was not
}

// parseStatement reads a line in the syntax of HAProxy's agent-check (HAProxy's
// configuration manual, section 5.2, "agent-check"): words in any order and
// case, between spaces, tabs and commas, and a description behind "#". The
// line ends at the first CR or LF.
//
//	75%                          per cent of the configured weight
//	up, ready                    works
//	down, fail, failed, stopped  does not work
//	drain                        works, but wants no new connections
//	maint                        does not work, on purpose
//	maxconn:30                   understood, without effect: no advice is about connections
//
// Of weights, of words about work and of words of administrators, the last one
// each counts, as it does there. There is one more word than there: a whole
// number is a weight, if all words of the line are understood. Without that
// "HTTP/1.0 408 Request Time-out" would be one.
func parseStatement(line string) statement {
	if end := strings.IndexAny(line, "\r\n"); end >= 0 {
		line = line[:end]
	}
	line, reason, _ := strings.Cut(line, "#")
	s := statement{reason: strings.Trim(reason, " \t")}
	operation, administration := "", ""
	numbers, percent := 0, Weight{} // words that are a number, and the weight without them
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		switch lower := strings.ToLower(word); lower {
		case "up", "down", "fail", "failed", "stopped":
			operation = lower
		case "ready", "drain", "maint":
			administration = lower
		default:
			if weight, ok := parseWeight(lower); ok {
				s.advice.Weight = weight
				if weight.Percent {
					percent = weight
				} else {
					numbers++
				}
			} else if !isMaxconn(lower) {
				if s.alien == "" {
					s.alien = word
				}
				continue
			}
		}
		s.words++
	}
	if s.alien != "" {
		s.advice.Weight = percent
		s.words -= numbers
	}
	s.advice.Drain = administration == "drain"
	switch {
	case administration == "maint":
		s.failed = administration
	case operation != "up":
		s.failed = operation
	}
	return s
}

// parseWeight reads "30" or "75%".
func parseWeight(word string) (weight Weight, ok bool) {
	digits, percent := strings.CutSuffix(word, "%")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return Weight{}, false
	}
	value, err := strconv.Atoi(digits)
	if err != nil || value > maxWeight {
		return Weight{}, false
	}
	return Weight{Set: true, Value: value, Percent: percent}, true
}

// isMaxconn is true of "maxconn:" with a number.
func isMaxconn(word string) bool {
	number, found := strings.CutPrefix(word, "maxconn:")
	return found && number != "" && strings.Trim(number, "0123456789") == ""
}

// verdict is what the statement of a source, such as "agent", comes to. It is
// only for one with words that were understood.
func (s statement) verdict(source string) (Advice, error) {
	switch {
	case s.failed == "":
		return s.advice, nil
	case s.reason == "":
		return Advice{}, errors.New(source + " says " + s.failed)
	}
	return Advice{}, fmt.Errorf("%s says %s: %s", source, s.failed, excerpt(s.reason))
}
