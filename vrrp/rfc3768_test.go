package vrrp

import (
	"testing"
	"time"
)

// oldSent returns the text of an advertisement of version 2 of the public
// router.
func oldSent(priority uint8) string { return sent(priority) + " version 2" }

// TestRFC3768_6_1_SkewTimeIsAShareOfASecond: whatever the interval is, a
// router waits (256 - priority) / 256 of a second longer than three of them.
func TestRFC3768_6_1_SkewTimeIsAShareOfASecond(t *testing.T) {
	for _, tt := range []struct {
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{100, second, 3609375 * time.Microsecond},
		{100, 5 * second, 15609375 * time.Microsecond},
		{254, 10 * second, 30*second + 7812500},
		{1, 40 * second, 120*second + 996093750},
	} {
		b := newBackup(t, with(groupOf(tt.priority, old(publicRouter(), "")), withInterval(tt.interval)))
		b.firesIn(tt.want)
	}
}

// TestRFC3768_6_4_1_OwnerStartsActive: as in version 3.
func TestRFC3768_6_4_1_OwnerStartsActive(t *testing.T) {
	b := newBench(t, groupOf(Owner, old(publicRouter(), "")))
	b.same(b.up("pub"), oldSent(255), "web initialize -> active (priority 255): owner of the addresses", announced)
	b.firesIn(second)
}

// TestRFC3768_6_4_2_PriorityZeroSetsSkewTime: which is a share of a second.
func TestRFC3768_6_4_2_PriorityZeroSetsSkewTime(t *testing.T) {
	rc := old(publicRouter(), "")
	b := newBackup(t, with(groupOf(100, rc), withInterval(5*second)))
	b.handle(advert(rc, greaterSource, 150, every(5*second)))
	b.wait(second)
	b.same(b.handle(advert(rc, greaterSource, 0, every(5*second))))
	b.firesIn(skew100)
	b.same(without(b.expire(), "send"), "web backup -> active (priority 100): 192.168.56.30 resigned", announced)
	b.firesIn(5 * second)
}

// TestRFC3768_6_4_2_MasterDownTimer: it is set anew by who has at least our
// priority, or by anybody if we do not preempt; who has less is discarded.
func TestRFC3768_6_4_2_MasterDownTimer(t *testing.T) {
	rc := old(publicRouter(), "")
	for _, tt := range []struct {
		priority uint8
		preempt  bool
		restarts bool
	}{
		{150, true, true}, {100, true, true}, {99, true, false}, {99, false, true}, {255, false, true},
	} {
		g := groupOf(100, rc)
		g.Preempt.Enabled = tt.preempt
		b := newBackup(t, g)
		b.wait(second)
		b.same(b.handle(advert(rc, smallerSource, tt.priority)))
		want := down100
		if !tt.restarts {
			want -= second
		}
		b.firesIn(want)
	}
}

// TestRFC3768_6_4_3_Master: the Adver_Timer, priority 0, who is greater and who
// is smaller, and the end.
func TestRFC3768_6_4_3_Master(t *testing.T) {
	rc := old(publicRouter(), "")
	b := newActive(t, groupOf(100, rc))
	b.same(b.expire(), oldSent(100))
	b.wait(second / 2)
	b.same(b.handle(advert(rc, greaterSource, 0)), oldSent(100), announced)
	b.firesIn(second)
	b.wait(second / answerShare)
	b.same(without(b.handle(advert(rc, greaterSource, 99)), "notice"), oldSent(100))
	b.same(without(b.handle(advert(rc, smallerSource, 100)), "notice"))
	b.inState(Active)
	b.same(b.handle(advert(rc, greaterSource, 100)),
		oldSent(100), "web active -> backup (priority 100): 192.168.56.30 is active with priority 100")
	b.firesIn(down100)
	b.expire()
	b.same(b.handle(Shutdown{}), oldSent(0), "web active -> initialize (priority 100): shutdown")
}

