package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// around is a tunnel whose outer packets are of one family.
func (t Tunnel) around(outer Outer) Tunnel {
	t.Outer = outer
	return t
}

// tunnelTests are the tunnels with what they need for both families.
var tunnelTests = []struct {
	tunnel  Tunnel
	devices []string // for IPv4 first, which has virtual addresses there
	ports   []Port
}{
	{ipip, []string{"tunl0", "bascule-ip6tnl"}, nil},
	{ipip.around(OuterIPv4), []string{"tunl0", "sit0"}, nil},
	{ipip.around(OuterIPv6), []string{"bascule-ip6tnl"}, nil},
	{gre, []string{"gre0", "ip6gre0"}, nil},
	{gre.around(OuterIPv4), []string{"gre0"}, nil},
	{gre.around(OuterIPv6), []string{"ip6gre0"}, nil},
	{greChecksum, []string{"bascule-gre", "bascule-ip6gre"}, nil},
	{greChecksum.around(OuterIPv4), []string{"bascule-gre"}, nil},
	{greChecksum.around(OuterIPv6), []string{"bascule-ip6gre"}, nil},
	{gue, []string{"tunl0", "bascule-ip6tnl"}, []Port{{5555, false}, {5555, true}}},
	{gue.around(OuterIPv4), []string{"tunl0", "sit0"}, []Port{{5555, false}}},
	{gue.around(OuterIPv6), []string{"bascule-ip6tnl"}, []Port{{5555, true}}},
}

// TestTunnels sets up each tunnel with both families, on a kernel that makes
// devices by itself and on one that does not, and undoes it.
func TestTunnels(t *testing.T) {
	for _, test := range tunnelTests {
		for _, fallback := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", test.tunnel, fallback), func(t *testing.T) {
				k := newFake()
				k.fallback = fallback
				k.sysctls[sysctlPath("all", rpFilter)] = 1
				if fallback { // as they stay when the module has been loaded
					for _, ipv6 := range []bool{false, true} {
						d := test.tunnel.device(ipv6)
						_ = k.AddDevice(d)
						if d.Own {
							_ = k.DeleteDevice(d.Name)
						}
					}
				}
				before := k.String()
				b := newBench(t, k)
				must(t, b.Up([]netip.Addr{vip, vip6}, []Tunnel{test.tunnel}))
				b.status(nil, nil)
				after := k.String()
				must(t, b.Up([]netip.Addr{vip, vip6}, []Tunnel{test.tunnel}))
				if got := k.String(); got != after {
					t.Errorf("setting up again has changed\n%s\nto\n%s", after, got)
				}
				var up []string
				for _, i := range k.interfaces {
					if i.Up && i.Name != loopback && i.Name != "eth0" {
						up = append(up, i.Name)
					}
				}
				slices.Sort(up)
				if want := slices.Sorted(slices.Values(test.devices)); !slices.Equal(up, want) {
					t.Errorf("up are %v, want %v", up, want)
				}
				if !slices.Contains(k.addresses, Place{test.devices[0], vip}.address()) {
					t.Errorf("%s has not got %s", test.devices[0], vip)
				}
				if !slices.Equal(k.ports, test.ports) {
					t.Errorf("ports %v, want %v", k.ports, test.ports)
				}
				path := sysctlPath(test.devices[0], rpFilter)
				if got := k.sysctls[path]; got != 2 {
					t.Errorf("rp_filter = %d, want 2", got)
				}
				k.sysctls[path] = 0
				b.status([]string{sysctlName(path) + " is 0, want 2"}, nil)
				b.up(vip)
				b.down(nil)
				if got := k.String(); got != before {
					t.Errorf("there is left\n%s\nof\n%s", got, before)
				}
				b.forgotten()
			})
		}
	}
}

