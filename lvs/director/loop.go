package director

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"bascule/lvs"
)

// idle is how long the loop sleeps if there is nothing in the kernel for it.
const idle = time.Hour

// partSize is how many destinations are read at a time, and so bounds for how
// long a change waits for a reading.
const partSize = 2048

// readingShare is how many times as long as the processor time of a reading it is
// until the next one. The time that passes while it is read is not what counts, because
// on a busy machine that is mostly waiting.
const readingShare = 100

// maxPeriod bounds how long the table is remembered. A machine that was paused may
// take the pause for processor time.
const maxPeriod = 10 * time.Second

// loop is what the goroutine of Run owns.
type loop struct {
	*Director
	model    lvs.Model
	kernel   Kernel                      // nil while not connected
	outage   *failure                    // why the table could not be read; nil if it could
	expected *lvs.State                  // what the kernel held when it was read, and what has been done to it since; nil before that
	fresh    time.Time                   // until when expected is taken for what the kernel holds
	doubt    bool                        // the table is to be read whatever expected says
	suspects map[lvs.ServiceKey]struct{} // services whose destinations can be others than wanted, as far as expected tells
	usage    lvs.UsageTable              // as it was read; never changed, for it is in snapshots
	failures map[lvs.Op]*failure
	paces    paces
	repairs  int       // operations that undid what others had done, since that was logged
	told     time.Time // when it was logged
	zeroes   []zero
	clears   []chan<- struct{}
	started  bool // whether ready is closed
}

// absorb takes what callers have left into the model. It returns whether a
// pass is called for.
func (l *loop) absorb(now time.Time, m mail) bool {
	changed := l.instruct(now, m)
	m.inOrder(func(key lvs.RealServerKey, fact lvs.Fact) {
		moved, _ := l.model.Observe(now, key, fact)
		changed = changed || moved
	})
	var answers []error
	for _, o := range m.overrides {
		answers = append(answers, l.model.Override(now, o.virtualServer, o.realServer, o.override))
	}
	l.zeroes = append(l.zeroes, m.zeroes...)
	if len(m.clear) > 0 {
		l.clears = append(l.clears, m.clear...)
		l.model.Withdraw()
		l.hurry()
		// Nobody looks at the table afterwards: what is left is found by reading it,
		// but which destinations there are does not matter.
		l.fresh = time.Time{}
	}
	l.model.Advance(now)
	if m.configured || len(m.overrides)+len(m.taken) > 0 {
		// What is ours must be known before the kernel is told, or a
		// successor of a process that dies in between would not sweep it; and
		// who decides something finds it in the snapshot.
		l.publish()
	}
	for n, o := range m.overrides {
		o.answer <- answers[n]
	}
	for _, reply := range m.taken {
		close(reply)
	}
	return changed || len(m.overrides)+len(m.clear)+len(m.zeroes) > 0
}

// instruct takes what is wanted into the model. It returns whether there was
// something.
func (l *loop) instruct(now time.Time, m mail) bool {
	if m.settings != nil {
		l.model.Adjust(*m.settings)
	}
	if m.configured {
		l.model.Configure(now, m.servers, m.owned)
	}
	if m.inherited != nil {
		l.model.Inherit(m.inherited)
	}
	if m.followed {
		l.model.Follow(m.daemons)
	}
	l.model.SetOverrides(m.stored)
	l.logLost()
	return m.settings != nil || m.configured || m.followed || len(m.inherited)+len(m.stored) > 0
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
	l.zero()
	l.publish()
	l.answer()
	if !l.started {
		l.started = true
		close(l.ready)
	}
	return due
}

// reconcile is pass without telling anybody. Between two readings of the
// table, what is remembered of it counts, so that a change costs as much as it
// changes, however large the table is. If it turns out not to count any more,
// the table is read at once.
func (l *loop) reconcile(ctx context.Context, now time.Time) time.Time {
	l.model.Advance(now)
	if l.model.Empty() {
		// A director that wants nothing of IPVS needs none.
		l.disconnect()
		l.expected, l.usage, l.outage = nil, nil, nil
		clear(l.failures)
		l.logChanges(now)
		return now.Add(idle)
	}
	if l.outage.waits(now) {
		return l.outage.next
	}
	if l.doubt || !now.Before(l.fresh) || !l.editRemembered(ctx, now) {
		if err := l.editRead(ctx, now); err != nil {
			l.fail(err)
			return l.outage.next
		}
	}
	l.logRepairs(now)
	l.model.Settle(*l.expected)
	if l.model.Doubtful() {
		l.doubt, l.fresh = true, earlier(l.fresh, now.Add(l.timing.gather))
	}
	return earlier(l.nextPass(), l.model.Deadline())
}

