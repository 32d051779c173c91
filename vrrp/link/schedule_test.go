package link

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// epoch is a time to begin at.
var epoch = time.Unix(1_000_000, 0)

// always allows every announcement.
func always(netip.Prefix) bool { return true }

// frame is one announcement in a recorded run.
type frame struct {
	After   time.Duration
	Address netip.Prefix
}

// play runs campaigns to their end and returns the frames.
func play(c *campaigns, now time.Time, may func(netip.Prefix) bool) []frame {
	var out []frame
	for {
		due, ok := c.next()
		if !ok {
			return out
		}
		if due.After(now) {
			now = due
		}
		for _, p := range c.volley(now, may) {
			c.account(now, p, nil)
			out = append(out, frame{now.Sub(epoch), p})
		}
	}
}

func TestCampaigns(t *testing.T) {
	a, b, c := netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("10.0.0.3/24")
	ms := time.Millisecond
	tests := []struct {
		name     string
		schedule Schedule
		start    []netip.Prefix
		want     []frame
	}{
		{"one frame", Schedule{}, []netip.Prefix{a}, []frame{{0, a}}},
		{"frames for one address never leave back to back", Schedule{Repeat: 3, Interval: ms, Volley: 8}, []netip.Prefix{a},
			[]frame{{0, a}, {ms, a}, {2 * ms, a}}},
		{"addresses take turns", Schedule{Repeat: 2, Interval: ms, Volley: 2}, []netip.Prefix{a, b, c},
			[]frame{{0, a}, {0, b}, {ms, c}, {ms, a}, {2 * ms, b}, {2 * ms, c}}},
		{"second burst", Schedule{Repeat: 2, Delay: 5 * time.Second, Interval: ms, Volley: 8}, []netip.Prefix{a, b},
			[]frame{{0, a}, {0, b}, {ms, a}, {ms, b}, {5000 * ms, a}, {5000 * ms, b}, {5001 * ms, a}, {5001 * ms, b}}},
		{"the same address twice is one campaign", Schedule{Repeat: 2, Interval: ms, Volley: 8}, []netip.Prefix{a, a},
			[]frame{{0, a}, {ms, a}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &campaigns{schedule: tt.schedule}
			for _, p := range tt.start {
				c.start(epoch, p)
			}
			if d := cmp.Diff(tt.want, play(c, epoch, always), addrs); d != "" {
				t.Errorf("frames (-want +got):\n%s", d)
			}
		})
	}
}

// TestCampaignsForbidden stops announcing what is not wanted any more, from
// one frame to the next.
func TestCampaignsForbidden(t *testing.T) {
	a, b := netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")
	c := &campaigns{schedule: DefaultSchedule()}
	c.start(epoch, a)
	c.start(epoch, b)
	n := 0
	got := play(c, epoch, func(p netip.Prefix) bool {
		n++
		return p == b || n < 3
	})
	if got[0].Address != a || len(got) != 11 {
		t.Errorf("frames %v, want one for %s and ten for %s", got, a, b)
	}
}

// TestCampaignsDefault checks what the default promises for many addresses.
func TestCampaignsDefault(t *testing.T) {
	c := &campaigns{schedule: DefaultSchedule()}
	first := map[netip.Prefix]time.Duration{}
	for i := range 250 {
		c.start(epoch, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 24))
	}
	frames := play(c, epoch, always)
	for _, f := range frames {
		if _, ok := first[f.Address]; !ok {
			first[f.Address] = f.After
		}
	}
	for p, after := range first {
		if after > 32*time.Millisecond {
			t.Errorf("the first frame for %s leaves after %s", p, after)
		}
	}
	if len(first) != 250 || len(frames) != 2500 {
		t.Errorf("%d frames for %d addresses, want 2500 for 250", len(frames), len(first))
	}
}

// TestCampaignsProperties checks any schedule with any arrival of addresses:
// all frames are sent, never more than a volley in an interval, never two
// for one address in one, and nobody waits longer than the others.
func TestCampaignsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{
			Repeat:   rapid.IntRange(1, 4).Draw(t, "repeat"),
			Delay:    time.Duration(rapid.IntRange(0, 50).Draw(t, "delay")) * time.Millisecond,
			Interval: time.Duration(rapid.IntRange(1, 5).Draw(t, "interval")) * time.Millisecond,
			Volley:   rapid.IntRange(1, 4).Draw(t, "volley"),
		}
		n := rapid.IntRange(1, 12).Draw(t, "addresses")
		c := &campaigns{schedule: s}
		for i := range n {
			c.start(epoch, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 24))
		}
		frames := play(c, epoch, always)
		bursts := 1
		if s.Delay > 0 {
			bursts = 2
		}
		if len(frames) != n*bursts*s.Repeat {
			t.Fatalf("%d frames, want %d", len(frames), n*bursts*s.Repeat)
		}
		count, last := map[netip.Prefix]int{}, map[netip.Prefix]time.Duration{}
		volley := map[time.Duration]int{}
		for i, f := range frames {
			if i > 0 && f.After != frames[i-1].After && f.After-frames[i-1].After < s.Interval {
				t.Fatalf("volleys at %s and %s", frames[i-1].After, f.After)
			}
			if volley[f.After]++; volley[f.After] > s.Volley {
				t.Fatalf("%d frames at %s", volley[f.After], f.After)
			}
			if before, ok := last[f.Address]; ok && f.After-before < s.Interval {
				t.Fatalf("%s announced at %s and %s", f.Address, before, f.After)
			}
			count[f.Address]++
			last[f.Address] = f.After
			if s.Delay == 0 && i%n == n-1 {
				for p, k := range count {
					if k != i/n+1 {
						t.Fatalf("after %d frames %s had %d, want %d", i+1, p, k, i/n+1)
					}
				}
			}
		}
	})
}
