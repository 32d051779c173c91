package checker

import (
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatement(t *testing.T) {
	percent := func(value int) Advice { return Advice{Weight: Weight{Set: true, Value: value, Percent: true}} }
	weight := func(value int) Advice { return Advice{Weight: Weight{Set: true, Value: value}} }
	drain := Advice{Drain: true}
	tests := []struct {
		line string
		want statement
	}{
		{"", statement{}},
		{" \t,, ", statement{}},
		{"75%", statement{advice: percent(75), words: 1}},
		{"0%\n", statement{advice: percent(0), words: 1}},
		{"150%", statement{advice: percent(150), words: 1}},
		{"65535", statement{advice: weight(65535), words: 1}},
		{"65536", statement{alien: "65536"}},
		{"99999999999999999999%", statement{alien: "99999999999999999999%"}},
		{"-1", statement{alien: "-1"}},
		{"+1%", statement{alien: "+1%"}},
		{"7.5%", statement{alien: "7.5%"}},
		{"75%x", statement{alien: "75%x"}},
		{"%", statement{alien: "%"}},
		{"75% 30", statement{advice: weight(30), words: 2}},
		{"30 75%", statement{advice: percent(75), words: 2}},
		{"up", statement{words: 1}},
		{"READY Up", statement{words: 2}},
		{"down", statement{failed: "down", words: 1}},
		{"fail", statement{failed: "fail", words: 1}},
		{"Failed", statement{failed: "failed", words: 1}},
		{"stopped", statement{failed: "stopped", words: 1}},
		{"down up", statement{words: 2}},
		{"up down", statement{failed: "down", words: 2}},
		{"ready down", statement{failed: "down", words: 2}},
		{"drain", statement{advice: drain, words: 1}},
		{"drain ready", statement{words: 2}},
		{"drain down", statement{advice: drain, failed: "down", words: 2}},
		{"maint", statement{failed: "maint", words: 1}},
		{"maint up", statement{failed: "maint", words: 2}},
		{"maint ready", statement{words: 2}},
		{"maint drain", statement{advice: drain, words: 2}},
		{"75%,maxconn:30,maint,down\n", statement{advice: percent(75), failed: "maint", words: 4}},
		{"maxconn:30", statement{words: 1}},
		{"maxconn:", statement{alien: "maxconn:"}},
		{"maxconn:x", statement{alien: "maxconn:x"}},
		{"down # disk full \r\n", statement{failed: "down", reason: "disk full", words: 1}},
		{"down#disk full, # again", statement{failed: "down", reason: "disk full, # again", words: 1}},
		{"# up", statement{reason: "up"}},
		{"up\rdown", statement{words: 1}},
		{"up\ndown", statement{words: 1}},
		{"\nup", statement{}},
		{"up standby rogue", statement{words: 1, alien: "standby"}},
		{"220 mail.example.org ESMTP", statement{alien: "mail.example.org"}},
		{"HTTP/1.0 408 Request Time-out", statement{alien: "HTTP/1.0"}},
		{"75% 30 standby", statement{advice: percent(75), words: 1, alien: "standby"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, parseStatement(test.line), cmp.AllowUnexported(statement{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.line, diff)
		}
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct{ line, want string }{
		{"up # all is well", ""},
		{"75% drain", ""},
		{"down", "agent says down"},
		{"maint#kernel update", "agent says maint: kernel update"},
		{"down #\x1b[31mred\xff", "agent says down: ?[31mred?"},
		{"stopped # " + strings.Repeat("x", 200), "agent says stopped: " + strings.Repeat("x", 80) + "…"},
	}
	for _, test := range tests {
		said := parseStatement(test.line)
		advice, err := said.verdict("agent")
		wantError(t, err, test.want)
		if want := said.advice; err == nil && advice != want {
			t.Errorf("%q: advice %+v, want %+v", test.line, advice, want)
		}
		if err != nil && advice != (Advice{}) {
			t.Errorf("%q: advice %+v of what does not work", test.line, advice)
		}
	}
}

func TestExcerpt(t *testing.T) {
	tests := map[string]string{
		"":                                 "",
		" disk full \nsecond":              "disk full",
		"\n\n first":                       "first",
		"tab\there\x00":                    "tab?here?",
		"d\u00e9j\u00e0 vu":                "déjà vu",
		"\xff\xfe":                         "??",
		"one\u2028two":                     "one?two",
		strings.Repeat("x", 80):            strings.Repeat("x", 80),
		strings.Repeat("x", 81):            strings.Repeat("x", 80) + "…",
		strings.Repeat("x", 79) + "\u00e9": strings.Repeat("x", 79) + "…",
	}
	for text, want := range tests {
		if got := excerpt(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Whatever a foreign program writes, weights are in their range, a failure has
// a word, and what is shown is short and printable.
func FuzzParseStatement(f *testing.F) {
	for _, line := range []string{
		"", "75%", "up", "75%,maxconn:30,maint,down\n", "down # disk full\r\n", "drain 30", "#", "\x00", "９９%", "maxconn:9", "UP\tİ",
	} {
		f.Add(line)
	}
	failures := map[string]bool{"": true, "down": true, "fail": true, "failed": true, "stopped": true, "maint": true}
	f.Fuzz(func(t *testing.T, line string) {
		s := parseStatement(line)
		if w := s.advice.Weight; w.Value < 0 || w.Value > maxWeight || !w.Set && w != (Weight{}) {
			t.Errorf("%q: weight %+v", line, w)
		}
		if !failures[s.failed] {
			t.Errorf("%q: failed %q", line, s.failed)
		}
		if s.words == 0 && (s.failed != "" || s.advice != (Advice{})) {
			t.Errorf("%q: %+v without a word", line, s)
		}
		_, err := s.verdict("agent")
		if (err == nil) != (s.failed == "") {
			t.Errorf("%q: error %v with %q", line, err, s.failed)
		}
		if err != nil && (len(err.Error()) > 2*maxQuoted || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) })) {
			t.Errorf("%q: error %q", line, err)
		}
		if short := excerpt(line); len(short) > maxQuoted+len("…") || !strconv.CanBackquote(strings.ReplaceAll(short, "`", "")) {
			t.Errorf("%q: excerpt %q", line, short)
		}
	})
}
