package checker

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testSpec is a valid check without jitter.
func testSpec() Spec {
	return Spec{
		Probe: TCP{}, Target: netip.MustParseAddrPort("192.0.2.1:80"),
		Interval: time.Second, Timeout: 500 * time.Millisecond, Rise: 2, Fall: 2,
	}
}

// slow is a checker that takes a time of its own and respects its context.
func slow(d time.Duration, verdict error) CheckFunc {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return verdict
		case <-ctx.Done():
			return describe(ctx, ctx.Err(), time.Minute)
		}
	}
}

// run runs a runner in virtual time for a while and returns its results.
func run(t *testing.T, spec Spec, c Checker, state State, d time.Duration) []Result {
	t.Helper()
	var results []Result
	runner := NewRunner(spec, c, state, func(r Result) { results = append(results, r) })
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	runner.Run(ctx)
	return results
}

// starts returns when probes started, counted from a time.
func starts(results []Result, from time.Time) []time.Duration {
	var list []time.Duration
	for _, r := range results {
		list = append(list, r.Start.Sub(from))
	}
	return list
}

// Starts are one interval apart, however long probes take.
func TestRunnerDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		results := run(t, testSpec(), slow(300*time.Millisecond, nil), Unknown, 4500*time.Millisecond)
		want := []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}
		if diff := cmp.Diff(want, starts(results, begin)); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
		if results[0].Duration != 300*time.Millisecond {
			t.Errorf("duration %s, want 300ms", results[0].Duration)
		}
	})
}

// Starts that fall into a probe are left out; the later ones keep their times.
func TestRunnerDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		spec := testSpec()
		spec.Timeout = time.Minute
		results := run(t, spec, slow(2300*time.Millisecond, nil), Unknown, 10*time.Second)
		want := []time.Duration{0, 3 * time.Second, 6 * time.Second}
		if diff := cmp.Diff(want, starts(results, begin)); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
	})
}

// A probe that takes exactly the interval does not delay the next but one.
func TestFollowing(t *testing.T) {
	due := time.Unix(100, 0)
	for late, want := range map[time.Duration]time.Duration{
		0: time.Second, 1: time.Second, 999 * time.Millisecond: time.Second, time.Second: 2 * time.Second,
		2500 * time.Millisecond: 3 * time.Second, -time.Hour: time.Second,
	} {
		if got := following(due, due.Add(late), time.Second).Sub(due); got != want {
			t.Errorf("%s after it was due: next after %s, want %s", late, got, want)
		}
	}
}

// First probes are spread over the jitter, and none is later.
func TestRunnerJitter(t *testing.T) {
	const runners, jitter = 200, 800 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		spec := testSpec()
		spec.Jitter = jitter
		quarters := map[time.Duration]int{}
		for range runners {
			first := starts(run(t, spec, slow(0, nil), Unknown, spec.Interval), begin)[0]
			begin = time.Now()
			if first < 0 || first > jitter {
				t.Fatalf("first probe after %s, want at most %s", first, jitter)
			}
			quarters[min(first/(jitter/4), 3)]++
		}
		for quarter := range time.Duration(4) {
			if quarters[quarter] < runners/16 {
				t.Errorf("%d of %d first probes in quarter %d of the jitter", quarters[quarter], runners, quarter+1)
			}
		}
	})
}

// A probe ends with its timeout, and fails.
func TestRunnerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := run(t, testSpec(), slow(time.Hour, nil), Unknown, 1700*time.Millisecond)
		if len(results) != 2 {
			t.Fatalf("%d results, want 2", len(results))
		}
		for i, r := range results {
			if r.Duration != 500*time.Millisecond || r.Err == nil {
				t.Errorf("probe %d: %s, error %v, want 500ms and an error", i, r.Duration, r.Err)
			}
		}
		if results[0].State != Unknown || results[1].State != Unhealthy || !results[1].Changed {
			t.Errorf("states %s, %s", results[0].State, results[1].State)
		}
	})
}

// A probe that is called off by the end of the runner is no failed probe.
func TestRunnerCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		results := run(t, testSpec(), slow(time.Hour, nil), Healthy, 200*time.Millisecond)
		if len(results) != 0 {
			t.Errorf("results %v, want none", results)
		}
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("ended after %s, want 200ms", took)
		}
	})
}

// Want of resources on this director changes no health.
func TestRunnerLocalError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := slow(0, &LocalError{Reason: "too many open files on this director"})
		results := run(t, testSpec(), failing, Healthy, 9500*time.Millisecond)
		if len(results) != 10 {
			t.Fatalf("%d results, want 10", len(results))
		}
		for i, r := range results {
			if r.State != Healthy || r.Changed || r.Err == nil {
				t.Errorf("probe %d: %+v", i, r)
			}
		}
	})
}

