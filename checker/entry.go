package checker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// entry is one check of a Pool. The goroutine that makes its probes owns reported,
// and writes status and past.
type entry struct {
	checker Checker
	report  Report
	cancel  func()
	repeat  func()        // has the present state reported once more, and does not wait for that
	done    chan struct{} // closed when the check has ended
	loop    *loop         // that makes the probes; nil if a goroutine does
	status  atomic.Pointer[status]
	past    history

	reported bool // something has been reported, so that only news are
}

// status is what is known of one check. Most results change nothing of it.
type status struct {
	Known
	since  time.Time // when the probe began that has made State what it is; zero if none has
	blind  string    // why the latest probe, and those before it back to the latest verdict, had none; "" if it had one
	probed bool      // whether there has been a probe since the check was started
}

// newEntry returns an entry that is yet to be started.
func newEntry(checker Checker, report Report) *entry {
	e := &entry{checker: checker, report: report}
	e.status.Store(&status{})
	return e
}

// adopt takes over what an earlier check of the same probe has found out. It
// comes before start.
func (e *entry) adopt(earlier *entry) {
	last := earlier.status.Load()
	e.status.Store(&status{Known: last.Known, since: last.since})
	e.past.adopt(&earlier.past)
}

// start begins to probe, from the state that is known: in a loop, or if there is
// none in a goroutine, at a pace that all of those share.
func (e *entry) start(spec Spec, pace *pace, l *loop) {
	state := e.status.Load().State
	runner := NewRunner(spec, e.checker, state, e.observe)
	if state != Unknown {
		runner.delay = 0 // it goes on, and what is known must not grow old
	}
	runner.repeat = func() { e.tell(spec) }
	if l != nil {
		t := newTask(l, runner)
		e.loop, e.done = l, t.done
		l.load += spec.load()
		e.cancel = func() { l.ask(t.end) }
		e.repeat = func() { l.ask(t.repeat) }
		l.ask(t.begin)
		return
	}
	again := make(chan struct{}, 1)
	runner.again, runner.pace = again, pace
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.done = cancel, make(chan struct{})
	e.repeat = func() {
		select {
		case again <- struct{}{}:
		default: // a request that is already there serves both
		}
	}
	go func() {
		defer close(e.done)
		runner.Run(ctx)
	}()
}

// observe takes one result into the status, and reports what is new.
func (e *entry) observe(result Result) {
	before := e.status.Load()
	after := status{Known: before.after(result), since: before.since, blind: blindness(result.Err), probed: true}
	if result.Changed {
		after.since = result.Start
	}
	e.past.add(result)
	if after != *before {
		e.status.Store(new(after))
	}
	if !e.reported || after.Known != before.Known {
		e.tell(result.Spec)
	}
}

// blindness is why a probe has no verdict; "" if it has one.
func blindness(err error) string {
	if err == nil { // as nearly always: what follows costs an allocation
		return ""
	}
	var local *LocalError
	if errors.As(err, &local) {
		return local.Reason
	}
	return ""
}

// tell reports the status, unless nothing has been found out yet.
func (e *entry) tell(spec Spec) {
	present := e.status.Load()
	if !present.probed {
		return
	}
	e.reported = true
	e.report(spec, present.Known)
}
