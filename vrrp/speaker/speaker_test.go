package speaker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/vrrp"
	"bascule/vrrp/link/linktest"
)

// fakeStation attaches a host to the common segment of a LAN.
func fakeStation(lan *linktest.LAN, name string, number int) station {
	host := lan.Host(name)
	host.Attach("eth0", "lan", ownAddresses(number)...)
	return station{
		network: host, iface: "eth0", number: number,
		setLink:   func(up bool) { host.SetLink("eth0", up) },
		addresses: func() []netip.Prefix { return host.Addresses("eth0") },
	}
}

// fakePair is two stations on a LAN in memory.
func fakePair() (lan *linktest.LAN, a, b station) {
	lan = linktest.NewLAN(1)
	return lan, fakeStation(lan, "a", 11), fakeStation(lan, "b", 12)
}

// TestPairInMemory is testPair in virtual time.
func TestPairInMemory(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan, a, b := fakePair()
				late := ownAddresses(11)[2].Addr()
				lan.Host("a").SetTentative("eth0", late, true)
				time.AfterFunc(8*time.Second, func() { lan.Host("a").SetTentative("eth0", late, false) })
				testPair(t, p, a, b, time.Second, 10*time.Second)
			})
		})
	}
}

// TestTakeOverTimes measures, in virtual time, what RFC 9568 section 6.1
// says: Active_Down_Interval after a crash, Skew_Time after an ordered stop.
func TestTakeOverTimes(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*process, station)
		want time.Duration
	}{
		"crash": {func(p *process, s station) { p.kill(); s.setLink(false) }, 3*time.Second + 156*time.Second/256},
		"stop":  {func(p *process, s station) { _ = p.Shutdown(context.Background()) }, 156 * time.Second / 256},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan, a, b := fakePair()
				pa := start(t, a, oneRouter("eth0", 200, time.Second))
				pb := start(t, b, oneRouter("eth0", 100, time.Second))
				time.Sleep(10*time.Second - time.Nanosecond)
				trace := lan.Trace()
				last := trace[len(trace)-1].Time
				if test.want < time.Second {
					last = time.Now()
				}
				test.end(pa, a)
				time.Sleep(time.Until(last.Add(test.want - time.Millisecond)))
				synctest.Wait()
				if b.holds() {
					t.Errorf("take-over before %v", test.want)
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				if !b.holds() || pb.state() != vrrp.Active {
					t.Errorf("no take-over after %v", test.want)
				}
			})
		})
	}
}

// TestPausedBackupDoesNotTakeOver stops the readers of a backup for a minute.
// When its timer fires, what is in its sockets says that the active director
// was there all the time.
func TestPausedBackupDoesNotTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, a, b := fakePair()
		start(t, a, oneRouter("eth0", 200, time.Second))
		pb := start(t, b, oneRouter("eth0", 100, time.Second))
		time.Sleep(10 * time.Second)
		lan.Host("b").Pause()
		time.Sleep(time.Minute)
		lan.Host("b").Resume()
		time.Sleep(10 * time.Second)
		if pb.state() != vrrp.Backup || pb.Status().Groups[0].Routers[0].Counters.BecameActive != 0 {
			t.Errorf("the paused backup took over: %v", pb.all())
		}
	})
}

// TestAdvertisementsKeepTheirPeriod looks at the times of an active
// director's advertisements: no drift.
func TestAdvertisementsKeepTheirPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, a, _ := fakePair()
		start(t, a, oneRouter("eth0", vrrp.Owner, 10*time.Millisecond))
		time.Sleep(time.Minute + time.Millisecond)
		trace := lan.Trace()
		if want := 6001; len(trace) != want {
			t.Fatalf("%d advertisements in a minute, want %d", len(trace), want)
		}
		for i, p := range trace {
			if want := trace[0].Time.Add(time.Duration(i) * 10 * time.Millisecond); !p.Time.Equal(want) {
				t.Fatalf("advertisement %d at %v, want %v", i, p.Time, want)
			}
		}
	})
}

// TestAddressesBeforeAnnouncement looks at the order on the host: the address
// is there before anybody is told of it.
func TestAddressesBeforeAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, a, _ := fakePair()
		lan.Host("a").SetLatency(30 * time.Millisecond)
		start(t, a, oneRouter("eth0", vrrp.Owner, time.Second))
		synctest.Wait()
		sent := lan.Trace()[0].Time
		time.Sleep(time.Second)
		announced := lan.Announcements()
		if len(announced) == 0 || announced[0].Time.Sub(sent) < 30*time.Millisecond {
			t.Errorf("announcements = %v, advertisement at %v", announced, sent)
		}
	})
}

