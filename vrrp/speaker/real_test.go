package speaker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/vrrp/link"
)

// isolated marks the process that is in a network namespace of its own.
const isolated = "BASCULE_SPEAKER_TEST_ISOLATED"

// TestPairOnRealLink is testPair on cables with real sockets and real
// addresses, in real time. It runs in a process of its own, in an empty
// network namespace.
func TestPairOnRealLink(t *testing.T) {
	if os.Getenv(isolated) == "" {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestPairOnRealLink$", "-test.v")
		cmd.Env = append(os.Environ(), isolated+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // the death of the thread would kill the child
		defer runtime.UnlockOSThread()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for i, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			a, b := realPair(t, i)
			testPair(t, p, a, b, 100*time.Millisecond, 20*time.Second)
		})
	}
}

// realPair makes two stations on a bridge of their own, which is removed at
// the end.
func realPair(t *testing.T, number int) (a, b station) {
	t.Helper()
	name := fmt.Sprintf("lan%d", number)
	check(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: new(bool)}))
	bridge, err := netlink.LinkByName(name)
	check(t, err)
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	check(t, netlink.LinkSetUp(bridge))
	return realStation(t, "a0", 11, bridge), realStation(t, "b0", 12, bridge)
}

// realStation makes an interface whose other end is a port of the bridge.
func realStation(t *testing.T, iface string, number int, bridge netlink.Link) station {
	t.Helper()
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: iface}, PeerName: iface + "-port"}))
	l, err := netlink.LinkByName(iface)
	check(t, err)
	t.Cleanup(func() { _ = netlink.LinkDel(l) })
	port, err := netlink.LinkByName(iface + "-port")
	check(t, err)
	check(t, netlink.LinkSetMaster(port, bridge))
	check(t, netlink.LinkSetUp(port))
	outside(t, iface)
	check(t, netlink.LinkSetUp(l))
	for _, p := range ownAddresses(number) {
		addr, err := netlink.ParseAddr(p.String())
		check(t, err)
		check(t, netlink.AddrAdd(l, addr))
	}
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	return station{
		network: link.New(logger.With("station", iface)), iface: iface, number: number,
		setLink: func(up bool) {
			if up {
				check(t, netlink.LinkSetUp(port))
				return
			}
			check(t, netlink.LinkSetDown(port))
		},
		addresses: func() []netip.Prefix { return addresses(t, l) },
	}
}

// outside makes this host take what comes in on an interface for something
// from outside, and what is for another of its own addresses for something
// that has to go out: both stations are on one host. The kernel makes no
// link-local address by itself.
func outside(t *testing.T, iface string) {
	t.Helper()
	for _, sysctl := range []string{
		"ipv4/conf/" + iface + "/accept_local=1", "ipv4/conf/all/rp_filter=0", "ipv4/conf/" + iface + "/rp_filter=0",
		"ipv6/conf/" + iface + "/addr_gen_mode=1",
	} {
		name, value, _ := strings.Cut(sysctl, "=")
		check(t, os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644))
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		in := localRule(family, 10)
		in.IifName = iface
		check(t, netlink.RuleAdd(in))
		t.Cleanup(func() { _ = netlink.RuleDel(in) })
		_ = netlink.RuleDel(localRule(family, 0)) // gone already, for the second station
	}
	groups := localRule(netlink.FAMILY_V6, 20) // the table has their routes too
	groups.Dst = &net.IPNet{IP: net.ParseIP("ff00::"), Mask: net.CIDRMask(8, 128)}
	if err := netlink.RuleAdd(groups); err != nil && !errors.Is(err, unix.EEXIST) {
		t.Fatal(err)
	}
}

// localRule is a rule that has the table of local addresses looked at.
func localRule(family, priority int) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Table, r.Priority = family, unix.RT_TABLE_LOCAL, priority
	return r
}

// addresses returns the addresses of an interface.
func addresses(t *testing.T, l netlink.Link) []netip.Prefix {
	t.Helper()
	list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // the addresses changed meanwhile
		list, err = netlink.AddrList(l, netlink.FAMILY_ALL)
	}
	check(t, err)
	var all []netip.Prefix
	for _, a := range list {
		all = append(all, netip.MustParsePrefix(a.IPNet.String()))
	}
	return all
}

// check ends the test on an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
