package link

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadinessTellsOnce wakes nobody for what arrives after it has told, and
// tells of it when it is asked again.
func TestReadinessTellsOnce(t *testing.T) {
	c, far := looped(t)
	tells := func() bool {
		var n int
		must(t, c.ready.raw.Control(func(instance uintptr) {
			var err error
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(instance), Events: unix.POLLIN}}, 0)
			must(t, err)
		}))
		return n > 0
	}
	if tells() {
		t.Error("it tells of an empty socket")
	}
	for range 3 {
		put(t, far, 1, []byte("a packet"))
		if tells() {
			t.Error("it tells although nobody has asked")
		}
		must(t, c.ready.wait())
	}
	must(t, c.Close())
	if err := c.ready.wait(); err == nil {
		t.Error("it waits for a socket that was closed")
	}
}

// TestReadinessOfNothing fails where there is no socket to watch.
func TestReadinessOfNothing(t *testing.T) {
	c, _ := looped(t)
	must(t, c.Close())
	if r, err := newReadiness(c.raw); err == nil {
		_ = r.close()
		t.Error("it watches a socket that was closed")
	}
}
