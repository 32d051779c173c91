package vrrp

import (
	"net/netip"
	"slices"
	"testing"
)

// invalid is a packet that must not be used, and why.
type invalid struct {
	name   string
	packet Received
	want   DropReason
	router RouterConfig // who hears it; publicRouter if not given
	owner  bool         // we must own the addresses for this reason to apply
	strays bool         // it belongs to no router: counted by the host
	late   bool         // the check needs a router that is not in Initialize
	before *Received    // a valid packet that must come first
}

// payloadOf changes a packet's payload.
func payloadOf(p Received, change func([]byte) []byte) Received {
	p.Payload = change(p.Payload)
	return p
}

// toward gives a packet another destination, checksum included.
func toward(p Received, destination string) Received {
	p.Destination = netip.MustParseAddr(destination)
	p.Payload = resum(slices.Clone(p.Payload), p.Source, p.Destination)
	return p
}

// withTTL gives a packet another TTL.
func withTTL(p Received, ttl uint8) Received {
	p.TTL = ttl
	return p
}

// invalidPackets returns a packet for every reason to drop one that applies in
// all states. All of them carry a priority that would otherwise matter.
func invalidPackets() []invalid {
	good := func() Received { return advert(publicRouter(), greaterSource, 200) }
	elsewhere := good()
	elsewhere.Interface = "int"
	other := func(a *Advertisement) { a.VRID = 57 }
	list := []invalid{
		{name: "TTL", packet: withTTL(good(), 254), want: DropTTL},
		{name: "TTL of a resignation", packet: withTTL(advert(publicRouter(), greaterSource, 0), 1), want: DropTTL},
		{name: "version", packet: payloadOf(good(), func(b []byte) []byte { b[0] = 0x41; return b }), want: DropVersion},
		{name: "version 2, incomplete", packet: payloadOf(good(), func(b []byte) []byte { b[0] = 0x21; return b }), want: DropVersion},
		{name: "version 2", packet: advert(old(publicRouter(), ""), greaterSource, 200), want: DropVersion, late: true},
		{name: "type", packet: payloadOf(good(), func(b []byte) []byte { b[0] = 0x32; return b }), want: DropType},
		{name: "truncated", packet: payloadOf(good(), func(b []byte) []byte { return b[:10] }), want: DropLength},
		{name: "two octets", packet: payloadOf(good(), func(b []byte) []byte { return b[:2] }), want: DropLength},
		{name: "too long", packet: payloadOf(good(), func(b []byte) []byte { return append(b, 0, 0, 0, 0) }), want: DropLength},
		{name: "checksum", packet: payloadOf(good(), func(b []byte) []byte { b[2]--; return b }), want: DropChecksum},
		{name: "interval zero", packet: advert(publicRouter(), greaterSource, 200, every(0)), want: DropInterval},
		{name: "destination", packet: toward(good(), ownSource), want: DropDestination},
		{name: "VRID", packet: advert(publicRouter(), greaterSource, 200, other), want: DropVRID, strays: true},
		{name: "interface", packet: elsewhere, want: DropVRID, strays: true},
		{name: "empty", packet: payloadOf(good(), func([]byte) []byte { return nil }), want: DropLength, strays: true},
		{name: "own source", packet: advert(publicRouter(), ownSource, 200), want: DropOwnSource, late: true},
		{name: "own source resigns", packet: advert(publicRouter(), ownSource, 0), want: DropOwnSource, late: true},
		{name: "resignation to the owner", packet: advert(publicRouter(), greaterSource, 0), want: DropOwner, owner: true, late: true},
	}
	return slices.Concat(list, invalidVersion2(), invalidUnicast(), invalidSignatures())
}

// invalidVersion2 are the packets that a router of version 2 refuses.
func invalidVersion2() []invalid {
	none, word := old(publicRouter(), ""), old(publicRouter(), "s3cret")
	list := []invalid{
		{name: "version 3", router: none, packet: advert(publicRouter(), greaterSource, 200), want: DropVersion},
		{name: "another interval", router: none, packet: advert(none, greaterSource, 200, every(2*second)), want: DropInterval},
		{name: "a password where none is", router: none, packet: advert(word, greaterSource, 200), want: DropPassword},
		{name: "no password", router: word, packet: advert(none, greaterSource, 200), want: DropPassword},
		{name: "another password", router: word, packet: advert(old(publicRouter(), "s3creT"), greaterSource, 200), want: DropPassword},
		{name: "the beginning of the password", router: word, packet: advert(old(publicRouter(), "s3cre"), greaterSource, 200), want: DropPassword},
		{name: "another auth type", router: word, packet: payloadOf(advert(word, greaterSource, 200), func(b []byte) []byte {
			b[4] = 2
			return resum2(b)
		}), want: DropPassword},
	}
	for i := range list {
		list[i].late = true
	}
	return list
}

