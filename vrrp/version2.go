package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// MaxPassword is how many bytes a password of version 2 has at most.
const MaxPassword = 8

// The Auth Type of version 2 (RFC 2338 section 5.3.6). RFC 3768 has removed
// all but the first, and those who still use the second are why version 2 is
// here.
const (
	authenticationNone     = 0
	authenticationPassword = 1
)

// version2 is the number in the header of the older messages.
const version2 = 2

// append2 appends the message of version 2 (RFC 3768 section 5.1).
func (a Advertisement) append2(b []byte, password string) []byte {
	start := len(b)
	authentication := uint8(authenticationNone)
	if password != "" {
		authentication = authenticationPassword
	}
	b = append(b, version2<<4|typeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)),
		authentication, uint8(a.Interval/time.Second), 0, 0)
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	data := passwordData(password)
	b = append(b, data[:]...)
	binary.BigEndian.PutUint16(b[start+checksumOffset:], checksum(b[start:], netip.Addr{}, netip.Addr{}, ChecksumMessage))
	return b
}

// passwordData is a password as it is sent.
func passwordData(password string) (data [MaxPassword]byte) {
	copy(data[:], password)
	return data
}

// parse2 reads what version 2 has behind the priority.
func (m *Message) parse2(payload []byte) DropReason {
	const size = 4
	end := headerLen + int(payload[3])*size
	if len(payload) != end+MaxPassword {
		return DropLength
	}
	m.Checksum = ChecksumMessage
	if fold(sum16(0, payload)) != 0xffff {
		return DropChecksum
	}
	m.Authentication, m.Interval = payload[4], time.Duration(payload[5])*time.Second
	if m.Interval == 0 {
		return DropInterval
	}
	copy(m.Password[:], payload[end:])
	m.Addresses = parseAddresses(payload[headerLen:end], size)
	return NotDropped
}

// admits2 compares what RFC 2338 section 7.1 wants equal on both sides. That
// of the interval is a MUST of version 2: the timers are not told in the
// message but assumed.
func (r *router) admits2(m Message, interval time.Duration) DropReason {
	wanted := uint8(authenticationNone)
	if r.cfg.Password != "" {
		wanted = authenticationPassword
	}
	switch {
	case m.Authentication != wanted, wanted == authenticationPassword && m.Password != passwordData(r.cfg.Password):
		return DropPassword
	case m.Interval != interval:
		return DropInterval
	}
	return NotDropped
}
