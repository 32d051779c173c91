package checker

import (
	"errors"
	"sync/atomic"
	"time"
)

// Report is told what is known of a target: after the first probe of a check,
// whenever the state or the reason changes, and once more after each Pool.Set
// (a real server that came with it may share a check that went on). The
// reason is why the target is not healthy, "" if it is. Unknown is no verdict,
// only a reason to show.
//
// It is called by the goroutine of the check, one call at a time for one Spec,
// and must not wait for whoever calls Set or Close.
type Report func(spec Spec, state State, reason string)

// Status is a snapshot of one check.
type Status struct {
	State  State
	Reason string    // why State is not Healthy
	Since  time.Time // when State was reached; zero before the first probe
	Last   Result    // the latest probe; zero before the first
	Probes uint64    // made since the check was started
	Failed uint64    // of them, the ones that failed
}

// Pool runs one Runner for each distinct Spec.
//
// Set and Close are for one goroutine at a time; Snapshot is for any.
type Pool struct {
	report  Report
	create  func(Spec) (Checker, error)
	entries atomic.Pointer[map[Spec]*entry] // replaced, never changed
}

// NewPool returns a pool without checks.
func NewPool(report Report) *Pool { return newPool(report, New) }

// newPool is NewPool with another way to make checkers.
func newPool(report Report, create func(Spec) (Checker, error)) *Pool {
	p := &Pool{report: report, create: create}
	p.entries.Store(&map[Spec]*entry{})
	return p
}

// Set makes the running checks equal to specs, in which one may occur many
// times. What is in both goes on undisturbed; what is gone has ended, and will
// not be reported again, when Set returns. A new check of the same probe as
// one that ends, at another pace, begins with its state.
//
// If a Spec is invalid, Set changes nothing and returns an error for each
// invalid one.
func (p *Pool) Set(specs []Spec) error {
	old := *p.entries.Load()
	wanted, err := p.plan(old, specs)
	if err != nil {
		return err
	}
	known := stopGone(old, wanted)
	for spec, e := range wanted {
		if old[spec] != nil {
			e.repeat()
			continue
		}
		e.start(spec, known[spec.probe()])
	}
	p.entries.Store(&wanted)
	return nil
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
// the last known status of each probe that ended.
func stopGone(old, wanted map[Spec]*entry) map[Spec]Status {
	for spec, e := range old {
		if wanted[spec] == nil {
			e.cancel()
		}
	}
	known := map[Spec]Status{}
	for spec, e := range old {
		if wanted[spec] == nil {
			<-e.done
			known[spec.probe()] = *e.status.Load()
		}
	}
	return known
}

// Close ends all checks and waits for them.
func (p *Pool) Close() {
	stopGone(*p.entries.Load(), nil)
	p.entries.Store(&map[Spec]*entry{})
}

// Snapshot returns the status of every check.
func (p *Pool) Snapshot() map[Spec]Status {
	entries := *p.entries.Load()
	snapshot := make(map[Spec]Status, len(entries))
	for spec, e := range entries {
		snapshot[spec] = *e.status.Load()
	}
	return snapshot
}

// probe is the part of a Spec that says what a good probe is.
func (s Spec) probe() Spec {
	return Spec{Type: s.Type, Target: s.Target, HTTP: s.HTTP}
}
