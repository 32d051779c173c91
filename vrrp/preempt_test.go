package vrrp

import (
	"testing"
	"time"
)

// delayed returns a group that waits for a while before it preempts.
func delayed(delay time.Duration) GroupConfig {
	g := groupOf(100, publicRouter())
	g.Preempt.Delay = delay
	return g
}

// listen gives an advertisement every second and returns how long it took
// until the group became active; it gives up after a minute.
func listen(b *bench, priority func(elapsed time.Duration) uint8) time.Duration {
	start := b.now
	for b.now.Sub(start) < time.Minute {
		b.handle(advert(publicRouter(), smallerSource, priority(b.now.Sub(start))))
		next := b.now.Add(second)
		if d := b.host.Deadline(); !d.After(next) {
			b.expire()
			return b.now.Sub(start)
		}
		b.now = next
	}
	return 0
}

// always returns one priority at any time.
func always(p uint8) func(time.Duration) uint8 { return func(time.Duration) uint8 { return p } }

// TestPreemptDelay: the delay counts from the first advertisement of lower
// priority; until then it is accepted, so that Active_Down_Interval follows
// the last one accepted.
func TestPreemptDelay(t *testing.T) {
	tests := []struct{ delay, want time.Duration }{
		{0, down100},
		{second, down100},
		{30 * second, 29*second + down100},
		{30*second + 1, 30*second + down100},
	}
	for _, tt := range tests {
		b := newBackup(t, delayed(tt.delay))
		if got := listen(b, always(50)); got != tt.want {
			t.Errorf("delay %v: active after %v, want %v", tt.delay, got, tt.want)
		}
	}
}

// TestPreemptDelayStartsAgain: a router of higher priority that was active in
// between ends the wait; the next lower one is given the whole delay.
func TestPreemptDelayStartsAgain(t *testing.T) {
	b := newBackup(t, delayed(10*second))
	got := listen(b, func(elapsed time.Duration) uint8 {
		if elapsed == 8*second {
			return 150
		}
		return 50
	})
	if want := 9*second + 9*second + down100; got != want {
		t.Errorf("active after %v, want %v", got, want)
	}
}

// TestPreemptDelayAfterYielding: the wait of an earlier time as Backup does
// not count.
func TestPreemptDelayAfterYielding(t *testing.T) {
	b := newBackup(t, delayed(10*second))
	listen(b, always(50))
	b.inState(Active)
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.inState(Backup)
	b.wait(second)
	if got, want := listen(b, always(50)), 9*second+down100; got != want {
		t.Errorf("active after %v, want %v", got, want)
	}
}

// TestPreemptDelayDoesNotDelayTakeOver: it concerns a router that is there; a
// dead or resigning one is replaced without it.
func TestPreemptDelayDoesNotDelayTakeOver(t *testing.T) {
	b := newBackup(t, delayed(time.Minute))
	b.firesIn(down100)
	b.handle(advert(publicRouter(), smallerSource, 50))
	b.firesIn(down100)
	b.handle(advert(publicRouter(), smallerSource, 0))
	b.firesIn(skew100)
	b.expire()
	b.inState(Active)
}

// TestNoPreempt: a router of lower priority that is active stays so.
func TestNoPreempt(t *testing.T) {
	g := groupOf(100, publicRouter())
	g.Preempt.Enabled = false
	if got := listen(newBackup(t, g), always(50)); got != 0 {
		t.Errorf("active after %v, want never", got)
	}
}
