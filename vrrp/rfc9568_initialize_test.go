package vrrp

import (
	"testing"
	"time"
)

// The tests of these files follow RFC 9568 clause by clause with a group of
// one virtual router, where a group is that section to the letter.

// TestRFC9568_6_1_SkewTime: the share of Active_Adver_Interval by which a
// router takes over later than one of the highest priority, in 256ths.
func TestRFC9568_6_1_SkewTime(t *testing.T) {
	tests := []struct {
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{255, time.Second, 3906250},
		{254, time.Second, 7812500},
		{200, time.Second, 218750 * time.Microsecond},
		{100, time.Second, 609375 * time.Microsecond},
		{1, time.Second, 996093750},
		{100, 10 * time.Millisecond, 6093750},
		{1, MaxInterval, 40790039062},
	}
	for _, tt := range tests {
		if got := skewTime(tt.priority, tt.interval); got != tt.want {
			t.Errorf("priority %d, interval %v: %v, want %v", tt.priority, tt.interval, got, tt.want)
		}
	}
}

// TestRFC9568_6_1_ActiveDownInterval: three intervals of silence and
// Skew_Time on top.
func TestRFC9568_6_1_ActiveDownInterval(t *testing.T) {
	tests := []struct {
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{255, time.Second, 3003906250},
		{100, time.Second, 3609375 * time.Microsecond},
		{1, time.Second, 3996093750},
		{100, 100 * time.Millisecond, 360937500},
	}
	for _, tt := range tests {
		if got := activeDownInterval(tt.priority, tt.interval); got != tt.want {
			t.Errorf("priority %d, interval %v: %v, want %v", tt.priority, tt.interval, got, tt.want)
		}
	}
}

// TestRFC9568_6_4_1_OwnerStartsActive: at Startup the router of priority 255
// advertises, announces its addresses, sets Adver_Timer and is Active.
func TestRFC9568_6_4_1_OwnerStartsActive(t *testing.T) {
	b := newBench(t, groupOf(Owner, publicRouter()))
	b.firesIn(0)
	b.same(b.up("pub"),
		sent(255),
		"web initialize -> active (priority 255): owner of the addresses",
		announced)
	b.inState(Active)
	b.firesIn(second)
}

// TestRFC9568_6_4_1_OthersStartAsBackup: at Startup any other router sends
// nothing, takes its own interval for Active_Adver_Interval, sets
// Active_Down_Timer and is Backup.
func TestRFC9568_6_4_1_OthersStartAsBackup(t *testing.T) {
	b := newBench(t, groupOf(100, publicRouter()))
	b.same(b.up("pub"), "web initialize -> backup (priority 100): interfaces ready")
	b.inState(Backup)
	b.firesIn(3609375 * time.Microsecond)
	if got := b.host.Status().Groups[0].Routers[0].ActiveInterval; got != second {
		t.Errorf("Active_Adver_Interval is %v, want %v", got, second)
	}
}

// TestRFC9568_6_4_1_StartupForgetsTheLearnedInterval: a router that comes back
// from a fault begins with its own interval, whatever it had learned before.
func TestRFC9568_6_4_1_StartupForgetsTheLearnedInterval(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150, every(2*second)))
	b.firesIn(activeDownInterval(100, 2*second))
	b.down("pub")
	b.up("pub")
	b.firesIn(activeDownInterval(100, second))
}

// TestRFC9568_6_4_1_NothingIsHeardInInitialize: the state waits for Startup
// alone; an advertisement neither starts it nor sets a timer.
func TestRFC9568_6_4_1_NothingIsHeardInInitialize(t *testing.T) {
	for _, priority := range []uint8{0, 1, 100, 255} {
		b := newBench(t, groupOf(100, publicRouter()))
		b.same(b.handle(advert(publicRouter(), smallerSource, priority)))
		b.inState(Initialize)
		b.firesIn(0)
		b.wait(time.Hour)
		b.same(b.handle(Expiry{}))
		b.wants("pub", "", "192.168.56.100/24")
	}
}
