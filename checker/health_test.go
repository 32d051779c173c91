package checker

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHealth(t *testing.T) {
	tests := []struct {
		name       string
		rise, fall int
		from       State
		probes     string // "+" good, "-" failed
		want       string // the state after each: "?", "H", "U"
	}{
		{"first good probe", 3, 3, Unknown, "+", "H"},
		{"first good probe after failures", 3, 3, Unknown, "--+", "??H"},
		{"never good", 1, 3, Unknown, "----", "??UU"},
		{"fall", 1, 3, Healthy, "--+---", "HHHHHU"},
		{"fall at once", 1, 1, Healthy, "-", "U"},
		{"rise", 3, 1, Unhealthy, "++-+++", "UUUUUH"},
		{"rise at once", 1, 2, Unhealthy, "+", "H"},
		{"there and back", 2, 2, Unknown, "+--++--", "HHUUHHU"},
		{"invalid counts are 1", 0, -1, Unknown, "-+-", "UHU"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := NewHealth(test.rise, test.fall, test.from)
			got := ""
			for _, probe := range test.probes {
				before := h.State()
				changed := h.Observe(probe == '+')
				if changed != (before != h.State()) {
					t.Errorf("after %q: changed is %t, state %s before and %s after", got, changed, before, h.State())
				}
				if steady := before == h.State() && (probe == '+') == (before == Healthy); h.Settled() != (changed || steady && before != Unknown) {
					t.Errorf("after %q%c: settled is %t, state %s before and %s after", got, probe, h.Settled(), before, h.State())
				}
				got += map[State]string{Unknown: "?", Healthy: "H", Unhealthy: "U"}[h.State()]
			}
			if got != test.want {
				t.Errorf("states %s, want %s", got, test.want)
			}
		})
	}
}

// Whatever happens, the state is the one that the end of the history demands:
// fall failures in a row end in Unhealthy, rise good ones in Healthy.
func TestHealthFollowsTheEndOfHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rise, fall := rapid.IntRange(1, 4).Draw(t, "rise"), rapid.IntRange(1, 4).Draw(t, "fall")
		h := NewHealth(rise, fall, Unknown)
		history := ""
		for range rapid.IntRange(0, 40).Draw(t, "probes") {
			before, ok := h.State(), rapid.Bool().Draw(t, "ok")
			h.Observe(ok)
			history += map[bool]string{true: "+", false: "-"}[ok]
			switch {
			case strings.HasSuffix(history, strings.Repeat("-", fall)) && h.State() != Unhealthy,
				strings.HasSuffix(history, strings.Repeat("+", rise)) && h.State() != Healthy,
				ok && h.State() == Unhealthy && before != Unhealthy,
				!ok && h.State() == Healthy && before != Healthy,
				h.State() == Unknown && before != Unknown:
				t.Fatalf("rise %d, fall %d: %s after %s, %s before", rise, fall, h.State(), history, before)
			}
		}
	})
}

func TestStateString(t *testing.T) {
	for state, want := range map[State]string{Unknown: "unknown", Healthy: "healthy", Unhealthy: "unhealthy", 9: "invalid state"} {
		if got := state.String(); got != want {
			t.Errorf("State(%d) is %q, want %q", state, got, want)
		}
	}
}
