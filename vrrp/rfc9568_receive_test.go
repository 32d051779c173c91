package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// TestRFC9568_7_1_InvalidPacketsDoNotSilence: a stream of invalid packets
// neither holds a Backup router back nor keeps an Active one from advertising.
func TestRFC9568_7_1_InvalidPacketsDoNotSilence(t *testing.T) {
	for _, tt := range invalidPackets() {
		if tt.owner {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			b := tt.hearer(t, Backup)
			if tt.before != nil {
				b.handle(*tt.before)
			}
			var done int
			for end := b.now.Add(activeDownInterval(100, second) + 3*second); b.now.Before(end); b.wait(10 * time.Millisecond) {
				b.handle(tt.packet)
				done += len(b.handle(Expiry{}))
			}
			b.inState(Active)
			// One advertisement, transition and announcement at the take-over,
			// then one advertisement a second.
			if done != 5 {
				t.Errorf("%d actions, want 5", done)
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
	b.handle(LinkState{Interface: "pub", Family: IPv6, Sources: []netip.Addr{netip.MustParseAddr("fe80::20")}})
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
	b.same(b.handle(LinkState{Interface: "pub", Family: IPv6, Sources: []netip.Addr{netip.MustParseAddr("fe80::20")}}),
		sent(255)+" checksum message",
		"send pub fe80::20 -> ff02::12 vrid 56 priority 255 interval 1s fe80::56,2001:db8::56",
		"web initialize -> active (priority 255): owner of the addresses",
		announced,
		"announce pub fe80::56/64,2001:db8::56/64")
}
