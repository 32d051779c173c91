package checker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// farm is a set of targets that work or not, and that count their probes.
type farm struct {
	mu     sync.Mutex
	broken map[netip.AddrPort]error
	advice Advice // of all that work
	took   time.Duration
	probes map[Spec]int
	news   []string
}

// newFarm returns a farm in which every target works, and its pool.
func newFarm() (*farm, *Pool) {
	f := &farm{broken: map[netip.AddrPort]error{}, probes: map[Spec]int{}, took: time.Millisecond}
	return f, newPool(f.report, f.checker)
}

// checker is the constructor of checkers of the farm.
func (f *farm) checker(spec Spec) (Checker, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	return advisor(func(ctx context.Context) (Advice, error) {
		if err := slow(f.took, nil)(ctx); err != nil {
			return Advice{}, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.probes[spec]++
		return f.advice, f.broken[spec.Target]
	}), nil
}

// advisor is a function as a Checker.
type advisor func(context.Context) (Advice, error)

// Check calls the function.
func (f advisor) Check(ctx context.Context) (Advice, error) { return f(ctx) }

// set breaks a target, or mends it if err is nil.
func (f *farm) set(spec Spec, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken[spec.Target] = err
}

// report notes what the pool reports.
func (f *farm) report(spec Spec, known Known) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := fmt.Sprintf("%s %s %s", spec.Target, known.State, known.Reason)
	if known.Advice != (Advice{}) {
		news += fmt.Sprintf("(weight %+v, drain %t)", known.Advice.Weight, known.Advice.Drain)
	}
	f.news = append(f.news, news)
}

// take returns what has been reported since the last call, sorted.
func (f *farm) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := f.news
	f.news = nil
	slices.Sort(news)
	return news
}

// count returns how many probes a check has made.
func (f *farm) count(spec Spec) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.probes[spec]
}

// target is testSpec for another target.
func target(last int) Spec {
	spec := testSpec()
	spec.Target = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(last)}), 80)
	return spec
}

// expect compares what has been reported since the last call.
func expect(t *testing.T, f *farm, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.take()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

// set is Pool.Set without errors.
func set(t *testing.T, p *Pool, specs ...Spec) {
	t.Helper()
	if err := p.Set(specs); err != nil {
		t.Fatal(err)
	}
}

// What is reported is what is new: the first result, then other states and
// other reasons.
func TestPoolReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		good, bad := target(1), target(2)
		f.set(bad, errors.New("connection refused"))
		set(t, p, good, bad)
		time.Sleep(500 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 healthy ", "192.0.2.2:80 unknown connection refused")
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.2:80 unhealthy connection refused")
		time.Sleep(time.Minute)
		expect(t, f)
		f.set(bad, errors.New("HTTP 503, wanted 200-399"))
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.2:80 unhealthy HTTP 503, wanted 200-399")
		f.set(bad, nil)
		time.Sleep(time.Second)
		expect(t, f)
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.2:80 healthy ")
		f.set(good, errors.New("timed out after 500ms"))
		time.Sleep(time.Second)
		expect(t, f)
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.1:80 unhealthy timed out after 500ms")
	})
}

// That there is no verdict is a reason only as long as nothing else is known.
func TestPoolReportsNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec, busy := target(1), &LocalError{Reason: "too many open files on this director"}
		f.set(spec, busy)
		set(t, p, spec)
		time.Sleep(5 * time.Second)
		expect(t, f, "192.0.2.1:80 unknown no verdict: too many open files on this director")
		f.set(spec, nil)
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.1:80 healthy ")
		f.set(spec, busy)
		time.Sleep(5 * time.Second)
		expect(t, f)
		f.set(spec, errors.New("connection refused"))
		time.Sleep(2 * time.Second)
		expect(t, f, "192.0.2.1:80 unhealthy connection refused")
		f.set(spec, busy)
		time.Sleep(5 * time.Second)
		expect(t, f)
	})
}

// Equal Specs are one check.
func TestPoolSharesProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		set(t, p, target(1), target(1), target(1))
		time.Sleep(9500 * time.Millisecond)
		if got := f.count(target(1)); got != 10 {
			t.Errorf("%d probes in 9.5 s, want 10", got)
		}
	})
}

