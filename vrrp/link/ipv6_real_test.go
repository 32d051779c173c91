package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// The IPv6 addresses of a lab, beside those that the kernel makes.
var (
	hereAddress6  = netip.MustParsePrefix("fd00:2::11/64")
	thereAddress6 = netip.MustParsePrefix("fd00:2::12/64")
	localVIP      = netip.MustParsePrefix("fe80::100/64")
	vip6          = netip.MustParsePrefix("fd00:2::10/64")
	hostVIP6      = netip.MustParsePrefix("fd00:2::20/128")
)

// newLab6 builds a lab with IPv6 addresses too.
func newLab6(t *testing.T, name string) *lab {
	t.Helper()
	l := newLab(t, name)
	l.add6(l.here, l.name, hereAddress6, unix.IFA_F_NODAD)
	l.add6(l.there, "p"+l.name, thereAddress6, unix.IFA_F_NODAD)
	return l
}

// add6 adds an IPv6 address, as an administrator would.
func (l *lab) add6(h *netlink.Handle, name string, p netip.Prefix, flags int) {
	l.t.Helper()
	l.check(h.AddrAdd(l.link(h, name), &netlink.Addr{IPNet: ipNetOf(p), Flags: flags}))
}

// linkLocal waits until the kernel has made a usable link-local address.
func (l *lab) linkLocal(h *netlink.Handle, name string) netip.Prefix {
	l.t.Helper()
	for limit := time.Now().Add(bound); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		for _, a := range l.list(h, name, netlink.FAMILY_V6) {
			p, _ := prefixOf(a.IPNet)
			if p.Addr().IsLinkLocalUnicast() && p != localVIP && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return p
			}
		}
	}
	l.t.Fatalf("%s has no usable link-local address", name)
	return netip.Prefix{}
}

// sysctl sets net.ipv6.conf.NAME here.
func (l *lab) sysctl(name string, value int) {
	l.t.Helper()
	l.check(os.WriteFile("/proc/sys/net/ipv6/conf/"+l.name+"/"+name, fmt.Append(nil, value), 0o644))
}

// awaitSources waits until the sources of a family are those.
func (e *events) awaitSources(family vrrp.Family, want ...netip.Prefix) {
	e.t.Helper()
	var addrs []netip.Addr
	for _, p := range want {
		addrs = append(addrs, p.Addr())
	}
	for {
		s := e.linkState(bound)
		if s.Family == family && s.Fault == vrrp.NoFault && slices.Equal(s.Sources, addrs) {
			return
		}
		e.t.Logf("passing through %+v", s)
	}
}

// TestRealIPv6Exchange sends advertisements both ways between two namespaces,
// by multicast and by unicast, from link-local and from global addresses, while
// virtual ones are on the interface. What arrives is what was sent, checksum
// or not, also if it takes fragments.
func TestRealIPv6Exchange(t *testing.T) {
	l := newLab6(t, "sixexch")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{localVIP, vip6}, nil))
	here, there := l.linkLocal(l.here, l.name), l.linkLocal(l.there, "p"+l.name)
	e.awaitSources(vrrp.IPv6, here, hereAddress6)
	<-n.Ready()
	l.await(bound, netlink.FAMILY_V6, here, hereAddress6, localVIP, vip6)
	peer := l.peerConnOf(vrrp.IPv6)
	heard := make(chan vrrp.Received, 16)
	go func() { _ = peer.Receive(each(func(p vrrp.Received) { heard <- p })) }()

	long := []byte(strings.Repeat("advertisement", 320)) // 255 addresses and a signature are shorter
	for _, tt := range []struct {
		source, destination netip.Addr
		payload             []byte
	}{
		{here.Addr(), vrrp.IPv6.MulticastAddress(), []byte("multicast")},
		{here.Addr(), there.Addr(), []byte("unicast")},
		{hereAddress6.Addr(), thereAddress6.Addr(), []byte("global unicast")},
		{here.Addr(), vrrp.IPv6.MulticastAddress(), long},
		{hereAddress6.Addr(), thereAddress6.Addr(), long},
	} {
		l.check(n.Send(l.name, tt.source, tt.destination, tt.payload))
		select {
		case got := <-heard:
			want := vrrp.Received{Interface: "psixexch", Source: tt.source, Destination: tt.destination, TTL: 255, Payload: tt.payload}
			if d := cmp.Diff(want, got, addrs); d != "" {
				t.Errorf("the peer received (-want +got):\n%s", d)
			}
		case <-time.After(bound):
			t.Fatalf("the peer received nothing at %s", tt.destination)
		}
	}
	for _, tt := range []struct{ source, destination netip.Addr }{
		{there.Addr(), vrrp.IPv6.MulticastAddress()}, {there.Addr(), here.Addr()}, {thereAddress6.Addr(), hereAddress6.Addr()},
	} {
		l.check(peer.Send(tt.source, tt.destination, long))
		want := vrrp.Received{Interface: l.name, Source: tt.source, Destination: tt.destination, TTL: 255, Payload: long}
		if d := cmp.Diff(want, e.received(bound), addrs); d != "" {
			t.Errorf("received (-want +got):\n%s", d)
		}
	}
}

