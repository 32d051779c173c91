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

// told is how often a waiter was told of something since the last time.
func told(w *waiter) int {
	n := len(w.ready)
	for range n {
		<-w.ready
	}
	return n
}

// What has happened to a socket that is closed is not told to who waits for
// another with its number.
func TestPollerTellsTheRightOne(t *testing.T) {
	p, _ := idlePoller(t)
	old := p.watch(7)
	former := old.ticket
	old.end()
	present := p.watch(7) // it may be the same again
	p.tell([]unix.EpollEvent{{Fd: former.fd, Pad: former.turn, Events: unix.EPOLLIN | unix.EPOLLOUT}})
	if told(&present.in)+told(&present.out) != 0 {
		t.Error("told of a socket that is closed")
	}
	for events, want := range map[uint32][2]int{
		unix.EPOLLIN: {1, 0}, unix.EPOLLOUT: {0, 1}, unix.EPOLLRDHUP: {1, 0},
		unix.EPOLLERR: {1, 1}, unix.EPOLLHUP: {1, 1}, unix.EPOLLIN | unix.EPOLLOUT: {1, 1},
	} {
		for range 2 { // the second time it knows already
			p.tell([]unix.EpollEvent{{Fd: present.ticket.fd, Pad: present.ticket.turn, Events: events}})
		}
		if got := [2]int{told(&present.in), told(&present.out)}; got != want {
			t.Errorf("events %#x: the reader and the writer were told %d times, want %d", events, got, want)
		}
	}
	present.in.tell()
	present.end()
	if len(p.watches) != 0 {
		t.Errorf("%d are still watched", len(p.watches))
	}
	if told(&present.in) != 0 {
		t.Error("the next to use it will be told of what has happened to another socket")
	}
}

// Who uses a watch after a task is no task.
func TestWatchForgetsTask(t *testing.T) {
	p, _ := idlePoller(t)
	w := p.watch(7)
	w.task = &task{}
	w.end()
	if w.task != nil {
		t.Error("the next to use it will tell a task of another socket")
	}
}

// A poll tells all that has happened, however much, and once.
func TestPollerPolls(t *testing.T) {
	for _, count := range []int{1, atOnce, atOnce + 1} {
		p, _ := idlePoller(t)
		var all []*watch
		for range count {
			_, fd := idlePoller(t)
			w := p.watch(fd)
			defer w.end()
			if err := w.ask(writable); err != nil {
				t.Fatal(err)
			}
			all = append(all, w)
		}
		for polls, want := range []int{1, 0} {
			p.poll()
			for _, w := range all {
				if got := told(&w.out); got != want {
					t.Fatalf("%d sockets, poll %d: one was told %d times, want %d", count, polls, got, want)
				}
			}
		}
	}
}

// At the deadline the socket is looked at once more: a director that is busy may
// not have heard yet that it was connected in time.
func TestWatchLooksAtTheEnd(t *testing.T) {
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
				w := p.watch(fd)
				defer w.end()
				ctx, deadline := limit()
				err := w.wait(ctx, deadline, &w.in, readable, func() bool { return connected })
				if connected && err != nil || !connected && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				select {
				case <-w.in.timer.C:
					t.Error("the timer still runs")
				case <-time.After(10 * time.Millisecond):
				}
			})
		}
	}
}

// Who looks long after the deadline looks once more: what came while the machine
// was paused may not be there yet.
func TestWatchLooksAfterPause(t *testing.T) {
	p, fd := idlePoller(t)
	w := p.watch(fd)
	defer w.end()
	for connected, want := range map[int]error{1: nil, 2: nil, 3: os.ErrDeadlineExceeded} {
		looks := 0
		err := w.wait(t.Context(), time.Now().Add(-time.Second), &w.in, readable, func() bool {
			looks++
			return looks == connected
		})
		if !errors.Is(err, want) || looks != min(connected, 2) {
			t.Errorf("connected at look %d: %v after %d", connected, err, looks)
		}
	}
}

// A poller that cannot wait says nothing about the target.
func TestWatchCannotWait(t *testing.T) {
	p, _ := idlePoller(t)
	w := p.watch(-1)
	defer w.end()
	var local *LocalError
	if err := w.wait(t.Context(), time.Time{}, &w.in, readable, func() bool { return true }); !errors.As(err, &local) {
		t.Errorf("%v, want that it is this director's fault", err)
	}
}

// The kernel is asked for more as more is waited for, and tells of what is so
// already.
func TestWatchAsks(t *testing.T) {
	p, fd := idlePoller(t)
	w := p.watch(fd)
	defer w.end()
	events := make([]unix.EpollEvent, atOnce)
	for _, step := range []struct {
		ask  uint32
		want int // events
	}{{readable, 0}, {writable, 1}, {readable, 0}, {readable | writable, 0}} {
		if err := w.ask(step.ask); err != nil {
			t.Fatal(err)
		}
		n, err := unix.EpollWait(p.fd, events, 0)
		if err != nil || n != step.want {
			t.Fatalf("asked for %#x: %d events, %v, want %d", step.ask, n, err, step.want)
		}
		p.tell(events[:n])
		if got := [2]int{told(&w.in), told(&w.out)}; got != [2]int{0, step.want} {
			t.Errorf("asked for %#x: told %d", step.ask, got)
		}
	}
}
