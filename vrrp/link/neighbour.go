package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Where unsolicited neighbour advertisements go: to all nodes on the link (RFC
// 4861 section 7.2.6), which RFC 2464 section 7 maps to an Ethernet address.
var (
	allNodes         = netip.MustParseAddr("ff02::1")
	allNodesHardware = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// unsolicitedNA returns the Ethernet frame that tells everybody on the link
// that addr is at hardware: an unsolicited neighbour advertisement (RFC 4861
// section 7.2.6) from the address itself, as keepalived sends it. Override
// replaces what the others have in their caches. router says that this machine
// forwards: without that flag those who have it as their default router would
// give it up (section 7.2.5).
func unsolicitedNA(hardware net.HardwareAddr, addr netip.Addr, router bool) (*ethernet.Frame, error) {
	if !addr.Is6() || len(hardware) != hardwareLen {
		return nil, fmt.Errorf("neighbour advertisement for %s from %q: want an IPv6 address and %d bytes of hardware address", addr, hardware, hardwareLen)
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router: router, Override: true, TargetAddress: addr,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: hardware}},
	}, addr, allNodes)
	if err != nil {
		return nil, fmt.Errorf("neighbour advertisement for %s from %s: %w", addr, hardware, err)
	}
	return &ethernet.Frame{
		Destination: allNodesHardware, Source: hardware, EtherType: ethernet.EtherTypeIPv6,
		Payload: append(headerIPv6(addr, allNodes, unix.IPPROTO_ICMPV6, ndp.HopLimit, len(message)), message...),
	}, nil
}

// headerIPv6 returns an IPv6 header (RFC 8200 section 3) for a payload of that
// length.
func headerIPv6(source, destination netip.Addr, next, hops uint8, length int) []byte {
	h := make([]byte, 0, ipv6.HeaderLen+length)
	h = append(h, ipv6.Version<<4, 0, 0, 0)
	h = binary.BigEndian.AppendUint16(h, uint16(length))
	h = append(h, next, hops)
	h = append(h, source.AsSlice()...)
	return append(h, destination.AsSlice()...)
}
