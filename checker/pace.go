package checker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// paceSlot is the time for which a number of starts is allowed.
	paceSlot = 10 * time.Millisecond
	// paceLate is how late starts are when there are too many, of what their
	// probes can stand. It is a mean: some are several times as late, because the
	// runtime does not run what is ready in the order in which it became so.
	paceLate = 0.25
	// paceBehind is how long probes have to wait for their turn before that is
	// worth a word.
	paceBehind = time.Second
	// unpaced is more starts in a slot than any machine can make.
	unpaced = 1 << 20
	// minPace are the starts in a slot that are always allowed: what makes them
	// late may be no fault of theirs.
	minPace = 1
)

// pace spreads the starts of probes when there are more than the machine can
// make: each of them would take longer than its timeout, and targets that work
// would all seem to fail. The probes wait for their turn instead, so that they
// are fewer, and late, but true. Probes that wait for their targets take no
// processor time, and so delay nobody.
//
// The machine cannot make so many when they start late though it was their
// turn: then fewer may start, and when they do in time, again more.
type pace struct {
	catchUp func() // has probes go on that can

	mu     sync.Mutex
	budget float64   // starts in a slot
	credit float64   // starts that are left in the present slot
	end    time.Time // of the present slot
	queue  []*turn   // probes that wait, the longest first
	armed  bool      // release is going to be called

	// Of the present slot:
	started int     // probes
	samples int     // starts that were seen to be late, or not
	late    float64 // how late together, of what each can stand

	behind backlog
}

// backlog is how late probes start. It may be read while it is written.
type backlog struct{ latest atomic.Pointer[tardiness] }

// tardiness is how late one probe has started, and when that was.
type tardiness struct {
	late time.Duration
	at   time.Time
}

// note takes the start of a probe that was due at a moment.
func (b *backlog) note(now, due time.Time) {
	switch late := now.Sub(due); {
	case late >= paceBehind:
		b.latest.Store(&tardiness{late, now})
	case b.latest.Load() != nil:
		b.latest.Store(nil)
	}
}

// present returns how late probes start, 0 if that is not worth a word.
func (b *backlog) present(now time.Time) time.Duration {
	t := b.latest.Load()
	if t == nil || now.Sub(t.at) > t.late {
		return 0
	}
	return t.late
}

// turn is one probe that waits.
type turn struct {
	since time.Time
	come  chan time.Time // takes the moment of the turn
	gone  bool           // nobody waits any more
}

// newPace returns a pace that holds nobody up yet. It calls catchUp before probes
// begin, so that those that have begun are ready to go on.
func newPace(catchUp func()) *pace {
	return &pace{catchUp: catchUp, budget: unpaced, credit: unpaced}
}

// wait waits for the turn of a probe whose goroutine runs that much later than
// it should, of what it stands, and does meanwhile what is asked of it. It
// returns false if the context ends before.
func (p *pace) wait(ctx context.Context, late, stands time.Duration, asked <-chan struct{}, do func()) bool {
	t := p.ask(time.Now(), share(late, stands))
	if t == nil {
		return true
	}
	for {
		select {
		case moment := <-t.come:
			p.sample(share(time.Since(moment), stands))
			return true
		case <-asked:
			do()
		case <-ctx.Done():
			p.leave(t)
			return false
		}
	}
}

// share is how late something is of what it can stand.
func share(late, stands time.Duration) float64 { return max(0, float64(late)/float64(stands)) }

// leave gives up a turn.
func (p *pace) leave(t *turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.gone = true
}

// ask returns the turn to wait for, nil if it has come.
func (p *pace) ask(now time.Time, late float64) *turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	now = p.advance(now)
	p.serve(now)
	p.samples++
	p.late += late
	if len(p.queue) == 0 && p.credit >= 1 {
		p.begin(now, now)
		return nil
	}
	t := &turn{since: now, come: make(chan time.Time, 1)}
	p.queue = append(p.queue, t)
	p.arm(now)
	return t
}

// begin counts the start of a probe that was ready since a moment.
func (p *pace) begin(now, since time.Time) {
	p.credit--
	p.started++
	p.behind.note(now, since)
}

// sample takes how late a probe starts after its turn has come.
func (p *pace) sample(late float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.samples++
	p.late += late
}

// arm has release called at the end of the slot, if somebody waits.
func (p *pace) arm(now time.Time) {
	if p.armed || len(p.queue) == 0 {
		return
	}
	p.armed = true
	time.AfterFunc(p.end.Sub(now), p.release)
}

// release begins a slot at the end of the one before.
func (p *pace) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	now := p.advance(time.Now())
	p.serve(now)
	p.arm(now)
}

// serve lets those begin whose turn it is.
func (p *pace) serve(now time.Time) {
	for len(p.queue) > 0 && p.credit >= 1 {
		t := p.queue[0]
		p.queue[0], p.queue = nil, p.queue[1:]
		if t.gone {
			continue
		}
		p.begin(now, t.since)
		t.come <- now
	}
}

// advance begins the next slot when the present one is over. It returns the
// present moment: it may take a while.
func (p *pace) advance(now time.Time) time.Time {
	if now.Before(p.end) {
		return now
	}
	p.catchUp()
	now = time.Now()
	p.adapt()
	p.started, p.samples, p.late = 0, 0, 0
	p.credit = p.budget
	p.end = now.Add(paceSlot)
	return now
}

// adapt finds out how many may start in a slot. It takes away faster than it
// gives, as TCP does, so that it swings around what the machine can do.
func (p *pace) adapt() {
	switch {
	case p.started > 0 && p.samples > 0 && p.late/float64(p.samples) > paceLate:
		p.budget = max(minPace, 0.8*min(p.budget, float64(p.started)))
	case len(p.queue) > 0:
		p.budget = min(unpaced, 1.1*p.budget+minPace)
	}
}
