package link

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/ndp"
)

// TestUnsolicitedNA compares with the frame that keepalived 2.2.7 sends on a
// machine that does not forward.
func TestUnsolicitedNA(t *testing.T) {
	hardware, _ := net.ParseMAC("7e:cc:3b:4c:a6:a3")
	addr := netip.MustParseAddr("fe80::100")
	frame, err := unsolicitedNA(hardware, addr, false)
	must(t, err)
	got, err := frame.MarshalBinary()
	must(t, err)
	const want = "3333000000017ecc3b4ca6a386dd6000000000203afffe800000000000000000000000000100" +
		"ff0200000000000000000000000000018800f6e120000000fe80000000000000000000000000010002017ecc3b4ca6a3"
	if text := hex.EncodeToString(got); text != want {
		t.Errorf("got\n%s, want\n%s", text, want)
	}
	frame, err = unsolicitedNA(hardware, addr, true)
	must(t, err)
	m, err := ndp.ParseMessage(frame.Payload[40:])
	must(t, err)
	if na := m.(*ndp.NeighborAdvertisement); !na.Router || !na.Override || na.Solicited {
		t.Errorf("a router's is %+v", na)
	}
}

// TestUnsolicitedNAErrors refuses what cannot be announced so.
func TestUnsolicitedNAErrors(t *testing.T) {
	hardware, _ := net.ParseMAC("7e:cc:3b:4c:a6:a3")
	if _, err := unsolicitedNA(hardware, netip.MustParseAddr("192.0.2.1"), false); err == nil {
		t.Error("a neighbour advertisement for an IPv4 address")
	}
	for _, length := range []int{0, 5, 8, 20} {
		if _, err := unsolicitedNA(make(net.HardwareAddr, length), netip.MustParseAddr("fe80::100"), false); err == nil {
			t.Errorf("a neighbour advertisement with %d bytes of hardware address", length)
		}
	}
}
