package realserver

import (
	"errors"
	"net/netip"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// enterNamespace moves the test into a network namespace of its own, in which
// there is lo, and returns the kernel there. The thread is not given back, and
// dies with the test.
func enterNamespace(t *testing.T) *Linux {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	k, err := Open()
	must(t, err)
	t.Cleanup(k.Close)
	must(t, k.SetUp(loopback, true))
	return k
}

// printReal returns what ip(8) and sysctl(8) say of the namespace.
func printReal(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `ip address; ip route show table all; ip -6 route show table all
		sysctl -a --pattern '^net\.' 2>/dev/null | grep -v -e flowlabel_state_ranges -e _count -e '\.mtu_expires'`).CombinedOutput()
	must(t, err)
	return string(out)
}

// TestNetwork checks that a network namespace is told from others.
func TestNetwork(t *testing.T) {
	identity := func(k *Linux) uint64 {
		n, err := k.Network()
		must(t, err)
		return n
	}
	first := enterNamespace(t)
	one, same := identity(first), identity(first)
	if two := identity(enterNamespace(t)); one != same || one == two {
		t.Errorf("%d, then %d, and of another %d", one, same, two)
	}
}

// TestDirectReal is the life of a real server on the kernel of this machine.
func TestDirectReal(t *testing.T) {
	k := enterNamespace(t)
	testDirect(t, k, func() string { return printReal(t) })
}

// TestSource checks that no virtual address is chosen as the source of what
// the machine says by itself, although it has no other that is routed.
func TestSource(t *testing.T) {
	k := enterNamespace(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	must(t, k.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}))
	must(t, errors.Join(k.SetUp("eth0", true), k.SetUp("peer", true)))
	newBench(t, k).up(vip, vip6)
	eth0, err := k.link("eth0")
	must(t, err)
	must(t, k.handle.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: ipNet(netip.MustParseAddr("198.51.100.1")).IPNet}))
	routes, err := k.handle.RouteGet(netip.MustParseAddr("198.51.100.1").AsSlice())
	must(t, err)
	for _, r := range routes {
		if a, _ := netip.AddrFromSlice(r.Src); a.Unmap() == vip {
			t.Errorf("the route %v has the virtual address as its source", r)
		}
	}
	list, err := k.handle.AddrList(nil, netlink.FAMILY_ALL)
	must(t, err)
	for _, a := range list {
		if got, _ := netip.AddrFromSlice(a.IP); got == vip6 && a.PreferedLft != 0 {
			t.Errorf("%v is preferred for %d seconds", got, a.PreferedLft)
		}
	}
}
