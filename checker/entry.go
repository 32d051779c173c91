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
	status  atomic.Pointer[status]

	reported bool // something has been reported, so that only news are
}

// status is what is known of one check.
type status struct {
	state  State
	reason string // why state is not Healthy
	blind  string // why the latest probe, and those before it back to the latest verdict, had none; "" if it had one
	probed bool   // whether there has been a probe since the check was started
}

// newEntry returns an entry that is yet to be started.
func newEntry(checker Checker, report Report) *entry {
	e := &entry{
		checker: checker, report: report,
		done: make(chan struct{}), again: make(chan struct{}, 1),
	}
	e.status.Store(&status{})
	return e
}

// start begins to probe, with the state that an earlier check of the same
// probe has reached.
func (e *entry) start(spec Spec, known status) {
	e.status.Store(&status{state: known.state, reason: known.reason})
	runner := NewRunner(spec, e.checker, known.state, e.observe)
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
	after := status{
		state:  result.State,
		reason: reason(before.reason, result),
		blind:  blindness(result.Err),
		probed: true,
	}
	e.status.Store(&after)
	if !e.reported || after.state != before.state || after.reason != before.reason {
		e.tell(result.Spec)
	}
}

// reason says why a target is not healthy: the latest error that speaks
// against it. A target on its way back keeps that, and so does one of which
// there is no news; "no verdict" is a reason only if nothing else is known.
func reason(before string, result Result) string {
	switch {
	case result.State == Healthy:
		return ""
	case result.Err == nil, result.State == Unhealthy && blindness(result.Err) != "":
		return before
	}
	return result.Err.Error()
}

// blindness is why a probe has no verdict; "" if it has one.
func blindness(err error) string {
	var local *LocalError
	if errors.As(err, &local) {
		return local.Reason
	}
	return ""
}

// tell reports the status, unless nothing has been found out yet.
func (e *entry) tell(spec Spec) {
	known := e.status.Load()
	if !known.probed {
		return
	}
	e.reported = true
	e.report(spec, known.state, known.reason)
}
