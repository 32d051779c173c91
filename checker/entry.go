package checker

import (
	"context"
	"errors"
	"sync/atomic"
)

// entry is one check of a Pool. Its goroutine owns reported and writes status.
type entry struct {
	checker Checker
	report  Report
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended
	again   chan struct{} // asks the goroutine for one more report
	status  atomic.Pointer[Status]

	reported bool // something has been reported, so that only news are
}

// newEntry returns an entry that is yet to be started.
func newEntry(checker Checker, report Report) *entry {
	e := &entry{
		checker: checker, report: report,
		done: make(chan struct{}), again: make(chan struct{}, 1),
	}
	e.status.Store(&Status{})
	return e
}

// start begins to probe, with the state that an earlier check of the same
// probe has reached.
func (e *entry) start(spec Spec, known Status) {
	e.status.Store(&Status{State: known.State, Reason: known.Reason, Since: known.Since})
	runner := NewRunner(spec, e.checker, known.State, e.observe)
	runner.again = e.again
	runner.repeat = func() { e.tell(spec) }
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go func() {
		defer close(e.done)
		runner.Run(ctx)
	}()
}

// repeat asks for the present state to be reported once more. It does not
// wait; a request that is already there serves both.
func (e *entry) repeat() {
	select {
	case e.again <- struct{}{}:
	default:
	}
}

// observe takes one result into the status, and reports what is new.
func (e *entry) observe(result Result) {
	before := *e.status.Load()
	after := before
	after.Last = result
	after.State = result.State
	after.Reason = reason(before.Reason, result)
	after.Probes++
	if result.Err != nil {
		after.Failed++
	}
	if result.Changed || before.Since.IsZero() {
		after.Since = result.Start.Add(result.Duration)
	}
	e.status.Store(&after)
	if !e.reported || after.State != before.State || after.Reason != before.Reason {
		e.tell(result.Spec)
	}
}

// reason says why a target is not healthy: the latest error that speaks
// against it. A target on its way back keeps that, and so does one of which
// there is no news; "no verdict" is a reason only if nothing else is known.
func reason(before string, result Result) string {
	var local *LocalError
	switch {
	case result.State == Healthy:
		return ""
	case result.Err == nil, result.State == Unhealthy && errors.As(result.Err, &local):
		return before
	}
	return result.Err.Error()
}

// tell reports the status, unless nothing has been found out yet.
func (e *entry) tell(spec Spec) {
	status := e.status.Load()
	if status.Probes == 0 {
		return
	}
	e.reported = true
	e.report(spec, status.State, status.Reason)
}