// TestRealIPv6HopLimit delivers packets with their Hop Limit, for the election
// to drop (RFC 9568 section 7.1), and hears no other group.
func TestRealIPv6HopLimit(t *testing.T) {
	l := newLab6(t, "sixhops")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, nil, []netip.Prefix{localVIP}))
	e.awaitSources(vrrp.IPv6, l.linkLocal(l.here, l.name), hereAddress6)
	peer, there := l.peerConnOf(vrrp.IPv6), l.linkLocal(l.there, "p"+l.name)
	l.check(peer.Send(there.Addr(), netip.MustParseAddr("ff02::5"), []byte("wrong group")))
	for _, hops := range []int{255, 254, 1} {
		l.check(peer.raw.Control(func(fd uintptr) {
			l.check(unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, hops))
		}))
		l.check(peer.Send(there.Addr(), vrrp.IPv6.MulticastAddress(), []byte("x")))
		if got := e.received(bound); int(got.TTL) != hops || string(got.Payload) != "x" {
			t.Errorf("received %q with hop limit %d, want %d", got.Payload, got.TTL, hops)
		}
	}
}

// TestRealBothFamilies serves both on one interface, and closes the socket of
// a family that is not used any more.
func TestRealBothFamilies(t *testing.T) {
	l := newLab6(t, "both")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{vip}, []netip.Prefix{vip6}))
	here := l.linkLocal(l.here, l.name)
	e.awaitSources(vrrp.IPv6, here, hereAddress6)
	four, six := l.peerConn(), l.peerConnOf(vrrp.IPv6)
	l.check(four.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("four")))
	if got := e.received(bound); string(got.Payload) != "four" {
		t.Errorf("received %q from %s", got.Payload, got.Source)
	}
	l.check(six.Send(thereAddress6.Addr(), vrrp.IPv6.MulticastAddress(), []byte("six")))
	if got := e.received(bound); string(got.Payload) != "six" {
		t.Errorf("received %q from %s", got.Payload, got.Source)
	}
	n.Want(wantOne(l.name, nil, []netip.Prefix{vip6}))
	o := (*n.ports.Load())[l.name].observer
	for limit := time.Now().Add(bound); o.ear(vrrp.IPv4).open.Load() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the IPv4 socket is still open")
		}
	}
	if err := n.Send(l.name, hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), nil); err == nil {
		t.Error("Send by a family that is not used succeeds")
	}
}