// invalidUnicast are the packets that a router in unicast mode refuses.
func invalidUnicast() []invalid {
	rc := unicast(publicRouter(), greaterSource)
	good := func(source string) Received { return advert(rc, source, 200) }
	return []invalid{
		{name: "multicast in unicast mode", router: rc, packet: toward(good(greaterSource), "224.0.0.18"), want: DropDestination, late: true},
		{name: "to another address of ours", router: rc, packet: toward(good(greaterSource), "192.168.56.100"), want: DropDestination, late: true},
		{name: "no peer", router: rc, packet: good(smallerSource), want: DropPeer, late: true},
		{name: "no peer resigns", router: rc, packet: advert(rc, smallerSource, 0), want: DropPeer, late: true},
		{name: "peer through a router", router: rc, packet: withTTL(good(greaterSource), 254), want: DropTTL},
		{name: "own source in unicast mode", router: rc, packet: good(ownSource), want: DropOwnSource, late: true},
	}
}

// invalidSignatures are the packets that a router with keys refuses. The
// last is an older one that was held back.
func invalidSignatures() []invalid {
	rc := signing(publicRouter(), AuthEnforce)
	stranger := Key{ID: 9, Secret: testKeys()[0].Secret}
	mistaken := Key{ID: 1, Secret: []byte("not the secret of key 1")}
	newer := signed(rc, testKeys()[0], epoch.Add(second), smallerSource, 50)
	same := signed(rc, testKeys()[0], epoch, smallerSource, 50)
	late := []invalid{
		{name: "signed where no keys are", router: publicRouter(), packet: signed(rc, testKeys()[0], epoch, greaterSource, 200), want: DropLength},
		{name: "unsigned", router: rc, packet: advert(publicRouter(), greaterSource, 200), want: DropUnsigned},
		{name: "unsigned resignation", router: rc, packet: advert(publicRouter(), greaterSource, 0), want: DropUnsigned},
		{name: "unknown key", router: rc, packet: signed(rc, stranger, epoch, greaterSource, 200), want: DropKey},
		{name: "wrong secret", router: rc, packet: signed(rc, mistaken, epoch, greaterSource, 200), want: DropSignature},
		{name: "clock behind", router: rc, packet: signed(rc, testKeys()[0], epoch.Add(-6*second), greaterSource, 200), want: DropClock},
		{name: "clock ahead", router: rc, packet: signed(rc, testKeys()[0], epoch.Add(20*second), greaterSource, 200), want: DropClock},
		{name: "held back", router: rc, packet: signed(rc, testKeys()[0], epoch, smallerSource, 200), before: &newer, want: DropReplay},
		{name: "once more", router: rc, packet: same, before: &same, want: DropDuplicate},
	}
	for i := range late {
		late[i].late = true
	}
	return late
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

// hearer returns a bench in the given state that will hear an invalid packet.
func (tt invalid) hearer(t *testing.T, state State) *bench {
	rc := tt.router
	if rc.Name == "" {
		rc = publicRouter()
	}
	switch {
	case state == Initialize:
		return newBench(t, groupOf(100, rc))
	case tt.owner:
		b := newBench(t, groupOf(Owner, rc))
		b.up("pub")
		return b
	case state == Backup:
		return newBackup(t, groupOf(100, rc))
	}
	return newActive(t, groupOf(100, rc))
}

// dropsIn gives an invalid packet to a router in the given state.
func dropsIn(t *testing.T, tt invalid, state State) {
	if tt.owner && state == Backup {
		return // what an owner does that another one has made Backup is told by its own tests
	}
	b := tt.hearer(t, state)
	b.inState(state)
	if tt.before != nil {
		b.handle(*tt.before)
	}
	want := tt.want
	if state == Initialize && tt.late {
		want = DropInitialize
	}
	b.wait(second / 2)
	before, counters := b.host.Deadline(), b.host.Status().Groups[0].Routers[0].Counters
	b.same(without(b.handle(tt.packet), "notice "))
	b.inState(state)
	if after := b.host.Deadline(); !after.Equal(before) {
		t.Errorf("deadline moved from %v to %v", before, after)
	}
	status := b.host.Status()
	counted := status.Groups[0].Routers[0].Counters
	if counted.Received != counters.Received {
		t.Errorf("counted as received")
	}
	drops := counted.Dropped
	if tt.strays {
		drops = status.Dropped
	}
	wantDrops := counters.Dropped
	wantDrops[want]++
	if drops != wantDrops {
		t.Errorf("counted %v, want one %v", drops, want)
	}
}
