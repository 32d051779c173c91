package vrrp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// FuzzParse: no input panics, and what is accepted is written
// again as it was but for the bits that RFC 9568 reserves.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"vrrp4", "vrrp6", "vrrp2", "vrrp2pass"} {
		payload, source, destination := dissect(f, name)
		f.Add(payload, source.AsSlice(), destination.AsSlice())
		f.Add(payload[:headerLen], source.AsSlice(), destination.AsSlice())
		f.Add(append(payload, payload...), source.AsSlice(), destination.AsSlice())
		f.Add(payload, []byte(nil), destination.AsSlice())
	}
	for _, v := range vectors() {
		p, _ := v.packet(f)
		f.Add(p.Payload, p.Source.AsSlice(), p.Destination.AsSlice())
	}
	payload, source, destination := dissect(f, "vrrp4")
	payload[4] |= 0xf0 // reserved bits
	f.Add(resum(payload, source, destination), source.AsSlice(), destination.AsSlice())
	// The sum of this one is all ones without its checksum: both zeros verify.
	payload, _, _ = dissect(f, "vrrp4")
	copy(payload[checksumOffset:], []byte{0xff, 0xff, 192, 0, 0x08, 0x30})
	f.Add(payload, source.AsSlice(), destination.AsSlice())
	f.Fuzz(func(t *testing.T, payload, from, to []byte) {
		source, _ := netip.AddrFromSlice(from)
		destination, _ := netip.AddrFromSlice(to)
		before := bytes.Clone(payload)
		// A mutated checksum is almost never right, so each input is read
		// as it is and with its checksum corrected in the ways there are.
		readBack(t, payload, source, destination)
		if len(payload) >= headerLen && source.IsValid() {
			readBack(t, resum(bytes.Clone(payload), source, destination), source, destination)
			readBack(t, resum2(bytes.Clone(payload)), source, destination)
		}
		if len(payload) >= headerLen+trailerLen && source.Is4() {
			p := Received{Source: source, Destination: destination, Payload: payload}
			readBack(t, corrected(p, ChecksumPseudoHeader), source, destination)
		}
		if !bytes.Equal(payload, before) {
			t.Fatalf("the payload was changed: %x, was %x", payload, before)
		}
	})
}

// readBack parses a payload and, if it is accepted, compares it with what is
// written from the result.
func readBack(t *testing.T, payload []byte, source, destination netip.Addr) {
	t.Helper()
	m, drop := Parse(payload, source, destination)
	if drop >= dropReasons {
		t.Fatalf("invalid reason %d", drop)
	}
	if drop != NotDropped || !source.IsValid() {
		return
	}
	got, want := rewrite(m, source, destination), canonical(payload, m, source, destination)
	if !bytes.Equal(got, want) {
		t.Fatalf("%v\nread    %x\nwritten %x", m, want, got)
	}
}

// rewrite writes a message from what was read of it. A trailer is taken as it
// is, for its key is not known, and so is an Auth Type that does not go with
// its data.
func rewrite(m Message, source, destination netip.Addr) []byte {
	enc := Encoding{Version: m.Version, Checksum: m.Checksum, Password: strings.TrimRight(string(m.Password[:]), "\x00")}
	b := append(m.Append(nil, source, destination, enc), m.Trailer...)
	if m.Version == Version2 {
		b[4] = m.Authentication
	}
	return summed(b, m, source, destination)
}

// canonical returns an accepted payload with its reserved bits cleared. The
// checksum is corrected for them, and for the second zero of ones' complement
// arithmetic: 0x0000 and 0xffff verify alike, and one of them is written.
func canonical(payload []byte, m Message, source, destination netip.Addr) []byte {
	b := bytes.Clone(payload)
	sum := binary.BigEndian.Uint16(b[checksumOffset:])
	reserved := m.Version == Version3 && b[4]&0xf0 != 0
	if reserved {
		b[4] &= 0x0f
	}
	if reserved || sum == 0xffff || sum == 0 {
		return summed(b, m, source, destination)
	}
	return b
}

