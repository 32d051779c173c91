//go:build ipvs

package realserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The two ends of the cable to the director, which wraps the packets.
const (
	serverAddress4 = "192.0.2.11"
	serverAddress6 = "2001:db8::11"
	clientAddress4 = "192.0.2.1"
	clientAddress6 = "2001:db8::1"
)

// ip runs ip(8) in the namespace of the thread.
func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// connect makes a cable from the server, in whose namespace the test is, to a
// namespace of its own, which is returned.
func connect(t *testing.T) netns.NsHandle {
	t.Helper()
	here, err := netns.Get()
	must(t, err)
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(here))
	here.Close()
	t.Cleanup(func() { there.Close() })
	ip(t, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	eth1, err := netlink.LinkByName("eth1")
	must(t, err)
	must(t, netlink.LinkSetNsFd(eth1, int(there)))
	ip(t, "link", "set", "eth0", "up")
	ip(t, "address", "add", serverAddress4+"/24", "dev", "eth0")
	ip(t, "address", "add", serverAddress6+"/64", "dev", "eth0", "nodad")
	inside(t, there, func() {
		ip(t, "link", "set", "lo", "up")
		ip(t, "link", "set", "eth1", "up")
		ip(t, "address", "add", clientAddress4+"/24", "dev", "eth1")
		ip(t, "address", "add", clientAddress6+"/64", "dev", "eth1", "nodad")
	})
	return there
}

// inside does something in another namespace. The test's own is restored.
func inside(t *testing.T, ns netns.NsHandle, do func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	must(t, netns.Set(ns))
	defer func() { must(t, netns.Set(home)) }()
	do()
}

// wrap routes a virtual address through a tunnel to the server, in the
// namespace of the director.
func wrap(t *testing.T, tunnel Tunnel, a netip.Addr) {
	t.Helper()
	local, remote := clientAddress4, serverAddress4
	if tunnel.outer6(a.Is6()) {
		local, remote = clientAddress6, serverAddress6
	}
	d := tunnel.device(a.Is6())
	args := []string{"link", "add", "wrap", "type", d.Kind, "local", local, "remote", remote}
	switch {
	case d.Kind == "ip6tnl" && a.Is6():
		args = append(args, "mode", "ip6ip6")
	case d.Kind == "ip6tnl":
		args = append(args, "mode", "ip4ip6")
	case d.Checksum:
		args = append(args, "csum")
	}
	if tunnel.Port != 0 {
		args = append(args, "encap", "gue", "encap-sport", "auto", "encap-dport", fmt.Sprint(tunnel.Port), "encap-udp6-csum")
	}
	ip(t, args...)
	ip(t, "link", "set", "wrap", "up")
	source := clientAddress4
	if a.Is6() {
		source = clientAddress6
	}
	ip(t, "route", "add", a.String(), "dev", "wrap", "src", source)
}

// printTunnels returns what may be changed, without the card: that comes up
// meanwhile, with an address of its own.
func printTunnels(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "ip -br link | grep -v ^eth0; ip -br address | grep -v ^eth0; grep . /proc/sys/net/ipv4/conf/*/arp_[ai]* /proc/sys/net/ipv4/conf/*/rp_filter; ip fou show; ip -6 fou show").CombinedOutput()
	must(t, err)
	return string(out)
}

// load loads modules of the kernel.
func load(t *testing.T, modules ...string) {
	t.Helper()
	for _, module := range modules {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			t.Fatalf("modprobe %s: %v: %s", module, err, out)
		}
	}
}

// TestTunnelsReal sends wrapped packets to a server by each tunnel, as IPVS of
// a director does, with strict filtering of paths. It needs the modules of the
// tunnels.
func TestTunnelsReal(t *testing.T) {
	for _, tunnel := range []Tunnel{ipip, gre, greChecksum, gue} {
		for _, a := range []netip.Addr{vip, vip6} {
			t.Run(fmt.Sprintf("%s/%s", tunnel, a), func(t *testing.T) { testTunnel(t, tunnel, a) })
		}
	}
}

