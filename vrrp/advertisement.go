package vrrp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Protocol is the IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
const Protocol = 112

// MaxAddresses is how many addresses an advertisement can carry: the count
// is one octet (RFC 9568 section 5.2.5).
const MaxAddresses = 255

// The bounds of Advertisement_Interval, which is sent as 12 bits of
// centiseconds (RFC 9568 section 5.2.7).
const (
	IntervalUnit = 10 * time.Millisecond
	MinInterval  = IntervalUnit
	MaxInterval  = 4095 * IntervalUnit
)

// Values and sizes of the fixed fields (RFC 9568 section 5.1).
const (
	version3          = 3
	typeAdvertisement = 1
	headerLen         = 8
	checksumOffset    = 6
	requiredTTL       = 255
)

// Advertisement is the VRRPv3 message (RFC 9568 section 5.1).
type Advertisement struct {
	VRID      uint8
	Priority  uint8         // 0: the sender has given up; 255: it owns the addresses
	Interval  time.Duration // Max Advertise Interval, a multiple of IntervalUnit
	Addresses []netip.Addr  // of one family
}

// String returns the advertisement as one line for traces and logs.
func (a Advertisement) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "vrid %d priority %d interval %v", a.VRID, a.Priority, a.Interval)
	for i, addr := range a.Addresses {
		b.WriteString([]string{" ", ","}[min(i, 1)])
		b.WriteString(addr.String())
	}
	return b.String()
}

// Append appends the wire form of the advertisement to b, with the checksum
// for a packet from source to destination, and returns the longer slice. The
// form matters for IPv4 only.
func (a Advertisement) Append(b []byte, source, destination netip.Addr, form ChecksumForm) []byte {
	start := len(b)
	b = append(b, version3<<4|typeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)))
	b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/IntervalUnit)&0x0fff)
	b = append(b, 0, 0)
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	sum := checksum(b[start:], source, destination, form)
	binary.BigEndian.PutUint16(b[start+checksumOffset:], sum)
	return b
}

// ParseAdvertisement reads the payload of an IP packet from source to
// destination. It makes the checks of RFC 9568 section 7.1 that need no
// configuration, in the order of that section; the TTL is the caller's. The
// result is meaningful only with NotDropped. form is how the sender computed
// the checksum.
func ParseAdvertisement(payload []byte, source, destination netip.Addr) (adv Advertisement, form ChecksumForm, drop DropReason) {
	if len(payload) < headerLen {
		return adv, form, DropLength
	}
	if payload[0]>>4 != version3 {
		return adv, form, DropVersion
	}
	if payload[0]&0x0f != typeAdvertisement {
		return adv, form, DropType
	}
	size := source.BitLen() / 8
	count := int(payload[3])
	if len(payload) != headerLen+count*size {
		return adv, form, DropLength
	}
	form, ok := verify(payload, source, destination)
	if !ok {
		return adv, form, DropChecksum
	}
	adv.VRID = payload[1]
	adv.Priority = payload[2]
	adv.Interval = time.Duration(binary.BigEndian.Uint16(payload[4:])&0x0fff) * IntervalUnit
	if adv.Interval < MinInterval {
		return adv, form, DropInterval
	}
	adv.Addresses = make([]netip.Addr, 0, count)
	for rest := payload[headerLen:]; len(rest) > 0; rest = rest[size:] {
		addr, _ := netip.AddrFromSlice(rest[:size])
		adv.Addresses = append(adv.Addresses, addr)
	}
	return adv, form, NotDropped
}