// editRemembered edits the table that is remembered. It returns false if the
// kernel's is another one.
func (l *loop) editRemembered(ctx context.Context, now time.Time) bool {
	// Without usage nothing seems to be without connections.
	l.learn(now, lvs.Reading{State: *l.expected})
	return l.edit(ctx, now, edition{remembered: true})
}

// editRead reads the table and edits it.
func (l *loop) editRead(ctx context.Context, now time.Time) error {
	reading, err := l.read()
	if err != nil {
		return err
	}
	l.recovered()
	l.locate(&reading.State)
	before := l.expected
	l.expected = &reading.State
	l.count(reading)
	l.learn(now, reading)
	l.doubt = false
	l.edit(ctx, now, edition{before: before})
	l.fresh = time.Now().Add(l.period(reading))
	return nil
}

// count takes over the usage that was read, and suspects the services that it
// is of.
func (l *loop) count(reading lvs.Reading) {
	usage := make(lvs.UsageTable, len(reading.Table))
	for key := range reading.Table {
		if old := l.usage[key]; old != nil {
			usage[key] = old
		}
	}
	for key, counted := range reading.Usage {
		usage[key] = counted
		l.suspects[key] = struct{}{}
	}
	l.usage = usage
}

// learn tells the model what the kernel holds, and logs what follows from it
// and from what came since the latest pass.
func (l *loop) learn(now time.Time, reading lvs.Reading) {
	l.model.Learn(now, reading)
	l.model.Advance(now)
	l.logChanges(now)
}

// period returns how long the table is remembered after a reading.
func (l *loop) period(reading lvs.Reading) time.Duration {
	return max(l.timing.period, min(readingShare*reading.Spent, maxPeriod))
}

// read returns what the kernel holds, and connects to the kernel if need be.
// What is remembered of the table is not read as a whole, unless an edit failed
// on it.
func (l *loop) read() (reading lvs.Reading, err error) {
	if l.kernel == nil {
		err := l.call(func() (err error) {
			l.kernel, err = l.dial()
			return err
		})
		if err != nil {
			l.kernel = nil
			return reading, err
		}
	}
	err = l.call(func() (err error) {
		if l.expected == nil || l.doubt {
			reading, err = l.kernel.Read()
		} else {
			reading, err = l.kernel.ReadPart(l.known(), partSize)
		}
		return err
	})
	if err != nil {
		l.disconnect()
	}
	return reading, err
}

// known returns what is remembered of the table, without what must be read each
// time.
func (l *loop) known() lvs.Table {
	draining := l.model.Draining()
	if len(draining) == 0 {
		return l.expected.Table
	}
	known := maps.Clone(l.expected.Table)
	for _, key := range draining {
		delete(known, key)
	}
	return known
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
	l.kernel, l.doubt = nil, true
}

// fail records that the table could not be read.
func (l *loop) fail(err error) {
	if l.outage == nil {
		l.log.Warn("ipvs unavailable", "error", err)
	}
	l.outage = l.outage.failedAgain(err, time.Now(), l.timing)
	if errors.Is(err, lvs.ErrAbsent) {
		l.model.Settle(lvs.State{})
	}
}

// recovered records that the table could be read.
func (l *loop) recovered() {
	if l.outage != nil {
		l.log.Info("ipvs available")
	}
	l.outage = nil
}

// nextPass returns when the next pass is due: when the table is to be read
// again, or when an operation that has failed may be tried again.
func (l *loop) nextPass() time.Time {
	now, due := time.Now(), l.fresh
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
	status := &Status{
		VirtualServers: l.model.Status(), Usage: l.usage, Overrides: l.model.Overrides(),
		Owned: l.model.Owned(), OwnedRoles: l.model.OwnedRoles(), Left: l.model.Left(),
	}
	wanted := l.model.Wanted()
	status.WantedDaemons, status.WantedTimeouts = wanted.Daemons, wanted.Timeouts
	if l.expected != nil {
		// Edits change the remembered ones under the eyes of who reads the snapshot.
		status.Daemons, status.Timeouts = maps.Clone(l.expected.Daemons), l.expected.Timeouts
	}
	status.Problems = l.problems()
	l.snapshot.Store(status)
}

// shown is how many failing operations are shown one by one: what makes
// thousands fail, such as a kernel without memory, is seen in a few.
const shown = 20

// problems returns what is wrong, a line each.
func (l *loop) problems() (lines []string) {
	if l.outage != nil {
		lines = append(lines, l.outage.err.Error())
	}
	failing := slices.SortedFunc(maps.Keys(l.failures), compareOps)
	for _, op := range failing[:min(len(failing), shown)] {
		lines = append(lines, l.failures[op].err.Error())
	}
	if more := len(failing) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("ipvs: %d more operations are failing", more))
	}
	return lines
}
