package checker

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// Local ports that are used up are no fault of a real server, and a source
// does not use them up sooner.
func TestWithoutLocalPorts(t *testing.T) {
	none, source := Via{}, Via{Source: netip.MustParseAddr("127.0.0.1")}
	const used, other = 0, 1 // of two targets: the ports towards the first are used up
	for _, test := range []struct {
		name   string
		via    Via
		probe  Probe
		target int
		want   string
	}{
		{"the same target", none, TCP{}, used, "no verdict: cannot assign requested address on this director"},
		{"the same target, from a source", source, TCP{}, used, "no verdict: cannot assign requested address on this director"},
		{"another target", none, TCP{}, other, ""},
		{"another target, from a source", source, TCP{}, other, ""},
		{"UDP", none, UDP{}, used, "no verdict: resource temporarily unavailable on this director"},
		{"UDP, from a source", source, UDP{}, used, "no verdict: address already in use on this director"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inNamespace(t, func() {
				targets := []netip.AddrPort{silentListener(t), silentListener(t)}
				if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0); err != nil {
					t.Error(err)
				}
				network := "tcp"
				if test.probe == (UDP{}) {
					network = "udp"
				}
				for range 2 {
					conn, err := endpoint{AddrPort: targets[used], via: test.via}.dial(t.Context(), network)
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { _ = conn.Close() })
				}
				spec := tcpSpec(targets[test.target], time.Second)
				spec.Probe, spec.Via = test.probe, test.via
				wantError(t, check(t, spec), test.want)
			})
		})
	}
}

// A source of IPv6 is no different.
func TestSourceIPv6(t *testing.T) {
	inNamespace(t, func() {
		listener, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = listener.Close() }()
		spec := tcpSpec(addrPort(listener.Addr()), patience)
		spec.Via.Source = netip.IPv6Loopback()
		wantError(t, check(t, spec), "")
	})
}

// silentListener accepts connections on loopback, as far as the kernel does.
func silentListener(t *testing.T) netip.AddrPort {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return netip.AddrPort{}
	}
	t.Cleanup(func() { _ = listener.Close() })
	return addrPort(listener.Addr())
}
