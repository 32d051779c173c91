package lab

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestKeepalivedPair has two keepalived fail over in each of the ways that a
// director can go, and looks at it with all of the laboratory's eyes.
func TestKeepalivedPair(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		lose func(ctx context.Context, active *Keepalived) error
		// shortest is the time from the loss to the first advertisement of the
		// other that only priority 0 makes shorter: three intervals, of which
		// one may have passed (RFC 9568 section 6.1).
		shortest time.Duration
		resigns  bool // the lost director says so
		keeps    bool // the lost director keeps its addresses
	}{
		{"stopped", func(ctx context.Context, k *Keepalived) error { return k.Stop(ctx) }, 0, true, false},
		{"killed", func(_ context.Context, k *Keepalived) error { return k.Kill() }, 400 * time.Millisecond, false, true},
		{"cut off and killed", func(_ context.Context, k *Keepalived) error {
			if err := k.Kill(); err != nil {
				return err
			}
			return k.Host().CutLinks()
		}, 400 * time.Millisecond, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := NewT(t)
			ctx := deadline(t)
			capture, lb := startPair(t, l)

			lost := time.Now()
			if err := tt.lose(ctx, lb); err != nil {
				t.Fatal(err)
			}
			for _, vip := range []netip.Prefix{PublicVIP, InternalVIP} {
				if err := AwaitAddress(ctx, l.LB2, vip.Addr(), true); err != nil {
					t.Fatalf("%v\n%s", err, lb.Log())
				}
			}
			keeps, err := l.LB.HasAddress(PublicVIP.Addr())
			if err != nil || keeps != tt.keeps {
				t.Errorf("lb keeps the address: %v, %v, want %v", keeps, err, tt.keeps)
			}

			awaitFrames(ctx, t, capture, func(frames []Frame) bool {
				return count(frames, Public, GratuitousARP, l.LB2) > 0 && count(frames, Internal, GratuitousARP, l.LB2) > 0
			})
			frames, err := capture.Stop()
			if err != nil {
				t.Fatal(err)
			}
			if overlaps := SimultaneousActives(frames); len(overlaps) > 0 {
				t.Errorf("two active at once: %v", overlaps)
			}
			for _, lan := range []string{Public, Internal} {
				if gap := firstOf(frames, lan, l.LB2).Sub(lost); gap < tt.shortest {
					t.Errorf("%s: lb2 took over after %v, want at least %v", lan, gap, tt.shortest)
				}
			}
			resigned := slices.ContainsFunc(frames, func(f Frame) bool { return f.Kind == Advertisement && f.Priority == 0 })
			if resigned != tt.resigns {
				t.Errorf("priority 0 was sent: %v, want %v", resigned, tt.resigns)
			}
		})
	}
}

// startPair starts keepalived on both directors, with lb preferred, and waits
// until lb has the addresses. The interval is short to make the test so.
func startPair(t *testing.T, l *Lab) (*Capture, *Keepalived) {
	t.Helper()
	capture, err := l.Capture()
	if err != nil {
		t.Fatal(err)
	}
	const interval = 200 * time.Millisecond
	lb, err := StartKeepalived(l.LB, KeepalivedConfig{Priority: 150, Interval: interval})
	if err != nil {
		t.Fatal(err)
	}
	for _, vip := range []netip.Prefix{PublicVIP, InternalVIP} {
		if err := AwaitAddress(deadline(t), l.LB, vip.Addr(), true); err != nil {
			t.Fatalf("%v\n%s", err, lb.Log())
		}
	}
	if _, err := StartKeepalived(l.LB2, KeepalivedConfig{Priority: 100, Interval: interval}); err != nil {
		t.Fatal(err)
	}
	return capture, lb
}

// awaitFrames waits until what has been captured fulfils a condition.
func awaitFrames(ctx context.Context, t *testing.T, c *Capture, holds func([]Frame) bool) {
	t.Helper()
	for !holds(c.Frames()) {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for frames: %v; captured: %+v", ctx.Err(), c.Frames())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// count counts the frames of a kind that a host has sent on a LAN.
func count(frames []Frame, lan string, kind Kind, host *Host) int {
	n := 0
	for _, f := range frames {
		if f.LAN == lan && f.Kind == kind && host.Sent(f) {
			n++
		}
	}
	return n
}

// firstOf returns when a host first advertised on a LAN.
func firstOf(frames []Frame, lan string, host *Host) time.Time {
	for _, f := range frames {
		if f.LAN == lan && f.Kind == Advertisement && host.Sent(f) {
			return f.Time
		}
	}
	return time.Time{}
}

// TestCapturedAdvertisement compares what keepalived sends, as captured, with
// its configuration.
func TestCapturedAdvertisement(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	capture, _ := startPair(t, l)
	awaitFrames(deadline(t), t, capture, func(frames []Frame) bool {
		return !firstOf(frames, Public, l.LB).IsZero() && !firstOf(frames, Internal, l.LB).IsZero()
	})
	first := map[string]Frame{}
	for _, f := range capture.Frames() {
		if _, found := first[f.LAN]; !found && f.Kind == Advertisement {
			f.Time = time.Time{}
			first[f.LAN] = f
		}
	}
	want := map[string]Frame{
		Public: {LAN: Public, Kind: Advertisement, MAC: "02:00:c0:a8:38:0b", Source: netip.MustParseAddr("192.168.56.11"),
			Destination: netip.MustParseAddr("224.0.0.18"), TTL: 255, Checksum: ChecksumPseudoHeader, Addresses: []netip.Addr{PublicVIP.Addr()}, Version: 3, VRID: 56, Priority: 150, Interval: 200 * time.Millisecond},
		Internal: {LAN: Internal, Kind: Advertisement, MAC: "02:00:c0:a8:c8:fb", Source: netip.MustParseAddr("192.168.200.251"),
			Destination: netip.MustParseAddr("224.0.0.18"), TTL: 255, Checksum: ChecksumPseudoHeader, Addresses: []netip.Addr{InternalVIP.Addr()}, Version: 3, VRID: 200, Priority: 150, Interval: 200 * time.Millisecond},
	}
	if diff := cmp.Diff(want, first, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("first advertisements (-want +got):\n%s", diff)
	}
}

// TestSplitBrain isolates the active director without its noticing, so that
// both are active, and joins them again: the watch must show that both had the
// address.
func TestSplitBrain(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	ctx := deadline(t)
	startPair(t, l)
	watch := l.WatchAddress(PublicVIP.Addr(), l.LB, l.LB2)

	if err := l.LB.IsolateLinks(); err != nil {
		t.Fatal(err)
	}
	if err := AwaitAddress(ctx, l.LB2, PublicVIP.Addr(), true); err != nil {
		t.Fatal(err)
	}
	if err := l.LB.RestoreLinks(); err != nil {
		t.Fatal(err)
	}
	if err := AwaitAddress(ctx, l.LB2, PublicVIP.Addr(), false); err != nil {
		t.Fatal(err)
	}
	holdings, err := watch.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if dual := Dual(holdings); len(dual) == 0 || !slices.Equal(dual[0].Hosts, []string{"lb", "lb2"}) {
		t.Errorf("holdings of more than one: %v of %v", dual, holdings)
	}
	if last := holdings[len(holdings)-1]; !slices.Equal(last.Hosts, []string{"lb"}) {
		t.Errorf("in the end the address is on %v, want lb", last.Hosts)
	}
}