// TestRFC3768_7_1_Interval: the interval must be ours to the second, for it is
// assumed and not learned.
func TestRFC3768_7_1_Interval(t *testing.T) {
	rc := old(publicRouter(), "")
	b := newBackup(t, with(groupOf(100, rc), withInterval(2*second)))
	b.wait(second)
	b.same(b.handle(advert(rc, greaterSource, 150)),
		"notice web/public advertisements dropped: from 192.168.56.30: interval: 1s, configured is 2s")
	b.firesIn(activeDownInterval(100, second) + 3*second - second)
	b.same(b.handle(advert(rc, greaterSource, 150, every(2*second))))
	b.firesIn(6*second + skew100)
}

// TestRFC3768_7_1_IntervalIsReloaded: a new interval holds at once, for what is
// heard and for what is sent.
func TestRFC3768_7_1_IntervalIsReloaded(t *testing.T) {
	rc := old(publicRouter(), "")
	b := newActive(t, groupOf(100, rc))
	b.same(b.reload(with(groupOf(100, rc), withInterval(3*second))),
		"send pub 192.168.56.20 -> 224.0.0.18 vrid 56 priority 100 interval 3s 192.168.56.100 version 2")
	if got := b.fateOf(advert(rc, greaterSource, 150)); got != DropInterval {
		t.Errorf("with the interval of before: %v, want %v", got, DropInterval)
	}
	if got := b.fateOf(advert(rc, greaterSource, 150, every(3*second))); got != NotDropped {
		t.Errorf("with the new one: %v", got)
	}
}

// TestRFC2338_5_3_6_Password: the Simple Text Password, of any length that the
// field has, is sent, and demanded to the last octet.
func TestRFC2338_5_3_6_Password(t *testing.T) {
	for _, password := range []string{"", "a", "s3cret", "12345678"} {
		rc := old(publicRouter(), password)
		b := newBackup(t, groupOf(100, rc))
		for _, other := range []string{"", "a", "b", "s3cret", "S3cret", "12345678", "1234567", "12345679"} {
			want := DropPassword
			if other == password {
				want = NotDropped
			}
			if got := b.fateOf(advert(old(publicRouter(), other), greaterSource, 150)); got != want {
				t.Errorf("password %q, heard %q: %v, want %v", password, other, got, want)
			}
		}
	}
}

// TestRFC2338_5_3_6_DataWithoutPassword: with Auth Type 0 the authentication
// data is ignored.
func TestRFC2338_5_3_6_DataWithoutPassword(t *testing.T) {
	b := newBackup(t, groupOf(100, old(publicRouter(), "")))
	p := payloadOf(advert(old(publicRouter(), "leftover"), greaterSource, 150), func(b []byte) []byte {
		b[4] = authenticationNone
		return resum2(b)
	})
	if got := b.fateOf(p); got != NotDropped {
		t.Errorf("got %v", got)
	}
}

// TestVersionsDoNotMix: a router hears its own version only, and says which.
func TestVersionsDoNotMix(t *testing.T) {
	two := old(publicRouter(), "")
	for said, pair := range map[string][2]RouterConfig{"2, configured is 3": {publicRouter(), two}, "3, configured is 2": {two, publicRouter()}} {
		b := newBackup(t, groupOf(100, pair[0]))
		b.same(b.handle(advert(pair[1], greaterSource, 150)),
			"notice web/public advertisements dropped: from 192.168.56.30: version: "+said)
		b.firesIn(down100)
	}
}

// TestVersionIsReloaded: the next advertisement is of the new version, and no
// timer moves. The one before is heard no longer.
func TestVersionIsReloaded(t *testing.T) {
	b := newActive(t, groupOf(100, old(publicRouter(), "s3cret")))
	b.wait(second / 2)
	b.same(b.reload(groupOf(100, publicRouter())))
	b.firesIn(second / 2)
	b.same(b.expire(), sent(100))
	if got := b.fateOf(advert(old(publicRouter(), "s3cret"), greaterSource, 150)); got != DropVersion {
		t.Errorf("the version of before: %v, want %v", got, DropVersion)
	}
}
