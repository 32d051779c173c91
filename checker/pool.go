package checker

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// Report is told what is known of a target: after the first probe of a check,
// whenever that changes, and once more after each Pool.Set (a real server that
// came with it may share a check that went on). Unknown is no verdict, only a
// reason to show.
//
// It is called one call at a time for one Spec, by a goroutine that may have other
// checks to make meanwhile, and must not wait for whoever calls Set or Close, nor for
// much else.
type Report func(spec Spec, known Known)

// Pool runs one Runner for each distinct Spec.
//
// Set and Close are for one goroutine at a time; what only reads is for any.
type Pool struct {
	report  Report
	found   func(Spec) (Known, time.Time)
	create  func(Spec) (Checker, error)
	pace    *pace
	loops   atomic.Pointer[[]*loop]         // at most one a processor; replaced, never changed
	entries atomic.Pointer[map[Spec]*entry] // replaced, never changed
}

// PoolOption is an option of NewPool.
type PoolOption func(*Pool)

// WithFound has a pool begin new checks with what a pool before it has found
// out, and when the probe began that has made the state what it is.
func WithFound(found func(Spec) (Known, time.Time)) PoolOption {
	return func(p *Pool) { p.found = found }
}

// NewPool returns a pool without checks.
func NewPool(report Report, options ...PoolOption) *Pool {
	p := &Pool{report: report, create: New, pace: newPace(catchUp), found: func(Spec) (Known, time.Time) { return Known{}, time.Time{} }}
	for _, option := range options {
		option(p)
	}
	p.loops.Store(&[]*loop{})
	p.entries.Store(&map[Spec]*entry{})
	return p
}

// Set makes the running checks equal to specs, in which one may occur many
// times. What is in both goes on undisturbed; what is gone has ended, and will
// not be reported again, when Set returns. A new check of the same probe as
// one that ends, at another pace, begins with its state and its history, and
// without Delay; if several end that disagree, with none.
//
// If a Spec is invalid, Set changes nothing and returns an error for each
// invalid one.
func (p *Pool) Set(specs []Spec) error {
	old := *p.entries.Load()
	wanted, err := p.plan(old, specs)
	if err != nil {
		return err
	}
	earlier := stopGone(old, wanted)
	p.provide(wanted)
	p.entries.Store(&wanted) // before any of them reports
	for spec, e := range wanted {
		if old[spec] != nil {
			e.repeat()
			continue
		}
		if before := earlier[spec.WithoutPace()]; before != nil {
			e.adopt(before)
		} else {
			known, since := p.found(spec)
			e.status.Store(&status{Known: known, since: since})
		}
		e.start(spec, p.pace, p.loopFor(e.checker))
	}
	return nil
}

// loopLoad is how many starts a second are left to one loop, if there could be more
// of them. As long as one processor is enough for all checks, two only wake each other
// up, and are in the way of who else has work to do.
const loopLoad = 3000

// load is how many starts a second a check makes at most.
func (s Spec) load() float64 {
	interval := s.Interval
	if s.Quick > 0 {
		interval = s.Quick
	}
	return 1 / interval.Seconds()
}

// provide makes as many loops as the wanted checks need, if there are more than now.
func (p *Pool) provide(wanted map[Spec]*entry) {
	load := 0.0
	for spec, e := range wanted {
		if inLoops(e.checker) {
			load += spec.load()
		}
	}
	needed := min(int(math.Ceil(load/loopLoad)), runtime.GOMAXPROCS(0))
	loops := slices.Clone(*p.loops.Load())
	for len(loops) < needed {
		l, err := newLoop()
		if err != nil { // with fewer of them, or none, it goes on too
			break
		}
		go l.run()
		loops = append(loops, l)
	}
	p.loops.Store(&loops)
}

// inLoops is whether a check is for a loop, if there is one.
func inLoops(c Checker) bool {
	inner, ok := c.(cooperative)
	return ok && inner.cooperates()
}

// loopFor returns the loop of a new check, the one with the least to do; nil if the
// check has to have a goroutine.
func (p *Pool) loopFor(c Checker) *loop {
	loops := *p.loops.Load()
	if len(loops) == 0 || !inLoops(c) {
		return nil
	}
	return slices.MinFunc(loops, func(a, b *loop) int { return cmp.Compare(a.load, b.load) })
}

