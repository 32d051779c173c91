package vrrp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// addrs compares addresses and prefixes by value; they have no exported field.
var addrs = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// Sizes of the headers in front of a captured advertisement; keepalived sends
// no options.
const (
	ethernetLen   = 14
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
)

// capture returns a captured frame by its name.
func capture(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile("../testdata/captures/keepalived-2.2.7.txt")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != name {
			continue
		}
		frame, err := hex.DecodeString(fields[1])
		if err != nil {
			tb.Fatalf("capture %s: %v", name, err)
		}
		return frame
	}
	tb.Fatalf("no capture named %s", name)
	return nil
}

// dissect splits a captured frame into the addresses and the payload of its
// IP packet.
func dissect(tb testing.TB, name string) (payload []byte, source, destination netip.Addr) {
	tb.Helper()
	ip := capture(tb, name)[ethernetLen:]
	from, size, header := 12, 4, ipv4HeaderLen
	if ip[0]>>4 == 6 {
		from, size, header = 8, 16, ipv6HeaderLen
	}
	source, _ = netip.AddrFromSlice(ip[from : from+size])
	destination, _ = netip.AddrFromSlice(ip[from+size : from+2*size])
	return ip[header:], source, destination
}

// TestCapturedAdvertisements reads what keepalived sends, and writes the very
// same bytes.
func TestCapturedAdvertisements(t *testing.T) {
	tests := []struct {
		capture, source, destination string
		want                         Advertisement
	}{
		{"vrrp4", "192.0.2.1", "224.0.0.18", Advertisement{
			VRID: 51, Priority: 100, Interval: 100 * time.Millisecond,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
		}},
		{"vrrp6", "fe80::7ccc:3bff:fe4c:a6a3", "ff02::12", Advertisement{
			VRID: 51, Priority: 100, Interval: 100 * time.Millisecond,
			Addresses: []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.capture, func(t *testing.T) {
			payload, source, destination := dissect(t, tt.capture)
			if source.String() != tt.source || destination.String() != tt.destination {
				t.Fatalf("captured from %v to %v, want %s to %s", source, destination, tt.source, tt.destination)
			}
			m, drop := Parse(payload, source, destination)
			if drop != NotDropped || m.Checksum != ChecksumPseudoHeader {
				t.Fatalf("dropped: %v, checksum form: %v", drop, m.Checksum)
			}
			if diff := cmp.Diff(tt.want, m.Advertisement, addrs); diff != "" {
				t.Errorf("advertisement (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(payload, m.Append(nil, source, destination, Encoding{Checksum: m.Checksum})); diff != "" {
				t.Errorf("written again (-want +got):\n%s", diff)
			}
		})
	}
}

// TestChecksumForms reads both forms of an IPv4 checksum, tells them apart
// and writes them; IPv6 has one, whatever is asked for.
func TestChecksumForms(t *testing.T) {
	payload, source, destination := dissect(t, "vrrp4")
	if got := binary.BigEndian.Uint16(payload[checksumOffset:]); got != 0x05cc {
		t.Fatalf("captured checksum is %04x", got)
	}
	binary.BigEndian.PutUint16(payload[checksumOffset:], 0xa85c)
	m, drop := Parse(payload, source, destination)
	if drop != NotDropped || m.Checksum != ChecksumMessage {
		t.Fatalf("over the message alone: dropped %v, form %v", drop, m.Checksum)
	}
	if diff := cmp.Diff(payload, m.Append(nil, source, destination, Encoding{Checksum: ChecksumMessage})); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}

	payload, source, destination = dissect(t, "vrrp6")
	m, _ = Parse(payload, source, destination)
	if diff := cmp.Diff(payload, m.Append(nil, source, destination, Encoding{Checksum: ChecksumMessage})); diff != "" {
		t.Errorf("IPv6 has no form without a pseudo-header (-want +got):\n%s", diff)
	}
	copy(payload[checksumOffset:], []byte{0, 0})
	binary.BigEndian.PutUint16(payload[checksumOffset:], ^fold(sum16(0, payload)))
	if _, drop = Parse(payload, source, destination); drop != DropChecksum {
		t.Errorf("IPv6 over the message alone: %v, want %v", drop, DropChecksum)
	}
}

// resum corrects the checksum of a message that a test has changed.
func resum(b []byte, source, destination netip.Addr) []byte {
	copy(b[checksumOffset:], []byte{0, 0})
	binary.BigEndian.PutUint16(b[checksumOffset:], checksum(b, source, destination, ChecksumPseudoHeader))
	return b
}

// resum2 corrects the checksum of a message of version 2.
func resum2(b []byte) []byte {
	copy(b[checksumOffset:], []byte{0, 0})
	binary.BigEndian.PutUint16(b[checksumOffset:], checksum(b, netip.Addr{}, netip.Addr{}, ChecksumMessage))
	return b
}

// TestParseDrops has one message for every reason to refuse it
// that needs no configuration.
func TestParseDrops(t *testing.T) {
	_, source, destination := dissect(t, "vrrp4")
	tests := []struct {
		name   string
		change func(b []byte) []byte
		want   DropReason
	}{
		{"untouched", func(b []byte) []byte { return b }, NotDropped},
		{"empty", func([]byte) []byte { return nil }, DropLength},
		{"shorter than the header", func(b []byte) []byte { return b[:headerLen-1] }, DropLength},
		{"an address cut off", func(b []byte) []byte { return b[:headerLen] }, DropLength},
		{"half an address", func(b []byte) []byte { return b[:len(b)-2] }, DropLength},
		{"trailing octet", func(b []byte) []byte { return append(b, 0) }, DropLength},
		{"one address more than counted", func(b []byte) []byte { return append(b, 1, 2, 3, 4) }, DropLength},
		{"count too large", func(b []byte) []byte { b[3] = 2; return b }, DropLength},
		{"count too small", func(b []byte) []byte { b[3] = 0; return b }, DropLength},
		{"version 1", func(b []byte) []byte { b[0] = 0x11; return b }, DropVersion},
		{"version 4", func(b []byte) []byte { b[0] = 0x41; return b }, DropVersion},
		{"version before length", func(b []byte) []byte { b[0] = 0x41; return append(b, 0) }, DropVersion},
		{"version 2 without its authentication data", func(b []byte) []byte { b[0] = 0x21; return b }, DropLength},
		{"type 0", func(b []byte) []byte { b[0] = 0x30; return b }, DropType},
		{"type 2", func(b []byte) []byte { b[0] = 0x32; return b }, DropType},
		{"type before length", func(b []byte) []byte { b[0] = 0x32; return append(b, 0) }, DropType},
		{"flipped bit in the priority", func(b []byte) []byte { b[2] ^= 1; return b }, DropChecksum},
		{"flipped bit in an address", func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b }, DropChecksum},
		{"interval zero", func(b []byte) []byte { b[4], b[5] = 0, 0; return resum(b, source, destination) }, DropInterval},
		{"interval zero under reserved bits", func(b []byte) []byte {
			b[4], b[5] = 0xf0, 0
			return resum(b, source, destination)
		}, DropInterval},
		{"checksum before interval", func(b []byte) []byte { b[4], b[5] = 0, 0; return b }, DropChecksum},
		{"no address", func(b []byte) []byte { b[3] = 0; return resum(b[:headerLen], source, destination) }, NotDropped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, _, _ := dissect(t, "vrrp4")
			if _, drop := Parse(tt.change(payload), source, destination); drop != tt.want {
				t.Errorf("got %v, want %v", drop, tt.want)
			}
		})
	}
}

