package speaker

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"bascule/vrrp/link"
)

// isolated marks the process that is in a network namespace of its own.
const isolated = "BASCULE_SPEAKER_TEST_ISOLATED"

// TestPairOnRealLink is testPair on a cable with real sockets and real
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
	check(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lan"}, MulticastSnooping: new(bool)}))
	bridge, err := netlink.LinkByName("lan")
	check(t, err)
	check(t, netlink.LinkSetUp(bridge))
	a, b := realStation(t, "a0", "192.0.2.11/24", bridge), realStation(t, "b0", "192.0.2.12/24", bridge)
	testPair(t, a, b, 100*time.Millisecond, 20*time.Second)
}

// realStation makes an interface whose other end is a port of the bridge.
func realStation(t *testing.T, iface, address string, bridge netlink.Link) station {
	t.Helper()
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: iface}, PeerName: iface + "-port"}))
	l, err := netlink.LinkByName(iface)
	check(t, err)
	port, err := netlink.LinkByName(iface + "-port")
	check(t, err)
	check(t, netlink.LinkSetMaster(port, bridge))
	check(t, netlink.LinkSetUp(port))
	// Both ends are on one host: each must take what the other sends for
	// something from outside.
	for _, sysctl := range []string{iface + "/accept_local=1", "all/rp_filter=0", iface + "/rp_filter=0"} {
		name, value, _ := strings.Cut(sysctl, "=")
		check(t, os.WriteFile("/proc/sys/net/ipv4/conf/"+name, []byte(value), 0o644))
	}
	addr, err := netlink.ParseAddr(address)
	check(t, err)
	check(t, netlink.AddrAdd(l, addr))
	check(t, netlink.LinkSetUp(l))
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	return station{
		network: link.New(logger.With("station", iface)), iface: iface,
		setLink: func(up bool) {
			if up {
				check(t, netlink.LinkSetUp(port))
				return
			}
			check(t, netlink.LinkSetDown(port))
		},
		holds: func() bool { return slices.Contains(addresses(t, l), vip) },
	}
}

// addresses returns the IPv4 addresses of an interface.
func addresses(t *testing.T, l netlink.Link) []netip.Prefix {
	t.Helper()
	list, err := netlink.AddrList(l, netlink.FAMILY_V4)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // the addresses changed meanwhile
		list, err = netlink.AddrList(l, netlink.FAMILY_V4)
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
