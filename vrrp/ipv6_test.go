package vrrp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// six returns a virtual router of IPv6 on the interface pub.
func six() RouterConfig {
	return RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: IPv6, VRID: 56}, Name: "public6",
		Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::56/64"), netip.MustParsePrefix("2001:db8::56/64")},
	}
}

// waitingFor is the line of a group that has no link-local address yet.
const waitingFor = "public6: waiting for a usable link-local address on pub"

// waits fails the test unless this is what the first group waits for, and
// these are its faults.
func (b *bench) waits(waiting, faults []string) {
	b.t.Helper()
	g := b.host.Status().Groups[0]
	if diff := cmp.Diff([2][]string{waiting, faults}, [2][]string{g.Waiting, g.Faults}, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("waiting and faults (-want +got):\n%s", diff)
	}
}

// TestRFC9568_5_1_2_1_SourceIsLinkLocal: IPv6 advertisements are sent from a
// link-local address. There is none yet, or only a global one: that is waited
// for, is no fault, and ends by itself.
func TestRFC9568_5_1_2_1_SourceIsLinkLocal(t *testing.T) {
	b := newBench(t, groupOf(100, six()))
	b.waits([]string{"public6: not yet known on pub"}, nil)
	b.same(b.handle(linkWith("pub", IPv6)), "web initialize -> initialize (priority 100): "+waitingFor)
	b.waits([]string{waitingFor}, nil)
	b.same(b.handle(linkWith("pub", IPv6)))
	b.same(b.handle(linkWith("pub", IPv6, "2001:db8::20")))
	b.firesIn(0)
	b.same(b.handle(linkWith("pub", IPv6, "fe80::20", "2001:db8::20")), "web initialize -> backup (priority 100): interfaces ready")
	b.waits(nil, nil)
	b.same(b.expire()[:1], "send pub fe80::20 -> ff02::12 vrid 56 priority 100 interval 1s fe80::56,2001:db8::56")
}

