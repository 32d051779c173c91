package link

import (
	"errors"
	"fmt"
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
			c := newCampaigns(tt.schedule)
			for _, p := range tt.start {
				c.start(epoch, p)
			}
			if d := cmp.Diff(tt.want, play(&c, epoch, always), addrs); d != "" {
				t.Errorf("frames (-want +got):\n%s", d)
			}
		})
	}
}

// TestCampaignsForbidden stops announcing what is not wanted any more, from
// one frame to the next.
func TestCampaignsForbidden(t *testing.T) {
	a, b := netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")
	c := newCampaigns(DefaultSchedule())
	c.start(epoch, a)
	c.start(epoch, b)
	n := 0
	got := play(&c, epoch, func(p netip.Prefix) bool {
		n++
		return p == b || n < 3
	})
	if got[0].Address != a || len(got) != 11 {
		t.Errorf("frames %v, want one for %s and ten for %s", got, a, b)
	}
}

// TestCampaignsDefault checks what the default promises for many addresses.
func TestCampaignsDefault(t *testing.T) {
	c := newCampaigns(DefaultSchedule())
	first := map[netip.Prefix]time.Duration{}
	for i := range 250 {
		c.start(epoch, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 24))
	}
	frames := play(&c, epoch, always)
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
		c := newCampaigns(s)
		for i := range n {
			c.start(epoch, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 24))
		}
		frames := play(&c, epoch, always)
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

// playUntil runs campaigns until a time and returns the frames.
func playUntil(c *campaigns, now, end time.Time) []frame {
	var out []frame
	for {
		due, ok := c.next()
		if !ok || due.After(end) {
			return out
		}
		if due.After(now) {
			now = due
		}
		for _, p := range c.volley(now, always) {
			c.account(now, p, nil)
			out = append(out, frame{now.Sub(epoch), p})
		}
	}
}

// many returns addresses for n campaigns.
func many(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 24)
	}
	return out
}

// TestCampaignsRefresh announces each address again in every period, and never
// many at once, however many there are.
func TestCampaignsRefresh(t *testing.T) {
	const n, periods = 600, 10
	s := DefaultSchedule()
	s.Refresh, s.RefreshRepeat = time.Minute, 2
	c := newCampaigns(s)
	for _, p := range many(n) {
		c.start(epoch, p)
	}
	bursts := playUntil(&c, epoch, epoch.Add(s.Delay+time.Second))
	frames := playUntil(&c, epoch.Add(s.Delay+time.Second), epoch.Add(s.Delay+time.Second+periods*s.Refresh))
	if len(bursts) < 10*n || len(bursts) > 10*n+n/10 {
		t.Errorf("%d frames at first, want %d and a few", len(bursts), 10*n)
	}
	if want := 2 * n * periods; len(frames) < want-n/10 || len(frames) > want+n/10 {
		t.Errorf("%d frames in %d periods, want about %d", len(frames), periods, want)
	}
	inSecond, last := make(map[int]int), make(map[netip.Prefix]time.Duration)
	for _, f := range frames {
		inSecond[int(f.After/time.Second)]++
		if before, ok := last[f.Address]; ok && f.After-before > s.Refresh {
			t.Fatalf("%s is announced after %s and then after %s, want %s at most between", f.Address, before, f.After, s.Refresh)
		}
		last[f.Address] = f.After
	}
	if len(last) != n {
		t.Errorf("%d addresses are refreshed, want %d", len(last), n)
	}
	for second, k := range inSecond {
		if even := 2 * n / 60; k > 2*even {
			t.Errorf("%d frames in second %d, want about %d", k, second, even)
		}
	}
}

// TestCampaignsLateRefresh goes on from the present after a pause, and does
// not catch up.
func TestCampaignsLateRefresh(t *testing.T) {
	c := newCampaigns(Schedule{Repeat: 1, Refresh: time.Second, Interval: time.Millisecond, Volley: 1})
	c.start(epoch, many(1)[0])
	playUntil(&c, epoch, epoch.Add(10*time.Second))
	later := epoch.Add(time.Hour)
	if got := len(playUntil(&c, later, later.Add(10*time.Second))); got < 10 || got > 12 {
		t.Errorf("%d frames in 10 s after a pause, want one a second", got)
	}
}

