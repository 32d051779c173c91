package checker

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for all sockets that connect. The runtime could wait for each
// of them, but only as for a file, which costs as much as the connection does.
// What the poller waits with is itself a file that the runtime waits for, so that
// it takes no thread.
type poller struct {
	file *os.File // of epoll(7)
	fd   int      // the same

	mu      sync.Mutex
	turn    int32
	waiting map[ticket]chan<- struct{}
}

// ticket tells who waits for a socket. A number of a socket that is closed is
// soon another's, and what has happened to the first may come late.
type ticket struct{ fd, turn int32 }

// waiter is what it takes to wait. It is used again and again.
type waiter struct {
	ready chan struct{}
	timer *time.Timer
}

// waiters are those that nobody uses at present.
var waiters = sync.Pool{New: func() any {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &waiter{ready: make(chan struct{}, 1), timer: timer}
}}

// thePoller is the one of this process, once there is one.
var thePoller struct {
	sync.Mutex
	*poller
}

// sharedPoller returns the poller of this process. It is there until the
// process ends. The error is a *LocalError, and may be over soon.
func sharedPoller() (*poller, error) {
	thePoller.Lock()
	defer thePoller.Unlock()
	if thePoller.poller == nil {
		p, err := newPoller()
		if err != nil {
			return nil, err
		}
		thePoller.poller = p
		go p.run()
	}
	return thePoller.poller, nil
}

// newPoller returns a poller that is yet to run.
func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, cannotWait(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else the runtime would not wait for it
		_ = unix.Close(fd)
		return nil, cannotWait(err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	// That the runtime could not watch it, it says only of what cannot wait.
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		_ = file.Close()
		return nil, cannotWait(err)
	}
	return &poller{file: file, fd: fd, waiting: map[ticket]chan<- struct{}{}}, nil
}

// cannotWait is the error of a system call without which nothing can be waited
// for. Whatever it is, no target has a part in it.
func cannotWait(err error) error {
	return &LocalError{Reason: "epoll: " + err.Error() + " on this director"}
}

// atOnce is how many events are read at once.
const atOnce = 128

// run tells those who wait what has happened, until the file is closed.
func (p *poller) run() {
	events := make([]unix.EpollEvent, atOnce)
	raw, err := p.file.SyscallConn()
	for err == nil {
		n := 0
		err = raw.Read(func(fd uintptr) bool {
			_ = retry(func() (err error) { // nothing else can go wrong
				n, err = unix.EpollWait(int(fd), events, 0)
				return err
			})
			return n > 0
		})
		p.tell(events[:max(n, 0)])
	}
}

// tell wakes up those whose sockets something has happened to.
func (p *poller) tell(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		select {
		case p.waiting[ticket{e.Fd, e.Pad}] <- struct{}{}:
		default: // who waits is gone, or knows already
		}
	}
}

// wait calls done whenever something has happened to a socket, until that
// returns true. The error is os.ErrDeadlineExceeded when the deadline, if there
// is one, or the context comes first; a *LocalError if it cannot wait. It is
// called once for a socket.
func (p *poller) wait(ctx context.Context, fd int, deadline time.Time, done func() bool) error {
	w := waiters.Get().(*waiter)
	t := p.enter(fd, w.ready)
	defer func() {
		p.leave(t)
		w.forget()
		waiters.Put(w)
	}()
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLET, Fd: t.fd, Pad: t.turn}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return cannotWait(err)
	}
	if !deadline.IsZero() {
		w.timer.Reset(time.Until(deadline))
	}
	for {
		over := false
		select {
		case <-w.ready:
		case <-w.timer.C: // what has happened before that may not have been told yet
			over = true
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

// enter notes who waits for a socket.
func (p *poller) enter(fd int, ready chan<- struct{}) ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	t := ticket{int32(fd), p.turn}
	p.waiting[t] = ready
	return t
}

// leave forgets who waits for a socket.
func (p *poller) leave(t ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, t)
}

// forget makes a waiter that nobody tells anything any more as good as new.
func (w *waiter) forget() {
	w.timer.Stop()
	select {
	case <-w.ready:
	default:
	}
}
