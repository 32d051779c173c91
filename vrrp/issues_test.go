package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The tests of this file are named after threads of keepalived's issue
// tracker: what its users ran into, and what must not happen here.

// count returns how many lines begin with the prefix.
func count(lines []string, prefix string) int {
	return len(lines) - len(without(lines, prefix))
}

// flood gives a packet every millisecond for a while, with the timers served
// in between, and returns all actions.
func (b *bench) flood(p Received, duration time.Duration) (actions []string) {
	b.t.Helper()
	for end := b.now.Add(duration); b.now.Before(end); b.wait(time.Millisecond) {
		actions = append(actions, b.handle(p)...)
		actions = append(actions, b.handle(Expiry{})...)
	}
	return actions
}

// TestIssue562_InvalidPacketsDoNotExtendTheTimer: a Backup router waits for
// its active router and not for whoever writes on its segment.
func TestIssue562_InvalidPacketsDoNotExtendTheTimer(t *testing.T) {
	for _, tt := range invalidPackets() {
		if tt.owner || tt.before != nil {
			continue
		}
		b := tt.hearer(t, Backup)
		b.flood(tt.packet, down100+time.Millisecond)
		if got := b.host.Status().Groups[0].State; got != Active {
			t.Errorf("%s: %v after an Active_Down_Interval", tt.name, got)
		}
	}
}

// TestInvalidPacketsDoNotSuppressAdvertisements: keepalived starts its
// advertisement timer afresh after any packet, valid or not, so that a stream
// of them silences it. Here every second has its advertisement.
func TestInvalidPacketsDoNotSuppressAdvertisements(t *testing.T) {
	for _, tt := range invalidPackets() {
		if tt.before != nil {
			continue
		}
		b := tt.hearer(t, Active)
		b.expire()
		start := b.now
		for n := range 3 {
			b.flood(tt.packet, second)
			b.wait(-time.Millisecond)
			if got := b.host.Deadline().Sub(start); got != time.Duration(n+1)*second {
				t.Errorf("%s: advertisement %d is due after %v", tt.name, n+1, got)
			}
			b.wait(time.Millisecond)
			// An owner corrects what the sender may have announced.
			b.same(without(without(b.handle(Expiry{}), "send"), "announce"))
		}
	}
}

// TestLowerPrioritiesDoNotSuppressAdvertisements: neither do valid packets that
// we need not yield to; what we answer is bounded, and so are the log and the
// announcements.
func TestLowerPrioritiesDoNotSuppressAdvertisements(t *testing.T) {
	b := newActive(t, pair(100))
	b.expire()
	due := b.host.Deadline()
	got := b.flood(advert(publicRouter(), greaterSource, 99), 10*second)
	b.inState(Active)
	if d := b.host.Deadline().Sub(due); d != 9*second && d != 10*second {
		t.Errorf("the period has moved by %v", d)
	}
	for prefix, limit := range map[string]int{
		"send pub": 10 * (answerShare + 1), "send int": 10, "announce pub": 11, "announce int": 11, "notice": 2, "web": 0,
	} {
		if n := count(got, prefix); n > limit {
			t.Errorf("%d times %q in 10 s, at most %d are right", n, prefix, limit)
		}
	}
	if n := count(got, "send int"); n < 9 {
		t.Errorf("%d advertisements on the other member, want one each second", n)
	}
}

// TestIssue166_StaleNeighboursAfterASplit: both directors were active; the
// neighbours believe who announced last. The winner announces again, also when
// all that it hears is the last word of the loser, and also when it has done so
// just before, for that may be older than what the loser has announced.
func TestIssue166_StaleNeighboursAfterASplit(t *testing.T) {
	b := newActive(t, pair(100))
	b.expire()
	b.same(without(b.handle(advert(publicRouter(), smallerSource, 50)), "notice"), sent(100), announced, announcedGateway)
	b.wait(10 * time.Millisecond)
	b.same(b.handle(advert(publicRouter(), smallerSource, 50)))
	b.same(b.expire(), sent(100), sentGateway(100), announced, announcedGateway)
	b.same(b.expire(), sent(100), sentGateway(100))
}

// TestIssue166_TheLoserTellsTheWinner: whatever the order in which two sides of
// a split hear each other, the winner hears of the other one: here it is the
// loser that hears first.
func TestIssue166_TheLoserTellsTheWinner(t *testing.T) {
	loser, winner := newActive(t, groupOf(100, publicRouter())), newActive(t, groupOf(150, publicRouter()))
	winner.expire()
	said := loser.host.Handle(loser.now, advert(publicRouter(), smallerSource, 150))
	last, ok := said[0].(Send)
	if !ok || last.Advertisement.Priority != 100 {
		t.Fatalf("the loser says %v", describeAll(said))
	}
	loser.inState(Backup)
	got := winner.handle(advert(publicRouter(), smallerSource, last.Advertisement.Priority))
	if !slices.Contains(got, announced) {
		t.Errorf("the winner does %q, and does not announce", got)
	}
}

