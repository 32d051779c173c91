package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// ChecksumForm says what the checksum of an IPv4 advertisement covers.
// Implementations disagree: RFC 9568 section 5.2.8 covers the message alone,
// keepalived and FRR cover a pseudo-header too. IPv6 always has one.
type ChecksumForm uint8

// The two forms. The zero value is what keepalived sends and demands.
const (
	ChecksumPseudoHeader ChecksumForm = iota
	ChecksumMessage
)

// String returns the word that the configuration and status use.
func (c ChecksumForm) String() string {
	if c == ChecksumMessage {
		return "message"
	}
	return "pseudo-header"
}

// checksum returns the Internet checksum of an advertisement whose own
// checksum field is zero.
func checksum(message []byte, source, destination netip.Addr, form ChecksumForm) uint16 {
	sum := sum16(0, message)
	if form == ChecksumPseudoHeader || source.Is6() {
		sum = pseudoHeader(sum, source, destination, len(message))
	}
	return ^fold(sum)
}

// verify finds the form by which the checksum in the message is right. A sum
// over correct data, checksum included, is all ones.
func verify(message []byte, source, destination netip.Addr) (ChecksumForm, bool) {
	sum := sum16(0, message)
	if fold(pseudoHeader(sum, source, destination, len(message))) == 0xffff {
		return ChecksumPseudoHeader, true
	}
	return ChecksumMessage, source.Is4() && fold(sum) == 0xffff
}

// pseudoHeader adds what RFC 8200 section 8.1 and RFC 768 put before a
// message: both addresses, its length and the protocol.
func pseudoHeader(sum uint32, source, destination netip.Addr, length int) uint32 {
	sum = sum16(sum, source.AsSlice())
	sum = sum16(sum, destination.AsSlice())
	return sum + Protocol + uint32(length)
}

// sum16 adds b to sum as big-endian 16-bit words (RFC 1071).
func sum16(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fold brings a sum into 16 bits, carries added.
func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}