// TestReservedBits: RFC 9568 section 5.2.6 has them sent as zero and ignored
// on reception.
func TestReservedBits(t *testing.T) {
	payload, source, destination := dissect(t, "vrrp4")
	payload[4] |= 0xf0
	m, drop := Parse(resum(payload, source, destination), source, destination)
	if drop != NotDropped || m.Interval != 100*time.Millisecond {
		t.Fatalf("dropped %v, interval %v, want 100ms", drop, m.Interval)
	}
	if again := m.Append(nil, source, destination, Encoding{}); again[4]&0xf0 != 0 {
		t.Errorf("reserved bits sent as %#x", again[4]&0xf0)
	}
}

// TestBothZerosOfTheChecksum: ones' complement has two zeros, and a checksum of
// 0xffff verifies where 0x0000 is meant.
func TestBothZerosOfTheChecksum(t *testing.T) {
	payload, source, destination := dissect(t, "vrrp4")
	copy(payload[checksumOffset:], []byte{0xff, 0xff, 192, 0, 0x08, 0x30})
	m, drop := Parse(payload, source, destination)
	if drop != NotDropped {
		t.Fatalf("dropped: %v", drop)
	}
	again := m.Append(nil, source, destination, Encoding{Checksum: m.Checksum})
	if got := binary.BigEndian.Uint16(again[checksumOffset:]); got != 0 {
		t.Errorf("written again: checksum %04x, want 0000", got)
	}
}