// TestBothChecksums refuses GRE with checksums beside GRE without, at once and
// one after the other, unless the families around are different.
func TestBothChecksums(t *testing.T) {
	for _, test := range []struct {
		earlier, more []Tunnel
		want          string
	}{
		{nil, []Tunnel{gre, greChecksum}, "tunnels gre:checksum and gre: want one, for IPv4 takes"},
		{[]Tunnel{gre}, []Tunnel{greChecksum}, "tunnels gre:checksum and gre: want one, for IPv4 takes"},
		{[]Tunnel{greChecksum}, []Tunnel{gre.around(OuterIPv6)}, "tunnels gre:checksum and gre/ipv6: want one, for IPv6 takes"},
		{[]Tunnel{greChecksum.around(OuterIPv4)}, []Tunnel{gre.around(OuterIPv6), ipip, gue}, ""},
	} {
		k := newFake()
		b := newBench(t, k)
		must(t, b.Up([]netip.Addr{vip, vip6}, test.earlier))
		before := k.String()
		err := b.Up([]netip.Addr{vip2}, test.more)
		if test.want == "" {
			must(t, err)
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, then %v: error %v, want %q", test.earlier, test.more, err, test.want)
		}
		if got := k.String(); got != before {
			t.Errorf("%v, then %v: the kernel has\n%s\nwant\n%s", test.earlier, test.more, got, before)
		}
	}
}

// TestWithoutIPv6 has IPv6 on an interface that is made although others are
// made without.
func TestWithoutIPv6(t *testing.T) {
	k := newFake()
	k.sysctls[sysctlPath6("default", disableIPv6)] = 1
	k.addInterface(Interface{Name: "sit0"})
	before := k.String()
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{vip6}, []Tunnel{ipip.around(OuterIPv4)}))
	b.status(nil, nil)
	if got := k.sysctls[sysctlPath6("sit0", disableIPv6)]; got != 0 {
		t.Errorf("disable_ipv6 = %d, want 0", got)
	}
	k.sysctls[sysctlPath6("sit0", disableIPv6)] = 1
	b.status([]string{"net.ipv6.conf.sit0.disable_ipv6 is 1, want 0"}, nil)
	b.up(vip6)
	b.down(nil)
	if got := k.String(); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
}

// TestRival reports somebody else's interface that drops what has checksums.
func TestRival(t *testing.T) {
	k := newFake()
	k.addInterface(Interface{Name: "gre0", Up: true})
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{vip}, []Tunnel{greChecksum}))
	b.status([]string{"gre0 is up and drops what is for bascule-gre, packets with checksums: set it down"}, nil)
	must(t, k.SetUp("gre0", false))
	b.status(nil, nil)
}

// TestExternal says why there is no interface when somebody else's has all its
// packets.
func TestExternal(t *testing.T) {
	k := newFake()
	must(t, k.AddDevice(Device{Name: "cilium_tunl", Kind: "ip6tnl", Own: true}))
	before := k.String()
	b := newBench(t, k)
	err := b.Up([]netip.Addr{vip6}, []Tunnel{ipip})
	if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "interface bascule-ip6tnl: another interface of type ip6tnl in external mode") {
		t.Errorf("error %v", err)
	}
	if got := k.String(); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
	b.forgotten()
}

// TestTunnelNeedsNothing leaves a tunnel alone that works already.
func TestTunnelNeedsNothing(t *testing.T) {
	k := newFake()
	k.addInterface(Interface{Name: "tunl0", Up: true})
	k.ports = []Port{gue.port4()}
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{vip}, []Tunnel{gue}))
	b.down(nil)
	if i := k.index("tunl0"); i < 0 || !k.interfaces[i].Up || len(k.ports) != 1 {
		t.Errorf("the kernel has\n%s", k)
	}
}

// port4 is the port of a tunnel for IPv4.
func (t Tunnel) port4() Port { return Port{Number: t.Port} }

// TestTunnelLost reports a tunnel that somebody has taken away.
func TestTunnelLost(t *testing.T) {
	k := newFake()
	k.fallback = false
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{vip}, []Tunnel{gue}))
	must(t, k.DeleteDevice("tunl0"))
	must(t, k.DeletePort(gue.port4()))
	b.status([]string{"192.0.2.10 is not on tunl0", "tunl0, which unwraps gue:5555, is not up", "UDP port 5555 of IPv4 does not unwrap GUE"}, nil)
	b.down(nil)
	b.forgotten()
}