// TestRFC9568_5_1_2_1_LinkLocalIsWanted: the interface is told that it needs a
// link-local address if any virtual router on it does, so that it can say why
// there is none.
func TestRFC9568_5_1_2_1_LinkLocalIsWanted(t *testing.T) {
	unicast := six()
	unicast.Unicast = &Unicast{Source: netip.MustParseAddr("2001:db8::20"), Peers: []Peer{{Address: netip.MustParseAddr("2001:db8::30")}}}
	unicast.VRID = 57
	tests := []struct {
		name    string
		routers []RouterConfig
		want    bool
	}{
		{"multicast", []RouterConfig{six()}, true},
		{"unicast", []RouterConfig{unicast}, false},
		{"both", []RouterConfig{six(), unicast}, true},
		{"IPv4", []RouterConfig{publicRouter()}, false},
	}
	for _, test := range tests {
		if got := newBench(t, groupOf(100, test.routers...)).host.Wanted()["pub"].LinkLocal; got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}

// TestRFC9568_5_1_2_1_SourceIsLost: an active group whose link-local address
// goes can say nothing any more, gives its addresses up, and waits again.
func TestRFC9568_5_1_2_1_SourceIsLost(t *testing.T) {
	b := newBench(t, groupOf(100, six()))
	b.handle(linkWith("pub", IPv6, "fe80::20"))
	b.expire()
	b.inState(Active)
	b.same(b.handle(linkWith("pub", IPv6, "2001:db8::20")), "web active -> initialize (priority 100): "+waitingFor)
	b.waits([]string{waitingFor}, nil)
	b.wants("pub", "", "fe80::56/64,2001:db8::56/64")
	b.same(b.handle(linkWith("pub", IPv6, "fe80::21")), "web initialize -> backup (priority 100): interfaces ready")
}

// TestRFC9568_5_1_2_1_AFaultIsNoWaiting: an interface that is down is a fault,
// also while a link-local address is missing elsewhere.
func TestRFC9568_5_1_2_1_AFaultIsNoWaiting(t *testing.T) {
	b := newBench(t, groupOf(100, six(), gatewayRouter()))
	b.handle(linkWith("pub", IPv6))
	b.same(b.down("int"), "web initialize -> initialize (priority 100): "+waitingFor+"; gateway: link down on int")
	b.waits([]string{waitingFor}, []string{"gateway: link down on int"})
}

// TestRFC9568_5_1_1_2_Destinations: IPv4 advertisements go to 224.0.0.18, those
// of IPv6 to ff02::12 (section 5.1.2.2), and none are heard that went
// elsewhere, the group address of the other interface's scope included.
func TestRFC9568_5_1_1_2_Destinations(t *testing.T) {
	b := mixed(t, publicRouter(), six())
	b.same(b.expire()[:2], sent(100), "send pub fe80::20 -> ff02::12 vrid 56 priority 100 interval 1s fe80::56,2001:db8::56")
	for _, wrong := range []struct{ source, destination string }{
		{greaterSource, "224.0.0.19"}, {greaterSource, "255.255.255.255"}, {greaterSource, ownSource},
		{"fe80::30", "ff02::1"}, {"fe80::30", "ff05::12"}, {"fe80::30", "fe80::20"},
	} {
		b := mixed(t, publicRouter(), six())
		rc, i := publicRouter(), 0
		if netip.MustParseAddr(wrong.source).Is6() {
			rc, i = six(), 1
		}
		b.handle(toward(advert(rc, wrong.source, 150), wrong.destination))
		if got := b.host.Status().Groups[0].Routers[i].Counters.Dropped[DropDestination]; got != 1 {
			t.Errorf("to %s: dropped %d for its destination, want 1", wrong.destination, got)
		}
	}
}

// mixed returns a bench in Backup whose group has members of both families on
// pub.
func mixed(t *testing.T, routers ...RouterConfig) *bench {
	t.Helper()
	b := newBench(t, groupOf(100, routers...))
	b.up("pub", "int")
	b.handle(linkWith("pub", IPv6, "fe80::20"))
	b.inState(Backup)
	return b
}

// TestMixedGroupStartsWhole: the IPv4 members wait for the link-local address
// too, in whatever order the families become usable.
func TestMixedGroupStartsWhole(t *testing.T) {
	b := newBench(t, groupOf(100, publicRouter(), six()))
	b.same(b.up("pub"))
	b.same(b.handle(linkWith("pub", IPv6)), "web initialize -> initialize (priority 100): "+waitingFor)
	b.wait(2 * second)
	b.same(b.handle(linkWith("pub", IPv6, "fe80::20")), "web initialize -> backup (priority 100): interfaces ready")
	b.firesIn(down100)
}

// TestMixedGroupMovesWhole: members of both families and versions yield and
// resign together. What a member learns is its own.
func TestMixedGroupMovesWhole(t *testing.T) {
	two := old(gatewayRouter(), "s3cret")
	sentTwo := func(priority string) string {
		return "send int 192.168.200.20 -> 224.0.0.18 vrid 200 priority " + priority +
			` interval 1s 192.168.200.250 version 2 password "s3cret"`
	}
	sentSix := func(priority string) string {
		return "send pub fe80::20 -> ff02::12 vrid 56 priority " + priority + " interval 1s fe80::56,2001:db8::56"
	}
	b := mixed(t, publicRouter(), six(), two)
	for _, rc := range []RouterConfig{publicRouter(), six(), two} {
		b.handle(advert(rc, sourceFor(rc), 150))
	}
	b.wait(second)
	b.handle(advert(six(), "fe80::30", 0))
	b.firesIn(skew100)
	b.same(b.expire(),
		sent(100), sentSix("100"), sentTwo("100"),
		"web backup -> active (priority 100): fe80::30 resigned",
		announced, "announce pub fe80::56/64,2001:db8::56/64", announcedGateway)
	b.same(b.handle(advert(two, greaterSource, 150)),
		sent(100), sentSix("100"), sentTwo("100"), "web active -> backup (priority 100): 192.168.200.30 is active with priority 150")
	b.expire()
	b.inState(Active)
	b.same(b.handle(Shutdown{}),
		sent(0), sentSix("0"), sentTwo("0"), "web active -> initialize (priority 100): shutdown")
}

// sourceFor returns a source that is greater than ours for a router.
func sourceFor(rc RouterConfig) string {
	if rc.Family == IPv6 {
		return "fe80::30"
	}
	return greaterSource
}

// TestRFC9568_1_2_FamiliesAreUnrelated: the same VRID of the other family is
// another virtual router: its link, its packets and its faults are its own.
func TestRFC9568_1_2_FamiliesAreUnrelated(t *testing.T) {
	four, other := groupOf(100, publicRouter()), named("six", groupOf(100, six()))
	b := newBench(t, four, other)
	b.same(b.up("pub"), "web initialize -> backup (priority 100): interfaces ready")
	b.same(b.handle(linkWith("pub", IPv6)), "six initialize -> initialize (priority 100): "+waitingFor)
	b.same(b.expire()[:2], sent(100), "web backup -> active (priority 100): no advertisement heard")
	b.handle(LinkState{Interface: "pub", Family: IPv6, Fault: FaultSocket})
	if got := b.host.Status().Groups[0].State; got != Active {
		t.Errorf("the group of IPv4 is %v", got)
	}
}
