package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// isReady reports whether Ready is closed, once nothing moves.
func (f *fakeNetwork) isReady() bool {
	synctest.Wait()
	select {
	case <-f.Ready():
		return true
	default:
		return false
	}
}

func TestNetworkReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		if f.isReady() {
			t.Error("ready before anything is wanted")
		}
		s.mu.Lock()
		s.fail = unix.EAGAIN
		s.mu.Unlock()
		f.Want(map[string]vrrp.Wanted{"eth0": {}, "eth1": {}})
		if f.isReady() {
			t.Error("ready before the interfaces are known")
		}
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(lastRetry)
		if !f.isReady() {
			t.Error("not ready although one interface works and one is known to be missing")
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		got := map[string]vrrp.Fault{}
		for _, ev := range f.events {
			got[ev.(vrrp.LinkState).Interface] = ev.(vrrp.LinkState).Fault
		}
		if d := cmp.Diff(map[string]vrrp.Fault{"eth0": vrrp.NoFault, "eth1": vrrp.FaultMissing}, got); d != "" {
			t.Errorf("faults (-want +got):\n%s", d)
		}
	})
}

// TestNetworkReadyOfNothing is ready with a configuration without routers.
func TestNetworkReadyOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, newFakeSystem())
		f.Want(nil)
		if !f.isReady() {
			t.Error("not ready although nothing is wanted")
		}
	})
}

func TestNetworkSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		vips := prefixes("10.0.0.10/24 10.0.0.20/24")
		s.Kernel.SetLatency(10 * time.Millisecond)
		f.Want(wantOne("eth0", vips, nil))
		begin := time.Now()
		must(t, f.Settle(t.Context()))
		if took := time.Since(begin); took != 40*time.Millisecond { // read, add, add, read
			t.Errorf("Settle took %s", took)
		}
		if got := s.Kernel.String(); got != "eth0: 10.0.0.1/24 [10.0.0.10/24] [10.0.0.20/24]\n" {
			t.Error(got)
		}

		s.Kernel.Fail("delete", vips[0], -1, unix.EPERM)
		f.Want(wantOne("eth0", nil, vips))
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		err := f.Settle(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"eth0"`) {
			t.Errorf("Settle returned %v, want the interface and the deadline", err)
		}
		if d := cmp.Diff([]string{"eth0: delete 10.0.0.10/24: operation not permitted"}, f.Problems()); d != "" {
			t.Errorf("problems (-want +got):\n%s", d)
		}
		s.Kernel.Mend()
		must(t, f.Settle(t.Context()))
		if got := s.Kernel.String(); got != "eth0: 10.0.0.1/24\n" {
			t.Error(got)
		}
	})
}

// TestNetworkGivesUpInterface sweeps an interface that is no longer named,
// closes its socket, and takes it up again like a new one.
func TestNetworkGivesUpInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.expect(t, vrrp.NoFault)
		s.Kernel.Fail("delete", netip.Prefix{}, 3, unix.EBUSY)
		f.Want(nil)
		f.expect(t)
		if len(s.open()) != 1 || len(f.Problems()) != 1 {
			t.Errorf("%d sockets, problems %q: want the port to stay until the address is gone", len(s.open()), f.Problems())
		}
		time.Sleep(lastRetry)
		synctest.Wait()
		if got := s.Kernel.String(); got != "eth0: 10.0.0.1/24\n" || len(s.open()) != 0 || len(f.Problems()) != 0 {
			t.Errorf("after the end: %s, %d sockets, problems %q", got, len(s.open()), f.Problems())
		}
		if err := f.Send("eth0", netip.MustParseAddr("10.0.0.1"), vrrp.IPv4.MulticastAddress(), nil); !errors.Is(err, errUnknown) {
			t.Errorf("Send on an interface that is not wanted: %v", err)
		}
		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("10.0.0.10/24"))) // an administrator
		f.expect(t)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.20/24")))
		f.expect(t, vrrp.NoFault)
		if got := s.Kernel.String(); got != "eth0: 10.0.0.1/24 [10.0.0.10/24]\n" {
			t.Errorf("what the administrator added is gone: %s", got)
		}
	})
}

// TestNetworkWantedAnew reports the state again when an interface left the
// wanted state for a moment, even if it was never given up in between.
func TestNetworkWantedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.expect(t, vrrp.NoFault)
		f.Want(nil)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.expect(t, vrrp.NoFault)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24 10.0.0.20/24"), nil))
		f.expect(t)
	})
}

// TestNetworkManyWants lets the newest wanted state win.
func TestNetworkManyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		s.Kernel.SetLatency(time.Millisecond)
		f := startFake(t, s)
		on, off := wantOne("eth0", prefixes("10.0.0.10/24"), nil), wantOne("eth0", nil, prefixes("10.0.0.10/24"))
		for range 1000 {
			f.Want(on)
			f.Want(off)
		}
		f.Want(on)
		must(t, f.Settle(t.Context()))
		if got := s.Kernel.String(); got != "eth0: 10.0.0.1/24 [10.0.0.10/24]\n" {
			t.Error(got)
		}
	})
}

// TestNetworkDrain drains all interfaces, whatever their readers do.
func TestNetworkDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Drain(func(vrrp.Batch) { t.Error("a packet without an interface") })
		f.Want(wantOne("eth0", nil, nil))
		f.expect(t, vrrp.NoFault)
		s.open()[0].in <- vrrp.Received{Payload: []byte("1")}
		n := 0
		count := func(b vrrp.Batch) { n += len(b) }
		f.Drain(count)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if n+len(f.events) != 1 {
			t.Errorf("one packet was drained %d times and delivered %d times", n, len(f.events))
		}
	})
}

// TestNetworkVirtualSource never sends from an address that has become a
// virtual one by a new configuration.
func TestNetworkVirtualSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		f.expect(t, vrrp.NoFault)
		f.Want(wantOne("eth0", prefixes("10.0.0.1/24"), nil))
		f.expect(t, vrrp.NoFault)
		if s := f.last; len(s.Sources) > 0 {
			t.Errorf("sources %v, which are virtual", s.Sources)
		}
	})
}

// TestNetworkHints wakes the ports that are concerned, by name or by index.
func TestNetworkHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(map[string]vrrp.Wanted{"eth0": {}, "eth1": {}})
		synctest.Wait()
		ports := *f.ports.Load()
		for _, tt := range []struct {
			h          hint
			eth0, eth1 bool
		}{
			{hint{index: 7}, true, false},
			{hint{index: 7, name: "renamed"}, true, false},
			{hint{index: 9, name: "eth1"}, false, true},
			{hint{index: 7, name: "eth1"}, true, true},
			{hint{index: 9, name: "eth2"}, false, false},
			{hint{index: 0}, false, false},
		} {
			if got := [2]bool{ports["eth0"].concerns(tt.h), ports["eth1"].concerns(tt.h)}; got != [2]bool{tt.eth0, tt.eth1} {
				t.Errorf("%+v concerns eth0, eth1: %v", tt.h, got)
			}
		}
	})
}

// TestNetworkEnds at any moment, with nothing left running: the bubble would
// never end otherwise. Addresses stay.
func TestNetworkEnds(t *testing.T) {
	for after := range 8 {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeSystem()
			s.Kernel.SetLatency(time.Millisecond)
			n := New(testLog(t))
			n.system = s.system()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(after)*time.Millisecond)
			defer cancel()
			n.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
			n.Announce("eth0", prefixes("10.0.0.10/24"))
			if err := n.Run(ctx, func(vrrp.Event) {}); err != nil {
				t.Error(err)
			}
			if len(s.open()) > 0 || !s.closed {
				t.Error("a socket is open after the end")
			}
			if after > 4 && s.Kernel.String() != "eth0: 10.0.0.1/24 [10.0.0.10/24]\n" {
				t.Errorf("after %d ms: %s", after, s.Kernel)
			}
		})
	}
}

// frameCounter is a frameWriter that counts.
type frameCounter struct{ atomic.Int64 }

// WriteTo counts a frame.
func (f *frameCounter) WriteTo(b []byte, _ net.Addr) (int, error) {
	f.Add(1)
	return len(b), nil
}

// SetWriteDeadline does nothing.
func (f *frameCounter) SetWriteDeadline(time.Time) error { return nil }

// Close does nothing.
func (f *frameCounter) Close() error { return nil }

// TestNetworkSetSchedule announces by another schedule, on ports that are
// there and on those that come later.
func TestNetworkSetSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, newFakeSystem())
		var frames frameCounter
		f.Network.system.frames = func(device, ethernet.EtherType) (frameWriter, error) { return &frames, nil }
		expect := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := frames.Load(); got != want {
				t.Errorf("%d frames %s, want %d", got, what, want)
			}
		}
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.Announce("eth0", prefixes("10.0.0.10/24"))
		time.Sleep(time.Minute)
		expect("by default", 10)
		f.SetSchedule(Schedule{Repeat: 1, Interval: time.Millisecond, Volley: 1, Refresh: time.Minute})
		time.Sleep(10 * time.Minute)
		expect("after ten minutes of refreshing each", 20)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		time.Sleep(10 * time.Minute)
		expect("after the address was given up", 20)
		f.Want(nil)
		time.Sleep(time.Minute)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.Announce("eth0", prefixes("10.0.0.10/24"))
		time.Sleep(time.Second)
		expect("on a new port", 21)
	})
}

// TestNetworkAnnounces sends gratuitous ARP by the frames of the interface.
func TestNetworkAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := &fakeNetwork{system: s}
		log := &frameLog{}
		f.Network = New(testLog(t), WithSchedule(Schedule{Repeat: 2, Interval: time.Millisecond, Volley: 1}))
		f.Network.system = s.system()
		f.Network.system.frames = func(device, ethernet.EtherType) (frameWriter, error) { return log, nil }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx, func(vrrp.Event) {}) }()
		f.Announce("eth9", prefixes("10.0.0.10/24")) // is nowhere: nothing to do
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.Announce("eth0", prefixes("10.0.0.10/24"))
		time.Sleep(time.Second)
		synctest.Wait()
		if log.frames != 2 {
			t.Errorf("%d frames, want 2", log.frames)
		}
		must(t, s.Kernel.Delete("eth0", netip.MustParsePrefix("10.0.0.10/24")))
		time.Sleep(time.Second)
		synctest.Wait()
		if log.frames != 4 {
			t.Errorf("%d frames after the address was put back, want 4", log.frames)
		}
		s.set("eth0", &device{index: 7, up: true, hardware: net.HardwareAddr{}})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !log.closed {
			t.Error("the socket for frames is open after the end")
		}
	})
}
