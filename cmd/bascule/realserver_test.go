package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"bascule/cmd/internal/lab"
	"bascule/cmd/internal/realserver"
)

// The virtual addresses of the site behind direct routing, on the internal LAN.
var (
	directVIP  = netip.MustParseAddr("192.168.200.100")
	directVIP6 = netip.MustParseAddr("fd00:200::100")
)

// realServer runs "bascule realserver" on a host, and returns what it printed
// on both outputs and its exit status.
func realServer(t *testing.T, host *lab.Host, args ...string) (string, int) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	dir, err := host.RealServerDirectory()
	must(t, err)
	cmd := host.Command(bounded(t), self, append([]string{"realserver", "--runtime-dir", dir}, args...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// realServerOK runs "bascule realserver", which must succeed and say nothing.
func realServerOK(t *testing.T, host *lab.Host, args ...string) {
	t.Helper()
	if out, status := realServer(t, host, args...); status != 0 || out != "" {
		t.Fatalf("realserver %v on %s: status %d, %s", args, host.Name, status, out)
	}
}

// neighbour is a socket for the frames of one protocol on a host of the
// internal LAN.
type neighbour struct {
	t    *testing.T
	conn *packet.Conn
	own  netip.Addr
	card *net.Interface
}

// listen opens the internal card of the second director for a protocol.
func listen(t *testing.T, host *lab.Host, protocol ethernet.EtherType) *neighbour {
	t.Helper()
	n := &neighbour{t: t}
	must(t, host.Do(func() (err error) {
		if n.card, err = net.InterfaceByName(lab.SecondCard); err != nil {
			return err
		}
		n.conn, err = packet.Listen(n.card, packet.Raw, int(protocol), nil)
		return err
	}))
	t.Cleanup(func() { n.conn.Close() })
	own, err := host.OwnAddress(lab.SecondCard, protocol == ethernet.EtherTypeIPv6)
	must(t, err)
	n.own = own
	return n
}

// send sends the payload of a frame.
func (n *neighbour) send(to net.HardwareAddr, protocol ethernet.EtherType, payload []byte) {
	n.t.Helper()
	frame, err := (&ethernet.Frame{Destination: to, Source: n.card.HardwareAddr, EtherType: protocol, Payload: payload}).MarshalBinary()
	must(n.t, err)
	_, err = n.conn.WriteTo(frame, &packet.Addr{HardwareAddr: to})
	must(n.t, err)
}

// next returns the next frame.
func (n *neighbour) next() *ethernet.Frame {
	n.t.Helper()
	must(n.t, n.conn.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 2048)
	size, _, err := n.conn.ReadFrom(buffer)
	must(n.t, err)
	var frame ethernet.Frame
	must(n.t, frame.UnmarshalBinary(buffer[:size]))
	return &frame
}

// answers asks for an address, and when there is an answer asks hosts for their
// own. When these are answered, too, nobody has any more to say about the
// first, for each answers in the order of the requests: it returns the
// hardware addresses of those who have.
func (n *neighbour) answers(address netip.Addr, own []netip.Addr, ask func(netip.Addr), heard func(*ethernet.Frame) netip.Addr) []string {
	n.t.Helper()
	ask(address)
	waiting := map[netip.Addr]bool{address: true}
	var from []string
	for len(waiting) > 0 {
		frame := n.next()
		target := heard(frame)
		if target == address {
			from = append(from, frame.Source.String())
			if waiting[address] {
				for _, a := range own {
					ask(a)
					waiting[a] = true
				}
			}
		}
		delete(waiting, target)
	}
	return from
}

// whoHas returns who answers for an address by ARP.
func (n *neighbour) whoHas(address netip.Addr, own ...netip.Addr) []string {
	n.t.Helper()
	ask := func(target netip.Addr) {
		p, err := arp.NewPacket(arp.OperationRequest, n.card.HardwareAddr, n.own, ethernet.Broadcast, target)
		must(n.t, err)
		payload, err := p.MarshalBinary()
		must(n.t, err)
		n.send(ethernet.Broadcast, ethernet.EtherTypeARP, payload)
	}
	return n.answers(address, own, ask, func(f *ethernet.Frame) netip.Addr {
		var p arp.Packet
		if err := p.UnmarshalBinary(f.Payload); err != nil || p.Operation != arp.OperationReply {
			return netip.Addr{}
		}
		return p.SenderIP
	})
}

// solicit returns which of the hosts answer for an IPv6 address. Each is asked
// by its hardware address.
func (n *neighbour) solicit(address netip.Addr, hosts map[netip.Addr]net.HardwareAddr) []string {
	n.t.Helper()
	ask := func(target netip.Addr) {
		for own, to := range hosts {
			if target == address || target == own {
				n.send(to, ethernet.EtherTypeIPv6, n.solicitation(target))
			}
		}
	}
	return n.answers(address, slices.Collect(maps.Keys(hosts)), ask, func(f *ethernet.Frame) netip.Addr {
		if len(f.Payload) <= ipv6.HeaderLen || f.Payload[6] != unix.IPPROTO_ICMPV6 {
			return netip.Addr{}
		}
		message, err := ndp.ParseMessage(f.Payload[ipv6.HeaderLen:])
		if na, ok := message.(*ndp.NeighborAdvertisement); err == nil && ok {
			return na.TargetAddress
		}
		return netip.Addr{}
	})
}

// solicitation returns the packet of a neighbour solicitation, which is sent to
// the address itself, as to see whether it is still there: to the multicast
// group of the address nobody would listen who has it on lo.
func (n *neighbour) solicitation(target netip.Addr) []byte {
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: n.card.HardwareAddr}},
	}, n.own, target)
	must(n.t, err)
	h := []byte{ipv6.Version << 4, 0, 0, 0, 0, byte(len(message)), unix.IPPROTO_ICMPV6, ndp.HopLimit}
	return slices.Concat(h, n.own.AsSlice(), target.AsSlice(), message)
}

