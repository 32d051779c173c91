package link

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// bound is how long a test waits for what takes milliseconds on a quiet machine.
const bound = 10 * time.Second

// addrs compares addresses and prefixes.
var addrs = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

// wantOne is a wanted state of one interface.
func wantOne(iface string, present, absent []netip.Prefix) map[string]vrrp.Wanted {
	return map[string]vrrp.Wanted{iface: {Present: present, Absent: absent}}
}

// ipv4State is the state of an interface with those sources.
func ipv4State(iface string, fault vrrp.Fault, sources ...netip.Prefix) vrrp.LinkState {
	s := vrrp.LinkState{Interface: iface, Family: vrrp.IPv4, Fault: fault}
	for _, p := range sources {
		s.Sources = append(s.Sources, p.Addr())
	}
	return s
}

// TestRealExchange sends advertisements both ways between two namespaces, by
// multicast and by unicast, also while a virtual address is on the interface.
func TestRealExchange(t *testing.T) {
	l := newLab(t, "exch")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{vip}, nil))
	want := ipv4State(l.name, vrrp.NoFault, hereAddress)
	for s := e.linkState(bound); !sameState(s, want); s = e.linkState(bound) {
		if s.Fault != vrrp.FaultDown { // the cable may be a moment old
			t.Fatalf("the first state is %+v, want %+v", s, want)
		}
	}
	<-n.Ready()
	l.eventually(bound, hereAddress, vip)
	peer := l.peerConn()

	heard := make(chan vrrp.Received, 16)
	go func() { _ = peer.Receive(each(func(p vrrp.Received) { heard <- p })) }()
	for _, destination := range []netip.Addr{vrrp.IPv4.MulticastAddress(), thereAddress.Addr()} {
		if err := n.Send(l.name, hereAddress.Addr(), destination, []byte("to peer")); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			want := vrrp.Received{Interface: "pexch", Source: hereAddress.Addr(), Destination: destination, TTL: 255, Payload: []byte("to peer")}
			if d := cmp.Diff(want, got, addrs); d != "" {
				t.Errorf("the peer received (-want +got):\n%s", d)
			}
		case <-time.After(bound):
			t.Fatalf("the peer received nothing at %s", destination)
		}
	}
	for _, destination := range []netip.Addr{vrrp.IPv4.MulticastAddress(), hereAddress.Addr()} {
		if err := peer.Send(thereAddress.Addr(), destination, []byte("from peer")); err != nil {
			t.Fatal(err)
		}
		want := vrrp.Received{Interface: l.name, Source: thereAddress.Addr(), Destination: destination, TTL: 255, Payload: []byte("from peer")}
		if d := cmp.Diff(want, e.received(bound), addrs); d != "" {
			t.Errorf("received (-want +got):\n%s", d)
		}
	}
}

// TestRealTTL receives packets whose TTL says that they have been forwarded:
// they are delivered with it, for the election to drop (RFC 9568 section 7.1).
func TestRealTTL(t *testing.T) {
	l := newLab(t, "ttl")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, nil, []netip.Prefix{vip}))
	<-n.Ready()
	peer := l.peerConn()
	for _, ttl := range []int{255, 254, 1} {
		err := peer.raw.Control(func(fd uintptr) {
			if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := peer.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if got := e.received(bound).TTL; int(got) != ttl {
			t.Errorf("TTL is %d, want %d", got, ttl)
		}
	}
}

// TestRealForeignGroup checks that groups which other programs of this host
// have joined are not heard, nor another interface.
func TestRealForeignGroup(t *testing.T) {
	l, other := newLab(t, "group"), newLab(t, "group2")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, nil, []netip.Prefix{vip}))
	<-n.Ready()
	second, err := listen(testLog(t), other.name, other.link(other.here, other.name).Attrs().Index, vrrp.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	// Both interfaces have the same address, so that unicast could be meant
	// for either.
	wrong := other.peerConn()
	for _, destination := range []netip.Addr{vrrp.IPv4.MulticastAddress(), hereAddress.Addr()} {
		if err := wrong.Send(thereAddress.Addr(), destination, []byte("wrong interface")); err != nil {
			t.Fatal(err)
		}
	}
	arrived := 0
	for limit := time.Now().Add(bound); arrived < 2; {
		if time.Now().After(limit) {
			t.Fatalf("%d of 2 packets have arrived on the other interface, the test proves nothing", arrived)
		}
		time.Sleep(time.Millisecond)
		second.Drain(func(b vrrp.Batch) { arrived += len(b) })
	}
	peer := l.peerConn()
	if err := peer.Send(thereAddress.Addr(), netip.MustParseAddr("224.0.0.5"), []byte("wrong group")); err != nil {
		t.Fatal(err)
	}
	if err := peer.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("right")); err != nil {
		t.Fatal(err)
	}
	if got := string(e.received(bound).Payload); got != "right" {
		t.Errorf("received %q, want only what was sent to the group on this interface", got)
	}
}

