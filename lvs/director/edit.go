package director

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"bascule/lvs"
)

// batchSize is how many operations are handed to the kernel at once. In
// between the end of the director is noticed.
const batchSize = 256

// edition is one run through the operations that a pass has to carry out.
type edition struct {
	*loop
	now        time.Time
	remembered bool                    // the table was not read for it
	before     *lvs.State              // what was expected of the table before it was read; nil: nothing
	undo       map[lvs.Op]bool         // operations that undo what others have done, as essential has them
	batch      []lvs.Op                // to be carried out next
	blocked    map[lvs.ServiceKey]bool // services that could not be added
	mistaken   bool                    // the table is not as remembered
	failed     int                     // operations that failed and had not failed before
	first      error                   // the error of the first of them
	over       int                     // operations that fail no longer
}

// edit carries out what is missing to the wanted table, and keeps expected
// equal to what the kernel holds. An operation that fails does not stop the
// others. It returns false if the table is not as remembered.
func (l *loop) edit(ctx context.Context, now time.Time, e edition) bool {
	wanted := l.model.Wanted()
	maps.Copy(l.suspects, l.model.Relisted())
	ops := lvs.DiffAmong(*l.expected, wanted, &l.model, l.suspected)
	if len(ops) == 0 && len(l.failures) == 0 {
		clear(l.suspects)
		return true
	}
	e.loop, e.now, e.undo, e.blocked = l, now, l.interference(e.before), make(map[lvs.ServiceKey]bool)
	e.forget(ops)
	for chunk := range slices.Chunk(ops, batchSize) {
		if ctx.Err() != nil {
			break
		}
		e.carryOut(chunk)
	}
	e.log()
	l.suspect(ops)
	return !e.mistaken
}

// suspected says whether the destinations of a service can be others than
// wanted.
func (l *loop) suspected(key lvs.ServiceKey) bool {
	_, suspected := l.suspects[key]
	return suspected
}

// suspect has the services compared anew that operations were about, whatever
// has become of these: there is no other who remembers what is left to do.
func (l *loop) suspect(ops []lvs.Op) {
	clear(l.suspects)
	for _, op := range ops {
		l.suspects[op.Service.ServiceKey] = struct{}{}
	}
}

// carryOut carries out operations, except those for which another attempt is
// too early, and those whose service is missing.
func (e *edition) carryOut(ops []lvs.Op) {
	e.batch = e.batch[:0]
	for _, op := range ops {
		switch {
		case e.blocked[op.Service.ServiceKey]:
		case e.failure(op).waits(e.now):
			e.block(op)
		default:
			e.batch = append(e.batch, op)
		}
	}
	if len(e.batch) == 0 {
		return
	}
	var errs []error
	_ = e.call(func() error {
		errs = e.kernel.ApplyAll(e.batch)
		return nil
	})
	for i, err := range errs {
		e.conclude(e.batch[i], err)
	}
}

// block keeps the operations on a service that is not there from being tried.
func (e *edition) block(op lvs.Op) {
	if op.Kind == lvs.AddService {
		e.blocked[op.Service.ServiceKey] = true
	}
}

// failure returns what is known of an operation's failures; nil if it has not
// failed. An operation is large, and to look for it takes longer than anything
// else here.
func (e *edition) failure(op lvs.Op) *failure {
	if len(e.failures) == 0 {
		return nil
	}
	return e.failures[op]
}

// conclude takes over what has become of an operation.
func (e *edition) conclude(op lvs.Op, err error) {
	earlier := e.failure(op)
	switch {
	case e.blocked[op.Service.ServiceKey]:
		// It was on its way with its service, whose failure is what counts.
	case err == nil:
		e.succeed(op, earlier)
	case e.remembered && earlier == nil:
		// What others have done since the table was read can be the reason.
		e.mistaken, e.doubt = true, true
		e.block(op)
	default:
		e.fail(op, earlier, err)
	}
}

// succeed records that an operation succeeded.
func (e *edition) succeed(op lvs.Op, earlier *failure) {
	e.expected.Apply(op)
	if len(e.undo) > 0 && e.undo[essential(op)] {
		e.repairs++
	}
	if earlier != nil {
		delete(e.failures, op)
		e.over++
	}
}

// fail records that an operation failed.
func (e *edition) fail(op lvs.Op, earlier *failure, err error) {
	e.doubt = true
	e.block(op)
	e.failures[op] = earlier.failedAgain(err, time.Now(), e.timing)
	if earlier == nil {
		e.failed++
	}
	if e.first == nil {
		e.first = err
	}
}

// interference returns the operations that would undo what others have done
// to what is ours since before.
func (l *loop) interference(before *lvs.State) map[lvs.Op]bool {
	if before == nil {
		return nil
	}
	undo := make(map[lvs.Op]bool)
	for _, op := range lvs.DiffAmong(*l.expected, *before, &l.model, l.suspected) {
		undo[essential(op)] = true
	}
	return undo
}

// essential returns an operation without settings that the kernel chooses
// where they are not wanted: an operation to what it held says them.
func essential(op lvs.Op) lvs.Op {
	op.Daemon, op.Timeouts = lvs.SyncDaemon{}, lvs.Timeouts{}
	return op
}

// forget drops the failures of operations that are not wanted any more.
func (e *edition) forget(ops []lvs.Op) {
	if len(e.failures) == 0 {
		return
	}
	wanted := make(map[lvs.Op]bool, len(e.failures))
	for _, op := range ops {
		if e.failures[op] != nil {
			wanted[op] = true
		}
	}
	for op := range e.failures {
		if !wanted[op] {
			delete(e.failures, op)
			e.over++
		}
	}
}

// log logs which failures have begun or ended: a line each for the pass,
// however many operations it was.
func (e *edition) log() {
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
		cmp.Compare(a.Role, b.Role),
		a.Destination.Address.Compare(b.Destination.Address),
	)
}