// hardware returns the hardware address of a host's card on the internal LAN.
func hardware(t *testing.T, host *lab.Host) net.HardwareAddr {
	t.Helper()
	var card *net.Interface
	must(t, host.Do(func() (err error) {
		card, err = net.InterfaceByName(host.Interfaces()[len(host.Interfaces())-1])
		return err
	}))
	return card.HardwareAddr
}

// network prints the addresses, routes and sysctls of a host.
func network(t *testing.T, host *lab.Host) string {
	t.Helper()
	out, err := host.Output(bounded(t), "sh", "-c", `ip -o address; ip route show table all; ip -6 route show table all
		cat /proc/sys/net/ipv4/conf/*/arp_* /proc/sys/net/ipv4/conf/*/rp_filter`)
	must(t, err)
	return out
}

// directSite is the laboratory as a site behind direct routing: the first director
// has the virtual addresses, two web servers are its real servers, and the
// second director is a client on their LAN.
type directSite struct {
	*lab.Lab
	servers []*lab.Host
	own     []netip.Addr // of all who may answer, the director first
	own6    map[netip.Addr]net.HardwareAddr
}

// newDirectSite builds the site, with real servers that are not set up.
func newDirectSite(t *testing.T) *directSite {
	t.Helper()
	l := lab.NewT(t)
	s := &directSite{Lab: l, servers: l.Web[:2], own6: map[netip.Addr]net.HardwareAddr{}}
	for _, host := range append([]*lab.Host{l.LB}, s.servers...) {
		iface := host.Interfaces()[len(host.Interfaces())-1]
		own, err := host.OwnAddress(iface, false)
		must(t, err)
		s.own = append(s.own, own)
		own6, err := host.OwnAddress(iface, true)
		must(t, err)
		s.own6[own6] = hardware(t, host)
		must(t, host.AwaitLinkLocal(bounded(t)))
	}
	addAddress(t, l.LB, lab.SecondCard, directVIP.String()+"/24")
	addAddress(t, l.LB, lab.SecondCard, directVIP6.String()+"/64")
	return s
}

// addAddress gives a host an address by ip(8), as an administrator would.
func addAddress(t *testing.T, host *lab.Host, iface, address string) {
	t.Helper()
	args := []string{"address", "add", address, "dev", iface}
	if strings.Contains(address, ":") {
		args = append(args, "nodad")
	}
	_, err := host.Output(bounded(t), "ip", args...)
	must(t, err)
}

// onlyDirector checks that nobody but the director answers for the virtual
// addresses.
func (s *directSite) onlyDirector(t *testing.T) {
	t.Helper()
	want := []string{hardware(t, s.LB).String()}
	if got := listen(t, s.LB2, ethernet.EtherTypeARP).whoHas(directVIP, s.own...); !slices.Equal(got, want) {
		t.Errorf("%v answer ARP requests for %v, want %v", got, directVIP, want)
	}
	if got := listen(t, s.LB2, ethernet.EtherTypeIPv6).solicit(directVIP6, s.own6); !slices.Equal(got, want) {
		t.Errorf("%v answer neighbour solicitations for %v, want %v", got, directVIP6, want)
	}
}

