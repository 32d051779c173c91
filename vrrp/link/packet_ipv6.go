package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// errNoHeader is what parseIPv6 says of a packet whose destination or hop
// limit the kernel did not deliver.
var errNoHeader = errors.New("packet without its destination or hop limit")

// parseIPv6 reads what an IPv6 raw socket delivers: the payload, control
// messages with the destination and the hop limit, and the source.
func parseIPv6(b, oob []byte, from unix.Sockaddr) (vrrp.Received, error) {
	source, ok := from.(*unix.SockaddrInet6)
	if !ok {
		return vrrp.Received{}, fmt.Errorf("packet from an address of type %T, want IPv6", from)
	}
	p := vrrp.Received{Source: netip.AddrFrom16(source.Addr), Payload: b}
	var limited bool
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return vrrp.Received{}, fmt.Errorf("control messages of a packet: %w", err)
		}
		oob = rest
		switch {
		case header.Level != unix.IPPROTO_IPV6:
		case header.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			p.Destination = netip.AddrFrom16([16]byte(data))
		case header.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			p.TTL, limited = uint8(binary.NativeEndian.Uint32(data)), true
		}
	}
	if !p.Destination.IsValid() || !limited {
		return vrrp.Received{}, errNoHeader
	}
	return p, nil
}
