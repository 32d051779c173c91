package config

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	known := []string{"interface", "vrid", "addresses", "checksum", "lb", "lb2"}
	tests := map[string]string{
		"virdd": "", "vird": "vrid", "vrdi": "vrid", "vxyd": "", "vridd": "vrid",
		"VRID": "vrid", "adresses": "addresses", "address": "addresses",
		"interfce": "interface", "lb1": "lb", "state": "", "x": "", "": "", "priority": "",
		strings.Repeat("a", 1000): "",
	}
	for unknown, want := range tests {
		if got := nearest(unknown, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", unknown, got, want)
		}
	}
}

// The distance is a metric as far as hints need it.
func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		switch {
		case (d == 0) != (a == b):
			t.Fatalf("distance(%q, %q) = %d", a, b, d)
		case d != distance(b, a):
			t.Fatalf("distance(%q, %q) = %d is not symmetric", a, b, d)
		case d > max(len(a), len(b)) || d < max(len(a), len(b))-min(len(a), len(b)):
			t.Fatalf("distance(%q, %q) = %d is out of bounds", a, b, d)
		}
	})
	for pair, want := range map[[2]string]int{{"abc", "acb"}: 1, {"abc", "ab"}: 1, {"abc", "abd"}: 1, {"abcd", "badc"}: 2} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("distance%q = %d, want %d", pair, got, want)
		}
	}
}

func TestOneOf(t *testing.T) {
	tests := map[string][]string{
		``: nil, `"a"`: {"a"}, `"a" or "b"`: {"a", "b"}, `"a", "b" or "c"`: {"a", "b", "c"},
	}
	for want, words := range tests {
		if got := oneOf(words); got != want {
			t.Errorf("oneOf(%q) = %s, want %s", words, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "10ms": 10 * time.Millisecond, "40.95s": 40950 * time.Millisecond, "10m": 10 * time.Minute,
		"1h": time.Hour, "1h30m": 90 * time.Minute, "1h0m1s": time.Hour + time.Second, "20s": 20 * time.Second,
	} {
		if got := short(d); got != want {
			t.Errorf("short(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := quote("a\nb"); got != `"a\nb"` {
		t.Errorf("line end: %s", got)
	}
	if got := quote(strings.Repeat("é", 100)); got != `"`+strings.Repeat("é", maxQuoted)+`…"` {
		t.Errorf("long value: %s", got)
	}
}
