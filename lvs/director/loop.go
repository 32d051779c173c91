package director

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"bascule/lvs"
)

// idle is how long the loop sleeps if there is nothing in the kernel for it.
const idle = time.Hour

// perService is the least period for each service in the kernel: reading one
// and its destinations takes about a tenth of it. The time that reading really
// took is not what counts, because on a busy machine that is mostly waiting.
const perService = 300 * time.Microsecond

// loop is what the goroutine of Run owns.
type loop struct {
	*Director
	model    lvs.Model
	kernel   Kernel    // nil while not connected
	outage   *failure  // why the table could not be read; nil if it could
	expected lvs.Table // what the kernel held after the latest pass; nil before the first
	failures map[lvs.Op]*failure
	statuses []lvs.VirtualServerStatus
	members  map[lvs.RealServerKey]string // logged as members, with the name of the virtual server
	clears   []chan<- struct{}

	stale    bool // whether statuses is out of date
	unlogged bool // whether members may be out of date
	started  bool // whether ready is closed
}

// touch records that statuses and members may be out of date.
func (l *loop) touch() {
	l.stale, l.unlogged = true, true
}

// absorb takes what callers have left into the model. It returns whether a
// pass is called for.
func (l *loop) absorb(m mail) bool {
	changed := false
	if m.configured {
		l.model.Configure(m.servers, m.owned)
		changed = true
		l.touch()
	}
	for key, fact := range m.facts {
		moved, taken := l.model.Observe(key, fact)
		if taken {
			l.touch()
		}
		changed = changed || moved
	}
	if len(m.clear) > 0 {
		l.clears = append(l.clears, m.clear...)
		l.model.Withdraw()
		l.hurry()
		changed = true
		l.touch()
	}
	if m.configured {
		// What is ours must be known before the kernel is told, or a
		// successor of a process that dies in between would not sweep it.
		l.publish()
	}
	return changed
}

// hurry makes attempts that wait for their time due: who clears the table has
// little of it.
func (l *loop) hurry() {
	if l.outage != nil {
		l.outage.hurry(l.timing)
	}
	for _, f := range l.failures {
		f.hurry(l.timing)
	}
}

// pass compares the kernel's table with the wanted one and edits it. It
// returns when the next pass is due.
func (l *loop) pass(ctx context.Context, now time.Time) time.Time {
	due := l.reconcile(ctx, now)
	l.publish()
	l.answer()
	if !l.started {
		l.started = true
		close(l.ready)
	}
	return due
}

// reconcile is pass without telling anybody.
func (l *loop) reconcile(ctx context.Context, now time.Time) time.Time {
	if l.model.Empty() {
		// A director without virtual servers needs no IPVS.
		l.disconnect()
		l.outage, l.expected = nil, nil
		clear(l.failures)
		l.logMembers()
		return now.Add(idle)
	}
	if l.outage.waits(now) {
		return l.outage.next
	}
	have, err := l.read()
	if err != nil {
		l.fail(err)
		return l.outage.next
	}
	l.recovered()
	if l.model.Adopt(have) {
		l.touch()
	}
	l.logMembers()
	l.edit(ctx, have, now)
	l.model.Settle(have)
	l.expected = have
	return l.nextPass(max(l.timing.period, time.Duration(len(have))*perService))
}

// read returns the kernel's table, and connects to the kernel if need be.
func (l *loop) read() (lvs.Table, error) {
	if l.kernel == nil {
		err := l.call(func() (err error) {
			l.kernel, err = l.dial()
			return err
		})
		if err != nil {
			l.kernel = nil
			return nil, err
		}
	}
	var table lvs.Table
	err := l.call(func() (err error) {
		table, err = l.kernel.Table()
		return err
	})
	if err != nil {
		l.disconnect()
	}
	return table, err
}

// call makes one call of the kernel, which Snapshot sees while it lasts.
func (l *loop) call(fn func() error) error {
	start := time.Now()
	l.asked.Store(&start)
	defer l.asked.Store(nil)
	return fn()
}

// disconnect closes the connection to the kernel.
func (l *loop) disconnect() {
	if l.kernel == nil {
		return
	}
	if err := l.kernel.Close(); err != nil {
		l.log.Warn("ipvs connection not closed", "error", err)
	}
	l.kernel = nil
}

// fail records that the table could not be read.
func (l *loop) fail(err error) {
	if l.outage == nil {
		l.log.Warn("ipvs unavailable", "error", err)
	}
	l.outage = l.outage.failedAgain(err, time.Now(), l.timing)
	if errors.Is(err, lvs.ErrAbsent) {
		l.model.Settle(nil)
	}
}

// recovered records that the table could be read.
func (l *loop) recovered() {
	if l.outage != nil {
		l.log.Info("ipvs available")
	}
	l.outage = nil
}

// nextPass returns when the next pass is due: after the period, or when an
// operation that has failed may be tried again.
func (l *loop) nextPass(period time.Duration) time.Time {
	now := time.Now()
	due := now.Add(period)
	for _, f := range l.failures {
		// One that is overdue was not tried because its service could not be
		// added: it does not make the loop spin.
		if f.waits(now) {
			due = earlier(due, f.next)
		}
	}
	return due
}

// answer answers calls of Clear when nothing is left.
func (l *loop) answer() {
	if !l.model.Empty() {
		return
	}
	for _, reply := range l.clears {
		close(reply)
	}
	l.clears = nil
}

// publish makes the snapshot that outsiders read.
func (l *loop) publish() {
	if l.stale {
		l.statuses, l.stale = l.model.Status(), false
	}
	status := &Status{VirtualServers: l.statuses, Owned: l.model.Owned()}
	if l.outage != nil {
		status.Problems = append(status.Problems, l.outage.err.Error())
	}
	for _, op := range slices.SortedFunc(maps.Keys(l.failures), compareOps) {
		status.Problems = append(status.Problems, l.failures[op].err.Error())
	}
	l.snapshot.Store(status)
}