// TestIntervalOnTheWire: the field counts whole centiseconds in 12 bits (RFC
// 9568 section 5.2.7); what is finer is cut off.
func TestIntervalOnTheWire(t *testing.T) {
	tests := []struct {
		interval, want time.Duration
		field          uint16
	}{
		{MinInterval, MinInterval, 1},
		{250 * time.Millisecond, 250 * time.Millisecond, 25},
		{time.Second, time.Second, 100},
		{1009999 * time.Microsecond, time.Second, 100},
		{MaxInterval, MaxInterval, 4095},
	}
	_, source, destination := dissect(t, "vrrp4")
	for _, tt := range tests {
		adv := Advertisement{VRID: 1, Priority: 1, Interval: tt.interval}
		payload := adv.Append(nil, source, destination, Encoding{})
		if got := binary.BigEndian.Uint16(payload[4:]); got != tt.field {
			t.Errorf("%v: field %d, want %d", tt.interval, got, tt.field)
		}
		if got, _ := Parse(payload, source, destination); got.Interval != tt.want {
			t.Errorf("%v: read %v, want %v", tt.interval, got.Interval, tt.want)
		}
	}
}

// TestAppendKeepsWhatIsThere: an advertisement is written behind other bytes
// without a share in its checksum.
func TestAppendKeepsWhatIsThere(t *testing.T) {
	payload, source, destination := dissect(t, "vrrp4")
	m, _ := Parse(payload, source, destination)
	want := append([]byte("odd"), payload...)
	if diff := cmp.Diff(want, m.Append([]byte("odd"), source, destination, Encoding{})); diff != "" {
		t.Errorf("appended (-want +got):\n%s", diff)
	}
}

// TestMaxAddresses carries as many addresses as the count can say.
func TestMaxAddresses(t *testing.T) {
	_, source, destination := dissect(t, "vrrp6")
	adv := Advertisement{VRID: 255, Priority: 255, Interval: MaxInterval}
	next := netip.MustParseAddr("2001:db8::1")
	for range MaxAddresses {
		adv.Addresses = append(adv.Addresses, next)
		next = next.Next()
	}
	got, drop := Parse(adv.Append(nil, source, destination, Encoding{}), source, destination)
	if drop != NotDropped {
		t.Fatalf("dropped: %v", drop)
	}
	if diff := cmp.Diff(adv, got.Advertisement, addrs); diff != "" {
		t.Errorf("advertisement (-want +got):\n%s", diff)
	}
}

// TestMulticastAddress pins the group addresses that IANA assigned.
func TestMulticastAddress(t *testing.T) {
	if got := IPv4.MulticastAddress().String(); got != "224.0.0.18" {
		t.Errorf("IPv4: %s", got)
	}
	if got := IPv6.MulticastAddress().String(); got != "ff02::12" {
		t.Errorf("IPv6: %s", got)
	}
}
