package checker

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// idlePoller returns a poller that does not run, and so tells nothing by itself,
// and a socket.
func idlePoller(t *testing.T) (p *poller, fd int) {
	t.Helper()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.file.Close(), unix.Close(pair[0]), unix.Close(pair[1])); err != nil {
			t.Error(err)
		}
	})
	return p, pair[0]
}

// What has happened to a socket that is closed is not told to who waits for
// another with its number.
func TestPollerTellsTheRightOne(t *testing.T) {
	p, _ := idlePoller(t)
	first, second := make(chan struct{}, 1), make(chan struct{}, 1)
	old := p.enter(7, first)
	p.leave(old)
	present := p.enter(7, second)
	p.tell([]unix.EpollEvent{{Fd: old.fd, Pad: old.turn}})
	if len(first)+len(second) != 0 {
		t.Error("told of a socket that is closed")
	}
	for range 2 { // the second time it knows already
		p.tell([]unix.EpollEvent{{Fd: present.fd, Pad: present.turn}})
	}
	if len(first) != 0 || len(second) != 1 {
		t.Errorf("the first was told %d times, the second %d times", len(first), len(second))
	}
	p.leave(present)
	if len(p.waiting) != 0 {
		t.Errorf("%d still wait", len(p.waiting))
	}
}

// At the deadline the socket is looked at once more: a director that is busy may
// not have heard yet that it was connected in time.
func TestPollerLooksAtTheEnd(t *testing.T) {
	for name, connected := range map[string]bool{"connected": true, "not connected": false} {
		for end, limit := range map[string]func() (context.Context, time.Time){
			"deadline": func() (context.Context, time.Time) { return t.Context(), time.Now() },
			"context": func() (context.Context, time.Time) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return ctx, time.Time{}
			},
		} {
			t.Run(name+" "+end, func(t *testing.T) {
				p, fd := idlePoller(t)
				ctx, deadline := limit()
				err := p.wait(ctx, fd, deadline, func() bool { return connected })
				if connected && err != nil || !connected && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				if len(p.waiting) != 0 {
					t.Error("it still waits")
				}
			})
		}
	}
}

// A poller that cannot wait says nothing about the target.
func TestPollerCannotWait(t *testing.T) {
	p, _ := idlePoller(t)
	var local *LocalError
	if err := p.wait(t.Context(), -1, time.Time{}, func() bool { return true }); !errors.As(err, &local) {
		t.Errorf("%v, want that it is this director's fault", err)
	}
}

// Who has waited is told nothing of it afterwards.
func TestWaiterForgets(t *testing.T) {
	w := waiters.New().(*waiter)
	w.timer.Reset(time.Nanosecond)
	w.ready <- struct{}{}
	w.forget()
	select {
	case <-w.ready:
		t.Error("told of what has happened to another socket")
	case <-w.timer.C:
		t.Error("told of another's deadline")
	case <-time.After(10 * time.Millisecond):
	}
}