// TestIssue542_AllMembersAreAnnounced: the other director had the addresses of
// all members, though it was heard on one only.
func TestIssue542_AllMembersAreAnnounced(t *testing.T) {
	for _, rc := range []RouterConfig{publicRouter(), gatewayRouter()} {
		b := newActive(t, pair(100))
		b.wait(second)
		got := b.handle(advert(rc, smallerSource, 50))
		if !slices.Contains(got, announced) || !slices.Contains(got, announcedGateway) {
			t.Errorf("heard on %s: %q", rc.Interface, got)
		}
	}
}

// TestIssue624_PrioritiesThatDisagree: a foreign director has a greater
// priority on one member and a smaller one on the other. Nobody can hold the
// whole group then; who cannot hold everything holds nothing, and does not
// flap.
func TestIssue624_PrioritiesThatDisagree(t *testing.T) {
	b := newActive(t, pair(100))
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.inState(Backup)
	for range 600 {
		b.wait(second / 10)
		b.handle(advert(publicRouter(), greaterSource, 150))
		b.handle(advert(gatewayRouter(), greaterSource, 50))
		b.same(b.handle(Expiry{}))
	}
	b.inState(Backup)
	b.wants("int", "", "192.168.200.250/24")
}

// TestIssue1532_NoGroupIsStuck: interfaces come and go in any order, and as
// soon as all of them can be used the group runs: no count of faults goes
// wrong.
func TestIssue1532_NoGroupIsStuck(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, groupOf(100, publicRouter(), gatewayRouter(), newcomer(), six()))
		type port struct {
			name   string
			family Family
		}
		ports := []port{{"pub", IPv4}, {"int", IPv4}, {"dmz", IPv4}, {"pub", IPv6}}
		ready := func(p port) LinkState {
			if p.family == IPv6 {
				return linkWith(p.name, IPv6, "fe80::20")
			}
			return linkUp(p.name)
		}
		for range rapid.IntRange(0, 30).Draw(rt, "changes") {
			ev := ready(rapid.SampledFrom(ports).Draw(rt, "port"))
			switch fault := Fault(rapid.IntRange(0, int(FaultSocket)).Draw(rt, "fault")); fault {
			case FaultUnknown, FaultNoSource, FaultNoLinkLocal:
				ev.Sources = nil
			case NoFault:
			default:
				ev.Fault, ev.Sources = fault, nil
			}
			b.handle(ev)
			b.wait(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "ms")) * time.Millisecond)
			b.handle(Expiry{})
		}
		for _, p := range ports {
			b.handle(ready(p))
		}
		if g := b.host.Status().Groups[0]; g.State == Initialize || len(g.Faults)+len(g.Waiting) > 0 || b.host.Deadline().IsZero() {
			rt.Fatalf("%v with faults %q, waiting %q, deadline %v", g.State, g.Faults, g.Waiting, b.host.Deadline())
		}
	})
}

// TestIssue1603_ANewAddressMakesNoSecondActive: an address is added to one
// director after the other. In between the lists differ, which is told, and
// nobody takes over because of it, on either side.
func TestIssue1603_ANewAddressMakesNoSecondActive(t *testing.T) {
	more := addressed(publicRouter(), "192.168.56.101/24")
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		d := newDuo(t, publicRouter(), publicRouter())
		for _, i := range order {
			d.reload(i, more)
			d.pass(10 * second)
			d.stands()
			if told := strings.Contains(fmt.Sprint(d.router(1).Problems), "address list mismatch"); told != (i == order[0]) {
				t.Errorf("after the reload of %d: problems %q", i, d.router(1).Problems)
			}
		}
	}
}

// TestIssue2066_ALateTimerTakesNothingOver: the process was not scheduled for
// long. What its active router said meanwhile is read first, and then the
// timer that fired is of the past.
func TestIssue2066_ALateTimerTakesNothingOver(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.wait(time.Minute)
	b.same(b.handle(advert(publicRouter(), greaterSource, 150)))
	b.same(b.handle(Expiry{}))
	b.inState(Backup)
	b.firesIn(down100)
}

// TestIssue2190_TheInterfaceIsMadeAgain: an interface that was deleted and has
// come back, with another address, is used without a restart.
func TestIssue2190_TheInterfaceIsMadeAgain(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.same(b.handle(LinkState{Interface: "pub", Family: IPv4, Fault: FaultMissing}),
		"web active -> initialize (priority 100): public: interface missing on pub")
	b.wait(time.Hour)
	b.same(b.handle(LinkState{Interface: "pub", Family: IPv4, Fault: FaultDown}),
		"web initialize -> initialize (priority 100): public: link down on pub")
	b.same(b.handle(linkWith("pub", IPv4, "192.168.56.40")), startEnds)
	b.same(b.expire()[:1], "send pub 192.168.56.40 -> 224.0.0.18 vrid 56 priority 100 interval 1s 192.168.56.100")
}