// A failure counts only if it was noticed in time, whatever it is: on a
// director that is overloaded or was paused the answer may have been there. An
// answer counts also if it comes late, and so does silence, a little later, when
// the target had its time.
func TestRunnerOverloaded(t *testing.T) {
	tests := []struct {
		took  time.Duration
		err   error
		start State
		want  State
		blind bool
	}{
		{500 * time.Millisecond, timeoutError{after: 500 * time.Millisecond}, Healthy, Unhealthy, false},
		{550 * time.Millisecond, timeoutError{after: 500 * time.Millisecond}, Healthy, Unhealthy, false},
		{551 * time.Millisecond, timeoutError{after: 500 * time.Millisecond}, Healthy, Healthy, true},
		{551 * time.Millisecond, context.DeadlineExceeded, Healthy, Healthy, true},
		{900 * time.Millisecond, timeoutError{after: 500 * time.Millisecond, silent: true}, Healthy, Unhealthy, false},
		{1001 * time.Millisecond, timeoutError{after: 500 * time.Millisecond, silent: true}, Healthy, Healthy, true},
		{550 * time.Millisecond, errors.New("connection refused"), Healthy, Unhealthy, false},
		{900 * time.Millisecond, errors.New("connection reset by peer"), Healthy, Healthy, true},
		{900 * time.Millisecond, errors.New("HTTP 503, wanted 200-399"), Healthy, Healthy, true},
		{900 * time.Millisecond, nil, Unhealthy, Healthy, false},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			results := run(t, testSpec(), late(test.took, test.err), test.start, 1950*time.Millisecond)
			last := results[len(results)-1]
			var local *LocalError
			if last.State != test.want || errors.As(last.Err, &local) != test.blind {
				t.Errorf("%v after %s: %s with error %v, want %s", test.err, test.took, last.State, last.Err, test.want)
			}
		})
	}
}

// late is a checker that ends when it does, as if there were no processor at
// the end of the timeout.
func late(took time.Duration, verdict error) CheckFunc {
	return func(context.Context) error {
		time.Sleep(took)
		return verdict
	}
}

// A target that is dead behind a director that is overloaded for good is out
// in the end; one that works stays in as long as a probe gets through now and
// then, and so does one whose probes end in time now and then.
func TestRunnerOverloadedForGood(t *testing.T) {
	timeout, busy := timeoutError{after: 500 * time.Millisecond}, &LocalError{Reason: "too many open files on this director"}
	type probe struct {
		took time.Duration
		err  error
	}
	tooLate, inTime := probe{900 * time.Millisecond, timeout}, probe{500 * time.Millisecond, timeout}
	for _, test := range []struct {
		name   string
		cycle  []probe // repeated
		out    int     // the probe that takes the target out; 0 if none does
		probes int
	}{
		{"dead", []probe{tooLate}, maxLate + 2, 20},
		{"dead, and no descriptors now and then", []probe{tooLate, {0, busy}}, 2*(maxLate+2) - 1, 20},
		{"gets through now and then", []probe{tooLate, tooLate, tooLate, tooLate, tooLate, tooLate, {0, nil}}, 0, 70},
		{"a pause with every failure", []probe{tooLate, inTime, {0, nil}}, 0, 70},
		{"dead, in time at last", []probe{tooLate, inTime}, 4, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := -1
				results := run(t, testSpec(), CheckFunc(func(ctx context.Context) error {
					n++
					p := test.cycle[n%len(test.cycle)]
					return late(p.took, p.err)(ctx)
				}), Healthy, time.Duration(test.probes)*time.Second-50*time.Millisecond)
				out := 0
				for i, r := range results {
					if r.Changed {
						out = i + 1
						break
					}
				}
				if out != test.out || len(results) != test.probes {
					t.Errorf("out with probe %d of %d, want %d of %d", out, len(results), test.out, test.probes)
				}
			})
		})
	}
}

// Results carry the health of the target.
func TestRunnerResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		verdicts := []error{nil, refused, refused, refused, nil, nil}
		i := -1
		results := run(t, testSpec(), CheckFunc(func(context.Context) error {
			i++
			return verdicts[i]
		}), Unknown, 5500*time.Millisecond)
		var got []Result
		for _, r := range results {
			got = append(got, Result{Spec: r.Spec, Err: r.Err, State: r.State, Changed: r.Changed})
		}
		spec := testSpec()
		want := []Result{
			{Spec: spec, State: Healthy, Changed: true},
			{Spec: spec, State: Healthy, Err: refused},
			{Spec: spec, State: Unhealthy, Err: refused, Changed: true},
			{Spec: spec, State: Unhealthy, Err: refused},
			{Spec: spec, State: Unhealthy},
			{Spec: spec, State: Healthy, Changed: true},
		}
		same := func(a, b error) bool { return errors.Is(a, b) }
		if diff := cmp.Diff(want, got, cmp.Comparer(same), cmp.Comparer(func(a, b Spec) bool { return a == b })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A probe that panics has no verdict: its target stays what it was.
func TestRunnerPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		spec := testSpec()
		NewRunner(spec, CheckFunc(func(context.Context) error { panic("too short") }), Healthy, func(r Result) {
			if why := blindness(r.Err); why != "an error in this program: too short" || r.State != Healthy {
				t.Errorf("%q, %v", why, r.State)
			}
			cancel()
		}).Run(ctx)
	})
}
