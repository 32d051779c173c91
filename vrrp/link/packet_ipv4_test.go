package link

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/vrrp"
)

// advertisement is a packet captured from keepalived 2.2.7, from its IPv4
// header on.
const advertisement = "45c0002000010000ff701899c0000201e000001231336401000a05ccc0000264"

// unhex decodes a test packet.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseIPv4(t *testing.T) {
	keepalived := vrrp.Received{
		Source: netip.MustParseAddr("192.0.2.1"), Destination: vrrp.IPv4.MulticastAddress(), TTL: 255,
		Payload: unhex(t, "31336401000a05ccc0000264"),
	}
	padded := keepalived
	options := keepalived
	options.Payload = unhex(t, "31336401")
	tests := []struct {
		name, packet string
		want         vrrp.Received
		err          string
	}{
		{"keepalived", advertisement, keepalived, ""},
		{"padding after the packet is no payload", advertisement + "0000000000000000", padded, ""},
		{"options are no payload", "47c0002000010000ff701899c0000201e0000012 9404000001010100 31336401", options, ""},
		{"empty", "", vrrp.Received{}, "packet of 0 bytes, an IPv4 header has at least 20"},
		{"truncated header", advertisement[:38], vrrp.Received{}, "packet of 19 bytes, an IPv4 header has at least 20"},
		{"IPv6", "6" + advertisement[1:], vrrp.Received{}, "packet of IP version 6, want 4"},
		{"header shorter than a header", "44" + advertisement[2:], vrrp.Received{}, "packet of 32 bytes says 16 of header, 32 in total"},
		{"header longer than the packet", "4f" + advertisement[2:], vrrp.Received{}, "packet of 32 bytes says 60 of header, 32 in total"},
		{"total beyond the packet", "45c00021" + advertisement[8:], vrrp.Received{}, "packet of 32 bytes says 20 of header, 33 in total"},
		{"total inside the header", "45c00013" + advertisement[8:], vrrp.Received{}, "packet of 32 bytes says 20 of header, 19 in total"},
		{"other protocol", strings.Replace(advertisement, "ff70", "ff11", 1), vrrp.Received{}, "packet of IP protocol 17, want 112"},
		{"first fragment", strings.Replace(advertisement, "00010000", "00012000", 1), vrrp.Received{}, "fragment of a packet (flags and offset 0x2000)"},
		{"no payload", "45c00014" + advertisement[8:40], vrrp.Received{Source: keepalived.Source, Destination: vrrp.IPv4.MulticastAddress(), TTL: 255, Payload: []byte{}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseIPv4(unhex(t, tt.packet))
			if d := cmp.Diff(tt.want, got, addrs); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if text := errorText(err); text != tt.err {
				t.Errorf("error %q, want %q", text, tt.err)
			}
		})
	}
}

// errorText returns the text of an error, empty for none.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParseIPv4(f *testing.F) {
	f.Add(unhex(f, advertisement))
	f.Add(unhex(f, advertisement)[:20])
	f.Add(unhex(f, "4fc0003c00010000ff701899c0000201e0000012"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseIPv4(b)
		if err != nil {
			if p.Payload != nil {
				t.Errorf("a payload in spite of the error %v", err)
			}
			return
		}
		if !p.Source.Is4() || !p.Destination.Is4() || len(p.Payload) > len(b)-ipv4HeaderLen {
			t.Errorf("%d bytes became %+v", len(b), p)
		}
	})
}
