package director

import (
	"cmp"
	"context"
	"time"

	"bascule/lvs"
)

// edition is one run through the operations that a pass has to carry out.
type edition struct {
	*loop
	now     time.Time
	have    lvs.Table               // kept equal to what the kernel holds
	undo    map[lvs.Op]bool         // operations that undo what others have done
	blocked map[lvs.ServiceKey]bool // services that could not be added
	repairs int                     // operations of undo that succeeded
	failed  int                     // operations that failed and had not failed before
	first   error                   // the error of the first of them
	over    int                     // operations that fail no longer
}

// edit carries out what is missing to the wanted table, and keeps have equal
// to what the kernel holds. An operation that fails does not stop the others.
func (l *loop) edit(ctx context.Context, have lvs.Table, now time.Time) {
	ops := lvs.Diff(have, l.model.Wanted(), l.model.Ours)
	e := edition{loop: l, now: now, have: have, undo: l.interference(have), blocked: make(map[lvs.ServiceKey]bool)}
	wanted := make(map[lvs.Op]bool, len(ops))
	for _, op := range ops {
		if ctx.Err() != nil {
			return
		}
		wanted[op] = true
		e.carryOut(op)
	}
	e.forget(wanted)
	e.log()
}

// carryOut carries out one operation, unless it is too early for another
// attempt or its service is missing.
func (e *edition) carryOut(op lvs.Op) {
	key := op.Service.ServiceKey
	if e.blocked[key] {
		return
	}
	if e.failures[op].waits(e.now) || !e.attempt(op) {
		e.blocked[key] = op.Kind == lvs.AddService
	}
}

// attempt carries out one operation, and returns whether it succeeded.
func (e *edition) attempt(op lvs.Op) bool {
	earlier := e.failures[op]
	if err := e.call(func() error { return e.kernel.Apply(op) }); err != nil {
		e.failures[op] = earlier.failedAgain(err, time.Now(), e.timing)
		if earlier == nil {
			e.failed++
		}
		if e.first == nil {
			e.first = err
		}
		return false
	}
	e.have.Apply(op)
	if e.undo[op] {
		e.repairs++
	}
	if earlier != nil {
		delete(e.failures, op)
		e.over++
	}
	return true
}

// interference returns the operations that would undo what others have done
// to our services since the latest pass.
func (l *loop) interference(have lvs.Table) map[lvs.Op]bool {
	if l.expected == nil {
		return nil
	}
	undo := make(map[lvs.Op]bool)
	for _, op := range lvs.Diff(have, l.expected, l.model.Ours) {
		undo[op] = true
	}
	return undo
}

// forget drops the failures of operations that are not wanted any more.
func (e *edition) forget(wanted map[lvs.Op]bool) {
	for op := range e.failures {
		if !wanted[op] {
			delete(e.failures, op)
			e.over++
		}
	}
}

// log logs what the pass has repaired, and which failures have begun or
// ended: a line each for the pass, however many operations it was.
func (e *edition) log() {
	if e.repairs > 0 {
		e.Director.log.Warn("ipvs table repaired", "operations", e.repairs)
	}
	if e.failed > 0 {
		e.Director.log.Warn("ipvs operations failing", "operations", e.failed, "error", e.first)
	}
	if e.over > 0 {
		e.Director.log.Info("ipvs operations no longer failing", "operations", e.over)
	}
}

// compareOps orders operations for display.
func compareOps(a, b lvs.Op) int {
	return cmp.Or(
		a.Service.Compare(b.Service.ServiceKey),
		cmp.Compare(a.Kind, b.Kind),
		a.Destination.Address.Compare(b.Destination.Address),
	)
}
