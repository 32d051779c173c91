package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Result is one probe, and what is known after it.
type Result struct {
	Spec     Spec
	Start    time.Time
	Duration time.Duration
	Advice   Advice
	Err      error // nil if the probe was good; a *LocalError if it has no verdict
	State    State
	Changed  bool // this probe changed State
}

// Runner probes one target for as long as Run runs.
type Runner struct {
	spec    Spec
	checker Checker
	health  Health
	delay   time.Duration
	due     time.Time // when the latest probe was due, or the next one is
	blind   bool      // the latest probe had no verdict
	late    int       // failures noticed too late since the latest verdict that was in time
	report  func(Result)
	pace    *pace           // nil, or says when a probe that is due may start
	again   <-chan struct{} // nil, or asks for a call of repeat
	repeat  func()
}

// NewRunner returns a runner that begins in the given state and calls report
// after each probe from the goroutine of Run, which waits for it to return.
func NewRunner(spec Spec, checker Checker, state State, report func(Result)) *Runner {
	return &Runner{
		spec: spec, checker: checker, report: report, delay: spec.Delay,
		health: NewHealth(spec.Rise, spec.Fall, state),
	}
}

// Run probes until the context ends: first at a random time within Jitter
// after Delay, then every Interval, or every Quick while that applies, counted
// from start to start, and each up to a hundredth of that later. A start that
// falls into a probe still running is left out.
func (r *Runner) Run(ctx context.Context) {
	alarm := r.first(time.Now())
	timer := time.NewTimer(time.Until(alarm))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.again:
			r.repeat()
		case <-timer.C:
			if r.pace != nil && !r.pace.wait(ctx, time.Since(alarm), lateness(r.spec.Timeout), r.again, r.repeat) {
				return
			}
			r.probe(ctx)
			alarm = r.next(time.Now())
			timer.Reset(time.Until(alarm))
		}
	}
}

// first returns when the first probe starts.
func (r *Runner) first(now time.Time) time.Time {
	r.due = now.Add(r.delay + rand.N(max(r.spec.Jitter, 0)+1))
	return r.due
}

// next returns when the next probe starts: a little later than it is due, at a
// moment at which others start too. To wake the processor for each of many probes
// costs more than the probes do. Pauses add up to nothing, because the next probe is
// due as if this one had started in time.
func (r *Runner) next(now time.Time) time.Time {
	r.due = following(r.due, now, r.interval())
	slack := min(r.interval()/100, maxSlack)
	if slack <= 0 {
		return r.due
	}
	past := time.Duration(r.due.UnixNano()) % slack // of a moment that all have in common
	return r.due.Add((slack - past) % slack)
}

// maxSlack bounds how late a probe starts, and so how many start at once.
const maxSlack = 10 * time.Millisecond

// interval is the time from the start of the latest probe to the next. After
// one without a verdict it is the long one: a director that cannot cope with
// its probes must not make more of them.
func (r *Runner) interval() time.Duration {
	if r.spec.Quick == 0 || r.blind || r.health.Settled() {
		return r.spec.Interval
	}
	return r.spec.Quick
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
	advice, err := r.check(ctx, start.Add(r.spec.Timeout))
	if ctx.Err() != nil {
		return
	}
	took := time.Since(start)
	err = r.judge(err, took)
	changed := false
	if r.blind = blindness(err) != ""; !r.blind {
		changed = r.health.Observe(err == nil)
	}
	r.report(Result{
		Spec: r.spec, Start: start, Duration: took, Advice: advice,
		Err: err, State: r.health.State(), Changed: changed,
	})
}

// timely is a Checker that keeps a deadline by itself. It is spared a context
// for each probe, which would be much of what it allocates.
type timely interface {
	checkBy(ctx context.Context, deadline time.Time) (Advice, error)
}

// cooperative is a Checker that may make its probes in a loop: those wait for their
// targets as a stream does and for nothing else, do not take long otherwise, and have no
// goroutines.
type cooperative interface {
	timely
	cooperates() bool
}

// checkWithin makes one probe, which ends at the deadline of the context, if it has
// one.
func checkWithin(ctx context.Context, c timely) (Advice, error) {
	deadline, _ := ctx.Deadline()
	return c.checkBy(ctx, deadline)
}

// check makes one probe, which ends at the deadline. An answer that a probe
// cannot stand, by an error in it, says nothing of its target, and nothing of
// others.
func (r *Runner) check(ctx context.Context, deadline time.Time) (_ Advice, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &LocalError{Reason: fmt.Sprintf("an error in this program: %v", fault)}
		}
	}()
	return checkBy(ctx, r.checker, deadline)
}

// checkBy makes one probe, which ends at the deadline.
func checkBy(ctx context.Context, c Checker, deadline time.Time) (Advice, error) {
	if c, ok := c.(timely); ok {
		return c.checkBy(ctx, deadline)
	}
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return c.Check(limited)
}

// judge returns what to make of the end of a probe: nothing if it failed and
// that was noticed too late, unless that has become the rule. The silence of a
// target is no less true when it is noticed later, up to a whole timeout: a pause
// that is longer than that may have cost the answer.
func (r *Runner) judge(err error, took time.Duration) error {
	switch {
	case blindness(err) != "":
		return err
	case err == nil, took <= r.spec.Timeout+lateness(r.spec.Timeout), ofSilence(err) && took <= 2*r.spec.Timeout:
		r.late = 0
		return err
	}
	if r.late++; r.late > maxLate {
		return err
	}
	return errLate
}
