package checker

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What a router or a packet filter on the way says in ICMP is about the target,
// though the numbers are those of a director without a route.
func TestRejected(t *testing.T) {
	c := newCabling(t)
	c.route6()
	_, prohibited, err := net.ParseCIDR("2001:db8:2::/64")
	c.check(err)
	c.check(c.server.link.RouteAdd(&netlink.Route{Dst: prohibited, Type: unix.RTN_PROHIBIT}))
	for _, test := range []struct{ name, target, tcp, udp string }{
		{"IPv4 without a route", "203.0.113.9:80", "network is unreachable", "timed out after 1s"}, // UDP hears of ports only
		{"IPv6 without a route", "[2001:db8:3::9]:80", "network is unreachable", "timed out after 1s"},
		{"IPv6 prohibited", "[2001:db8:2::9]:80", "administratively prohibited", "administratively prohibited"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := tcpSpec(netip.MustParseAddrPort(test.target), patience)
			spec.Via.Namespace = c.director.path
			wantError(t, check(t, spec), test.tcp)
			spec.Timeout, spec.Probe = 1e9, UDP{Require: true}
			wantError(t, check(t, spec), test.udp)
		})
	}
}

// What cannot have come in a message is a fault of this director.
func TestOfCall(t *testing.T) {
	failed := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"connect", failed(os.NewSyscallError("connect", unix.EACCES)), true},
		{"no socket", failed(os.NewSyscallError("socket", unix.EACCES)), false},
		{"read", os.NewSyscallError("read", unix.EACCES), false},
		{"no option", failed(unix.EACCES), false},
	} {
		if got := ofCall(test.err, "connect"); got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}

// route6 makes the server a router of both families, and sends all that the
// director has no other route for to it.
func (c *cabling) route6() {
	c.t.Helper()
	for space, address := range map[*space]string{c.director: "2001:db8:1::1/64", c.server: "2001:db8:1::2/64"} {
		name := "d1"
		if space == c.server {
			name = "s1"
		}
		link, err := space.link.LinkByName(name)
		c.check(err)
		parsed, err := netlink.ParseAddr(address)
		c.check(err)
		parsed.Flags = unix.IFA_F_NODAD
		c.check(space.link.AddrAdd(link, parsed))
	}
	for _, hop := range []string{"192.0.2.2", "2001:db8:1::2"} {
		c.check(c.director.link.RouteAdd(&netlink.Route{Gw: net.ParseIP(hop)}))
	}
	c.server.do(c.t, func() {
		for _, file := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
			if err := os.WriteFile(file, []byte("1"), 0); err != nil {
				c.t.Error(err)
			}
		}
	})
}
