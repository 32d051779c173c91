package vrrp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// FuzzParseAdvertisement: no input panics, and what is accepted is written
// again as it was but for the bits that RFC 9568 reserves.
func FuzzParseAdvertisement(f *testing.F) {
	for _, name := range []string{"vrrp4", "vrrp6"} {
		payload, source, destination := dissect(f, name)
		f.Add(payload, source.AsSlice(), destination.AsSlice())
		f.Add(payload[:headerLen], source.AsSlice(), destination.AsSlice())
		f.Add(append(payload, payload...), source.AsSlice(), destination.AsSlice())
		f.Add(payload, []byte(nil), destination.AsSlice())
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
		// as it is and with its checksum corrected.
		readBack(t, payload, source, destination)
		if len(payload) >= headerLen && source.IsValid() {
			readBack(t, resum(bytes.Clone(payload), source, destination), source, destination)
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
	adv, form, drop := ParseAdvertisement(payload, source, destination)
	if drop >= dropReasons {
		t.Fatalf("invalid reason %d", drop)
	}
	if drop != NotDropped || !source.IsValid() {
		return
	}
	got := adv.Append(nil, source, destination, form)
	want := canonical(payload, source, destination, form)
	if !bytes.Equal(got, want) {
		t.Fatalf("%v\nread    %x\nwritten %x", adv, want, got)
	}
}

// canonical returns an accepted payload with its reserved bits cleared. The
// checksum is corrected for them, and for the second zero of ones' complement
// arithmetic: 0x0000 and 0xffff verify alike, and one of them is written.
func canonical(payload []byte, source, destination netip.Addr, form ChecksumForm) []byte {
	b := bytes.Clone(payload)
	sum := binary.BigEndian.Uint16(b[checksumOffset:])
	if b[4]&0xf0 != 0 || sum == 0xffff || sum == 0 {
		b[4] &= 0x0f
		copy(b[checksumOffset:], []byte{0, 0})
		binary.BigEndian.PutUint16(b[checksumOffset:], checksum(b, source, destination, form))
	}
	return b
}
