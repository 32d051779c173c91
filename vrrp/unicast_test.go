package vrrp

import (
	"net/netip"
	"testing"
)

// linkWith returns the LinkState of an interface with the given sources.
func linkWith(name string, family Family, sources ...string) LinkState {
	ev := LinkState{Interface: name, Family: family}
	for _, s := range sources {
		ev.Sources = append(ev.Sources, netip.MustParseAddr(s))
	}
	return ev
}

// toPeer returns the text of an advertisement of the public router to a peer.
func toPeer(peer string) string {
	return "send pub 192.168.56.20 -> " + peer + " vrid 56 priority 100 interval 1s 192.168.56.100"
}

// TestUnicastSendsToEachPeer: one packet each, in the order of the
// configuration, and none to the group address. They count as one
// advertisement.
func TestUnicastSendsToEachPeer(t *testing.T) {
	b := newActive(t, groupOf(100, unicast(publicRouter(), greaterSource, smallerSource)))
	b.same(b.expire(), toPeer(greaterSource), toPeer(smallerSource))
	if got := b.public().Counters.Sent; got != 2 {
		t.Errorf("counted %d advertisements, want 2", got)
	}
	b.same(b.handle(Shutdown{})[:2],
		"send pub 192.168.56.20 -> 192.168.56.30 vrid 56 priority 0 interval 1s 192.168.56.100",
		"send pub 192.168.56.20 -> 192.168.56.10 vrid 56 priority 0 interval 1s 192.168.56.100")
}

// TestUnicastChecksum: the pseudo-header has the peer's address, so that each
// packet has a checksum of its own.
func TestUnicastChecksum(t *testing.T) {
	b := newActive(t, groupOf(100, unicast(publicRouter(), greaterSource, smallerSource)))
	for _, a := range b.host.Handle(b.host.Deadline(), Expiry{}) {
		s := a.(Send)
		if _, drop := Parse(s.Append(nil), s.Source, s.Destination); drop != NotDropped {
			t.Errorf("to %v: dropped: %v", s.Destination, drop)
		}
	}
}

// TestUnicastElection: peers elect as neighbours do, whatever network they are
// in.
func TestUnicastElection(t *testing.T) {
	rc := unicast(publicRouter(), "10.9.9.9")
	b := newBackup(t, groupOf(100, rc))
	b.wait(second)
	b.same(b.handle(advert(rc, "10.9.9.9", 150)))
	b.firesIn(down100)
	b.handle(advert(rc, "10.9.9.9", 0))
	b.firesIn(skew100)
	b.same(b.expire(),
		toPeer("10.9.9.9"), "web backup -> active (priority 100): 10.9.9.9 resigned", announced)
	b.same(b.handle(advert(rc, "10.9.9.9", 150)),
		toPeer("10.9.9.9"), "web active -> backup (priority 100): 10.9.9.9 is active with priority 150")
}

// TestUnicastTTL: a neighbour's packet has not been forwarded; a peer that is
// marked as routed may be as far away as it likes, and nobody else gains by it.
func TestUnicastTTL(t *testing.T) {
	rc := unicast(publicRouter(), smallerSource, greaterSource)
	rc.Unicast.Peers[1].Routed = true
	for ttl := range 256 {
		for source, routed := range map[string]bool{smallerSource: false, greaterSource: true} {
			b := newBackup(t, groupOf(100, rc))
			want := NotDropped
			if ttl != 255 && !routed {
				want = DropTTL
			}
			if got := b.fateOf(withTTL(advert(rc, source, 150), uint8(ttl))); got != want {
				t.Errorf("TTL %d from %s: %v, want %v", ttl, source, got, want)
			}
		}
		b := newBackup(t, groupOf(100, rc))
		want := DropPeer
		if ttl != 255 {
			want = DropTTL
		}
		if got := b.fateOf(withTTL(advert(rc, "192.168.56.31", 150), uint8(ttl))); got != want {
			t.Errorf("TTL %d from a stranger: %v, want %v", ttl, got, want)
		}
	}
}

// TestUnicastRoutedPeerOfAnotherRouter: that a peer of one virtual router may
// be far away says nothing of the others.
func TestUnicastRoutedPeerOfAnotherRouter(t *testing.T) {
	near, far := unicast(publicRouter(), greaterSource), unicast(vrid(publicRouter(), 57), greaterSource)
	far.Unicast.Peers[0].Routed = true
	b := newBackup(t, groupOf(100, near, far))
	if got := b.fateOf(withTTL(advert(near, greaterSource, 150), 64)); got != DropTTL {
		t.Errorf("got %v, want %v", got, DropTTL)
	}
}

