package linktest_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
	"bascule/vrrp/link/linktest"
)

// IPv6 addresses of the tests.
var (
	group6  = netip.MustParseAddr("ff02::12")
	local1  = netip.MustParsePrefix("fe80::1/64")
	local2  = netip.MustParsePrefix("fe80::2/64")
	global1 = netip.MustParsePrefix("fd00::1/64")
	vip6    = netip.MustParsePrefix("fe80::100/64")
)

// sorted compares addresses in any order.
var sorted = cmpopts.SortSlices(func(a, b netip.Prefix) bool { return a.Compare(b) < 0 })

// duo is a LAN of two hosts with addresses of both families, running.
func duo(t *testing.T) (*linktest.LAN, [2]*runner) {
	lan := linktest.NewLAN(1)
	lan.Host("lb1").Attach("eth0", "public", addr1, global1, local1)
	lan.Host("lb2").Attach("eth0", "public", addr2, local2)
	return lan, [2]*runner{run(t, lan.Host("lb1")), run(t, lan.Host("lb2"))}
}

// expectStates compares the states that were reported since the last call.
func (r *runner) expectStates(t *testing.T, want ...vrrp.LinkState) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := cmp.Diff(want, r.states, addrs); d != "" {
		t.Errorf("states (-want +got):\n%s", d)
	}
	r.states = nil
}

// well is the state of eth0 with those sources.
func well(f vrrp.Family, sources ...netip.Prefix) vrrp.LinkState {
	s := vrrp.LinkState{Interface: "eth0", Family: f}
	for _, p := range sources {
		s.Sources = append(s.Sources, p.Addr())
	}
	return s
}

// TestHostIPv6 carries packets of both families, by multicast and by unicast,
// and tells link-local addresses first.
func TestHostIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := duo(t)
		h[0].expectStates(t, well(vrrp.IPv4, addr1), well(vrrp.IPv6, local1, global1))
		for _, tt := range []struct {
			source, destination netip.Addr
			payload             string
		}{
			{local2.Addr(), group6, "multicast"}, {local2.Addr(), local1.Addr(), "local"},
			{local2.Addr(), global1.Addr(), "global"}, {addr2.Addr(), addr1.Addr(), "IPv4"},
			{local2.Addr(), netip.MustParseAddr("fe80::3"), "to nobody"},
		} {
			if err := h[1].Send("eth0", tt.source, tt.destination, []byte(tt.payload)); err != nil {
				t.Error(err)
			}
		}
		h[0].expect(t, heard{0, "multicast"}, heard{0, "local"}, heard{0, "global"}, heard{0, "IPv4"})
	})
}

// TestHostWithoutIPv6 hears nothing of IPv6 before such addresses are wanted.
func TestHostWithoutIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := linktest.NewLAN(1)
		lan.Host("lb1").Attach("eth0", "public", addr1)
		lan.Host("lb2").Attach("eth0", "public", local2)
		h1, h2 := run(t, lan.Host("lb1")), run(t, lan.Host("lb2"))
		h1.expectStates(t, well(vrrp.IPv4, addr1))
		say := func() {
			if err := h2.Send("eth0", local2.Addr(), group6, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		say()
		h1.expect(t)
		h1.Want(map[string]vrrp.Wanted{"eth0": {Absent: []netip.Prefix{vip6}}})
		h1.expectStates(t, well(vrrp.IPv6))
		say()
		h1.expect(t, heard{0, "x"})
		h1.SetAddresses("eth0", addr1, local1)
		h1.expectStates(t, well(vrrp.IPv6, local1))
	})
}

// TestHostTentative neither sends from an address that is not usable yet nor
// receives there.
func TestHostTentative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := duo(t)
		h[0].expectStates(t, well(vrrp.IPv4, addr1), well(vrrp.IPv6, local1, global1))
		h[0].SetTentative("eth0", local1.Addr(), true)
		h[0].expectStates(t, well(vrrp.IPv6, global1))
		if err := h[0].Send("eth0", local1.Addr(), group6, nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("Send from a tentative address: %v", err)
		}
		if err := h[1].Send("eth0", local2.Addr(), local1.Addr(), []byte("x")); err != nil {
			t.Error(err)
		}
		h[0].expect(t)
		if holders := lan.Holders("public", local1.Addr()); len(holders) > 0 {
			t.Errorf("%v hold a tentative address", holders)
		}
		time.Sleep(time.Second)
		h[0].SetTentative("eth0", local1.Addr(), false)
		h[0].SetTentative("eth0", local1.Addr(), false)
		h[0].expectStates(t, well(vrrp.IPv6, local1, global1))
	})
}

// TestHostOwned keeps an interface's own address that is configured so, sends
// from it and announces it; one that is configured as a plain virtual address
// is removed, and is no source.
func TestHostOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := duo(t)
		h[0].expectStates(t, well(vrrp.IPv4, addr1), well(vrrp.IPv6, local1, global1))
		own := []netip.Prefix{addr1, vip}
		want := func(w vrrp.Wanted) { h[0].Want(map[string]vrrp.Wanted{"eth0": w}) }
		holds := func(list ...netip.Prefix) {
			t.Helper()
			if d := cmp.Diff(append(list, global1, local1), h[0].Addresses("eth0"), addrs, sorted); d != "" {
				t.Errorf("addresses (-want +got):\n%s", d)
			}
		}
		want(vrrp.Wanted{Absent: own, Owned: own})
		holds(addr1)
		want(vrrp.Wanted{Present: own, Owned: own})
		h[0].Announce("eth0", own)
		holds(addr1, vip)
		for _, p := range own {
			if owner, _ := lan.Owner("public", p.Addr()); owner != "lb1" {
				t.Errorf("%q owns %s, want lb1", owner, p)
			}
		}
		want(vrrp.Wanted{Absent: own, Owned: own})
		holds(addr1)
		h[0].expectStates(t)
		want(vrrp.Wanted{Absent: own})
		holds()
		h[0].expectStates(t, well(vrrp.IPv4))
	})
}
