package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// invalid is a packet that must not be used, and why.
type invalid struct {
	name   string
	packet Received
	want   DropReason
	owner  bool // we must own the addresses for this reason to apply
	strays bool // it belongs to no router: counted by the host
}

// payloadOf changes a packet's payload.
func payloadOf(p Received, change func([]byte) []byte) Received {
	p.Payload = change(p.Payload)
	return p
}

// invalidPackets returns a packet for every reason to drop one that applies in
// all states. All of them carry a priority that would otherwise matter.
func invalidPackets() []invalid {
	good := func() Received { return advert(publicRouter(), greaterSource, 200) }
	ttl := good()
	ttl.TTL = 254
	zeroTTL := advert(publicRouter(), greaterSource, 0)
	zeroTTL.TTL = 1
	unicast := good()
	unicast.Destination = netip.MustParseAddr(ownSource)
	unicast.Payload = resum(unicast.Payload, unicast.Source, unicast.Destination)
	elsewhere := good()
	elsewhere.Interface = "int"
	return []invalid{
		{name: "TTL", packet: ttl, want: DropTTL},
		{name: "TTL of a resignation", packet: zeroTTL, want: DropTTL},
		{name: "version", packet: payloadOf(good(), func(b []byte) []byte { b[0] = 0x21; return b }), want: DropVersion},
		{name: "type", packet: payloadOf(good(), func(b []byte) []byte { b[0] = 0x32; return b }), want: DropType},
		{name: "truncated", packet: payloadOf(good(), func(b []byte) []byte { return b[:10] }), want: DropLength},
		{name: "two octets", packet: payloadOf(good(), func(b []byte) []byte { return b[:2] }), want: DropLength},
		{name: "too long", packet: payloadOf(good(), func(b []byte) []byte { return append(b, 0, 0, 0, 0) }), want: DropLength},
		{name: "checksum", packet: payloadOf(good(), func(b []byte) []byte { b[2]--; return b }), want: DropChecksum},
		{name: "interval zero", packet: advert(publicRouter(), greaterSource, 200, every(0)), want: DropInterval},
		{name: "destination", packet: unicast, want: DropDestination},
		{name: "VRID", packet: advert(publicRouter(), greaterSource, 200, func(a *Advertisement) { a.VRID = 57 }), want: DropVRID, strays: true},
		{name: "interface", packet: elsewhere, want: DropVRID, strays: true},
		{name: "empty", packet: payloadOf(good(), func([]byte) []byte { return nil }), want: DropLength, strays: true},
		{name: "own source", packet: advert(publicRouter(), ownSource, 200), want: DropOwnSource},
		{name: "own source resigns", packet: advert(publicRouter(), ownSource, 0), want: DropOwnSource},
		{name: "owner", packet: advert(publicRouter(), greaterSource, 255), want: DropOwner, owner: true},
	}
}

// TestRFC9568_7_1_InvalidPacketsAreDropped: in no state does an invalid packet
// touch a timer, change the state or make us send; it is counted under its
// reason. Every reason and every state appear.
func TestRFC9568_7_1_InvalidPacketsAreDropped(t *testing.T) {
	var covered [dropReasons]bool
	covered[NotDropped], covered[DropInitialize] = true, true
	for _, tt := range invalidPackets() {
		covered[tt.want] = true
		for _, state := range []State{Initialize, Backup, Active} {
			t.Run(tt.name+" in "+state.String(), func(t *testing.T) { dropsIn(t, tt, state) })
		}
	}
	for reason, ok := range covered {
		if !ok {
			t.Errorf("no packet for the reason %v", DropReason(reason))
		}
	}
}

// dropsIn gives an invalid packet to a router in the given state.
func dropsIn(t *testing.T, tt invalid, state State) {
	priority := uint8(100)
	if tt.owner {
		priority = Owner
	}
	b := newBench(t, groupOf(priority, publicRouter()))
	want := tt.want
	switch {
	case state == Backup && tt.owner:
		return // an owner is never Backup
	case state == Initialize:
		if want == DropOwnSource || want == DropOwner {
			want = DropInitialize
		}
	default:
		b.up("pub")
		if state == Active && !tt.owner {
			b.expire()
		}
	}
	b.inState(state)
	b.wait(second / 2)
	before := b.host.Deadline()
	b.same(without(b.handle(tt.packet), "notice "))
	b.inState(state)
	if after := b.host.Deadline(); !after.Equal(before) {
		t.Errorf("deadline moved from %v to %v", before, after)
	}
	status := b.host.Status()
	counted := status.Groups[0].Routers[0].Counters
	if counted.Received != 0 {
		t.Errorf("counted as received")
	}
	drops := counted.Dropped
	if tt.strays {
		drops = status.Dropped
	}
	var wantDrops Drops
	wantDrops[want] = 1
	if drops != wantDrops {
		t.Errorf("counted %v, want one %v", drops, want)
	}
}