// TestUnicastSource: the source must be among the addresses of the interface,
// on whatever place; without it the group is at fault, and recovers alone.
func TestUnicastSource(t *testing.T) {
	b := newActive(t, groupOf(100, unicast(publicRouter(), greaterSource)))
	b.same(b.handle(linkWith("pub", IPv4, "192.168.56.7", ownSource)))
	b.same(b.expire(), toPeer(greaterSource))
	b.same(b.handle(linkWith("pub", IPv4, "192.168.56.7")),
		"web active -> initialize (priority 100): public: no address to send from: 192.168.56.20 is not usable on pub")
	g := b.host.Status().Groups[0]
	if len(g.Faults) != 1 || len(g.Waiting) != 0 {
		t.Errorf("faults %q, waiting %q; want a fault", g.Faults, g.Waiting)
	}
	b.firesIn(0)
	b.same(b.handle(linkWith("pub", IPv4, "192.168.56.7", ownSource)),
		"web initialize -> backup (priority 100): interfaces ready")
	b.firesIn(down100)
}

// TestMulticastNeedsASource: an interface without an address carries no
// virtual router of IPv4.
func TestMulticastNeedsASource(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.same(b.handle(linkWith("pub", IPv4)),
		"web backup -> initialize (priority 100): public: no address to send from on pub")
	b.same(b.up("pub"), "web initialize -> backup (priority 100): interfaces ready")
}

// TestUnicastReload: peers come and go while the group is active; the next
// advertisement goes to those that are left, and the others are strangers.
func TestUnicastReload(t *testing.T) {
	before, after := unicast(publicRouter(), smallerSource), unicast(publicRouter(), greaterSource)
	b := newActive(t, groupOf(100, before))
	due := b.host.Deadline()
	b.same(b.reload(groupOf(100, after)))
	if got := b.fateOf(advert(before, smallerSource, 150)); got != DropPeer {
		t.Errorf("a former peer: %v, want %v", got, DropPeer)
	}
	if !b.host.Deadline().Equal(due) {
		t.Errorf("deadline moved from %v to %v", due, b.host.Deadline())
	}
	b.same(b.expire(), toPeer(greaterSource))
	b.same(b.reload(groupOf(100, publicRouter())))
	b.same(b.expire(), sent(100))
}

// TestUnicastReloadOfTheSource: a new source that the interface has is used
// from now on; one that it has not is a fault.
func TestUnicastReloadOfTheSource(t *testing.T) {
	rc := func(source string) RouterConfig {
		rc := unicast(publicRouter(), greaterSource)
		rc.Unicast.Source = netip.MustParseAddr(source)
		return rc
	}
	b := newActive(t, groupOf(100, rc(ownSource)))
	b.handle(linkWith("pub", IPv4, ownSource, "192.168.56.21"))
	b.same(b.reload(groupOf(100, rc("192.168.56.21"))))
	b.same(b.expire(), "send pub 192.168.56.21 -> 192.168.56.30 vrid 56 priority 100 interval 1s 192.168.56.100")
	b.same(without(b.reload(groupOf(100, rc("192.168.56.22"))), "send"),
		"web active -> initialize (priority 100): public: no address to send from: 192.168.56.22 is not usable on pub")
}

// TestUnicastIPv6: a source of any scope will do, and no link-local one is
// waited for.
func TestUnicastIPv6(t *testing.T) {
	rc := six()
	rc.Unicast = &Unicast{Source: netip.MustParseAddr("2001:db8::20"), Peers: []Peer{{Address: netip.MustParseAddr("2001:db8::30")}}}
	b := newBench(t, groupOf(100, rc))
	b.same(b.handle(linkWith("pub", IPv6, "fe80::20")),
		"web initialize -> initialize (priority 100): public6: no address to send from: 2001:db8::20 is not usable on pub")
	b.same(b.handle(linkWith("pub", IPv6, "2001:db8::20")), "web initialize -> backup (priority 100): interfaces ready")
	if got := b.fateOf(advert(rc, "2001:db8::30", 150)); got != NotDropped {
		t.Errorf("a peer: %v", got)
	}
	b.same(b.expire()[:1], "send pub 2001:db8::20 -> 2001:db8::30 vrid 56 priority 100 interval 1s fe80::56,2001:db8::56")
}
