package link

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
)

// TestGratuitousARP compares with the frame that keepalived 2.2.7 sends.
func TestGratuitousARP(t *testing.T) {
	hardware, _ := net.ParseMAC("7e:cc:3b:4c:a6:a3")
	frame, err := gratuitousARP(hardware, netip.MustParseAddr("192.0.2.100"))
	must(t, err)
	got, err := frame.MarshalBinary()
	must(t, err)
	const want = "ffffffffffff7ecc3b4ca6a3080600010800060400017ecc3b4ca6a3c0000264ffffffffffffc0000264"
	// Ethernet pads frames to 60 bytes.
	if text := hex.EncodeToString(got); text[:len(want)] != want || len(got) != 60 {
		t.Errorf("%d bytes\n%s, want 60 that begin with\n%s", len(got), text, want)
	}
	if _, err := gratuitousARP(hardware, netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("gratuitous ARP for an IPv6 address")
	}
	if _, err := gratuitousARP(nil, netip.MustParseAddr("192.0.2.100")); err == nil {
		t.Error("gratuitous ARP without a hardware address")
	}
}