// What stays keeps its rhythm and its health through a change of the others,
// and says once more what it knows.
func TestPoolSetKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		set(t, p, target(1), target(2))
		time.Sleep(700 * time.Millisecond)
		f.take()
		set(t, p, target(1), target(3))
		time.Sleep(100 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 healthy ", "192.0.2.3:80 healthy ")
		time.Sleep(100 * time.Millisecond)
		if got := f.count(target(1)); got != 1 {
			t.Errorf("%d probes of what stays, want 1: it was disturbed", got)
		}
		gone := f.count(target(2))
		time.Sleep(10 * time.Second)
		expect(t, f)
		if now := f.count(target(2)); now != gone {
			t.Errorf("%d probes of what is gone", now-gone)
		}
	})
}

// A check that has had no result yet has nothing to say again.
func TestPoolSetBeforeTheFirstResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		f.took = 300 * time.Millisecond
		set(t, p, target(1))
		time.Sleep(100 * time.Millisecond)
		set(t, p, target(1))
		set(t, p, target(1))
		time.Sleep(100 * time.Millisecond)
		expect(t, f)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		for _, news := range f.take() {
			if news != "192.0.2.1:80 healthy " {
				t.Errorf("report %q", news)
			}
		}
	})
}

// Another pace of the same probe does not forget what is known.
func TestPoolSetInheritsHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec := target(1)
		f.set(spec, errors.New("connection refused"))
		set(t, p, spec)
		time.Sleep(5 * time.Second)
		expect(t, f, "192.0.2.1:80 unhealthy connection refused", "192.0.2.1:80 unknown connection refused")
		faster := spec
		faster.Interval = 100 * time.Millisecond
		faster.Timeout = 100 * time.Millisecond
		set(t, p, faster)
		f.set(spec, nil)
		time.Sleep(50 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 unhealthy connection refused")
		time.Sleep(100 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 healthy ")
		otherwise := faster
		otherwise.Probe = HTTP{Method: "GET", Path: "/", Status: "200"}
		set(t, p, otherwise)
		f.set(spec, errors.New("connection refused"))
		time.Sleep(50 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 unknown connection refused")
	})
}

// What is known has been so since the probe that changed it began, whatever
// came after it and whatever the pace is.
func TestPoolSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec, start := target(1), time.Now()
		since := func(spec Spec, want time.Time) {
			t.Helper()
			if got := p.Since(spec); !got.Equal(want) {
				t.Errorf("after %v: since %v, want %v", time.Since(start), got.Sub(start), want.Sub(start))
			}
		}
		since(spec, time.Time{})
		f.set(spec, errors.New("connection refused"))
		set(t, p, spec)
		time.Sleep(500 * time.Millisecond)
		since(spec, time.Time{}) // unknown yet
		time.Sleep(time.Second)
		since(spec, start.Add(time.Second))
		f.set(spec, errors.New("timed out"))
		time.Sleep(time.Hour)
		since(spec, start.Add(time.Second))
		faster := spec
		faster.Interval = 500 * time.Millisecond
		set(t, p, faster)
		since(spec, time.Time{})
		since(faster, start.Add(time.Second))
		f.set(spec, nil)
		back := time.Now().Add(500 * time.Millisecond)
		time.Sleep(time.Hour)
		since(faster, back)
	})
}

// The delay is for a check that begins, and not for one at another pace: a real
// server that has died meanwhile would stay a member for as long.
func TestPoolSetDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec := target(1)
		spec.Delay = time.Minute
		f.set(spec, nil)
		set(t, p, spec)
		time.Sleep(59 * time.Second)
		expect(t, f)
		time.Sleep(2 * time.Second)
		expect(t, f, "192.0.2.1:80 healthy ")
		faster := spec
		faster.Interval /= 2
		f.set(spec, errors.New("connection refused"))
		set(t, p, faster)
		time.Sleep(time.Duration(spec.Fall) * spec.Interval)
		if known := p.Known(faster); known.State != Unhealthy {
			t.Errorf("%+v, want it unhealthy", known)
		}
	})
}