// plan returns the entry of each wanted Spec: the running one, or a new one
// that is yet to be started.
func (p *Pool) plan(old map[Spec]*entry, specs []Spec) (map[Spec]*entry, error) {
	wanted := make(map[Spec]*entry, len(specs))
	var problems []error
	for _, spec := range specs {
		if wanted[spec] != nil {
			continue
		}
		if wanted[spec] = old[spec]; wanted[spec] != nil {
			continue
		}
		checker, err := p.create(spec)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		wanted[spec] = newEntry(checker, p.report)
	}
	return wanted, errors.Join(problems...)
}

// stopGone ends what is not wanted, all at once, waits for it, and returns
// the check of each probe that ended and of which something was known.
func stopGone(old, wanted map[Spec]*entry) map[Spec]*entry {
	for spec, e := range old {
		if wanted[spec] == nil {
			e.cancel()
		}
	}
	return Undisputed(func(yield func(Spec, *entry) bool) {
		for spec, e := range old {
			if wanted[spec] == nil {
				<-e.done
				if e.loop != nil {
					e.loop.load -= spec.load()
				}
				if !yield(spec, e) {
					return
				}
			}
		}
	}, func(e *entry) State { return e.status.Load().State })
}

// Undisputed returns of checks that end one for each probe that they make
// (Spec.WithoutPace), with what it knows: of those with a state. Two checks of
// one probe may disagree, because they count differently: then nothing is known.
func Undisputed[V any](ended iter.Seq2[Spec, V], state func(V) State) map[Spec]V {
	known, disputed := map[Spec]V{}, map[Spec]bool{}
	for spec, check := range ended {
		found, probe := state(check), spec.WithoutPace()
		if found == Unknown {
			continue
		}
		if other, more := known[probe]; more && state(other) != found {
			disputed[probe] = true
		}
		known[probe] = check
	}
	for probe := range disputed {
		delete(known, probe)
	}
	return known
}

// Close ends all checks and waits for them.
func (p *Pool) Close() {
	stopGone(*p.entries.Load(), nil)
	p.entries.Store(&map[Spec]*entry{})
	for _, l := range *p.loops.Swap(&[]*loop{}) {
		l.close()
	}
}

// Known returns what is known of the target of a check; nothing if there is no
// such check.
func (p *Pool) Known(spec Spec) Known {
	if e := (*p.entries.Load())[spec]; e != nil {
		return e.status.Load().Known
	}
	return Known{}
}

// Since returns when the probe began that has made the state of a check what it
// is; zero if nothing is known yet, or there is no such check.
func (p *Pool) Since(spec Spec) time.Time {
	if e := (*p.entries.Load())[spec]; e != nil {
		return e.status.Load().since
	}
	return time.Time{}
}

// History returns the latest 20 results of a check, the latest last; nil if
// there is no such check.
func (p *Pool) History(spec Spec) []Past {
	if e := (*p.entries.Load())[spec]; e != nil {
		return e.past.list()
	}
	return nil
}

// Problems says which checks learn nothing of their targets, for reasons of
// this director: a line for each reason with the number of checks, sorted; and
// whether there are more checks than it can make.
func (p *Pool) Problems() []string {
	blind := map[string]int{}
	for _, e := range *p.entries.Load() {
		if reason := e.status.Load().blind; reason != "" {
			blind[reason]++
		}
	}
	var problems []string
	for reason, count := range blind {
		checks := "checks"
		if count == 1 {
			checks = "check"
		}
		problems = append(problems, fmt.Sprintf("%d %s without a verdict: %s", count, checks, reason))
	}
	slices.Sort(problems)
	if late := p.late(time.Now()); late > 0 {
		problems = append(problems,
			fmt.Sprintf("health checks start %s late: this machine cannot make as many as are due", late.Round(time.Second)))
	}
	return problems
}

// late is how late probes start, if that is worth a word.
func (p *Pool) late(now time.Time) time.Duration {
	late := p.pace.behind.present(now)
	for _, l := range *p.loops.Load() {
		late = max(late, l.behind.present(now))
	}
	return late
}

// WithoutPace is the part of a Spec that says what a good probe is.
func (s Spec) WithoutPace() Spec {
	return Spec{Probe: s.Probe, Target: s.Target, Via: s.Via}
}
