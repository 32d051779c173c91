package checker

import (
	"context"
	"math/rand/v2"
	"time"
)

// Result is one probe, and what is known after it.
type Result struct {
	Spec     Spec
	Start    time.Time
	Duration time.Duration
	Err      error // nil if the probe was good; a *LocalError if it has no verdict
	State    State
	Changed  bool // this probe changed State
}

// Runner probes one target for as long as Run runs.
type Runner struct {
	spec    Spec
	checker Checker
	health  Health
	late    int // failures noticed too late since the latest verdict that was in time
	report  func(Result)
	again   <-chan struct{} // nil, or asks for a call of repeat
	repeat  func()
}

// NewRunner returns a runner that begins in the given state and calls report
// after each probe from the goroutine of Run, which waits for it to return.
func NewRunner(spec Spec, checker Checker, state State, report func(Result)) *Runner {
	return &Runner{
		spec: spec, checker: checker, report: report,
		health: NewHealth(spec.Rise, spec.Fall, state),
	}
}

// Run probes until the context ends: first at a random time within Jitter,
// then every Interval, counted from start to start. A start that falls into a
// probe still running is left out.
func (r *Runner) Run(ctx context.Context) {
	next := time.Now().Add(rand.N(max(r.spec.Jitter, 0) + 1))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.again:
			r.repeat()
		case <-timer.C:
			r.probe(ctx)
			next = following(next, time.Now(), r.spec.Interval)
			timer.Reset(time.Until(next))
		}
	}
}

// following is the first time after now in steps of an interval from the
// start that was due last.
func following(due, now time.Time, interval time.Duration) time.Time {
	steps := max(now.Sub(due), 0)/interval + 1
	return due.Add(steps * interval)
}

// probe makes one probe and reports it, unless it was called off.
func (r *Runner) probe(ctx context.Context) {
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, r.spec.Timeout)
	err := r.checker.Check(limited)
	cancel()
	if ctx.Err() != nil {
		return
	}
	took := time.Since(start)
	err = r.judge(err, took)
	changed := false
	if blindness(err) == "" {
		changed = r.health.Observe(err == nil)
	}
	r.report(Result{
		Spec: r.spec, Start: start, Duration: took,
		Err: err, State: r.health.State(), Changed: changed,
	})
}

// judge returns what to make of the end of a probe: nothing if it failed and
// that was noticed too late, unless that has become the rule.
func (r *Runner) judge(err error, took time.Duration) error {
	switch {
	case blindness(err) != "":
		return err
	case err == nil, took <= r.spec.Timeout+lateness(r.spec.Timeout):
		r.late = 0
		return err
	}
	if r.late++; r.late > maxLate {
		return err
	}
	return errLate
}
