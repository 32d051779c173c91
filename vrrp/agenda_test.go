package vrrp

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// waiting returns a group with one deadline; zero for none.
func waiting(deadline time.Time) *group {
	return &group{state: Active, index: -1, routers: []*router{{deadline: deadline}}}
}

// TestAgendaIsTheMinimum moves the deadlines of groups at random, to earlier
// and later times and to none, and compares the agenda with the plain minimum.
func TestAgendaIsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() time.Time {
			n := rapid.IntRange(-3, 30).Draw(t, "deadline")
			if n < 0 {
				return time.Time{}
			}
			return epoch.Add(time.Duration(n) * time.Second)
		}
		groups := make([]*group, rapid.IntRange(0, 12).Draw(t, "groups"))
		for i := range groups {
			groups[i] = waiting(draw())
		}
		a := newAgenda(groups)
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			if len(groups) > 0 {
				g := rapid.SampledFrom(groups).Draw(t, "group")
				g.routers[0].deadline = draw()
				a.note(g)
			}
			// Not every change is followed by a question: what is put off must
			// not be lost.
			if rapid.Bool().Draw(t, "ask") {
				compareAgenda(t, &a, groups)
			}
		}
		compareAgenda(t, &a, groups)
	})
}

// compareAgenda compares the first of an agenda with the earliest of all
// groups, and looks whether each knows its place.
func compareAgenda(t *rapid.T, a *agenda, groups []*group) {
	var want time.Time
	waits := 0
	for _, g := range groups {
		d := g.deadline()
		if d.IsZero() != (g.index < 0) {
			t.Fatalf("a group with deadline %v is at place %d", d, g.index)
		}
		if d.IsZero() {
			continue
		}
		waits++
		if want.IsZero() || d.Before(want) {
			want = d
		}
	}
	got := a.first()
	switch {
	case got == nil && !want.IsZero():
		t.Fatalf("nothing is first, the minimum is %v", want)
	case got != nil && (!got.deadline().Equal(want) || !got.wake.Equal(want)):
		t.Fatalf("first is %v with deadline %v, the minimum is %v", got.wake, got.deadline(), want)
	case len(a.groups) != waits:
		t.Fatalf("%d groups in the agenda, %d wait", len(a.groups), waits)
	}
	for i, g := range a.groups {
		if g.index != i {
			t.Fatalf("the group at %d believes to be at %d", i, g.index)
		}
	}
}

// staggered returns active groups of one router each, whose advertisements are
// due one after the other at the given distance.
func staggered(t *testing.T, count int, distance, interval time.Duration) *bench {
	t.Helper()
	var groups []GroupConfig
	for i := range count {
		rc := publicRouter()
		rc.Interface, rc.VRID = fmt.Sprint("p", i), uint8(i+1)
		groups = append(groups, with(named(fmt.Sprint("g", i), groupOf(Owner, rc)), withInterval(interval)))
	}
	b := newBench(t, groups...)
	for i := range count {
		b.now = epoch.Add(time.Duration(i) * distance)
		b.handle(LinkState{Interface: fmt.Sprint("p", i), Family: IPv4, Sources: linkUp("pub").Sources})
	}
	b.inState(Active)
	return b
}

// TestEarlyAdvertisementsLeaveTogether: what is due within a hundredth of its
// interval goes along with what is due now, and what is due later does not.
func TestEarlyAdvertisementsLeaveTogether(t *testing.T) {
	b := staggered(t, 12, time.Millisecond, second)
	b.firesIn(second - 11*time.Millisecond)
	if got := len(b.expire()); got != 11 {
		t.Errorf("%d left together, want those of 0 to 10 ms", got)
	}
	b.firesIn(11 * time.Millisecond)
	if got := len(b.expire()); got != 1 {
		t.Errorf("%d left, want the one of 11 ms", got)
	}
}

// TestEarlyAdvertisementsKeepTheirPeriod: who goes along is early once more
// and once more, and never gains by it: after a hundred intervals each has sent
// a hundred and is due when it always was.
func TestEarlyAdvertisementsKeepTheirPeriod(t *testing.T) {
	for _, interval := range []time.Duration{MinInterval, 100 * time.Millisecond, second} {
		const count, periods = 5, 100
		distance := interval / 1000
		b := staggered(t, count, distance, interval)
		sends := 0
		for end := epoch.Add(periods*interval + interval/2); b.host.Deadline().Before(end); {
			sends += len(b.expire())
		}
		if want := count * periods; sends != want {
			t.Errorf("interval %v: %d advertisements, want %d", interval, sends, want)
		}
		for i, g := range b.host.groups {
			if want := epoch.Add((periods+1)*interval + time.Duration(i)*distance); !g.deadline().Equal(want) {
				t.Errorf("interval %v: group %d is due at %v, want %v", interval, i, g.deadline().Sub(epoch), want.Sub(epoch))
			}
		}
	}
}

// TestEarlyIsForAdvertisementsOnly: nobody takes over before his time because
// somebody else has something to send.
func TestEarlyIsForAdvertisementsOnly(t *testing.T) {
	owner, backup := groupOf(Owner, publicRouter()), named("mail", groupOf(100, vrid(publicRouter(), 57)))
	b := newBench(t, owner, backup)
	b.up("pub")
	b.now = epoch.Add(down100 - 1)
	b.handle(Expiry{})
	if got := b.host.Status().Groups[1].State; got != Backup {
		t.Fatalf("a nanosecond early: %v", got)
	}
	b.wait(1)
	b.handle(Expiry{})
	if got := b.host.Status().Groups[1].State; got != Active {
		t.Fatalf("at its time: %v", got)
	}
}

// TestEarlyIsNotBeforeTheDeadline: an Expiry that comes before anything is due
// sends nothing, also within the hundredth.
func TestEarlyIsNotBeforeTheDeadline(t *testing.T) {
	b := staggered(t, 3, time.Millisecond, second)
	b.now = b.host.Deadline().Add(-1)
	b.same(b.handle(Expiry{}))
}