// TestRealAddresses adds and removes virtual addresses, removes what a dead
// predecessor left, and repairs what somebody else does.
func TestRealAddresses(t *testing.T) {
	l := newLab(t, "addr")
	foreign := netip.MustParsePrefix("198.51.100.1/24")
	l.add(foreign)
	l.add(vip2) // left by a predecessor
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{vip}, []netip.Prefix{vip2}))
	l.eventually(bound, hereAddress, foreign, vip)
	<-n.Ready()

	l.del(vip)
	if took := l.eventually(bound, hereAddress, foreign, vip); took > 500*time.Millisecond {
		t.Errorf("a deleted address was put back after %s, want 500ms at most", took)
	} else {
		t.Logf("a deleted address was put back after %s", took)
	}
	l.add(vip2)
	if took := l.eventually(bound, hereAddress, foreign, vip); took > 500*time.Millisecond {
		t.Errorf("an unwanted address was removed after %s, want 500ms at most", took)
	}
	for len(e.ch) > 0 {
		if s, ok := (<-e.ch).(vrrp.LinkState); ok && s.Fault != vrrp.NoFault && s.Fault != vrrp.FaultDown {
			t.Errorf("the repair was reported as %+v", s)
		}
	}

	// What leaves the configuration is removed once, then left alone.
	n.Want(map[string]vrrp.Wanted{})
	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.eventually(bound, hereAddress, foreign)
	l.add(vip)
	time.Sleep(4 * repairPause)
	l.eventually(0, hereAddress, foreign, vip)
}

// TestRealSettle measures an ordered stop: all addresses gone on return.
func TestRealSettle(t *testing.T) {
	l := newLab(t, "settle")
	here := l.linkLocal(l.here, l.name)
	n := New(testLog(t))
	start(t, n)
	for _, tt := range []struct {
		format string
		family int
		own    netip.Prefix
	}{{"192.0.3.%d/24", netlink.FAMILY_V4, hereAddress}, {"fd00:3::%d/64", netlink.FAMILY_V6, here}} {
		var many []netip.Prefix
		for i := range 250 {
			many = append(many, netip.MustParsePrefix(fmt.Sprintf(tt.format, i+1)))
		}
		begin := time.Now()
		n.Want(wantOne(l.name, many, nil))
		must(t, n.Settle(t.Context()))
		t.Logf("250 addresses added in %s", time.Since(begin))
		if got := len(l.prefixes(tt.family)); got != 251 {
			t.Errorf("%d addresses after Settle, want 251", got)
		}
		begin = time.Now()
		n.Want(wantOne(l.name, nil, many))
		must(t, n.Settle(t.Context()))
		t.Logf("250 addresses removed in %s", time.Since(begin))
		l.await(0, tt.family, tt.own)
	}
}

// TestRealFaults pulls the cable, sets the interface down, removes its
// address, deletes and recreates it, and expects each fault and the recovery.
func TestRealFaults(t *testing.T) {
	l := newLab(t, "fault")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{vip}, nil))
	well := ipv4State(l.name, vrrp.NoFault, hereAddress)
	fault := func(f vrrp.Fault) vrrp.LinkState {
		return ipv4State(l.name, f)
	}
	expect := func(what string, want vrrp.LinkState) {
		t.Helper()
		start := time.Now()
		for s := e.linkState(bound); !sameState(s, want); s = e.linkState(bound) {
			t.Logf("%s: passing through %+v", what, s)
		}
		t.Logf("%s: after %s", what, time.Since(start))
	}
	expect("begin", well)
	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}

	l.setDown(l.there, "p"+l.name)
	expect("cable pulled", fault(vrrp.FaultDown))
	begin := time.Now()
	if err := n.Send(l.name, hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("x")); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("Send without carrier: %v, want %v", err, unix.ENETDOWN)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("Send without carrier took %s", took)
	}
	l.setUp(l.there, "p"+l.name)
	expect("cable plugged", well)

	l.setDown(l.here, l.name)
	expect("set down", fault(vrrp.FaultDown))
	if err := n.Send(l.name, hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("x")); err == nil {
		t.Error("Send on an interface that is set down succeeds")
	}
	l.setUp(l.here, l.name)
	expect("set up", well)

	// The virtual address is secondary to the own one and goes with it; it
	// must come back without becoming the source.
	l.del(hereAddress)
	expect("own address deleted", fault(vrrp.NoFault))
	l.add(hereAddress)
	expect("own address added", well)
	l.eventually(bound, hereAddress, vip)

	old := l.link(l.here, l.name).Attrs().Index
	l.unplug()
	expect("interface deleted", fault(vrrp.FaultMissing))
	if err := n.Send(l.name, hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("x")); err == nil {
		t.Error("Send on a missing interface succeeds")
	}
	l.plug(hereAddress)
	if l.link(l.here, l.name).Attrs().Index == old {
		t.Fatal("the interface has its old index, the test proves nothing")
	}
	expect("interface recreated", well)
	l.eventually(bound, hereAddress, vip)
	if err := l.peerConn().Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("again")); err != nil {
		t.Fatal(err)
	}
	if got := string(e.received(bound).Payload); got != "again" {
		t.Errorf("received %q on the new interface", got)
	}
}

