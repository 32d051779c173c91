package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"bascule/vrrp/link/linktest"
)

// TestKernelErrors checks that a missing interface is ENODEV everywhere.
func TestKernelErrors(t *testing.T) {
	k := &kernel{}
	defer k.Close()
	p := netip.MustParsePrefix("192.0.2.1/24")
	for _, name := range []string{"none", "", "a-name-that-is-much-too-long", "a b/c"} {
		_, device := k.Device(name)
		_, index := k.Index(name)
		for what, err := range map[string]error{"Device": device, "Index": index} {
			if !errors.Is(err, unix.ENODEV) {
				t.Errorf("%s of interface %q: %v, want %v", what, name, err, unix.ENODEV)
			}
		}
	}
	for what, err := range map[string]error{"AddAt": k.AddAt(1<<30, p), "DeleteAt": k.DeleteAt(1<<30, p)} {
		if !errors.Is(err, unix.ENODEV) {
			t.Errorf("%s of an index that does not exist: %v, want %v", what, err, unix.ENODEV)
		}
	}
	if list, err := k.AddressesAt(1 << 30); err != nil || len(list) != 0 {
		t.Errorf("addresses of an index that does not exist: %v, %v", list, err)
	}
	k.Close() // a later use opens it again
	if _, err := k.Device("lo"); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// TestKernelIPv6 adds an IPv6 address that can be used at once.
func TestKernelIPv6(t *testing.T) {
	l := newLab(t, "six")
	k := &kernel{}
	defer k.Close()
	p := netip.MustParsePrefix("2001:db8::10/64")
	index := l.link(l.here, l.name).Attrs().Index
	must(t, k.AddAt(index, p))
	if err := k.AddAt(index, p); !errors.Is(err, unix.EEXIST) {
		t.Errorf("added twice: %v", err)
	}
	if c, err := net.ListenPacket("udp6", "[2001:db8::10]:0"); err != nil {
		t.Errorf("the address cannot be used at once: %v", err)
	} else {
		c.Close()
	}
	must(t, k.DeleteAt(index, p))
	if err := k.DeleteAt(index, p); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("deleted twice: %v", err)
	}
}

// TestKernelDeletesPointToPoint deletes addresses that somebody gave a peer, as
// they are listed, and leaves others.
func TestKernelDeletesPointToPoint(t *testing.T) {
	l := newLab(t, "ptp")
	k := &kernel{}
	defer k.Close()
	index := l.link(l.here, l.name).Attrs().Index
	for _, texts := range []struct{ address, peer, other, otherPeer string }{
		{"10.0.0.10/32", "10.0.0.1/24", "10.0.0.11/32", "10.0.1.1/24"},
		{"2001:db8::10/128", "2001:db8::1/64", "2001:db8::11/128", "2001:db8::1/64"},
	} {
		p, other := netip.MustParsePrefix(texts.address), netip.MustParsePrefix(texts.other)
		for a, peer := range map[netip.Prefix]string{p: texts.peer, other: texts.otherPeer} {
			l.check(l.here.AddrAdd(l.link(l.here, l.name), &netlink.Addr{IPNet: ipNetOf(a), Peer: ipNetOf(netip.MustParsePrefix(peer))}))
		}
		if err := k.DeleteAt(index, p); err != nil {
			t.Errorf("%s with peer %s: %v", p, texts.peer, err)
		}
		if err := k.DeleteAt(index, p); !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("%s deleted twice: %v", p, err)
		}
		there, err := k.AddressesAt(index)
		must(t, err)
		if slices.Contains(there, p) || !slices.Contains(there, other) {
			t.Errorf("left are %v, want %s without %s", there, other, p)
		}
	}
}

// TestKernelFakeIsFaithful does the same random edits to Linux and to
// linktest.Kernel, and expects the same errors and the same lists.
func TestKernelFakeIsFaithful(t *testing.T) {
	l := newLab(t, "faithful")
	l.linkLocal(l.here, l.name) // which must not come in between
	l.del(hereAddress)
	own := l.linkLocal(l.here, l.name)
	l.check(l.here.AddrDel(l.link(l.here, l.name), &netlink.Addr{IPNet: ipNetOf(own)}))
	real := &kernel{}
	defer real.Close()
	index := l.link(l.here, l.name).Attrs().Index
	pool := prefixes("10.0.0.1/24 10.0.0.2/24 10.0.0.3/24 10.0.0.3/32 10.0.0.3/16 10.0.1.1/24 " +
		"fd00::1/64 fd00::2/64 fd00::2/128 2001:db8::1/64 fe80::1/64 fe80::2/64")
	sysctl := "/proc/sys/net/ipv4/conf/" + l.name + "/promote_secondaries"
	rapid.Check(t, func(t *rapid.T) {
		fake := linktest.NewKernel(l.name)
		at, err := fake.Index(l.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pool {
			_ = real.DeleteAt(index, p)
		}
		promote := rapid.Bool().Draw(t, "promote")
		fake.PromoteSecondaries(promote)
		if err := os.WriteFile(sysctl, []byte(map[bool]string{false: "0", true: "1"}[promote]), 0); err != nil {
			t.Fatal(err)
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, 2*len(pool)-1), 1, 20).Draw(t, "steps")
		for i, step := range steps {
			p := pool[step/2]
			op, got, want := "add", error(nil), error(nil)
			if step%2 == 0 {
				got, want = fake.AddAt(at, p), real.AddAt(index, p)
			} else {
				op, got, want = "delete", fake.DeleteAt(at, p), real.DeleteAt(index, p)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("step %d, %s %s: the fake says %v, Linux %v", i, op, p, got, want)
			}
			if d := cmp.Diff(list(t, real, index), list(t, fake, at), addrs); d != "" {
				t.Fatalf("step %d, %s %s (-Linux +fake):\n%s", i, op, p, d)
			}
		}
	})
}

// list returns the addresses of an interface, one a line.
func list(t *rapid.T, k addressEditor, index int) string {
	addresses, err := k.AddressesAt(index)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, p := range addresses {
		fmt.Fprintln(&out, p)
	}
	return out.String()
}

func TestPrefixOf(t *testing.T) {
	tests := []struct {
		name string
		in   *net.IPNet
		want string
	}{
		{"IPv4", &net.IPNet{IP: net.IP{192, 0, 2, 1}, Mask: net.CIDRMask(24, 32)}, "192.0.2.1/24"},
		{"IPv4 in sixteen bytes", &net.IPNet{IP: net.ParseIP("192.0.2.1"), Mask: net.CIDRMask(24, 32)}, "192.0.2.1/24"},
		{"IPv4 with a long mask", &net.IPNet{IP: net.ParseIP("192.0.2.1"), Mask: net.CIDRMask(120, 128)}, "192.0.2.1/24"},
		{"IPv6", &net.IPNet{IP: net.ParseIP("2001:db8::1"), Mask: net.CIDRMask(64, 128)}, "2001:db8::1/64"},
		{"none", nil, ""},
		{"no address", &net.IPNet{Mask: net.CIDRMask(24, 32)}, ""},
		{"mask of another family", &net.IPNet{IP: net.ParseIP("192.0.2.1"), Mask: net.CIDRMask(64, 128)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := prefixOf(tt.in)
			if ok != (tt.want != "") || ok && got.String() != tt.want {
				t.Errorf("%v %t, want %q", got, ok, tt.want)
			}
			if !ok {
				return
			}
			if back, _ := prefixOf(ipNetOf(got)); back != got {
				t.Errorf("%v there and back is %v", got, back)
			}
		})
	}
}
