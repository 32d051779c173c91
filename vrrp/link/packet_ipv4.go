package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"bascule/vrrp"
)

// ipv4HeaderLen is the length of an IPv4 header without options.
const ipv4HeaderLen = 20

// parseIPv4 reads a whole IPv4 packet as a raw socket delivers it. The payload
// of the result is a part of b. An error says what is wrong with the header;
// it never trusts a length.
func parseIPv4(b []byte) (vrrp.Received, error) {
	if len(b) < ipv4HeaderLen {
		return vrrp.Received{}, fmt.Errorf("packet of %d bytes, an IPv4 header has at least %d", len(b), ipv4HeaderLen)
	}
	if version := b[0] >> 4; version != 4 {
		return vrrp.Received{}, fmt.Errorf("packet of IP version %d, want 4", version)
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:4]))
	if header < ipv4HeaderLen || header > total || total > len(b) {
		return vrrp.Received{}, fmt.Errorf("packet of %d bytes says %d of header, %d in total", len(b), header, total)
	}
	if b[9] != vrrp.Protocol {
		return vrrp.Received{}, fmt.Errorf("packet of IP protocol %d, want %d", b[9], vrrp.Protocol)
	}
	if fragment := binary.BigEndian.Uint16(b[6:8]) & 0x3fff; fragment != 0 {
		return vrrp.Received{}, fmt.Errorf("fragment of a packet (flags and offset %#04x)", fragment)
	}
	return vrrp.Received{
		Source:      netip.AddrFrom4([4]byte(b[12:16])),
		Destination: netip.AddrFrom4([4]byte(b[16:20])),
		TTL:         b[8],
		Payload:     b[header:total],
	}, nil
}
