package checker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The quick interval lasts as long as the state is unknown or results speak
// against it, and not a probe longer.
func TestRunnerQuick(t *testing.T) {
	const quick = 200 * time.Millisecond
	for _, test := range []struct {
		name     string
		from     State
		quick    time.Duration
		verdicts string // of each probe: "+" good, "-" failed, "0" none; the last goes on
		want     string // the interval after each: "i" or "q"
	}{
		{"healthy", Healthy, quick, "+", "iiii"},
		{"unhealthy", Unhealthy, quick, "-", "iiii"},
		{"good at once", Unknown, quick, "+", "iiii"},
		{"failing", Unknown, quick, "-", "qqiii"},
		{"goes", Healthy, quick, "+-", "iqqii"},
		{"comes back", Unhealthy, quick, "-+", "iqqii"},
		{"stumbles", Healthy, quick, "+-+", "iqiii"},
		{"no verdict yet", Unknown, quick, "0-", "iqqii"},
		{"no verdict while it goes", Healthy, quick, "-0--", "qiqii"},
		{"none", Healthy, 0, "+--+++", "iiiiiii"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec := testSpec()
				spec.Quick, spec.Rise, spec.Fall = test.quick, 3, 3
				begin := time.Now()
				found := starts(run(t, spec, verdicts(test.verdicts), test.from, 10*time.Second), begin)
				var want []time.Duration
				due := time.Duration(0)
				for _, step := range "x" + test.want {
					due += map[rune]time.Duration{'x': 0, 'i': spec.Interval, 'q': quick}[step]
					want = append(want, due)
				}
				if len(found) < len(want) {
					t.Fatalf("starts %v, want %v and more", found, want)
				}
				if diff := cmp.Diff(want, found[:len(want)]); diff != "" {
					t.Errorf("starts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// verdicts is a checker that gives one verdict after the other, and repeats
// the last.
func verdicts(list string) CheckFunc {
	n := 0
	return func(context.Context) error {
		verdict := list[n]
		n = min(n+1, len(list)-1)
		switch verdict {
		case '-':
			return errors.New("connection refused")
		case '0':
			return &LocalError{Reason: "too many open files on this director"}
		}
		return nil
	}
}

// A probe longer than the quick interval leaves out what falls into it.
func TestRunnerQuickDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := testSpec()
		spec.Quick, spec.Fall = 200*time.Millisecond, 4
		begin := time.Now()
		found := starts(run(t, spec, slow(300*time.Millisecond, errors.New("refused")), Healthy, 2600*time.Millisecond), begin)
		want := []time.Duration{0, 400 * time.Millisecond, 800 * time.Millisecond, 1200 * time.Millisecond, 2200 * time.Millisecond}
		// The fourth failure settles it.
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
	})
}

// No probe comes before the delay; the jitter is on top of it.
func TestRunnerDelay(t *testing.T) {
	for _, jitter := range []time.Duration{0, 800 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			spec := testSpec()
			spec.Delay, spec.Jitter = 5*time.Second, jitter
			for range 50 {
				begin := time.Now()
				results := run(t, spec, slow(0, nil), Unknown, spec.Delay+spec.Interval-1)
				first := starts(results, begin)[0]
				if first < spec.Delay || first > spec.Delay+jitter {
					t.Errorf("first probe after %s, want %s and at most %s more", first, spec.Delay, jitter)
				}
			}
		})
	}
}

// A check that goes on is not delayed by a Set; one that is new is, from then
// on, and does not wait to end.
func TestPoolDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		spec := target(1)
		spec.Delay = 10 * time.Second
		set(t, p, spec)
		time.Sleep(9 * time.Second)
		other := target(2)
		other.Delay = 10 * time.Second
		set(t, p, spec, other)
		time.Sleep(1500 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 healthy ")
		begin := time.Now()
		p.Close()
		if took := time.Since(begin); took != 0 {
			t.Errorf("the end took %s", took)
		}
		if n := f.count(other); n != 0 {
			t.Errorf("%d probes within the delay", n)
		}
	})
}

// Probes start together if they are due at nearly the same time, and keep
// their pace for all that.
func TestRunnerSlack(t *testing.T) {
	for _, test := range []struct {
		interval, late time.Duration // late: the start of the first
		want           []time.Duration
	}{
		{time.Second, 0, []time.Duration{0, 1000, 2000, 3000}},
		{time.Second, 3, []time.Duration{3, 1010, 2010, 3010}},
		{time.Second, 10, []time.Duration{10, 1010, 2010, 3010}},
		{time.Minute, 3, []time.Duration{3, 60010, 120010}},
		{200 * time.Millisecond, 3, []time.Duration{3, 204, 404, 604}},
		{50 * time.Millisecond, 3, []time.Duration{3, 53, 103, 153}},
		{99 * time.Nanosecond, 0, []time.Duration{0, 0, 0, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			spec := testSpec()
			spec.Interval = test.interval
			begin := time.Now()
			time.Sleep(test.late * time.Millisecond)
			found := starts(run(t, spec, slow(0, nil), Unknown, 3*test.interval+time.Nanosecond), begin)
			for i, want := range test.want[:min(len(found), len(test.want))] {
				if found[i].Truncate(time.Millisecond) != want*time.Millisecond {
					t.Errorf("every %s from %d ms on: starts %v, want %v ms", test.interval, test.late, found, test.want)
					break
				}
			}
			if len(found) < 3 {
				t.Errorf("every %s: %d starts", test.interval, len(found))
			}
		})
	}
}
