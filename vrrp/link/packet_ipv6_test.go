package link

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// control returns a control message.
func control(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	binary.NativeEndian.PutUint32(b[8:], uint32(level))
	binary.NativeEndian.PutUint32(b[12:], uint32(kind))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

// hopLimit returns the control message with a hop limit.
func hopLimit(n int) []byte {
	return control(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, binary.NativeEndian.AppendUint32(nil, uint32(n)))
}

// destined returns the control message with a destination.
func destined(to netip.Addr) []byte {
	return control(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(to.AsSlice(), 7, 0, 0, 0))
}

func TestParseIPv6(t *testing.T) {
	source := netip.MustParseAddr("fe80::1")
	from := &unix.SockaddrInet6{Addr: source.As16(), ZoneId: 7}
	group := destined(vrrp.IPv6.MulticastAddress())
	payload := []byte("payload")
	well := vrrp.Received{Source: source, Destination: vrrp.IPv6.MulticastAddress(), TTL: 255, Payload: payload}
	forwarded := well
	forwarded.TTL = 63
	tests := []struct {
		name string
		oob  []byte
		from unix.Sockaddr
		want vrrp.Received
		err  string
	}{
		{"both", slices.Concat(group, hopLimit(255)), from, well, ""},
		{"the other way round", slices.Concat(hopLimit(63), group), from, forwarded, ""},
		{"with something else", slices.Concat(control(unix.SOL_SOCKET, unix.IPV6_HOPLIMIT, []byte{1, 0, 0, 0}), group, hopLimit(255)), from, well, ""},
		{"no hop limit", group, from, vrrp.Received{}, "packet without its destination or hop limit"},
		{"no destination", hopLimit(255), from, vrrp.Received{}, "packet without its destination or hop limit"},
		{"nothing", nil, from, vrrp.Received{}, "packet without its destination or hop limit"},
		{"short destination", slices.Concat(control(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 16)), hopLimit(255)), from, vrrp.Received{}, "packet without its destination or hop limit"},
		{"cut short", slices.Concat(group, hopLimit(255))[:len(group)+17], from, vrrp.Received{}, "control messages of a packet: invalid argument"},
		{"IPv4 source", slices.Concat(group, hopLimit(255)), &unix.SockaddrInet4{}, vrrp.Received{}, "packet from an address of type *unix.SockaddrInet4, want IPv6"},
		{"no source", slices.Concat(group, hopLimit(255)), nil, vrrp.Received{}, "packet from an address of type <nil>, want IPv6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseIPv6(payload, tt.oob, tt.from)
			if d := cmp.Diff(tt.want, got, addrs); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if text := errorText(err); text != tt.err {
				t.Errorf("error %q, want %q", text, tt.err)
			}
		})
	}
}

// FuzzParseIPv6 reads any control messages without harm, and makes up nothing.
func FuzzParseIPv6(f *testing.F) {
	f.Add(slices.Concat(destined(vrrp.IPv6.MulticastAddress()), hopLimit(255)))
	f.Add([]byte{})
	from := &unix.SockaddrInet6{Addr: netip.MustParseAddr("fe80::1").As16()}
	f.Fuzz(func(t *testing.T, oob []byte) {
		p, err := parseIPv6([]byte("x"), oob, from)
		if err == nil && (!p.Destination.Is6() || len(oob) < unix.CmsgSpace(20)+unix.CmsgLen(4)) {
			t.Errorf("read %+v out of % x", p, oob)
		}
	})
}