// TestRealIPv6Addresses adds virtual addresses that another machine has at the
// same time, which are usable at once all the same; one without neighbours is
// never chosen as a source. Linux deletes them when the interface is set down.
func TestRealIPv6Addresses(t *testing.T) {
	l := newLab6(t, "sixaddr")
	for _, p := range []netip.Prefix{localVIP, vip6, hostVIP6} {
		l.add6(l.there, "p"+l.name, p, unix.IFA_F_NODAD)
	}
	n := New(testLog(t))
	start(t, n)
	here := l.linkLocal(l.here, l.name)
	own := []netip.Prefix{here, hereAddress6}
	n.Want(wantOne(l.name, []netip.Prefix{localVIP, vip6, hostVIP6}, nil))
	l.await(bound, netlink.FAMILY_V6, append(own, localVIP, vip6, hostVIP6)...)
	time.Sleep(100 * time.Millisecond) // for the kernel to find out, if it looked
	for _, a := range l.list(l.here, l.name, netlink.FAMILY_V6) {
		p, _ := prefixOf(a.IPNet)
		if a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			t.Errorf("%s is not usable: flags %#x", p, a.Flags)
		}
		if deprecated := a.Flags&unix.IFA_F_DEPRECATED != 0; deprecated != (p == hostVIP6) {
			t.Errorf("%s is deprecated: %t", p, deprecated)
		}
		if a.ValidLft != int(^uint32(0)) && a.ValidLft != 0 {
			t.Errorf("%s is valid for %d s, want for ever", p, a.ValidLft)
		}
	}

	l.setDown(l.here, l.name)
	l.setUp(l.here, l.name) // Linux keeps none of the addresses that were added by hand
	took := l.await(bound, netlink.FAMILY_V6, l.linkLocal(l.here, l.name), localVIP, vip6, hostVIP6)
	t.Logf("the addresses are back %s after a usable link-local one", took)
	l.add6(l.here, l.name, hereAddress6, unix.IFA_F_NODAD)
	n.Want(wantOne(l.name, nil, []netip.Prefix{localVIP, vip6, hostVIP6}))
	l.check(n.Settle(t.Context()))
	l.await(0, netlink.FAMILY_V6, l.linkLocal(l.here, l.name), hereAddress6)
}

// TestRealIPv6DownUp measures how long the virtual addresses are missing after
// the interface was set down and up: they do not wait for the kernel's own.
func TestRealIPv6DownUp(t *testing.T) {
	l := newLab6(t, "sixdown")
	n := New(testLog(t))
	start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{localVIP, vip6}, nil))
	l.check(n.Settle(t.Context()))
	l.linkLocal(l.here, l.name)
	l.setDown(l.here, l.name)
	l.setUp(l.here, l.name)
	begin := time.Now()
	for {
		have := l.prefixes(netlink.FAMILY_V6)
		if slices.Contains(have, localVIP) && slices.Contains(have, vip6) {
			break
		}
		if time.Since(begin) > bound {
			t.Fatalf("addresses are %v, want %s and %s too", have, localVIP, vip6)
		}
	}
	took := time.Since(begin)
	t.Logf("the addresses are back after %s", took)
	if took > 500*time.Millisecond {
		t.Errorf("the addresses were missing for %s, want 500ms at most", took)
	}
}

// TestRealIPv6Waits is without an address to send from until the kernel has
// one, recovers by itself, and tells an administrator why it takes long. What
// was joined is joined again.
func TestRealIPv6Waits(t *testing.T) {
	l := newLab(t, "sixwait")
	here := l.linkLocal(l.here, l.name)
	l.sysctl("disable_ipv6", 1)
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, nil, []netip.Prefix{localVIP}))
	e.awaitSources(vrrp.IPv6)
	want := []string{"sixwait: no IPv6 address to send from: net.ipv6.conf.sixwait.disable_ipv6 is 1"}
	l.problems(n, want)
	l.sysctl("disable_ipv6", 0)
	e.awaitSources(vrrp.IPv6, here)
	l.problems(n, nil)

	// Another machine has the same address: detection of duplicates fails.
	l.check(l.here.AddrDel(l.link(l.here, l.name), &netlink.Addr{IPNet: ipNetOf(here)}))
	e.awaitSources(vrrp.IPv6)
	l.add6(l.there, "p"+l.name, here, unix.IFA_F_NODAD)
	l.add6(l.here, l.name, here, 0)
	want = []string{"sixwait: the link-local address " + here.Addr().String() + " is not usable: another machine on the link has it too"}
	l.problems(n, want)
	l.check(l.here.AddrDel(l.link(l.here, l.name), &netlink.Addr{IPNet: ipNetOf(here)}))
	l.check(l.there.AddrDel(l.link(l.there, "p"+l.name), &netlink.Addr{IPNet: ipNetOf(here)}))
	begin := time.Now()
	l.add6(l.here, l.name, here, 0)
	e.awaitSources(vrrp.IPv6, here)
	t.Logf("usable %s after it was added", time.Since(begin))
	l.check(l.peerConnOf(vrrp.IPv6).Send(l.linkLocal(l.there, "p"+l.name).Addr(), vrrp.IPv6.MulticastAddress(), []byte("again")))
	if got := string(e.received(bound).Payload); got != "again" {
		t.Errorf("received %q", got)
	}
}

