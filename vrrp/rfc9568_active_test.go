package vrrp

import (
	"testing"
	"time"
)

// TestRFC9568_6_4_3_AddressesAreOurs: an Active router answers for the virtual
// addresses and accepts what is sent to them: it must have them.
func TestRFC9568_6_4_3_AddressesAreOurs(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.wants("pub", "192.168.56.100/24", "")
}

// TestRFC9568_6_4_3_ShutdownSendsPriorityZero: the timer is cancelled, the
// others are told at once, and the state is Initialize.
func TestRFC9568_6_4_3_ShutdownSendsPriorityZero(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.same(b.handle(Shutdown{}),
		sent(0),
		"web active -> initialize (priority 100): shutdown")
	b.firesIn(0)
	b.wants("pub", "", "192.168.56.100/24")
}

// TestRFC9568_6_4_3_AdverTimer: each time it fires an advertisement is sent
// and the timer set again.
func TestRFC9568_6_4_3_AdverTimer(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	start := b.now
	for n := range 3 {
		b.same(b.expire(), sent(100))
		if got, want := b.now.Sub(start), time.Duration(n+1)*second; got != want {
			t.Errorf("advertisement %d after %v, want %v", n+1, got, want)
		}
	}
}

// TestRFC9568_6_4_3_LateAdverTimerKeepsThePeriod: a caller that is a little
// late does not stretch the period; after a long pause one advertisement goes
// out, not all that were missed.
func TestRFC9568_6_4_3_LateAdverTimerKeepsThePeriod(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.wait(second + 10*time.Millisecond)
	b.same(b.handle(Expiry{}), sent(100))
	b.firesIn(second - 10*time.Millisecond)
	b.wait(5 * second)
	b.same(b.handle(Expiry{}), sent(100))
	b.firesIn(second)
	b.same(b.handle(Expiry{}))
	b.wait(2 * second)
	b.same(b.handle(Expiry{}), sent(100))
	b.firesIn(second)
}

// TestRFC9568_6_4_3_PriorityZeroIsAnswered: somebody resigns who was active
// too; an advertisement goes out and Adver_Timer starts afresh.
func TestRFC9568_6_4_3_PriorityZeroIsAnswered(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.wait(second / 2)
	b.same(b.handle(advert(publicRouter(), greaterSource, 0)), sent(100))
	b.inState(Active)
	b.firesIn(second)
}

// TestRFC9568_6_4_3_HigherPriorityMakesBackup: the router yields and waits a
// full Active_Down_Interval. The section has it do so in silence; the last
// advertisement is ours, for the winner of a split to hear of it.
func TestRFC9568_6_4_3_HigherPriorityMakesBackup(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.same(b.handle(advert(publicRouter(), smallerSource, 101)),
		sent(100),
		"web active -> backup (priority 100): 192.168.56.10 is active with priority 101")
	b.inState(Backup)
	b.firesIn(3609375 * time.Microsecond)
	b.wants("pub", "", "192.168.56.100/24")
}

// TestRFC9568_6_4_3_HigherPriorityTeachesTheInterval: the interval of the one
// we yield to is adopted, within the bound.
func TestRFC9568_6_4_3_HigherPriorityTeachesTheInterval(t *testing.T) {
	for interval, learned := range map[time.Duration]time.Duration{
		second / 2: second / 2, 3 * second: 3 * second, MaxInterval: 4 * second,
	} {
		b := newActive(t, groupOf(100, publicRouter()))
		b.handle(advert(publicRouter(), smallerSource, 101, every(interval)))
		b.inState(Backup)
		b.firesIn(activeDownInterval(100, learned))
	}
}

// TestRFC9568_6_4_3_EqualPriorityGreaterAddressMakesBackup: between equals the
// greater primary address wins, compared as a number.
func TestRFC9568_6_4_3_EqualPriorityGreaterAddressMakesBackup(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.same(b.handle(advert(publicRouter(), "192.168.56.100", 100)),
		sent(100),
		"web active -> backup (priority 100): 192.168.56.100 is active with priority 100")
	b.firesIn(3609375 * time.Microsecond)
}

// TestRFC9568_6_4_3_EqualPrioritySmallerAddressIsAnswered: as text 192.168.56.9
// would be the greater one.
func TestRFC9568_6_4_3_EqualPrioritySmallerAddressIsAnswered(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.expire()
	b.same(b.handle(advert(publicRouter(), "192.168.56.9", 100)),
		sent(100),
		"notice web/public second active router of lower priority: 192.168.56.9 is active too, with priority 100",
		announced)
	b.inState(Active)
}

// TestRFC9568_6_4_3_LowerPriorityIsDiscardedAndAnswered: an advertisement goes
// out at once, so that the sender yields and the switches learn the way to us
// again; Adver_Timer goes on as it was.
func TestRFC9568_6_4_3_LowerPriorityIsDiscardedAndAnswered(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.expire()
	b.wait(second / 4)
	b.same(b.handle(advert(publicRouter(), greaterSource, 99)),
		sent(100),
		"notice web/public second active router of lower priority: 192.168.56.30 is active too, with priority 99",
		announced)
	b.inState(Active)
	b.firesIn(second - second/4)
}

// TestTakeOverIsNoContest: who has just taken over hears the last of the one
// before, which is as it should be and no news. After an interval it is.
func TestTakeOverIsNoContest(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	last := advert(publicRouter(), smallerSource, 50)
	b.same(b.handle(last), sent(100))
	b.wait(second - 1)
	b.same(without(b.handle(last), "send"))
	b.wait(1)
	b.same(without(b.handle(last), "send"),
		"notice web/public second active router of lower priority: 192.168.56.10 is active too, with priority 50",
		announced)
}

// TestRFC9568_6_4_3_AssertingAnnouncesNowAndThen: the announcements of the
// other one went to the neighbours' caches. Ours repair them, but at most once
// in an interval; answers are more frequent, and bounded too.
func TestRFC9568_6_4_3_AssertingAnnouncesNowAndThen(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.expire()
	lower := advert(publicRouter(), greaterSource, 99)
	b.same(without(b.handle(lower), "notice"), sent(100), announced)
	b.wait(second - 1)
	b.same(b.handle(lower), sent(100))
	b.wait(1)
	b.same(b.handle(lower), announced)
	b.same(b.expire(), sent(100))
	b.wait(second / 2)
	b.handle(lower) // put off, and made up for
	b.same(b.expire(), sent(100), announced)
	b.same(b.expire(), sent(100))
}

// TestRFC9568_6_4_3_OwnIntervalIsAdvertised: what was learned in Backup is
// forgotten in Active: our own interval is sent, kept, and the one that the
// next silence is measured by.
func TestRFC9568_6_4_3_OwnIntervalIsAdvertised(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150, every(3*second)))
	b.firesIn(activeDownInterval(100, 3*second))
	b.same(without(b.expire(), "web"), sent(100), announced)
	b.firesIn(second)
	b.same(b.expire(), sent(100))
	if got := b.host.Status().Groups[0].Routers[0].ActiveInterval; got != second {
		t.Errorf("status shows interval %v, want %v", got, second)
	}
	b.same(b.handle(Reconfigure{}), sent(0), "web active -> initialize (priority 100): removed from the configuration")
}
