package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Kind says what a Frame is.
type Kind string

// The kinds of frame that a Capture records.
const (
	Advertisement        Kind = "advertisement"         // VRRP
	GratuitousARP        Kind = "gratuitous ARP"        // request or reply, sender and target alike
	NeighbourUnsolicited Kind = "unsolicited neighbour" // neighbour advertisement to all nodes
)

// Frame is one packet on a LAN that says who holds virtual addresses. It is
// decoded here, not by the program under test, so that both must agree.
type Frame struct {
	Time      time.Time // when the kernel received it
	LAN       string
	Kind      Kind
	MAC       string       // the Ethernet source
	Addresses []netip.Addr // the virtual addresses advertised, or the one announced

	// Invalid and 0 for ARP:
	Source, Destination netip.Addr
	TTL                 uint8 // or Hop Limit

	// Of advertisements only:
	Version  uint8
	VRID     uint8
	Priority uint8         // 0: the sender gives up
	Interval time.Duration // until the next one, as the sender says
	Checksum ChecksumForm
	// Trailer is what follows the addresses: the authentication data of
	// version 2 (RFC 2338 section 5.3.10), or a signature; nil: nothing.
	Trailer []byte
}

// String describes the frame in a line, for the log of a failed test.
func (f Frame) String() string {
	line := fmt.Sprintf("%s %s %s from %s %s to %s: %v", f.Time.Format("15:04:05.000"), f.LAN, f.Kind, f.MAC, f.Source, f.Destination, f.Addresses)
	if f.Kind != Advertisement {
		return line
	}
	return fmt.Sprintf("%s version %d VRID %d priority %d every %v, TTL %d, checksum %s, trailer %x",
		line, f.Version, f.VRID, f.Priority, f.Interval, f.TTL, f.Checksum, f.Trailer)
}

// ChecksumForm says what the checksum of an advertisement is made of. Of
// IPv4 and version 3 both forms are seen: RFC 5798 section 5.2.8 could be read
// in either way, and RFC 9568 section 5.2.8 is for the message alone.
type ChecksumForm string

// The forms of checksum.
const (
	ChecksumMessage      ChecksumForm = "message"       // the VRRP message alone
	ChecksumPseudoHeader ChecksumForm = "pseudo-header" // and the pseudo-header of the IP addresses
	ChecksumWrong        ChecksumForm = "wrong"         // neither
)

// Numbers of the protocols that are looked for.
const (
	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
	protocolVRRP  = 112
	protocolICMP6 = 58
)

// parseFrame decodes an Ethernet frame. It returns false for what is none of
// the kinds that a Capture records, or is cut short.
func parseFrame(b []byte) (Frame, bool) {
	if len(b) < 14 {
		return Frame{}, false
	}
	f := Frame{MAC: net.HardwareAddr(b[6:12]).String()}
	payload := b[14:]
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherTypeARP:
		return f, f.parseARP(payload)
	case etherTypeIPv4:
		return f, f.parseIPv4(payload)
	case etherTypeIPv6:
		return f, f.parseIPv6(payload)
	}
	return Frame{}, false
}

// parseARP decodes an ARP packet for IPv4 over Ethernet (RFC 826) in which
// the sender announces its own address (RFC 5227 section 3).
func (f *Frame) parseARP(b []byte) bool {
	if len(b) < 28 || binary.BigEndian.Uint32(b) != 0x00010800 || binary.BigEndian.Uint16(b[4:]) != 0x0604 {
		return false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	f.Kind, f.Addresses = GratuitousARP, []netip.Addr{sender}
	return sender == target
}

// parseIPv4 decodes a VRRP advertisement out of an IPv4 packet.
func (f *Frame) parseIPv4(b []byte) bool {
	if len(b) < 20 || b[9] != protocolVRRP {
		return false
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return false
	}
	f.TTL = b[8]
	f.Source, f.Destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return f.parseVRRP(b[header:total], 4)
}

// parseIPv6 decodes a VRRP advertisement or an unsolicited neighbour
// advertisement (RFC 4861 section 4.4) out of an IPv6 packet.
func (f *Frame) parseIPv6(b []byte) bool {
	if len(b) < 40 || len(b) < 40+int(binary.BigEndian.Uint16(b[4:])) {
		return false
	}
	f.TTL = b[7]
	f.Source, f.Destination = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	payload := b[40 : 40+int(binary.BigEndian.Uint16(b[4:]))]
	switch b[6] {
	case protocolVRRP:
		return f.parseVRRP(payload, 16)
	case protocolICMP6:
		const neighbourAdvertisement, solicited = 136, 0x40
		if len(payload) < 24 || payload[0] != neighbourAdvertisement || payload[4]&solicited != 0 {
			return false
		}
		f.Kind, f.Addresses = NeighbourUnsolicited, []netip.Addr{netip.AddrFrom16([16]byte(payload[8:24]))}
		return true
	}
	return false
}

// parseVRRP decodes a VRRP packet of version 2 (RFC 3768) or 3 (RFC 9568
// section 5.1) with addresses of the given size.
func (f *Frame) parseVRRP(b []byte, size int) bool {
	if len(b) < 8 || b[0]&0x0f != 1 {
		return false
	}
	f.Kind, f.Version, f.VRID, f.Priority = Advertisement, b[0]>>4, b[1], b[2]
	switch f.Version {
	case 2:
		f.Interval = time.Duration(b[5]) * time.Second
	case 3:
		f.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * 10 * time.Millisecond
	default:
		return false
	}
	count := int(b[3])
	if len(b) < 8+count*size {
		return false
	}
	for i := range count {
		address, _ := netip.AddrFromSlice(b[8+i*size : 8+(i+1)*size])
		f.Addresses = append(f.Addresses, address)
	}
	if trailer := b[8+count*size:]; len(trailer) > 0 {
		f.Trailer = slices.Clone(trailer)
	}
	f.Checksum = f.checksumForm(b, 8+count*size)
	return true
}

// checksumForm finds out what the checksum of a VRRP message is made of. A
// trailer of IPv6 is in the checksum, which the kernel makes over all that it
// sends; that of version 2 is part of the message (RFC 2338 section 5.3.8).
func (f *Frame) checksumForm(message []byte, withoutTrailer int) ChecksumForm {
	covered := message
	if f.Version == 3 && f.Source.Is4() {
		covered = message[:withoutTrailer]
	}
	pseudo := slices.Concat(f.Source.AsSlice(), f.Destination.AsSlice(),
		binary.BigEndian.AppendUint32(nil, uint32(len(covered))), []byte{0, 0, 0, protocolVRRP})
	// A correct checksum is there already: the sum of all is then -0.
	switch {
	case onesSum(covered) == 0xffff:
		return ChecksumMessage
	case onesSum(slices.Concat(pseudo, covered)) == 0xffff:
		return ChecksumPseudoHeader
	}
	return ChecksumWrong
}

// onesSum is the ones' complement sum of 16 bit words (RFC 1071); the messages
// of VRRP are of whole words, and an odd byte stands for one that ends with 0.
func onesSum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
