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
// and one for it to become writable.
type watch struct {
	poller  *poller
	ticket  ticket
	in, out waiter

	mu     sync.Mutex
	events uint32 // what the kernel was asked for
}

// waiter is what it takes to wait.
type waiter struct {
	ready chan struct{}
	timer *time.Timer
}

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
	if !deadline.IsZero() {
		waiter.timer.Reset(time.Until(deadline))
		defer waiter.timer.Stop()
	}
	late := false
	for {
		over := false
		select {
		case <-waiter.ready:
		case <-waiter.timer.C: // what has happened before that may not have been told yet
			over = late || time.Since(deadline) < afterPause
			if late = true; !over {
				waiter.timer.Reset(afterPause)
			}
		case <-ctx.Done():
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

// end ends the watch, which nobody may use any more.
func (w *watch) end() {
	w.poller.leave(w.ticket)
	for _, waiter := range []*waiter{&w.in, &w.out} {
		select {
		case <-waiter.ready:
		default:
		}
	}
	w.events = 0
	watches.Put(w)
}
