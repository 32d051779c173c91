package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// nameRule says what validName allows.
	nameRule = `letters, digits, ".", "_" and "-" are allowed, at most 64`
	// maxQuoted bounds what a message repeats of a value, in runes.
	maxQuoted = 64
)

// validName is true of the names that can go into logs, metrics and commands
// as they are.
func validName(name string) bool {
	other := func(r rune) bool { return !bareKey(r) && r != '.' }
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, other)
}

// quote quotes a value for a message.
func quote(value string) string {
	if utf8.RuneCountInString(value) > maxQuoted {
		value = string([]rune(value)[:maxQuoted]) + "…"
	}
	return strconv.Quote(value)
}

// quoteAll quotes all words.
func quoteAll(words []string) []string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return quoted
}

// oneOf writes `"a", "b" or "c"`.
func oneOf(words []string) string {
	quoted := quoteAll(words)
	last := len(quoted) - 1
	if last < 1 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// unknownNode is the error about a name that is not in the list of nodes.
func unknownNode(name string, nodes []string) error {
	return fmt.Errorf("%s is no node%s: the nodes are %s",
		quote(name), didYouMean(name, nodes), strings.Join(quoteAll(nodes), ", "))
}

// didYouMean is a suffix with the known word that is most like an unknown
// one, or "" if none is.
func didYouMean(unknown string, known []string) string {
	if word := nearest(unknown, known); word != "" {
		return fmt.Sprintf(" (did you mean %q?)", word)
	}
	return ""
}

// nearest is the known word of which an unknown one is a typing error: at most
// one letter in three is wrong (one in a shorter word), whatever the case. It
// is "" if there is none.
func nearest(unknown string, known []string) string {
	best, least := "", 1+max(1, len(unknown)/3)
	for _, word := range known {
		if d := distance(strings.ToLower(unknown), strings.ToLower(word)); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance is the least number of letters to insert, delete, replace, or
// exchange with the next one, that makes one word of the other.
func distance(a, b string) int {
	if len(a) > maxQuoted || len(b) > maxQuoted {
		return max(len(a), len(b)) // an upper bound is enough for what nobody mistyped
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