// TestIssue2237_TheAddressComesLate: at boot the interface is up before it has
// an address. That lasts as long as it lasts, and then the group starts.
func TestIssue2237_TheAddressComesLate(t *testing.T) {
	for name, rc := range map[string]RouterConfig{
		"multicast": publicRouter(), "unicast": unicast(publicRouter(), greaterSource), "version 2": old(publicRouter(), ""),
	} {
		b := newBench(t, groupOf(100, rc))
		b.down("pub")
		b.handle(linkWith("pub", IPv4))
		b.wait(10 * time.Minute)
		if got := b.up("pub"); !slices.Contains(got, startEnds) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestIssue2257_NoPreemptHasNoState: who does not preempt starts as Backup and
// leaves a lower one in peace, takes over from a dead one, and keeps what it
// has when the greater one comes back without preemption.
func TestIssue2257_NoPreemptHasNoState(t *testing.T) {
	g := groupOf(200, publicRouter())
	g.Preempt.Enabled = false
	b := newBackup(t, g)
	for range 20 {
		b.wait(second)
		b.same(b.handle(advert(publicRouter(), greaterSource, 100)))
		b.same(b.handle(Expiry{}))
	}
	b.firesIn(activeDownInterval(200, second))
	b.expire()
	b.inState(Active)
	b.handle(advert(publicRouter(), greaterSource, 100))
	b.inState(Active)
}

// TestIssue2324_BothChecksumForms are heard by a router of either, and told.
func TestIssue2324_BothChecksumForms(t *testing.T) {
	for _, ours := range []ChecksumForm{ChecksumPseudoHeader, ChecksumMessage} {
		for _, theirs := range []ChecksumForm{ChecksumPseudoHeader, ChecksumMessage} {
			mine, other := publicRouter(), publicRouter()
			mine.Checksum, other.Checksum = ours, theirs
			b := newBackup(t, groupOf(100, mine))
			if got := b.fateOf(advert(other, greaterSource, 150)); got != NotDropped {
				t.Errorf("%v hears %v: %v", ours, theirs, got)
			}
			if told := len(b.problems()) == 1; told != (ours != theirs) || b.public().ActiveChecksum != theirs {
				t.Errorf("%v hears %v: problems %q, status %v", ours, theirs, b.problems(), b.public().ActiveChecksum)
			}
		}
	}
}

// TestIssue1207_AnotherClusterOnTheSegment: somebody else uses our VRID, with
// addresses of his own and a greater priority. We cannot both be right; the
// status names him and what he advertises.
func TestIssue1207_AnotherClusterOnTheSegment(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	theirs := func(a *Advertisement) { a.Addresses = []netip.Addr{netip.MustParseAddr("192.168.56.200")} }
	b.handle(advert(publicRouter(), "192.168.56.77", 254, theirs))
	b.inState(Backup)
	r := b.public()
	if r.ActiveSource.String() != "192.168.56.77" || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "192.168.56.200") {
		t.Errorf("active is %v, problems %q", r.ActiveSource, r.Problems)
	}
}

// TestIssue829_TheLogIsNotFlooded: two directors that both insist are told of
// now and then, not with every packet.
func TestIssue829_TheLogIsNotFlooded(t *testing.T) {
	b := newActive(t, groupOf(200, publicRouter()))
	b.expire()
	got := b.flood(advert(publicRouter(), greaterSource, 100), time.Minute)
	if n := count(got, "notice"); n < 6 || n > 7 {
		t.Errorf("%d notices in a minute, want one in %v", n, noticePause)
	}
}

// TestResignationsAreAnsweredWithBounds: a flood of forged resignations has us
// neither multiply it nor put our advertisements off.
func TestResignationsAreAnsweredWithBounds(t *testing.T) {
	rc := unicast(publicRouter(), smallerSource, greaterSource)
	b := newActive(t, groupOf(100, rc))
	sends, last, longest := 0, b.now, time.Duration(0)
	for range 1000 {
		b.wait(time.Millisecond)
		got := b.host.Handle(b.now, advert(rc, smallerSource, 0))
		if d := b.host.Deadline(); !d.After(b.now) {
			got = append(got, b.host.Handle(b.now, Expiry{})...)
		}
		if n := len(stamps(got)); n > 0 {
			sends, longest, last = sends+n, max(longest, b.now.Sub(last)), b.now
		}
	}
	if most := 2 * (answerShare + 1); sends == 0 || sends > most {
		t.Errorf("%d packets sent in an interval, want at most %d", sends, most)
	}
	if longest > second {
		t.Errorf("a gap of %v between advertisements", longest)
	}
}