// An invalid Spec changes nothing, and every one is named.
func TestPoolSetInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		set(t, p, target(1))
		time.Sleep(100 * time.Millisecond)
		f.take()
		bad, worse := target(2), target(3)
		bad.Probe, worse.Interval = nil, 0
		err := p.Set([]Spec{target(4), bad, worse})
		want := "the kind of check is missing\ninterval 0s is not positive"
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		time.Sleep(2 * time.Second)
		expect(t, f)
		if running := *p.entries.Load(); len(running) != 1 || f.count(target(1)) != 3 || f.count(target(4)) != 0 {
			t.Errorf("running: %v, want only what ran before", running)
		}
	})
}

// Set and Close wait for what they end, even within a probe.
func TestPoolWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		f.took = 400 * time.Millisecond
		specs := []Spec{target(1), target(2)}
		set(t, p, specs...)
		entries := *p.entries.Load()
		time.Sleep(200 * time.Millisecond)
		p.Close()
		for _, spec := range specs {
			select {
			case <-entries[spec].done:
			default:
				t.Errorf("%s still runs", spec.Target)
			}
		}
		expect(t, f)
		p.Close()
	})
}

// A director that has gone blind says so: what a check has found before stays,
// and until the next verdict it is counted under the reason for having none.
func TestPoolProblems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		problems := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, p.Problems()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		}
		problems()
		set(t, p, target(1), target(2), target(3), target(4))
		problems()
		time.Sleep(500 * time.Millisecond)
		problems()
		for n := range 3 {
			f.set(target(n+1), &LocalError{Reason: "network is unreachable on this director"})
		}
		f.set(target(4), &LocalError{Reason: "cannot allocate memory on this director"})
		time.Sleep(time.Hour)
		problems(
			"1 check without a verdict: cannot allocate memory on this director",
			"3 checks without a verdict: network is unreachable on this director",
		)
		f.set(target(1), nil)
		f.set(target(2), errors.New("connection refused"))
		set(t, p, target(1), target(2), target(3))
		time.Sleep(time.Second)
		problems("1 check without a verdict: network is unreachable on this director")
		p.Close()
		problems()
	})
}

// Two checks of one probe that end and disagree leave nothing that a new one
// could begin with, whichever of them ends first; one that has no verdict yet
// disagrees with none.
func TestPoolSetInheritsNoDispute(t *testing.T) {
	strict, lenient := target(1), target(1)
	strict.Fall, lenient.Fall = 1, 100
	later := target(1)
	later.Fall, later.Jitter = 1, 100*365*24*time.Hour // chance hardly makes that short
	merged := target(1)
	merged.Interval, merged.Fall = 2*time.Second, 3
	for _, test := range []struct {
		name  string
		specs []Spec
		want  string
	}{
		{"both orders", []Spec{strict, lenient}, "192.0.2.1:80 unknown connection refused"},
		{"out", []Spec{strict, later}, "192.0.2.1:80 unhealthy connection refused"},
		{"in", []Spec{lenient, later}, "192.0.2.1:80 healthy "},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 30 { // Go's maps have no order
				synctest.Test(t, func(t *testing.T) {
					f, p := newFarm()
					defer p.Close()
					set(t, p, test.specs[:1]...)
					time.Sleep(500 * time.Millisecond)
					set(t, p, test.specs...)
					time.Sleep(1500 * time.Millisecond)
					f.set(target(1), errors.New("connection refused"))
					time.Sleep(5 * time.Second)
					f.take()
					set(t, p, merged)
					time.Sleep(500 * time.Millisecond)
					expect(t, f, test.want)
				})
			}
		})
	}
}

// Problems may be asked for while everything changes.
func TestPoolConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				p.Problems()
				p.History(target(15))
				p.Known(target(15))
				time.Sleep(3 * time.Millisecond)
			}
		}()
		for i := range 30 {
			set(t, p, target(i), target(i+1), target(i+2))
			f.set(target(i), errors.New("broken"))
			time.Sleep(70 * time.Millisecond)
		}
		<-done
		p.Close()
	})
}

// newPool is NewPool with another way to make checkers.
func newPool(report Report, create func(Spec) (Checker, error)) *Pool {
	p := NewPool(report)
	p.create = create
	return p
}