// testTunnel sends a packet by one tunnel, and hears the answer.
func testTunnel(t *testing.T, tunnel Tunnel, a netip.Addr) {
	k := enterNamespace(t)
	there := connect(t)
	load(t, "fou", "fou6") // the kernel does not by itself
	must(t, k.SetSysctl(sysctlPath(confAll, rpFilter), 1))
	must(t, k.SetSysctl(sysctlPath6("default", disableIPv6), 1))
	d := tunnel.device(a.Is6()) // so that the module is there before
	if err := k.AddDevice(d); err == nil && d.Own {
		must(t, k.DeleteDevice(d.Name))
	}
	before := printTunnels(t)
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{a}, []Tunnel{tunnel}))
	b.status(nil, nil)
	server, err := net.ListenPacket("udp", netip.AddrPortFrom(a, 7).String())
	must(t, err)
	defer server.Close()
	var client net.Conn
	inside(t, there, func() {
		wrap(t, tunnel, a)
		client, err = net.Dial("udp", netip.AddrPortFrom(a, 7).String())
		must(t, err)
	})
	defer client.Close()
	_, err = client.Write([]byte("hello"))
	must(t, err)
	buffer := make([]byte, 16)
	must(t, server.SetReadDeadline(time.Now().Add(30*time.Second)))
	n, from, err := server.ReadFrom(buffer)
	if err != nil {
		t.Fatalf("the server heard nothing: %v", err)
	}
	_, err = server.WriteTo(buffer[:n], from)
	must(t, err)
	must(t, client.SetReadDeadline(time.Now().Add(30*time.Second)))
	if n, err = client.Read(buffer); err != nil || string(buffer[:n]) != "hello" {
		t.Errorf("heard %q, error %v", buffer[:n], err)
	}
	b.down(nil)
	if got := printTunnels(t); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
}

// TestPorts opens the ports of both families, and closes them.
func TestPorts(t *testing.T) {
	k := enterNamespace(t)
	load(t, "fou", "fou6") // the kernel does not by itself
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{vip, vip6}, []Tunnel{gue}))
	b.status(nil, nil)
	if err := k.AddPort(gue.port4()); !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EALREADY) {
		t.Errorf("once more: error %v", err)
	}
	b.down(nil)
	if ports, err := k.Ports(); err != nil || len(ports) != 0 {
		t.Errorf("ports %v, error %v", ports, err)
	}
}

// TestUndone sets up all tunnels that go together, and undoes all of it. The
// sysctls of an interface that is up for the first time are more than before.
func TestUndone(t *testing.T) {
	k := enterNamespace(t)
	load(t, "fou", "fou6", "ipip", "sit", "ip6_tunnel", "ip_gre", "ip6_gre")
	for _, tunnels := range [][]Tunnel{
		{ipip, ipip.around(OuterIPv4), ipip.around(OuterIPv6), gre, gre.around(OuterIPv4), gue, gue.around(OuterIPv4)},
		{greChecksum, greChecksum.around(OuterIPv6), gue.around(OuterIPv6)},
	} {
		interfaces, sysctls := printTunnels(t), printSysctls(t)
		b := newBench(t, k)
		must(t, b.Up([]netip.Addr{vip, vip6}, tunnels))
		b.status(nil, nil)
		if interfaces == printTunnels(t) {
			t.Error("nothing is set up")
		}
		b.down(nil)
		if got := printTunnels(t); got != interfaces {
			t.Errorf("there is left\n%s\nof\n%s", got, interfaces)
		}
		after := printSysctls(t)
		for _, line := range sysctls {
			if !slices.Contains(after, line) {
				t.Errorf("%s: is not as it was", line)
			}
		}
		b.forgotten()
	}
}

// printSysctls returns the sysctls of the network that are settings.
func printSysctls(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `sysctl -a --pattern '^net\.' 2>/dev/null | grep -v -e flowlabel_state_ranges -e _count -e '\.mtu_expires' -e '^net\.netfilter'`).Output()
	must(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
