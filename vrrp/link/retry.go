package link

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// The bounds of the pause between two attempts at what failed.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// backoff is the growing pause between attempts. The zero value is ready.
type backoff struct{ pause time.Duration }

// next returns the pause before the next attempt.
func (b *backoff) next() time.Duration {
	b.pause = min(max(2*b.pause, firstRetry), lastRetry)
	return b.pause
}

// reset starts again with the shortest pause.
func (b *backoff) reset() { b.pause = 0 }

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// problem is something that fails and is being retried, for others to read.
// Only its owner changes it.
type problem struct{ text atomic.Pointer[string] }

// set shows a failure and logs it if it is another one than before. The
// interface may be empty.
func (p *problem) set(log *slog.Logger, iface string, err error) {
	if p.show(iface, err) {
		log.Error("retrying", "interface", iface, "error", err)
	}
}

// show shows a failure and reports whether it is another one than before. The
// interface may be empty.
func (p *problem) show(iface string, err error) bool {
	text := err.Error()
	if iface != "" {
		text = iface + ": " + text
	}
	old := p.text.Swap(&text)
	return old == nil || *old != text
}

// clear says that it works again.
func (p *problem) clear() { p.text.Store(nil) }

// get returns the text, empty if there is no problem.
func (p *problem) get() string {
	if t := p.text.Load(); t != nil {
		return *t
	}
	return ""
}

// bell wakes one goroutine; rings that it has not heard yet are one ring.
type bell chan struct{}

// newBell returns a silent bell.
func newBell() bell { return make(bell, 1) }

// ring wakes the listener. It never waits.
func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