// TestReconfigure adds an address and changes the priority while active.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, a, b := fakePair()
		pa := start(t, a, oneRouter("eth0", 200, time.Second))
		start(t, b, oneRouter("eth0", 100, time.Second))
		time.Sleep(10 * time.Second)
		more := oneRouter("eth0", 200, time.Second)
		second := netip.MustParsePrefix("192.0.2.20/24")
		more[0].Routers[0].Addresses = append(more[0].Routers[0].Addresses, second)
		if err := pa.Reconfigure(t.Context(), more); err != nil {
			t.Fatal(err)
		}
		if got := lan.Host("a").Addresses("eth0"); !slices.Contains(got, second) {
			t.Errorf("addresses = %v", got)
		}
		if err := pa.Reconfigure(t.Context(), oneRouter("eth0", 50, time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if a.holds() || !b.holds() {
			t.Error("a lowered priority did not move the address")
		}
		if got := lan.Host("a").Addresses("eth0"); slices.Contains(got, second) {
			t.Errorf("an address that left the configuration stays: %v", got)
		}
	})
}

// recording is a network that remembers all that was ever wanted.
type recording struct {
	*linktest.Host
	mu     sync.Mutex
	wanted []map[string]vrrp.Wanted
}

// Want records the wanted state.
func (r *recording) Want(wanted map[string]vrrp.Wanted) {
	r.mu.Lock()
	r.wanted = append(r.wanted, wanted)
	r.mu.Unlock()
	r.Host.Want(wanted)
}

// TestLeftovers has the network told once, and first, of what a predecessor
// left on an interface, also if the configuration no longer names that
// interface. Later such an address may be somebody else's.
func TestLeftovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _ := fakePair()
		r := &recording{Host: a.network.(*linktest.Host)}
		a.network = r
		old := netip.MustParsePrefix("192.0.2.30/24")
		start(t, a, oneRouter("eth0", 100, time.Second), WithLeftovers(map[string][]netip.Prefix{
			"eth0": {vip, old}, "eth1": {old},
		}))
		time.Sleep(10 * time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		want := []map[string]vrrp.Wanted{
			{"eth0": {Absent: []netip.Prefix{vip, old}}, "eth1": {Absent: []netip.Prefix{old}}},
			{"eth0": {Absent: []netip.Prefix{vip}}},
			{"eth0": {Present: []netip.Prefix{vip}}},
		}
		if diff := cmp.Diff(want, r.wanted, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("wanted (-want +got):\n%s", diff)
		}
	})
}

// TestLeftoversOwned has the network told first that an address which a
// predecessor put there is not the interface's own, although it is configured
// so: it may be removed. Another one, which it did not put there, is.
func TestLeftoversOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _ := fakePair()
		r := &recording{Host: a.network.(*linktest.Host)}
		a.network = r
		own := netip.MustParsePrefix("192.0.2.11/24")
		groups := oneRouter("eth0", vrrp.Owner, time.Second)
		groups[0].Routers[0].Addresses = []netip.Prefix{vip, own}
		start(t, a, groups, WithLeftovers(map[string][]netip.Prefix{"eth0": {vip}}))
		time.Sleep(10 * time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		both := []netip.Prefix{vip, own}
		want := []map[string]vrrp.Wanted{
			{"eth0": {Absent: both, Owned: []netip.Prefix{own}}},
			{"eth0": {Present: both, Owned: both}},
		}
		if diff := cmp.Diff(want, r.wanted, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("wanted (-want +got):\n%s", diff)
		}
	})
}

// TestOwner keeps the address of the owner's interface on it whatever happens,
// and has it taken over while the owner is away, and not when it is back.
func TestOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, a, b := fakePair()
		own := ownAddresses(11)[0]
		owner := oneRouter("eth0", vrrp.Owner, time.Second)
		backup := oneRouter("eth0", 100, time.Second)
		owner[0].Routers[0].Addresses = []netip.Prefix{own}
		backup[0].Routers[0].Addresses = []netip.Prefix{own}
		start(t, b, backup)
		time.Sleep(10 * time.Second)
		if !b.holdsAll(own) {
			t.Error("nobody took over for an owner that is away")
		}
		pa := start(t, a, owner)
		time.Sleep(time.Second)
		if owner, _ := lan.Owner("lan", own.Addr()); owner != "a" || b.holdsAny(own) || pa.state() != vrrp.Active {
			t.Errorf("the owner is %v, the LAN sends to %q", pa.state(), owner)
		}
		if source := pa.Status().Groups[0].Routers[0].ActiveSource; source != own.Addr() {
			t.Errorf("the owner sends from %v, want %v", source, own.Addr())
		}
		if err := pa.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !a.holdsAll(own) {
			t.Error("an ordered stop took the owner's own address away")
		}
	})
}