// TestCampaignsReschedule changes the schedule at each stage.
func TestCampaignsReschedule(t *testing.T) {
	const ms, sec = time.Millisecond, time.Second
	a := many(1)
	old := Schedule{Repeat: 4, Delay: 10 * sec, Interval: ms, Volley: 1}
	refreshing := Schedule{Repeat: 2, Interval: ms, Volley: 1, Refresh: 20 * sec}
	tests := []struct {
		name     string
		old, new Schedule
		after    time.Duration // from the start to the change
		want     []time.Duration
	}{
		{"the first burst gets shorter", old, Schedule{Repeat: 2, Delay: 5 * sec, Interval: ms, Volley: 1}, ms, []time.Duration{0, ms, 2 * ms, 3 * ms, 5 * sec, 5*sec + ms}},
		{"the second comes earlier", old, Schedule{Repeat: 1, Delay: 5 * sec, Interval: ms, Volley: 1}, 2 * sec, []time.Duration{0, ms, 2 * ms, 3 * ms, 5 * sec}},
		{"the second comes later", old, Schedule{Repeat: 1, Delay: 15 * sec, Interval: ms, Volley: 1}, 2 * sec, []time.Duration{0, ms, 2 * ms, 3 * ms, 15 * sec}},
		{"the second is due at once", old, Schedule{Repeat: 1, Delay: sec, Interval: ms, Volley: 1}, 2 * sec, []time.Duration{0, ms, 2 * ms, 3 * ms, 2 * sec}},
		{"there is no second any more", old, Schedule{Repeat: 1, Interval: ms, Volley: 1}, 2 * sec, []time.Duration{0, ms, 2 * ms, 3 * ms}},
		{"there is a second now", Schedule{Repeat: 2, Interval: ms, Volley: 1}, Schedule{Repeat: 1, Delay: sec, Interval: ms, Volley: 1}, 0, []time.Duration{0, ms, sec}},
		{"wider spaced", old, Schedule{Repeat: 4, Interval: sec, Volley: 1}, ms, []time.Duration{0, ms, 2 * ms, sec + 2*ms}},
		{"no refresh any more", refreshing, old, 2 * sec, []time.Duration{0, ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCampaigns(tt.old)
			c.start(epoch, a[0])
			now := epoch.Add(tt.after)
			frames := playUntil(&c, epoch, now)
			c.reschedule(now, tt.new, a)
			frames = append(frames, playUntil(&c, now, epoch.Add(time.Hour))...)
			var got []time.Duration
			for _, f := range frames {
				got = append(got, f.After)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("frames (-want +got):\n%s", d)
			}
		})
	}
}

// TestCampaignsRescheduleRefresh refreshes from now on what was announced long
// ago, and spreads it.
func TestCampaignsRescheduleRefresh(t *testing.T) {
	s := DefaultSchedule()
	c := newCampaigns(s)
	list := many(100)
	for _, p := range list {
		c.start(epoch, p)
	}
	playUntil(&c, epoch, epoch.Add(time.Hour))
	if _, ok := c.next(); ok {
		t.Fatal("announcements do not end")
	}
	s.Refresh = 100 * time.Second
	now := epoch.Add(2 * time.Hour)
	c.reschedule(now, s, list)
	frames := playUntil(&c, now, now.Add(s.Refresh))
	if len(frames) != len(list) {
		t.Errorf("%d frames in the first period, want %d", len(frames), len(list))
	}
	for i, f := range frames[1:] {
		if gap := f.After - frames[i].After; gap > 4*time.Second {
			t.Errorf("nothing is refreshed for %s", gap)
		}
	}
}

// TestCampaignsStop takes addresses out at any place.
func TestCampaignsStop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Repeat: 3, Delay: 10 * time.Millisecond, Interval: time.Millisecond, Volley: 2}
		if rapid.Bool().Draw(t, "refresh") {
			s.Refresh = 20 * time.Millisecond
		}
		c, list, now := newCampaigns(s), many(8), epoch
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p := list[rapid.IntRange(0, len(list)-1).Draw(t, "address")]
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				c.start(now, p)
			case 1:
				c.stop(p)
			case 2:
				c.retain(func(q netip.Prefix) bool { return q != p })
			case 3:
				now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "ms")) * time.Millisecond)
				for _, q := range c.volley(now, func(q netip.Prefix) bool { return q != p }) {
					if q == p {
						t.Fatalf("%s is announced although it may not be", p)
					}
					c.account(now, q, []error{nil, nil, errors.New("no room")}[rapid.IntRange(0, 2).Draw(t, "result")])
				}
			case 4:
				s.Delay = time.Duration(rapid.IntRange(0, 20).Draw(t, "delay")) * time.Millisecond
				s.Refresh = time.Duration(rapid.IntRange(0, 20).Draw(t, "refresh")) * time.Millisecond
				c.reschedule(now, s, list[:2])
			}
			c.consistent(t)
		}
	})
}

// consistent checks what must hold between two calls.
func (c *campaigns) consistent(t *rapid.T) {
	failing := 0
	for i, r := range c.queue {
		if r.place != i || c.running[r.prefix] != r {
			t.Fatalf("campaign %d of the queue has place %d", i, r.place)
		}
		if i > 0 && c.queue.Less(i, (i-1)/2) {
			t.Fatalf("campaign %d comes before its parent", i)
		}
		if r.failure != nil {
			failing++
		}
	}
	if failing != c.failing || (c.failure() != nil) != (failing > 0) {
		t.Fatalf("%d campaigns fail, counted are %d", failing, c.failing)
	}
	if len(c.queue) != len(c.running) {
		t.Fatalf("%d campaigns, of which %d are in the queue", len(c.running), len(c.queue))
	}
}

// BenchmarkCampaigns measures one frame of the bursts for many addresses.
func BenchmarkCampaigns(b *testing.B) {
	for _, n := range []int{250, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, list, now, frames := newCampaigns(DefaultSchedule()), many(n), epoch, 0
			for frames < b.N {
				for _, p := range list {
					c.start(now, p)
				}
				got := play(&c, now, always)
				frames += len(got)
				now = now.Add(time.Minute)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
		})
	}
}