// problems waits until the problems of a network are those.
func (l *lab) problems(n *Network, want []string) {
	l.t.Helper()
	const limit = patience + resyncInterval + bound
	for end := time.Now().Add(limit); !slices.Equal(n.Problems(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("problems are %q, want %q", n.Problems(), want)
		}
	}
}

// TestRealUnsolicitedNA captures the announcements on the peer, whose
// neighbour cache must follow them.
func TestRealUnsolicitedNA(t *testing.T) {
	for _, forwarding := range []int{0, 1} {
		t.Run(fmt.Sprintf("forwarding %d", forwarding), func(t *testing.T) {
			l := newLab6(t, "sixna")
			l.sysctl("forwarding", forwarding)
			n := New(testLog(t), WithSchedule(Schedule{Repeat: 2, Interval: time.Millisecond, Volley: 8}))
			start(t, n)
			n.Want(wantOne(l.name, nil, []netip.Prefix{localVIP, vip6}))
			<-n.Ready()
			var sniffer *packet.Conn
			var err error
			port := l.link(l.there, "p"+l.name)
			l.inPeer(func() {
				sniffer, err = packet.Listen(interfaceAt(port), packet.Raw, int(ethernet.EtherTypeIPv6), nil)
			})
			l.check(err)
			defer sniffer.Close()
			for _, p := range []netip.Prefix{localVIP, vip6} { // who had them before
				l.check(l.there.NeighSet(&netlink.Neigh{
					LinkIndex: port.Attrs().Index, Family: netlink.FAMILY_V6, State: netlink.NUD_STALE,
					IP: p.Addr().AsSlice(), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 99},
				}))
			}
			n.Want(wantOne(l.name, []netip.Prefix{localVIP, vip6}, nil))
			n.Announce(l.name, []netip.Prefix{localVIP, vip6})
			hardware := l.link(l.here, l.name).Attrs().HardwareAddr
			for _, want := range []netip.Prefix{localVIP, vip6, localVIP, vip6} {
				source, na := readNA(t, sniffer, hardware)
				wantNA := &ndp.NeighborAdvertisement{
					Router: forwarding == 1, Override: true, TargetAddress: want.Addr(),
					Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: hardware}},
				}
				if d := cmp.Diff(wantNA, na, addrs); d != "" || source != want.Addr() {
					t.Errorf("from %s, want %s (-want +got):\n%s", source, want.Addr(), d)
				}
			}
			for _, p := range []netip.Prefix{localVIP, vip6} {
				l.awaitNeighbour(port.Attrs().Index, p.Addr(), hardware)
			}
		})
	}
}

// awaitNeighbour waits until the peer takes an address for a hardware address:
// its kernel may look at a frame after it has been captured.
func (l *lab) awaitNeighbour(index int, address netip.Addr, hardware net.HardwareAddr) {
	l.t.Helper()
	var got net.HardwareAddr
	for begin := time.Now(); time.Since(begin) < bound; time.Sleep(10 * time.Millisecond) {
		neighbours, err := l.there.NeighList(index, netlink.FAMILY_V6)
		l.check(err)
		for _, n := range neighbours {
			if addr, _ := netip.AddrFromSlice(n.IP); addr == address {
				got = n.HardwareAddr
			}
		}
		if got.String() == hardware.String() {
			return
		}
	}
	l.t.Errorf("the peer has %s at %q, want %s", address, got, hardware)
}

