package vrrp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCapturedVersion2 reads what keepalived sends in version 2, with a
// password and without, and writes the very same bytes.
func TestCapturedVersion2(t *testing.T) {
	want := Advertisement{VRID: 52, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{
		netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101"),
	}}
	for name, password := range map[string]string{"vrrp2": "", "vrrp2pass": "s3cret"} {
		t.Run(name, func(t *testing.T) {
			payload, source, destination := dissect(t, name)
			m, drop := Parse(payload, source, destination)
			if drop != NotDropped || m.Version != Version2 || m.Checksum != ChecksumMessage || m.Trailer != nil {
				t.Fatalf("dropped %v, version %v, checksum form %v, trailer %x", drop, m.Version, m.Checksum, m.Trailer)
			}
			if diff := cmp.Diff(want, m.Advertisement, addrs); diff != "" {
				t.Errorf("advertisement (-want +got):\n%s", diff)
			}
			authentication := uint8(min(len(password), 1))
			if m.Authentication != authentication || m.Password != passwordData(password) {
				t.Errorf("auth type %d, data %q; want %d, %q", m.Authentication, m.Password, authentication, password)
			}
			again := want.Append(nil, source, destination, Encoding{Version: Version2, Password: password})
			if diff := cmp.Diff(payload, again); diff != "" {
				t.Errorf("written again (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRFC3768_5_3_ParseDrops has one message of version 2 for every reason to
// refuse it that needs no configuration. The length is that of the counted
// addresses and eight octets of authentication data, which are there and under
// the checksum whatever the Auth Type is.
func TestRFC3768_5_3_ParseDrops(t *testing.T) {
	tests := []struct {
		name   string
		change func(b []byte) []byte
		want   DropReason
	}{
		{"untouched", func(b []byte) []byte { return b }, NotDropped},
		{"authentication data cut off", func(b []byte) []byte { return resum2(b[:len(b)-MaxPassword]) }, DropLength},
		{"an octet of it cut off", func(b []byte) []byte { return b[:len(b)-1] }, DropLength},
		{"trailing octet", func(b []byte) []byte { return resum2(append(b, 0)) }, DropLength},
		{"signed", func(b []byte) []byte { return append(b, make([]byte, trailerLen)...) }, DropLength},
		{"count too large", func(b []byte) []byte { b[3]++; return resum2(b) }, DropLength},
		{"count too small", func(b []byte) []byte { b[3]--; return resum2(b) }, DropLength},
		{"type 2", func(b []byte) []byte { b[0] = 0x22; return resum2(b) }, DropType},
		{"flipped bit in the priority", func(b []byte) []byte { b[2] ^= 1; return b }, DropChecksum},
		{"flipped bit in the auth type", func(b []byte) []byte { b[4] ^= 1; return b }, DropChecksum},
		{"flipped bit in the password", func(b []byte) []byte { b[len(b)-3] ^= 0x20; return b }, DropChecksum},
		{"interval zero", func(b []byte) []byte { b[5] = 0; return resum2(b) }, DropInterval},
		{"interval of 255 s", func(b []byte) []byte { b[5] = 255; return resum2(b) }, NotDropped},
		{"priority zero", func(b []byte) []byte { b[2] = 0; return resum2(b) }, NotDropped},
		{"no address", func(b []byte) []byte { b[3] = 0; return resum2(slices.Delete(b, headerLen, headerLen+8)) }, NotDropped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, source, destination := dissect(t, "vrrp2pass")
			if _, drop := Parse(tt.change(payload), source, destination); drop != tt.want {
				t.Errorf("got %v, want %v", drop, tt.want)
			}
		})
	}
}

// TestRFC3768_5_3_8_ChecksumHasNoPseudoHeader: that of version 2 covers the
// message alone; the form of version 3 is wrong there.
func TestRFC3768_5_3_8_ChecksumHasNoPseudoHeader(t *testing.T) {
	payload, source, destination := dissect(t, "vrrp2")
	if _, drop := Parse(resum(payload, source, destination), source, destination); drop != DropChecksum {
		t.Errorf("with a pseudo-header: %v, want %v", drop, DropChecksum)
	}
	m, _ := Parse(resum2(payload), source, destination)
	again := m.Append(nil, source, destination, Encoding{Version: Version2, Checksum: ChecksumPseudoHeader})
	if diff := cmp.Diff(payload, again); diff != "" {
		t.Errorf("written for a router of the other form (-want +got):\n%s", diff)
	}
}

// TestRFC3768_5_IsOfIPv4: version 2 knows no IPv6, whatever the message says.
func TestRFC3768_5_IsOfIPv4(t *testing.T) {
	payload, _, _ := dissect(t, "vrrp2")
	if _, drop := Parse(payload, netip.MustParseAddr("fe80::1"), multicastIPv6); drop != DropVersion {
		t.Errorf("over IPv6: %v, want %v", drop, DropVersion)
	}
}

// TestRFC3768_5_3_7_IntervalOnTheWire: the field counts whole seconds.
func TestRFC3768_5_3_7_IntervalOnTheWire(t *testing.T) {
	_, source, destination := dissect(t, "vrrp2")
	for seconds := 1; seconds <= 255; seconds++ {
		adv := Advertisement{VRID: 1, Priority: 1, Interval: time.Duration(seconds) * time.Second}
		payload := adv.Append(nil, source, destination, Encoding{Version: Version2})
		if payload[5] != uint8(seconds) {
			t.Errorf("%v: field %d, want %d", adv.Interval, payload[5], seconds)
		}
		if m, drop := Parse(payload, source, destination); drop != NotDropped || m.Interval != adv.Interval {
			t.Errorf("%v: read %v, dropped %v", adv.Interval, m.Interval, drop)
		}
	}
}

// TestRFC2338_5_3_10_PasswordOnTheWire: shorter ones are filled with zeros, the
// longest fills the field, and nothing of one message is left in the next.
func TestRFC2338_5_3_10_PasswordOnTheWire(t *testing.T) {
	_, source, destination := dissect(t, "vrrp2")
	adv := Advertisement{VRID: 1, Priority: 1, Interval: second}
	for password, want := range map[string]string{
		"":         "\x00\x00\x00\x00\x00\x00\x00\x00",
		"a":        "a\x00\x00\x00\x00\x00\x00\x00",
		"12345678": "12345678",
	} {
		payload := adv.Append([]byte("before"), source, destination, Encoding{Version: Version2, Password: password})[6:]
		if got := string(payload[headerLen:]); got != want {
			t.Errorf("password %q: sent as %q, want %q", password, got, want)
		}
		if fold(sum16(0, payload)) != 0xffff {
			t.Errorf("password %q: checksum %04x is wrong", password, binary.BigEndian.Uint16(payload[checksumOffset:]))
		}
	}
}
