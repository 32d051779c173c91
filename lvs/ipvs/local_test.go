//go:build ipvs

package ipvs_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// TestLocal checks that the kernel says of destinations that are addresses of
// the machine itself what it was told, before and after they are used: nothing
// is to be repaired. It also shows where packets go: a port of its own has
// only what is masqueraded.
func TestLocal(t *testing.T) {
	c := openClient(t)
	for _, test := range []struct {
		forwarding lvs.Forwarding
		arrives    uint16 // the port at which packets arrive
	}{{lvs.Masquerade, localPort}, {lvs.Direct, servicePort}, {lvs.Tunnel, servicePort}} {
		for _, address := range []string{"192.0.2.100", "2001:db8:1::1"} {
			checkLocal(t, c, netip.MustParseAddr(address), test.forwarding, test.arrives)
		}
	}
}

// The ports of the service and of its destination in TestLocal.
const (
	servicePort = 2000
	localPort   = 1000
)

// checkLocal sends a packet to a service on an address of this machine whose
// destination is another port there, and checks the table around that.
func checkLocal(t *testing.T, c *ipvs.Client, address netip.Addr, forwarding lvs.Forwarding, arrives uint16) {
	s := service(netip.AddrPortFrom(address, servicePort).String(), "rr")
	s.Protocol = lvs.UDP
	add := op(lvs.AddDestination, s, netip.AddrPortFrom(address, localPort).String(), 1)
	add.Destination.Forwarding = forwarding
	want := lvs.Table{}
	for _, o := range []lvs.Op{op(lvs.AddService, s, "", 0), add} {
		apply(t, c, o)
		want.Apply(o)
	}
	checkTable(t, c, want)
	there := listen(t, netip.AddrPortFrom(address, arrives))
	defer there.Close()
	elsewhere := listen(t, netip.AddrPortFrom(address, servicePort+localPort-arrives))
	defer elsewhere.Close()
	client, err := net.Dial("udp", s.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if !received(t, there, time.Minute) || received(t, elsewhere, time.Millisecond) {
		t.Errorf("%v to %v: the packet did not arrive at port %d alone", forwarding, address, arrives)
	}
	checkTable(t, c, want)
	apply(t, c, lvs.Op{Kind: lvs.DeleteService, Service: s})
}

// listen returns a socket that receives what is sent to an address.
func listen(t *testing.T, address netip.AddrPort) *net.UDPConn {
	t.Helper()
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	return socket
}

// received says whether a socket receives something within the given time.
func received(t *testing.T, socket *net.UDPConn, within time.Duration) bool {
	t.Helper()
	if err := socket.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, _, err := socket.ReadFromUDP(make([]byte, 1))
	return err == nil
}
