package link

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Schedule says how an address is announced after it was taken over: a burst
// at once, for those who listen, and one later, for those who were not ready
// (a switch that still learns, a host that just booted).
type Schedule struct {
	Repeat   int           // frames for each address in each burst, at least 1
	Delay    time.Duration // from the first burst to the second; 0: no second burst
	Interval time.Duration // between two volleys on an interface, and so between two frames for the same address
	Volley   int           // frames that may leave back to back, each for another address, at least 1
}

// DefaultSchedule returns what keepalived does by default (5 frames, and 5
// more after 5 s), paced: a burst for hundreds of addresses at once is more
// than some switches forward, and at 8 frames a millisecond 250 addresses are
// announced once each within 32 ms.
func DefaultSchedule() Schedule {
	return Schedule{Repeat: 5, Delay: 5 * time.Second, Interval: time.Millisecond, Volley: 8}
}

// campaign is the announcement of one address.
type campaign struct {
	prefix  netip.Prefix
	due     time.Time // of the next frame
	second  time.Time // when the second burst begins; zero during it, or if there is none
	left    int       // frames of this burst
	ordinal uint64    // of its latest frame: who waited longest is served first
	failure error     // of its latest frame; nil: it was sent
	retry   backoff   // between frames that fail
}

// campaigns are the announcements on one interface: a queue without clock,
// goroutine or socket.
type campaigns struct {
	schedule Schedule
	running  []campaign
	ordinal  uint64
	ready    time.Time // before this, the pace forbids another volley
}

// start announces p from now on, from the beginning if it is being announced.
func (c *campaigns) start(now time.Time, p netip.Prefix) {
	c.stop(p)
	n := campaign{prefix: p, due: now, left: max(c.schedule.Repeat, 1), ordinal: c.tick()}
	if c.schedule.Delay > 0 {
		n.second = now.Add(c.schedule.Delay)
	}
	c.running = append(c.running, n)
}

// stop ends the announcement of p.
func (c *campaigns) stop(p netip.Prefix) {
	c.running = slices.DeleteFunc(c.running, func(r campaign) bool { return r.prefix == p })
}

// tick returns the next ordinal.
func (c *campaigns) tick() uint64 {
	c.ordinal++
	return c.ordinal
}

// volley returns the addresses to announce now, one frame each, longest
// waiting first; account has to be told of each. Addresses that may not be
// announced any more are forgotten.
func (c *campaigns) volley(now time.Time, may func(netip.Prefix) bool) []netip.Prefix {
	c.running = slices.DeleteFunc(c.running, func(r campaign) bool { return !may(r.prefix) })
	if now.Before(c.ready) {
		return nil
	}
	slices.SortFunc(c.running, func(a, b campaign) int {
		if order := a.due.Compare(b.due); order != 0 {
			return order
		}
		return cmp.Compare(a.ordinal, b.ordinal)
	})
	var out []netip.Prefix
	for _, r := range c.running {
		if len(out) == max(c.schedule.Volley, 1) || r.due.After(now) {
			break
		}
		out = append(out, r.prefix)
	}
	if len(out) > 0 {
		c.ready = now.Add(c.schedule.Interval)
	}
	return out
}

// account accounts for one frame for p: it was sent, or failed with err.
func (c *campaigns) account(now time.Time, p netip.Prefix, err error) {
	i := slices.IndexFunc(c.running, func(r campaign) bool { return r.prefix == p })
	if i < 0 {
		return
	}
	r := &c.running[i]
	r.ordinal, r.failure = c.tick(), err
	if err != nil {
		c.postpone(now, r)
		return
	}
	r.retry.reset()
	if c.advance(now, r); r.left == 0 {
		c.running = slices.Delete(c.running, i, i+1)
	}
}

// postpone makes r try the same frame again later. The second burst keeps its
// distance from a first one that was delayed.
func (c *campaigns) postpone(now time.Time, r *campaign) {
	r.due = now.Add(max(r.retry.next(), c.schedule.Interval))
	if !r.second.IsZero() {
		r.second = r.due.Add(c.schedule.Delay)
	}
}

// failure returns why a frame has to be tried again, nil if none has.
func (c *campaigns) failure() error {
	for _, r := range c.running {
		if r.failure != nil {
			return r.failure
		}
	}
	return nil
}

// advance goes on to the next frame of r.
func (c *campaigns) advance(now time.Time, r *campaign) {
	r.left--
	r.due = now.Add(c.schedule.Interval)
	if r.left == 0 && !r.second.IsZero() {
		r.left, r.due, r.second = max(c.schedule.Repeat, 1), r.second, time.Time{}
	}
}

// next returns when volley has something to return, false if never.
func (c *campaigns) next() (time.Time, bool) {
	if len(c.running) == 0 {
		return time.Time{}, false
	}
	due := slices.MinFunc(c.running, func(a, b campaign) int { return a.due.Compare(b.due) }).due
	if due.Before(c.ready) {
		due = c.ready
	}
	return due, true
}