// readNA returns the next neighbour advertisement to all nodes from that
// hardware address, with its source, and passes over what the kernel says.
func readNA(t *testing.T, sniffer *packet.Conn, hardware net.HardwareAddr) (netip.Addr, *ndp.NeighborAdvertisement) {
	t.Helper()
	must(t, sniffer.SetReadDeadline(time.Now().Add(bound)))
	buf := make([]byte, 1500)
	for {
		n, _, err := sniffer.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no neighbour advertisement captured: %v", err)
		}
		var f ethernet.Frame
		must(t, f.UnmarshalBinary(buf[:n]))
		source, na := parseNA(f.Payload)
		if na == nil || f.Source.String() != hardware.String() {
			continue
		}
		if f.Destination.String() != "33:33:00:00:00:01" {
			t.Errorf("frame to %s", f.Destination)
		}
		return source, na
	}
}

// parseNA reads an IPv6 packet with a neighbour advertisement to all nodes;
// nil if it is another one.
func parseNA(b []byte) (netip.Addr, *ndp.NeighborAdvertisement) {
	if len(b) < 40 || b[6] != unix.IPPROTO_ICMPV6 || b[7] != 255 || netip.AddrFrom16([16]byte(b[24:40])) != allNodes {
		return netip.Addr{}, nil
	}
	m, err := ndp.ParseMessage(b[40:])
	if na, ok := m.(*ndp.NeighborAdvertisement); ok && err == nil {
		return netip.AddrFrom16([16]byte(b[8:24])), na
	}
	return netip.Addr{}, nil
}

// TestRealBothFault deletes an interface of both families, creates it again,
// pulls its cable and renames it, and expects each to fail and to recover by
// itself, with its addresses, and with its socket in the group.
func TestRealBothFault(t *testing.T) {
	l := newLab(t, "bothfault")
	n := New(testLog(t))
	e := start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{vip, localVIP}, nil))
	well := func(what string) {
		t.Helper()
		e.both(what, func(s vrrp.LinkState) bool {
			return s.Fault == vrrp.NoFault && len(s.Sources) == 1 && s.Sources[0].IsLinkLocalUnicast() == (s.Family == vrrp.IPv6)
		})
		l.eventually(bound, hereAddress, vip)
		l.await(bound, netlink.FAMILY_V6, l.linkLocal(l.here, l.name), localVIP)
		for _, family := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
			source := thereAddress.Addr()
			if family == vrrp.IPv6 {
				source = l.linkLocal(l.there, "p"+l.name).Addr()
			}
			l.check(l.peerConnOf(family).Send(source, family.MulticastAddress(), []byte(what)))
			if got := e.received(bound); string(got.Payload) != what || got.Source != source {
				t.Errorf("received %q from %s, want %q from %s", got.Payload, got.Source, what, source)
			}
		}
	}
	fault := func(what string, f vrrp.Fault) {
		t.Helper()
		e.both(what, func(s vrrp.LinkState) bool { return s.Fault == f && len(s.Sources) == 0 })
	}
	well("begin")
	l.unplug()
	fault("deleted", vrrp.FaultMissing)
	l.plug(hereAddress)
	well("created again")
	l.setDown(l.there, "p"+l.name)
	fault("cable pulled", vrrp.FaultDown)
	l.setUp(l.there, "p"+l.name)
	well("cable plugged")
	link := l.link(l.here, l.name)
	l.setDown(l.here, l.name)
	fault("set down", vrrp.FaultDown)
	l.check(l.here.LinkSetName(link, "lan1"))
	fault("renamed", vrrp.FaultMissing)
	l.check(l.here.LinkSetName(link, l.name))
	l.setUp(l.here, l.name)
	well("renamed back")
}

// both waits until the last state of each family is as it should be.
func (e *events) both(what string, right func(vrrp.LinkState) bool) {
	e.t.Helper()
	found := make(map[vrrp.Family]bool)
	for !found[vrrp.IPv4] || !found[vrrp.IPv6] {
		s := e.linkState(bound)
		found[s.Family] = right(s)
		e.t.Logf("%s: %+v", what, s)
	}
}
