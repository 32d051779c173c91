package speaker

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bascule/vrrp"
)

// scripted is a network whose sockets hold what a test puts there.
type scripted struct {
	drain  func(deliver func(vrrp.Batch))
	refuse atomic.Bool
}

// Send fails if the test wants it to.
func (n *scripted) Send(string, netip.Addr, netip.Addr, []byte) error {
	if n.refuse.Load() {
		return errRefused
	}
	return nil
}

// Drain hands over what the test has prepared.
func (n *scripted) Drain(deliver func(vrrp.Batch)) {
	if n.drain != nil {
		n.drain(deliver)
	}
}

// Want does nothing.
func (n *scripted) Want(map[string]vrrp.Wanted) {}

// Announce does nothing.
func (n *scripted) Announce(string, []netip.Prefix) {}

// from12 is an advertisement of another director.
func from12(priority uint8) vrrp.Received {
	source, destination := netip.MustParseAddr("192.0.2.12"), vrrp.IPv4.MulticastAddress()
	a := vrrp.Advertisement{VRID: 51, Priority: priority, Interval: time.Second, Addresses: []netip.Addr{vip.Addr()}}
	return vrrp.Received{
		Interface: "eth0", Source: source, Destination: destination, TTL: 255,
		Payload: a.Append(nil, source, destination, vrrp.Encoding{}),
	}
}

// linkState is the state of the only interface.
func linkState(fault vrrp.Fault) vrrp.LinkState {
	return vrrp.LinkState{Interface: "eth0", Family: vrrp.IPv4, Fault: fault, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.11")}}
}

// run runs a speaker of priority 100 on a network until the test ends.
func run(t *testing.T, n *scripted) *Speaker {
	t.Helper()
	s := New(n, oneRouter("eth0", 100, time.Second), &log{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	s.Deliver(linkState(vrrp.NoFault))
	return s
}

// TestPingDoesNotExpire asks a backup for a sign of life when its timer is
// overdue, as a watchdog does after a pause of the machine: what waits in the
// sockets is to be heard before the timer counts.
func TestPingDoesNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{drain: func(deliver func(vrrp.Batch)) { deliver(vrrp.Batch{from12(200)}) }}
		s := New(n, oneRouter("eth0", 100, time.Second), &log{})
		s.handle(request{event: linkState(vrrp.NoFault)})
		time.Sleep(10 * time.Second)
		s.handle(request{done: make(chan struct{})})
		s.expire()
		if c := s.Status().Groups[0].Routers[0].Counters; c.BecameActive != 0 {
			t.Error("took over although a socket holds an advertisement of priority 200")
		}
	})
}

// TestDrainDoesNotOvertake has a reader put an older packet into the queue
// while a newer one is fetched from the socket: the last one sent is the last
// one heard.
func TestDrainDoesNotOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{}
		s := New(n, oneRouter("eth0", 100, time.Second), &log{})
		n.drain = func(deliver func(vrrp.Batch)) {
			s.Deliver(from12(200))
			deliver(vrrp.Batch{from12(0)})
		}
		s.handle(request{event: linkState(vrrp.NoFault)})
		time.Sleep(4 * time.Second)
		s.expire()
		n.drain = nil
		time.Sleep(700 * time.Millisecond) // Skew_Time is 609 ms
		s.expire()
		if got := s.Status().Groups[0].State; got != vrrp.Active {
			t.Errorf("700 ms after priority 0 the group is %v", got)
		}
	})
}

// TestSendFaultEndsWithTheDuty: a fault of sending that came just before the
// link was found to be lost is no problem of a healthy backup.
func TestSendFaultEndsWithTheDuty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{}
		s := run(t, n)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		n.refuse.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := s.Status().Problems; len(got) != 1 {
			t.Fatalf("problems of an active router that cannot send: %v", got)
		}
		s.Deliver(linkState(vrrp.FaultDown))
		synctest.Wait()
		n.refuse.Store(false)
		s.Deliver(linkState(vrrp.NoFault))
		for range 10 {
			s.Deliver(from12(200))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got := s.Status().Problems; len(got) != 0 {
			t.Errorf("problems of a healthy backup: %v", got)
		}
	})
}

// TestStatusIsFresh: what changes without a change of state is in the status a
// moment later, although nothing else happens for a long time.
func TestStatusIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := run(t, &scripted{})
		time.Sleep(time.Second)
		synctest.Wait()
		s.Deliver(from12(150))
		synctest.Wait()
		s.Deliver(from12(200)) // within the pause after the first
		time.Sleep(freshPause)
		synctest.Wait()
		if got := s.Status().Groups[0].Routers[0].ActivePriority; got != 200 {
			t.Errorf("priority of the active router = %d, want 200", got)
		}
	})
}

// TestSendFaultIsFresh: what cannot be sent is in the status a moment later,
// also if the status was renewed just before.
func TestSendFaultIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{}
		s := run(t, n)
		time.Sleep(4600 * time.Millisecond) // the next advertisement is due after 4.609 s
		s.Deliver(linkState(vrrp.NoFault))
		time.Sleep(time.Millisecond)
		n.refuse.Store(true)
		time.Sleep(10*time.Millisecond + freshPause)
		synctest.Wait()
		if got := s.Status().Problems; len(got) != 1 {
			t.Errorf("problems of an active router that cannot send: %v", got)
		}
	})
}

// TestTimerIsNotLate: a timer that was set for an earlier moment, or for a
// later one, does not keep the loop from acting at the right one.
func TestTimerIsNotLate(t *testing.T) {
	const down, skew = 3*time.Second + 609375*time.Microsecond, 609375 * time.Microsecond
	for name, tt := range map[string]struct {
		heard []uint8 // priorities, one every second
		want  time.Duration
	}{
		"never heard":      {nil, down},
		"postponed":        {[]uint8{200, 200, 200, 200, 200}, 4*time.Second + down},
		"brought forward":  {[]uint8{200, 0}, time.Second + skew},
		"postponed by far": {[]uint8{200, 200, 200, 200, 200, 200, 200, 200, 0}, 8*time.Second + skew},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := run(t, &scripted{})
				synctest.Wait()
				started := time.Now()
				var other sync.WaitGroup
				defer other.Wait()
				other.Go(func() {
					for _, priority := range tt.heard {
						s.Deliver(from12(priority))
						time.Sleep(time.Second)
					}
				})
				for _, step := range []struct {
					at   time.Duration
					want vrrp.State
				}{{tt.want - time.Nanosecond, vrrp.Backup}, {tt.want, vrrp.Active}} {
					time.Sleep(time.Until(started.Add(step.at)))
					synctest.Wait()
					if got := s.Status().Groups[0].State; got != step.want {
						t.Errorf("after %v the group is %v, want %v", step.at, got, step.want)
					}
				}
			})
		})
	}
}
