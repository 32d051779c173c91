package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Encoding is how an advertisement is put into a packet.
type Encoding struct {
	Version  Version
	Checksum ChecksumForm // for version 3 over IPv4
	Password string       // for version 2
	Key      *Key         // signs; nil: no signature. For version 3
	Stamp    Stamp        // of the signature
}

// Append appends the wire form of the advertisement to b, for a packet from
// source to destination, and returns the longer slice.
func (a Advertisement) Append(b []byte, source, destination netip.Addr, enc Encoding) []byte {
	if enc.Version == Version2 {
		return a.append2(b, enc.Password)
	}
	start := len(b)
	b = append(b, version3<<4|typeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)))
	b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/IntervalUnit)&0x0fff)
	b = append(b, 0, 0)
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	end := len(b)
	if enc.Key != nil {
		b = enc.Key.appendTrailer(b, start, source, enc.Stamp)
	}
	if source.Is6() {
		end = len(b) // the kernel's checksum covers all that follows the IPv6 header
	}
	sum := checksum(b[start:end], source, destination, enc.Checksum)
	binary.BigEndian.PutUint16(b[start+checksumOffset:], sum)
	return b
}

// Message is what a received packet said.
type Message struct {
	Advertisement
	Version  Version
	Checksum ChecksumForm // how the sender computed it
	// Authentication and Password are the Auth Type and the Authentication
	// Data of version 2 (RFC 3768 section 5.3).
	Authentication uint8
	Password       [MaxPassword]byte
	// Trailer is the HMAC trailer of version 3, not yet verified; nil if
	// there is none. It is a part of the payload.
	Trailer []byte
}

// Parse reads the payload of an IP packet from source to destination. It
// makes the checks of RFC 9568 section 7.1 (RFC 3768 section 7.1 for version
// 2) that need no configuration; the TTL is the caller's. The result is
// meaningful only with NotDropped.
func Parse(payload []byte, source, destination netip.Addr) (m Message, drop DropReason) {
	if len(payload) < headerLen {
		return m, DropLength
	}
	switch {
	case payload[0]>>4 == version3:
	case payload[0]>>4 == version2 && source.Is4():
		m.Version = Version2
	default:
		return m, DropVersion
	}
	if payload[0]&0x0f != typeAdvertisement {
		return m, DropType
	}
	m.VRID, m.Priority = payload[1], payload[2]
	if m.Version == Version2 {
		drop = m.parse2(payload)
	} else {
		drop = m.parse3(payload, source, destination)
	}
	return m, drop
}

// parse3 reads what version 3 has behind the priority (RFC 9568 section 5.1),
// and the trailer if there is one.
func (m *Message) parse3(payload []byte, source, destination netip.Addr) DropReason {
	end := headerLen + int(payload[3])*source.BitLen()/8
	covered := end
	switch {
	case len(payload) == end:
	case len(payload) == end+trailerLen && payload[end] == trailerType:
		m.Trailer = payload[end:]
		if source.Is6() {
			covered = len(payload)
		}
	default:
		return DropLength
	}
	var ok bool
	if m.Checksum, ok = verify(payload[:covered], source, destination); !ok {
		return DropChecksum
	}
	m.Interval = time.Duration(binary.BigEndian.Uint16(payload[4:])&0x0fff) * IntervalUnit
	if m.Interval < MinInterval {
		return DropInterval
	}
	m.Addresses = parseAddresses(payload[headerLen:end], source.BitLen()/8)
	return NotDropped
}

// parseAddresses reads a list of addresses of that size.
func parseAddresses(b []byte, size int) []netip.Addr {
	list := make([]netip.Addr, 0, len(b)/size)
	for ; len(b) > 0; b = b[size:] {
		addr, _ := netip.AddrFromSlice(b[:size])
		list = append(list, addr)
	}
	return list
}
