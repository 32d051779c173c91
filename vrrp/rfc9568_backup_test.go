package vrrp

import (
	"testing"
	"time"
)

// TestRFC9568_6_4_2_AddressesAreNotOurs: a Backup router answers no ARP for
// the virtual addresses and accepts no packet to them: it must not have them.
func TestRFC9568_6_4_2_AddressesAreNotOurs(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.wants("pub", "", "192.168.56.100/24")
}

// TestRFC9568_6_4_2_Shutdown: the timer is cancelled and the state is
// Initialize; nothing is sent, for nothing was held.
func TestRFC9568_6_4_2_Shutdown(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.same(b.handle(Shutdown{}), "web backup -> initialize (priority 100): shutdown")
	b.firesIn(0)
}

// TestRFC9568_6_4_2_ActiveDownTimerFires: the router advertises, announces its
// addresses, sets Adver_Timer and is Active, in this order.
func TestRFC9568_6_4_2_ActiveDownTimerFires(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.same(b.expire(),
		sent(100),
		"web backup -> active (priority 100): no advertisement heard",
		announced)
	b.inState(Active)
	b.firesIn(second)
	b.wants("pub", "192.168.56.100/24", "")
}

// TestRFC9568_6_4_2_EarlyExpiryIsHarmless: the timer fires at its time and not
// before it, however often the caller asks.
func TestRFC9568_6_4_2_EarlyExpiryIsHarmless(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	due := b.host.Deadline()
	for _, early := range []time.Duration{3 * second, second, time.Nanosecond} {
		b.now = due.Add(-early)
		b.same(b.handle(Expiry{}))
		b.inState(Backup)
	}
	b.now = due
	b.handle(Expiry{})
	b.inState(Active)
}

// TestRFC9568_6_4_2_PriorityZeroSetsSkewTime: the active router has resigned;
// only Skew_Time is left to wait, so that the best of the others comes first.
func TestRFC9568_6_4_2_PriorityZeroSetsSkewTime(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.wait(second)
	b.same(b.handle(advert(publicRouter(), greaterSource, 0)))
	b.inState(Backup)
	b.firesIn(609375 * time.Microsecond)
	b.same(b.expire(),
		sent(100),
		"web backup -> active (priority 100): 192.168.56.30 resigned",
		announced)
}

// TestRFC9568_6_4_2_PriorityZeroUsesTheLearnedInterval: Skew_Time is a share
// of the interval that the active router advertised.
func TestRFC9568_6_4_2_PriorityZeroUsesTheLearnedInterval(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150, every(2*second)))
	b.handle(advert(publicRouter(), greaterSource, 0, every(2*second)))
	b.firesIn(2 * 609375 * time.Microsecond)
}

// TestRFC9568_6_4_2_HigherOrEqualPriorityRestartsTheTimer: the sender is the
// active router, whatever Preempt_Mode says.
func TestRFC9568_6_4_2_HigherOrEqualPriorityRestartsTheTimer(t *testing.T) {
	for _, preempt := range []bool{true, false} {
		for _, priority := range []uint8{100, 101, 255} {
			g := groupOf(100, publicRouter())
			g.Preempt.Enabled = preempt
			b := newBackup(t, g)
			b.wait(3 * second)
			b.same(b.handle(advert(publicRouter(), smallerSource, priority)))
			b.inState(Backup)
			b.firesIn(3609375 * time.Microsecond)
		}
	}
}

// TestRFC9568_6_4_2_LowerPriorityWithoutPreemptRestartsTheTimer: with
// Preempt_Mode false the active router is left in peace.
func TestRFC9568_6_4_2_LowerPriorityWithoutPreemptRestartsTheTimer(t *testing.T) {
	g := groupOf(100, publicRouter())
	g.Preempt.Enabled = false
	b := newBackup(t, g)
	b.wait(3 * second)
	b.same(b.handle(advert(publicRouter(), greaterSource, 99)))
	b.firesIn(3609375 * time.Microsecond)
}

// TestRFC9568_6_4_2_LowerPriorityWithPreemptIsDiscarded: the timer goes on,
// and at its end the router takes over from the lower one.
func TestRFC9568_6_4_2_LowerPriorityWithPreemptIsDiscarded(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	due := b.host.Deadline()
	for range 3 {
		b.wait(second)
		b.same(b.handle(advert(publicRouter(), greaterSource, 99, every(4*second))),
			firstOf(b, "notice web/public advertisement interval mismatch: 192.168.56.30 advertises 4s, configured is 1s")...)
		if !b.host.Deadline().Equal(due) {
			t.Fatalf("deadline moved from %v to %v", due, b.host.Deadline())
		}
	}
	b.same(b.expire(),
		sent(100),
		"web backup -> active (priority 100): preempting 192.168.56.30 of priority 99",
		announced)
}

// firstOf returns the line in the first second of a test, and none later: a
// notice is given when its cause begins.
func firstOf(b *bench, line string) []string {
	if b.now.Sub(epoch) > second {
		return nil
	}
	return []string{line}
}

// TestRFC9568_6_4_2_IntervalIsLearned: Active_Adver_Interval becomes the one
// advertised, longer or shorter, and Active_Down_Interval follows it.
func TestRFC9568_6_4_2_IntervalIsLearned(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 500 * time.Millisecond, second, 2 * second, 4 * second} {
		b := newBackup(t, groupOf(100, publicRouter()))
		b.handle(advert(publicRouter(), greaterSource, 150, every(interval)))
		b.firesIn(activeDownInterval(100, interval))
		if got := b.host.Status().Groups[0].Routers[0].ActiveInterval; got != interval {
			t.Errorf("status shows %v, want %v", got, interval)
		}
	}
}

// TestRFC9568_6_4_2_LearnedIntervalIsBounded: one forged packet must not delay
// a take-over by minutes. Here we deviate from the RFC and adopt four times
// our own interval at most.
func TestRFC9568_6_4_2_LearnedIntervalIsBounded(t *testing.T) {
	for _, interval := range []time.Duration{4*second + IntervalUnit, MaxInterval} {
		b := newBackup(t, groupOf(100, publicRouter()))
		b.handle(advert(publicRouter(), greaterSource, 150, every(interval)))
		b.firesIn(activeDownInterval(100, 4*second))
	}
}
