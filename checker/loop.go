package checker

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// loop makes the probes of many checks in turn. A probe that has to wait for its
// target gives way to others (coroutine). With a goroutine for each check the runtime
// decides what runs next, and it does not decide for the one that has waited longest:
// on a director that is busy, probes begin and do not end.
//
// What comes first is a probe whose target has answered, then one that has come to
// its deadline, and then the start that is the longest overdue. If the machine cannot
// make all that are due, they start late, and so are fewer, but none takes longer than
// its target does.
type loop struct {
	poller *poller
	raw    syscall.RawConn // of the poller's file
	behind backlog
	load   float64       // starts a second of all its checks; of the pool
	ended  chan struct{} // closed when run has returned

	// Of the goroutine of run:
	closed  bool
	awake   time.Time    // since when it has not slept
	idle    queue        // until their starts
	waiting queue        // within a probe, until its deadline
	ready   []*task      // within a probe, and told of something
	spare   []*coroutine // without a probe

	mu       sync.Mutex // held while the deadline of the poller's file is set, too
	requests []func()
}

const (
	// tasksAtOnce is after how many probes, or parts of them, the loop looks for what
	// has become more urgent, and lets the rest of this process run.
	tasksAtOnce = 16
	// maxSpare is how many coroutines are kept for probes to come. More have been
	// needed only while many targets were silent.
	maxSpare = 64
	// longest is how long the loop sleeps at most. Nothing depends on it.
	longest = time.Hour
)

// newLoop returns a loop without checks, which is yet to run.
func newLoop() (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	raw, err := p.file.SyscallConn()
	if err != nil {
		_ = p.file.Close()
		return nil, cannotWait(err)
	}
	return &loop{poller: p, raw: raw, ended: make(chan struct{})}, nil
}

// close ends the loop, whose checks have ended, and waits for it.
func (l *loop) close() {
	l.ask(func() { l.closed = true })
	<-l.ended
}

// ask has the loop call f, and does not wait for that.
func (l *loop) ask(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.requests = append(l.requests, f); len(l.requests) == 1 {
		l.sleepUntil(longPast)
	}
}

// run makes probes until the loop is closed.
func (l *loop) run() {
	defer close(l.ended)
	defer func() {
		if !l.closed { // runtime.Goexit, which only a test calls
			panic("checker: a report has ended the loop")
		}
	}()
	for !l.closed {
		l.turn()
	}
	for _, c := range l.spare {
		c.stop()
	}
	_ = l.poller.file.Close()
}

// turn does what there is to do, or waits until there is something.
func (l *loop) turn() {
	l.answer()
	switch {
	case l.closed:
	case l.round():
		runtime.Gosched()
	default:
		l.sleep()
	}
}

// answer does what was asked for, all of it: nothing of that takes long.
func (l *loop) answer() {
	l.mu.Lock()
	requests := l.requests
	l.requests = nil
	l.mu.Unlock()
	for _, request := range requests {
		request()
	}
}

// round runs what is most urgent, and returns whether there is more.
func (l *loop) round() bool {
	if len(l.waiting) > 0 {
		l.poller.poll()
	}
	for range tasksAtOnce {
		if !l.step(time.Now()) {
			return false
		}
	}
	return true
}

// step runs what is most urgent, if anything is to be run.
func (l *loop) step(now time.Time) bool {
	if len(l.ready) > 0 {
		t := l.ready[0]
		l.ready[0], l.ready = nil, l.ready[1:]
		if t.coroutine != nil { // else the check has ended
			t.resume(wakeTold)
		}
		return true
	}
	if t := l.waiting.first(now); t != nil {
		t.resume(wakeDue)
		return true
	}
	if t := l.idle.first(now); t != nil {
		l.behind.note(now, later(t.at, l.awake)) // a pause is no backlog
		t.start()
		return true
	}
	return false
}

// sleep waits until there is something to do.
func (l *loop) sleep() {
	next := time.Now().Add(longest)
	for _, q := range []queue{l.idle, l.waiting} {
		if len(q) > 0 && q[0].at.Before(next) {
			next = q[0].at
		}
	}
	l.mu.Lock()
	if len(l.requests) == 0 {
		l.sleepUntil(next)
	}
	l.mu.Unlock()
	// What it returns is that the deadline has come.
	_ = l.raw.Read(func(uintptr) bool {
		if len(l.waiting) > 0 {
			l.poller.poll()
		}
		return len(l.ready) > 0
	})
	l.awake = time.Now()
}

// later returns the later of two moments.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sleepUntil ends the sleep, or the next one, at a moment.
func (l *loop) sleepUntil(moment time.Time) { _ = l.poller.file.SetReadDeadline(moment) }

// coroutine returns one for a probe.
func (l *loop) coroutine() *coroutine {
	if n := len(l.spare); n > 0 {
		c := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return c
	}
	return newCoroutine()
}

// release takes back a coroutine whose probe has ended.
func (l *loop) release(c *coroutine) {
	if len(l.spare) < maxSpare {
		l.spare = append(l.spare, c)
	} else {
		c.stop()
	}
}