// failing is a network whose sockets refuse to send.
type failing struct {
	*linktest.Host
	refuse atomic.Bool
	only   netip.Addr // the destination that is refused; the zero value: all
}

// errRefused is the error of a socket that refuses.
var errRefused = errors.New("operation not permitted")

// Send fails as long as the sockets refuse.
func (f *failing) Send(iface string, source, destination netip.Addr, payload []byte) error {
	if f.refuse.Load() && (!f.only.IsValid() || f.only == destination) {
		return errRefused
	}
	return f.Host.Send(iface, source, destination, payload)
}

// TestSendFault shows a fault that lasts in status, and logs it once.
func TestSendFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _ := fakePair()
		f := &failing{Host: a.network.(*linktest.Host)}
		f.refuse.Store(true)
		a.network = f
		p := start(t, a, oneRouter("eth0", vrrp.Owner, time.Second))
		time.Sleep(10*time.Second + time.Millisecond)
		want := []string{"advertisements on eth0 to 224.0.0.18: operation not permitted"}
		if diff := cmp.Diff(want, p.Status().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		f.refuse.Store(false)
		time.Sleep(3 * time.Second)
		if got := p.Status().Problems; len(got) != 0 {
			t.Errorf("problems afterwards = %v", got)
		}
		faults := slices.DeleteFunc(p.all(), func(l string) bool { return !strings.HasPrefix(l, "send ") })
		if diff := cmp.Diff([]string{`send eth0 to 224.0.0.18: "operation not permitted"`, `send eth0 to 224.0.0.18: ""`}, faults); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// TestSendFaultOfOnePeer: that others can be sent to neither hides the fault
// nor ends it, and the log hears of it once.
func TestSendFaultOfOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _ := fakePair()
		refused, other := ownAddresses(12)[0].Addr(), ownAddresses(13)[0].Addr()
		f := &failing{Host: a.network.(*linktest.Host), only: refused}
		f.refuse.Store(true)
		a.network = f
		groups := oneRouter("eth0", vrrp.Owner, 100*time.Millisecond)
		groups[0].Routers[0].Unicast = &vrrp.Unicast{
			Source: ownAddresses(11)[0].Addr(), Peers: []vrrp.Peer{{Address: refused}, {Address: other}},
		}
		p := start(t, a, groups)
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"advertisements on eth0 to 192.0.2.12: operation not permitted"}, p.Status().Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		faults := slices.DeleteFunc(p.all(), func(l string) bool { return !strings.HasPrefix(l, "send ") })
		if diff := cmp.Diff([]string{`send eth0 to 192.0.2.12: "operation not permitted"`}, faults); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// TestFloodDoesNotDelay floods an active director with packets while its
// timer is due: every advertisement leaves on time.
func TestFloodDoesNotDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, a, b := fakePair()
		p := start(t, a, oneRouter("eth0", 200, time.Second))
		host := b.network.(*linktest.Host)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = host.Run(ctx, func(vrrp.Event) {}) }()
		time.Sleep(5 * time.Second)
		var own int
		for range 10 {
			for range 1000 {
				_ = host.Send("eth0", netip.MustParseAddr("192.0.2.12"), vrrp.IPv4.MulticastAddress(), []byte{0x31, 51})
			}
			time.Sleep(time.Second)
		}
		for _, packet := range lan.Trace() {
			if packet.From == "a" {
				own++
			}
		}
		if got := p.Status().Groups[0].Routers[0].Counters.Sent; own < 11 || uint64(own) < got {
			t.Errorf("%d advertisements on the LAN, %d counted", own, got)
		}
		if n := len(p.all()); n > 5 {
			t.Errorf("%d lines in the log: %v", n, p.all())
		}
	})
}

// TestStopped expects requests to a speaker that has ended to fail, not to
// hang.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _ := fakePair()
		p := start(t, a, oneRouter("eth0", 100, time.Second))
		if err := p.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		p.kill()
		p.Deliver(vrrp.Expiry{})
		for range queueLen + 1 { // also when nobody empties the queue
			if err := p.Ping(t.Context()); !errors.Is(err, ErrStopped) {
				t.Fatalf("Ping = %v, want ErrStopped", err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Shutdown(ctx); err == nil {
			t.Error("Shutdown of a dead speaker succeeded")
		}
	})
}
