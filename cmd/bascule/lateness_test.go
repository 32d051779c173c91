package main

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// takeovers is the unit of the figure that must be 0.
const takeovers = "false-takeovers-n"

// lateness looks at what was captured: how late the director of that address
// was, and how often another one began to advertise. Nothing to look at is
// nil.
func lateness(frames []lab.Frame, director netip.Addr, interval time.Duration) []figure {
	var late []float64
	var last time.Time
	taken, other := 0, false
	for _, f := range frames {
		switch {
		case f.Kind != lab.Advertisement || f.Priority == 0:
		case f.Source != director:
			if !other {
				taken++
			}
			other = true
		default:
			if !last.IsZero() {
				late = append(late, float64(f.Time.Sub(last)-interval)/float64(time.Millisecond))
			}
			last, other = f.Time, false
		}
	}
	if len(late) == 0 {
		return nil
	}
	slices.Sort(late)
	quantile := func(q float64) float64 { return late[int(q*float64(len(late)-1))] }
	return []figure{
		{"p50-late-ms", quantile(0.5)}, {"p99-late-ms", quantile(0.99)}, {"max-late-ms", quantile(1)},
		{takeovers, float64(taken)},
	}
}

// value returns the figure of a unit, which there must be.
func value(figures []figure, unit string) float64 {
	return figures[slices.IndexFunc(figures, func(f figure) bool { return f.unit == unit })].value
}

// TestLateness looks at a made-up capture: one advertisement that is 5 ms
// late, a takeover of two advertisements, one of one, and what does not count.
func TestLateness(t *testing.T) {
	t.Parallel()
	first, second := netip.MustParseAddr("10.1.0.251"), netip.MustParseAddr("10.1.0.252")
	at := func(ms int, source netip.Addr, priority uint8) lab.Frame {
		return lab.Frame{Kind: lab.Advertisement, Source: source, Priority: priority, Time: time.UnixMilli(int64(ms))}
	}
	frames := []lab.Frame{
		at(0, first, 150), at(10, first, 150), at(25, first, 150),
		{Kind: lab.GratuitousARP, Time: time.UnixMilli(26)}, at(27, second, 0),
		at(60, second, 100), at(70, second, 100), at(72, first, 150), at(80, second, 100), at(82, first, 150),
	}
	want := []figure{{"p50-late-ms", 0}, {"p99-late-ms", 5}, {"max-late-ms", 37}, {"false-takeovers-n", 2}}
	if got := lateness(frames, first, 10*time.Millisecond); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := value(want, takeovers); got != 2 {
		t.Errorf("%v take-overs, want 2", got)
	}
	if got := lateness(frames[:1], first, 10*time.Millisecond); got != nil {
		t.Errorf("of one advertisement: %v, want nothing", got)
	}
}
