package linktest_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
	"bascule/vrrp/link/linktest"
)

// Addresses of the tests.
var (
	group = netip.MustParseAddr("224.0.0.18")
	addr1 = netip.MustParsePrefix("192.168.56.11/24")
	addr2 = netip.MustParsePrefix("192.168.56.12/24")
	addr3 = netip.MustParsePrefix("192.168.56.13/24")
	vip   = netip.MustParsePrefix("192.168.56.10/24")
	addrs = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
)

// heard is a packet and when it was delivered.
type heard struct {
	After   time.Duration
	Payload string
}

// runner is a host that runs.
type runner struct {
	*linktest.Host
	cancel  context.CancelFunc
	started time.Time
	mu      sync.Mutex
	packets []heard
	states  []vrrp.LinkState
}

// run runs a host until the end of the test.
func run(t *testing.T, h *linktest.Host) *runner {
	ctx, cancel := context.WithCancel(t.Context())
	r := &runner{Host: h, cancel: cancel, started: time.Now()}
	var wait sync.WaitGroup
	wait.Go(func() {
		_ = h.Run(ctx, func(ev vrrp.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			switch ev := ev.(type) {
			case vrrp.Batch:
				for _, p := range ev {
					r.packets = append(r.packets, heard{time.Since(r.started), string(p.Payload)})
				}
			case vrrp.LinkState:
				r.states = append(r.states, ev)
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
	synctest.Wait()
	return r
}

// trio is a LAN of three hosts on one segment, running.
func trio(t *testing.T) (*linktest.LAN, [3]*runner) {
	lan := linktest.NewLAN(1)
	var hosts [3]*runner
	for i, a := range []netip.Prefix{addr1, addr2, addr3} {
		h := lan.Host([]string{"lb1", "lb2", "lb3"}[i])
		h.Attach("eth0", "public", a)
		hosts[i] = run(t, h)
	}
	return lan, hosts
}

// say sends a multicast packet that must go out.
func (r *runner) say(t *testing.T, source netip.Prefix, text string) {
	t.Helper()
	if err := r.Send("eth0", source.Addr(), group, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// expect compares what was heard since the last call.
func (r *runner) expect(t *testing.T, want ...heard) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := cmp.Diff(want, r.packets); d != "" {
		t.Errorf("heard (-want +got):\n%s", d)
	}
	r.packets = nil
}

// faults returns the faults that were reported since the last call.
func (r *runner) faults() []vrrp.Fault {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []vrrp.Fault
	for _, s := range r.states {
		out = append(out, s.Fault)
	}
	r.states = nil
	return out
}

// wantOne is a wanted state of eth0.
func wantOne(present ...netip.Prefix) map[string]vrrp.Wanted {
	return map[string]vrrp.Wanted{"eth0": {Present: present}}
}

func TestLANDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := trio(t)
		stranger := run(t, lan.Host("other"))
		stranger.Attach("eth0", "internal", addr2)
		payload := []byte("hello")
		if err := h[0].Send("eth0", addr1.Addr(), group, payload); err != nil {
			t.Fatal(err)
		}
		payload[0] = 'j' // the caller's again
		h[0].expect(t)
		h[1].expect(t, heard{0, "hello"})
		h[2].expect(t, heard{0, "hello"})
		stranger.expect(t)
		if err := h[0].Send("eth0", addr1.Addr(), addr2.Addr(), []byte("you")); err != nil {
			t.Fatal(err)
		}
		h[1].expect(t, heard{0, "you"})
		h[2].expect(t)
		var got []string
		for _, p := range lan.Trace() {
			got = append(got, p.String()+" "+string(p.Payload))
			if !slices.IsSorted(p.To) || p.Time != time.Now() {
				t.Errorf("trace %+v", p)
			}
		}
		want := []string{"public lb1: 192.168.56.11 > 224.0.0.18 hello", "public lb1: 192.168.56.11 > 192.168.56.12 you"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("trace (-want +got):\n%s", d)
		}
	})
}

func TestLANFaultsOfTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := trio(t)
		lan.SetDelay(time.Millisecond)
		lan.SetPathDelay("lb1", "lb3", 5*time.Millisecond)
		h[0].say(t, addr1, "late")
		h[1].expect(t)
		time.Sleep(time.Second)
		h[1].expect(t, heard{time.Millisecond, "late"})
		h[2].expect(t, heard{6 * time.Millisecond, "late"})

		lan.SetDelay(0)
		lan.Partition("lb1", "lb2")
		h[0].say(t, addr1, "a")
		h[1].say(t, addr2, "b")
		h[0].expect(t)
		h[1].expect(t)
		h[2].expect(t, heard{time.Second, "b"}) // "a" is still on its slow way
		lan.Heal("lb1", "lb2")
		lan.Heal("lb1", "lb3")
		lan.Cut("lb1", "lb2")
		h[0].say(t, addr1, "c")
		h[1].say(t, addr2, "d")
		h[0].expect(t, heard{time.Second, "d"})
		h[1].expect(t)
	})
}

// TestLANLoses the same packets with the same seed.
func TestLANLoses(t *testing.T) {
	lost := func() (out []int) {
		synctest.Test(t, func(t *testing.T) {
			lan, h := trio(t)
			lan.SetLoss("lb1", "lb2", 0.5)
			for range 1000 {
				h[0].say(t, addr1, "x")
			}
			for i, p := range lan.Trace() {
				if !slices.Contains(p.To, "lb2") {
					out = append(out, i)
				}
				if !slices.Contains(p.To, "lb3") {
					t.Errorf("packet %d is lost on a path without loss", i)
				}
			}
		})
		return out
	}
	first := lost()
	if len(first) < 400 || len(first) > 600 {
		t.Errorf("%d of 1000 packets are lost, want about half", len(first))
	}
	if d := cmp.Diff(first, lost()); d != "" {
		t.Errorf("another run loses others:\n%s", d)
	}
}

func TestHostLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := trio(t)
		if d := cmp.Diff([]vrrp.LinkState{{Interface: "eth0", Family: vrrp.IPv4, Sources: []netip.Addr{addr1.Addr()}}}, h[0].states, addrs); d != "" {
			t.Errorf("first state (-want +got):\n%s", d)
		}
		h[0].faults()
		h[0].SetLink("eth0", false)
		h[0].SetLink("eth0", false)
		if err := h[0].Send("eth0", addr1.Addr(), group, nil); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("Send without a link: %v", err)
		}
		h[1].say(t, addr2, "lost")
		h[0].expect(t)
		h[0].SetLink("eth0", true)
		h[0].expect(t)
		h[0].Detach("eth0")
		if err := h[0].Send("eth0", addr1.Addr(), group, nil); !errors.Is(err, unix.ENODEV) {
			t.Errorf("Send without an interface: %v", err)
		}
		h[0].Attach("eth0", "public", addr1)
		h[0].Want(map[string]vrrp.Wanted{"eth0": {}, "eth9": {}})
		want := []vrrp.Fault{vrrp.FaultDown, vrrp.NoFault, vrrp.FaultMissing, vrrp.NoFault, vrrp.FaultMissing}
		if d := cmp.Diff(want, h[0].faults()); d != "" {
			t.Errorf("faults (-want +got):\n%s", d)
		}
		if err := h[0].Send("eth0", vip.Addr(), group, nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("Send from a foreign address: %v", err)
		}
		if lan.Host("lb1") != h[0].Host {
			t.Error("the name of a host leads to another one")
		}
	})
}

func TestHostAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := trio(t)
		h[0].SetLatency(10 * time.Millisecond)
		h[0].Want(wantOne(vip))
		h[0].Announce("eth0", []netip.Prefix{vip})
		if d := cmp.Diff([]netip.Prefix{addr1}, h[0].Addresses("eth0"), addrs); d != "" {
			t.Errorf("addresses at once (-want +got):\n%s", d)
		}
		if owner, ok := lan.Owner("public", vip.Addr()); ok {
			t.Errorf("%s owns an address before it was announced", owner)
		}
		begin := time.Now()
		time.Sleep(time.Second)
		h[0].Want(wantOne(vip)) // changes nothing
		if d := cmp.Diff([]netip.Prefix{addr1, vip}, h[0].Addresses("eth0"), addrs); d != "" {
			t.Errorf("addresses (-want +got):\n%s", d)
		}
		if owner, _ := lan.Owner("public", vip.Addr()); owner != "lb1" {
			t.Errorf("%q owns the address, want lb1", owner)
		}
		if d := cmp.Diff([]string{"lb1"}, lan.Holders("public", vip.Addr())); d != "" {
			t.Error(d)
		}
		h[1].Want(wantOne(vip))
		h[1].Announce("eth0", []netip.Prefix{vip})
		if d := cmp.Diff([]string{"lb1", "lb2"}, lan.Holders("public", vip.Addr())); d != "" {
			t.Error(d)
		}
		h[0].Want(map[string]vrrp.Wanted{})
		want := []linktest.Announcement{
			{Time: begin.Add(10 * time.Millisecond), Segment: "public", Host: "lb1", Address: vip.Addr()},
			{Time: begin.Add(time.Second), Segment: "public", Host: "lb2", Address: vip.Addr()},
		}
		if d := cmp.Diff(want, lan.Announcements(), addrs); d != "" {
			t.Errorf("announcements (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"lb2"}, lan.Holders("public", vip.Addr())); d != "" {
			t.Error(d)
		}
		h[0].Want(wantOne(vip))
		h[0].Announce("eth0", []netip.Prefix{vip})
		h[0].Want(wantOne()) // given up before it appears
		time.Sleep(time.Second)
		if owner, _ := lan.Owner("public", vip.Addr()); owner != "lb2" {
			t.Errorf("%q owns the address, want lb2", owner)
		}
	})
}

// TestHostPaused keeps packets where Drain finds them.
func TestHostPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, h := trio(t)
		h[1].Pause()
		h[0].say(t, addr1, "1")
		lan.SetDelay(time.Second)
		h[0].say(t, addr1, "2")
		time.Sleep(time.Minute)
		lan.SetDelay(time.Hour)
		h[0].say(t, addr1, "3")
		h[1].expect(t)
		var drained []string
		h[1].Drain(func(b vrrp.Batch) {
			for _, p := range b {
				drained = append(drained, string(p.Payload))
			}
			_ = h[1].Send("eth0", addr2.Addr(), group, nil) // what a speaker may do with it
		})
		if d := cmp.Diff([]string{"1", "2"}, drained); d != "" {
			t.Errorf("drained (-want +got):\n%s", d)
		}
		h[1].Resume()
		h[1].expect(t)
		time.Sleep(time.Hour)
		h[1].expect(t, heard{time.Hour + time.Minute, "3"})
	})
}

// TestHostStops loses what arrives while it does not run, keeps its addresses,
// and tells its states again when it runs again.
func TestHostStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := trio(t)
		h[1].Want(wantOne(vip))
		h[1].cancel()
		synctest.Wait()
		h[0].say(t, addr1, "nobody is there")
		again := run(t, h[1].Host)
		again.expect(t)
		if d := cmp.Diff([]vrrp.Fault{vrrp.NoFault}, again.faults()); d != "" {
			t.Errorf("faults (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]netip.Prefix{addr2, vip}, again.Addresses("eth0"), addrs); d != "" {
			t.Errorf("addresses (-want +got):\n%s", d)
		}
	})
}