// TestRFC9568_7_1_InvalidPacketsDoNotSilence: a stream of invalid packets
// neither holds a Backup router back nor keeps an Active one from advertising.
func TestRFC9568_7_1_InvalidPacketsDoNotSilence(t *testing.T) {
	for _, tt := range invalidPackets() {
		if tt.owner {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			b := newBackup(t, groupOf(100, publicRouter()))
			var sends int
			for end := b.now.Add(activeDownInterval(100, second) + 3*second); b.now.Before(end); b.wait(10 * time.Millisecond) {
				b.handle(tt.packet)
				sends += len(b.handle(Expiry{}))
			}
			b.inState(Active)
			// One advertisement, transition and announcement at the take-over,
			// then one advertisement a second.
			if sends != 5 {
				t.Errorf("%d actions, want 5", sends)
			}
		})
	}
}

// TestRFC9568_7_1_TTL: only a packet that no router forwarded counts.
func TestRFC9568_7_1_TTL(t *testing.T) {
	for ttl := range 256 {
		b := newBackup(t, groupOf(100, publicRouter()))
		p := advert(publicRouter(), greaterSource, 200)
		p.TTL = uint8(ttl)
		b.handle(p)
		if heard := b.host.Status().Groups[0].Routers[0].Counters.Received == 1; heard != (ttl == 255) {
			t.Errorf("TTL %d: heard %v", ttl, heard)
		}
	}
}

// TestRFC9568_7_1_VRIDIsLookedUpOnTheInterface: the same VRID elsewhere, or of
// the other family, is another virtual router.
func TestRFC9568_7_1_VRIDIsLookedUpOnTheInterface(t *testing.T) {
	other := publicRouter()
	other.Interface = "int"
	six := RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: IPv6, VRID: 56}, Name: "public6",
		Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::56/64")},
	}
	b := newBench(t, groupOf(100, publicRouter(), other, six))
	b.up("pub", "int")
	b.handle(LinkState{Interface: "pub", Family: IPv6, Source: netip.MustParseAddr("fe80::20")})
	b.inState(Backup)
	for i, rc := range []RouterConfig{publicRouter(), other, six} {
		source := greaterSource
		if rc.Family == IPv6 {
			source = "fe80::30"
		}
		b.handle(advert(rc, source, 200))
		for j, r := range b.host.Status().Groups[0].Routers {
			if want := uint64(1); j <= i && r.Counters.Received != want || j > i && r.Counters.Received != 0 {
				t.Errorf("after packet %d, %s has received %d", i, r.Name, r.Counters.Received)
			}
		}
	}
}

// TestRFC9568_7_1_OwnerHearsNobody: who owns the addresses yields to no one,
// not even to another who says the same.
func TestRFC9568_7_1_OwnerHearsNobody(t *testing.T) {
	b := newBench(t, groupOf(Owner, publicRouter()))
	b.up("pub")
	b.same(b.handle(advert(publicRouter(), greaterSource, 255)),
		"notice web/public advertisements dropped: from 192.168.56.30: owner")
	b.inState(Active)
}

// TestRFC9568_7_1_IntervalMismatchIsOnlyLogged: the packet counts, and the log
// hears of it once.
func TestRFC9568_7_1_IntervalMismatchIsOnlyLogged(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	p := advert(publicRouter(), greaterSource, 150, every(2*second))
	b.same(b.handle(p),
		"notice web/public advertisement interval mismatch: 192.168.56.30 advertises 2s, configured is 1s")
	b.same(b.handle(p))
	if got := b.host.Status().Groups[0].Routers[0].Counters.Received; got != 2 {
		t.Errorf("received %d, want 2", got)
	}
}

// TestRFC9568_7_1_AddressListMismatchIsOnlyWarnedOf: an active router with
// other addresses is still the active router. To ignore it would make two.
func TestRFC9568_7_1_AddressListMismatchIsOnlyWarnedOf(t *testing.T) {
	for name, list := range map[string][]netip.Addr{
		"192.168.56.101":                 {netip.MustParseAddr("192.168.56.101")},
		"192.168.56.100, 192.168.56.101": {netip.MustParseAddr("192.168.56.100"), netip.MustParseAddr("192.168.56.101")},
		"none":                           nil,
	} {
		b := newBackup(t, groupOf(100, publicRouter()))
		b.wait(second)
		b.same(b.handle(advert(publicRouter(), greaterSource, 150, func(a *Advertisement) { a.Addresses = list })),
			"notice web/public address list mismatch: 192.168.56.30 advertises "+name+", configured is 192.168.56.100")
		b.firesIn(3609375 * time.Microsecond)
	}
}

// TestRFC9568_7_2_Transmission: the fields that the section wants filled in,
// for both families, and the checksum in the form that is configured.
func TestRFC9568_7_2_Transmission(t *testing.T) {
	six := RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: IPv6, VRID: 56}, Name: "public6",
		Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::56/64"), netip.MustParsePrefix("2001:db8::56/64")},
	}
	four := publicRouter()
	four.Checksum = ChecksumMessage
	b := newBench(t, groupOf(Owner, four, six))
	b.up("pub")
	b.same(b.handle(LinkState{Interface: "pub", Family: IPv6, Source: netip.MustParseAddr("fe80::20")}),
		sent(255)+" checksum message",
		"send pub fe80::20 -> ff02::12 vrid 56 priority 255 interval 1s fe80::56,2001:db8::56",
		"web initialize -> active (priority 255): owner of the addresses",
		announced,
		"announce pub fe80::56/64,2001:db8::56/64")
}