// TestRealServer sets up real servers and checks that they are silent about
// the virtual addresses, and as before when all is undone.
func TestRealServer(t *testing.T) {
	s := newDirectSite(t)
	var before []string
	for _, host := range s.servers {
		before = append(before, network(t, host))
	}

	// What everybody forgets: with the addresses alone, all answer ARP.
	for _, host := range s.servers {
		addAddress(t, host, "lo", directVIP.String()+"/32")
	}
	if got := listen(t, s.LB2, ethernet.EtherTypeARP).whoHas(directVIP, s.own...); len(got) != 3 {
		t.Errorf("%v answer, want all three", got)
	}
	for _, host := range s.servers {
		_, err := host.Output(bounded(t), "ip", "address", "delete", directVIP.String()+"/32", "dev", "lo")
		must(t, err)
		realServerOK(t, host, "up", directVIP.String(), directVIP6.String())
		realServerOK(t, host, "up", directVIP.String())
	}
	s.onlyDirector(t)

	web1 := s.servers[0]
	if out, status := realServer(t, web1, "status", "--json"); status != 0 {
		t.Errorf("status %d: %s", status, out)
	}
	must(t, web1.Sysctl("net/ipv4/conf/all/arp_ignore", "0"))
	out, status := realServer(t, web1, "status")
	if status != 1 || !strings.HasPrefix(out, "MISSING: net.ipv4.conf.all.arp_ignore is 0, want 1\n") {
		t.Errorf("status %d: %s", status, out)
	}
	realServerOK(t, web1, "up", directVIP.String())
	s.onlyDirector(t)

	for i, host := range s.servers {
		realServerOK(t, host, "down")
		realServerOK(t, host, "down")
		if got := network(t, host); got != before[i] {
			t.Errorf("%s has\n%s\nwant\n%s", host.Name, got, before[i])
		}
	}
}

// TestRealServerAnswers has a client send to the virtual address by way of a
// real server's hardware address, as a director would, and checks that the
// answer comes from the virtual address, while the ARP request that comes
// before it is made from the real server's own.
func TestRealServerAnswers(t *testing.T) {
	s := newDirectSite(t)
	web1 := s.servers[0]
	realServerOK(t, web1, "up", directVIP.String())
	echo := startEcho(t, web1, netip.AddrPortFrom(directVIP, 7))

	requests := listen(t, s.LB2, ethernet.EtherTypeARP)
	ctx := bounded(t)
	_, err := s.LB2.Output(ctx, "ip", "neighbour", "replace", directVIP.String(), "lladdr", hardware(t, web1).String(), "dev", lab.SecondCard)
	must(t, err)
	var client net.Conn
	must(t, s.LB2.Do(func() (err error) {
		client, err = net.Dial("udp", echo.String())
		return err
	}))
	defer client.Close()
	_, err = client.Write([]byte("hello"))
	must(t, err)
	for {
		var p arp.Packet
		must(t, p.UnmarshalBinary(requests.next().Payload))
		if p.Operation == arp.OperationRequest && p.TargetIP == requests.own {
			if p.SenderIP != s.own[1] {
				t.Errorf("the request comes from %v, want %v", p.SenderIP, s.own[1])
			}
			break
		}
	}
	must(t, client.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 16)
	n, err := client.Read(buffer)
	if err != nil || !bytes.Equal(buffer[:n], []byte("hello")) {
		t.Errorf("heard %q, error %v", buffer[:n], err)
	}
}

// startEcho has a host send back what it hears at an address by UDP.
func startEcho(t *testing.T, host *lab.Host, address netip.AddrPort) netip.AddrPort {
	t.Helper()
	var conn net.PacketConn
	must(t, host.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", address.String())
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteTo(buffer[:n], from)
			}
		}
	}()
	return address
}

// TestRealServerOfDirector warns of an address that the machine answers for.
func TestRealServerOfDirector(t *testing.T) {
	s := newDirectSite(t)
	out, status := realServer(t, s.LB, "up", directVIP.String())
	want := "bascule: warning: enp0s8 has 192.168.200.100, too, and answers for it: right on an active director only\n"
	if status != 0 || out != want {
		t.Errorf("status %d, %q\nwant %q", status, out, want)
	}
	out, _ = realServer(t, s.LB, "status", "--json")
	var got realserver.Status
	must(t, json.Unmarshal([]byte(out), &got))
	if len(got.Warnings) != 1 || len(got.Missing) != 0 || len(got.Addresses) != 1 || len(got.Settings) != 2 {
		t.Errorf("status %+v", got)
	}
}