// summed computes the checksum of a message that was read as m.
func summed(b []byte, m Message, source, destination netip.Addr) []byte {
	switch {
	case m.Version == Version2:
		return resum2(b)
	case m.Trailer != nil:
		return corrected(Received{Source: source, Destination: destination, Payload: b}, m.Checksum)
	}
	copy(b[checksumOffset:], []byte{0, 0})
	binary.BigEndian.PutUint16(b[checksumOffset:], checksum(b, source, destination, m.Checksum))
	return b
}

// FuzzTrailer: what is signed is verified by who has the key, and by nobody
// else; whatever is changed of it, or added, it is refused.
func FuzzTrailer(f *testing.F) {
	f.Add([]byte("secret"), uint8(1), uint64(vectorStamp), false, []byte{192, 0, 2, 100}, uint16(0), byte(1))
	f.Add([]byte{}, uint8(0), uint64(0), true, []byte{}, uint16(90), byte(0x80))
	f.Add(bytes.Repeat([]byte("k"), 200), uint8(255), ^uint64(0), true, bytes.Repeat([]byte{32, 1}, 16), uint16(9), byte(0xff))
	f.Fuzz(func(t *testing.T, secret []byte, id uint8, stamp uint64, six bool, addresses []byte, at uint16, change byte) {
		key := Key{ID: id, Secret: secret}
		rc := RouterConfig{RouterKey: RouterKey{Family: IPv4, VRID: 7}, Auth: &Auth{Keys: []Key{key}, Active: id, Mode: AuthEnforce}}
		source, destination := netip.MustParseAddr("192.0.2.1"), multicastIPv4
		if six {
			rc.Family, source, destination = IPv6, netip.MustParseAddr("fe80::1"), multicastIPv6
		}
		size := source.BitLen() / 8
		adv := Advertisement{VRID: 7, Priority: 100, Interval: second}
		adv.Addresses = parseAddresses(addresses[:min(len(addresses)/size, MaxAddresses)*size], size)
		payload := adv.Append(nil, source, destination, Encoding{Key: &key, Stamp: Stamp(stamp)})
		p := Received{Source: source, Destination: destination, Payload: payload}
		if drop := verifies(rc, p); drop != NotDropped {
			t.Fatalf("own signature: %v\n%x", drop, payload)
		}
		rc.Auth.Keys[0].Secret = append(bytes.Clone(secret), 1)
		if drop := verifies(rc, p); drop != DropSignature {
			t.Fatalf("under another key: %v\n%x", drop, payload)
		}
		rc.Auth.Keys[0].Secret = secret
		if change == 0 {
			return
		}
		p.Payload = bytes.Clone(payload)
		p.Payload[int(at)%len(payload)] ^= change
		if drop := verifies(rc, p); drop == NotDropped && !sameZero(payload, p.Payload) {
			t.Fatalf("changed and accepted:\n%x, was\n%x", p.Payload, payload)
		}
		p.Payload = corrected(p, ChecksumPseudoHeader)
		if drop := verifies(rc, p); drop == NotDropped && !bytes.Equal(p.Payload, payload) {
			t.Fatalf("changed, checksum corrected, and accepted:\n%x, was\n%x", p.Payload, payload)
		}
	})
}

// sameZero reports whether two payloads differ in nothing but which of its two
// zeros the checksum is.
func sameZero(a, b []byte) bool {
	zeros := []byte{0, 0, 0xff, 0xff}
	sums := [][]byte{a[checksumOffset:headerLen], b[checksumOffset:headerLen]}
	return bytes.Equal(a[:checksumOffset], b[:checksumOffset]) && bytes.Equal(a[headerLen:], b[headerLen:]) &&
		(bytes.Equal(bytes.Join(sums, nil), zeros) || bytes.Equal(bytes.Join([][]byte{sums[1], sums[0]}, nil), zeros))
}

// verifies gives a packet to a router that has heard nothing before and
// compares no clocks.
func verifies(rc RouterConfig, p Received) DropReason {
	m, drop := Parse(p.Payload, p.Source, p.Destination)
	if drop != NotDropped {
		return drop
	}
	return newRouter(rc, second).authenticate(epoch, packet{p, m})
}
