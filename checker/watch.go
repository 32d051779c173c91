package checker

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What can be waited for. It is told once each time it comes about.
const (
	readable = unix.EPOLLIN | unix.EPOLLRDHUP
	writable = unix.EPOLLOUT
)

// watch waits for one socket: one goroutine at a time for it to become readable,
// and one for it to become writable, or else one task of a loop.
type watch struct {
	poller  *poller
	ticket  ticket
	task    *task // who waits, if it is one of a loop
	in, out waiter

	mu     sync.Mutex
	events uint32 // what the kernel was asked for
}

// waiter is what it takes to wait.
type waiter struct {
	ready chan struct{}
	timer *time.Timer
}

// sleeper waits until it is told of something.
type sleeper interface {
	// sleep waits until a moment at most, if that is not zero, and not longer than the
	// context.
	sleep(ctx context.Context, until time.Time) wake
}

// wake is why a wait has ended.
type wake uint8

// The ends of a wait.
const (
	wakeTold  wake = iota // something has happened
	wakeDue               // the moment has come
	wakeEnded             // the context has ended
)

// watches are those that nobody uses at present.
var watches = sync.Pool{New: func() any { return &watch{in: newWaiter(), out: newWaiter()} }}

// newWaiter returns a waiter that nobody has told anything.
func newWaiter() waiter {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return waiter{ready: make(chan struct{}, 1), timer: timer}
}

// ask has the kernel tell of more than before.
func (w *watch) ask(events uint32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.events&events == events {
		return nil
	}
	call := unix.EPOLL_CTL_MOD
	if w.events == 0 {
		call = unix.EPOLL_CTL_ADD
	}
	event := unix.EpollEvent{Events: w.events | events | unix.EPOLLET, Fd: w.ticket.fd, Pad: w.ticket.turn}
	if err := controlNow(w.poller.fd, call, int(w.ticket.fd), &event); err != nil {
		return cannotWait(err)
	}
	w.events |= events
	return nil
}

// tell wakes up who waits for what has happened.
func (w *watch) tell(events uint32) {
	if w.task != nil {
		w.task.tell()
		return
	}
	const both = unix.EPOLLERR | unix.EPOLLHUP
	if events&(readable|both) != 0 {
		w.in.tell()
	}
	if events&(writable|both) != 0 {
		w.out.tell()
	}
}

// tell wakes up who waits, now or next.
func (w *waiter) tell() {
	select {
	case w.ready <- struct{}{}:
	default: // it knows already
	}
}

// afterPause is how long what came while this machine was paused may take to get
// here: longer than the least time after which what was lost is sent again (200 ms
// of Linux).
const afterPause = 250 * time.Millisecond

// wait asks the kernel for events and calls done whenever the waiter, that of
// the watch for these events, is told of something, until done returns true. The
// error is os.ErrDeadlineExceeded when the deadline, if there is one, or the
// context comes first; a *LocalError if it cannot wait. If this goroutine runs
// long after the deadline, and the context has not ended, it looks once more for
// what a pause may have held up.
func (w *watch) wait(ctx context.Context, deadline time.Time, waiter *waiter, events uint32, done func() bool) error {
	if err := w.ask(events); err != nil {
		return err
	}
	var s sleeper = waiter
	if w.task != nil {
		s = w.task
	}
	late, until := false, deadline
	for {
		over := false
		switch s.sleep(ctx, until) {
		case wakeTold:
		case wakeDue: // what has happened before that may not have been told yet
			over = late || time.Since(deadline) < afterPause
			if late = true; !over {
				until = time.Now().Add(afterPause)
			}
		case wakeEnded:
			over = true
		}
		switch {
		case done():
			return nil
		case over:
			return os.ErrDeadlineExceeded
		}
	}
}

// sleep implements sleeper.
func (w *waiter) sleep(ctx context.Context, until time.Time) wake {
	if !until.IsZero() {
		w.timer.Reset(time.Until(until))
		defer w.timer.Stop()
	}
	select {
	case <-w.ready:
		return wakeTold
	case <-w.timer.C:
		return wakeDue
	case <-ctx.Done():
		return wakeEnded
	}
}

// end ends the watch, which nobody may use any more.
func (w *watch) end() {
	w.poller.leave(w.ticket)
	for _, waiter := range []*waiter{&w.in, &w.out} {
		select {
		case <-waiter.ready:
		default:
		}
	}
	w.task, w.events = nil, 0
	watches.Put(w)
}