// TestRealRename renames an interface away and back under its index.
func TestRealRename(t *testing.T) {
	l := newLab(t, "rename")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, nil, []netip.Prefix{vip}))
	for s := e.linkState(bound); s.Fault != vrrp.NoFault; s = e.linkState(bound) {
	}
	link := l.link(l.here, l.name)
	l.setDown(l.here, l.name)
	l.check(l.here.LinkSetName(link, "other"))
	for s := e.linkState(bound); s.Fault != vrrp.FaultMissing; s = e.linkState(bound) {
	}
	l.check(l.here.LinkSetName(link, l.name))
	l.setUp(l.here, l.name)
	for s := e.linkState(bound); s.Fault != vrrp.NoFault; s = e.linkState(bound) {
	}
}

// TestRealGratuitousARP captures the announcements on the peer: of an address
// that was taken over, and again when it had to be put back.
func TestRealGratuitousARP(t *testing.T) {
	l := newLab(t, "garp")
	s := Schedule{Repeat: 3, Delay: 200 * time.Millisecond, Interval: time.Millisecond, Volley: 8}
	n := New(testLog(t), WithSchedule(s))
	start(t, n)
	n.Want(wantOne(l.name, nil, []netip.Prefix{vip, vip2}))
	<-n.Ready()
	var sniffer *packet.Conn
	var err error
	ifi := interfaceAt(l.link(l.there, "p"+l.name))
	l.inPeer(func() { sniffer, err = packet.Listen(ifi, packet.Raw, int(ethernet.EtherTypeARP), nil) })
	l.check(err)
	defer sniffer.Close()

	begin := time.Now()
	n.Want(wantOne(l.name, []netip.Prefix{vip, vip2}, nil))
	n.Announce(l.name, []netip.Prefix{vip, vip2})
	hardware := l.link(l.here, l.name).Attrs().HardwareAddr
	frame := func() netip.Addr {
		t.Helper()
		a := readARP(t, sniffer)
		if a.Operation != arp.OperationRequest || a.SenderIP != a.TargetIP ||
			a.SenderHardwareAddr.String() != hardware.String() || a.TargetHardwareAddr.String() != ethernet.Broadcast.String() {
			t.Errorf("captured %+v, want a gratuitous request from %s", a, hardware)
		}
		return a.SenderIP
	}
	var got []netip.Addr
	got = append(got, frame())
	t.Logf("first frame %s after Want", time.Since(begin))
	for range 4*s.Repeat - 1 {
		got = append(got, frame())
	}
	// When the kernel confirms which address is chance, and with it the order.
	for burst := range 2 {
		count := make(map[netip.Addr]int)
		for _, a := range got[burst*2*s.Repeat:][:2*s.Repeat] {
			count[a]++
		}
		if count[vip.Addr()] != s.Repeat || count[vip2.Addr()] != s.Repeat {
			t.Errorf("burst %d announced %v, want each address %d times", burst+1, count, s.Repeat)
		}
	}
	if took := time.Since(begin); took < s.Delay {
		t.Errorf("the second burst ended after %s, want %s at least", took, s.Delay)
	}

	l.del(vip2)
	for range 2 * s.Repeat {
		if a := frame(); a != vip2.Addr() {
			t.Errorf("announced %s, want %s, which was put back", a, vip2.Addr())
		}
	}
}

// readARP returns the next ARP packet that announces something, and passes
// over what the kernel asks.
func readARP(t *testing.T, sniffer *packet.Conn) *arp.Packet {
	t.Helper()
	if err := sniffer.SetReadDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := sniffer.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no gratuitous ARP captured: %v", err)
		}
		var f ethernet.Frame
		if err := f.UnmarshalBinary(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if f.Destination.String() != ethernet.Broadcast.String() {
			t.Errorf("frame to %s, want broadcast", f.Destination)
		}
		a := new(arp.Packet)
		if err := a.UnmarshalBinary(f.Payload); err != nil {
			t.Fatal(err)
		}
		if a.SenderIP == a.TargetIP {
			return a
		}
	}
}
