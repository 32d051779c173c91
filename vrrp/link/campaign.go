package link

import (
	"container/heap"
	"net/netip"
	"time"
)

// phase is how far the announcement of an address has come.
type phase uint8

// The phases. The last one never ends.
const (
	firstBurst phase = iota
	secondBurst
	refreshing
	finished // nothing is left to say
)

// campaign is the announcement of one address.
type campaign struct {
	prefix  netip.Prefix
	phase   phase
	left    int       // frames of this phase, or of this round of refreshing
	due     time.Time // of the next frame
	began   time.Time // when this phase, or this round, began or will begin
	ordinal uint64    // of its latest frame: who waited longest is served first
	failure error     // of its latest frame; nil: it was sent
	retry   backoff   // between frames that fail
	place   int       // in the queue; away: a frame of it is on its way
}

// away is the place of a campaign that is not in the queue.
const away = -1

// campaigns are the announcements on one interface: a queue without clock,
// goroutine or socket.
type campaigns struct {
	schedule Schedule
	running  map[netip.Prefix]*campaign
	queue    campaignQueue // those of running that no frame is on its way for
	ordinal  uint64
	failing  int       // campaigns whose latest frame failed
	ready    time.Time // before this, the pace forbids another volley
}

// newCampaigns returns campaigns without an address.
func newCampaigns(s Schedule) campaigns {
	return campaigns{schedule: s, running: make(map[netip.Prefix]*campaign)}
}

// start announces p from now on, from the beginning if it is being announced.
func (c *campaigns) start(now time.Time, p netip.Prefix) {
	c.stop(p)
	r := &campaign{prefix: p, left: c.schedule.frames(firstBurst), due: now, began: now, ordinal: c.tick()}
	c.running[p] = r
	heap.Push(&c.queue, r)
}

// stop ends the announcement of p.
func (c *campaigns) stop(p netip.Prefix) {
	r := c.running[p]
	if r == nil {
		return
	}
	c.note(r, nil)
	delete(c.running, p)
	if r.place != away {
		heap.Remove(&c.queue, r.place)
	}
}

// retain ends the announcement of all addresses that may not be announced.
func (c *campaigns) retain(may func(netip.Prefix) bool) {
	for p := range c.running {
		if !may(p) {
			c.stop(p)
		}
	}
}

// tick returns the next ordinal.
func (c *campaigns) tick() uint64 {
	c.ordinal++
	return c.ordinal
}

// volley returns the addresses to announce now, one frame each, longest
// waiting first; account or stop has to be told of each. Addresses that may
// not be announced any more are forgotten when their turn comes.
func (c *campaigns) volley(now time.Time, may func(netip.Prefix) bool) []netip.Prefix {
	if now.Before(c.ready) {
		return nil
	}
	var out []netip.Prefix
	for len(out) < max(c.schedule.Volley, 1) && len(c.queue) > 0 && !c.queue[0].due.After(now) {
		p := c.queue[0].prefix
		if !may(p) {
			c.stop(p)
			continue
		}
		heap.Pop(&c.queue)
		out = append(out, p)
	}
	if len(out) > 0 {
		c.ready = now.Add(c.schedule.Interval)
	}
	return out
}

// account accounts for one frame for p: it was sent, or failed with err.
func (c *campaigns) account(now time.Time, p netip.Prefix, err error) {
	r := c.running[p]
	if r == nil || r.place != away {
		return
	}
	r.ordinal = c.tick()
	c.note(r, err)
	if err != nil {
		c.postpone(now, r)
	} else {
		r.retry.reset()
		c.advance(now, r)
	}
	if r.phase == finished {
		delete(c.running, p)
		return
	}
	heap.Push(&c.queue, r)
}

// note remembers whether the latest frame of r failed.
func (c *campaigns) note(r *campaign, err error) {
	if r.failure != nil {
		c.failing--
	}
	if r.failure = err; err != nil {
		c.failing++
	}
}

// failure returns why a frame has to be tried again, nil if none has.
func (c *campaigns) failure() error {
	if c.failing == 0 {
		return nil
	}
	for _, r := range c.queue {
		if r.failure != nil {
			return r.failure
		}
	}
	return nil
}

// postpone makes r try the same frame again later. What comes after this
// phase keeps its distance.
func (c *campaigns) postpone(now time.Time, r *campaign) {
	r.due = now.Add(max(r.retry.next(), c.schedule.Interval))
	if r.phase == firstBurst {
		r.began = r.due
	}
}

// advance goes on to the next frame of r.
func (c *campaigns) advance(now time.Time, r *campaign) {
	r.left--
	r.due = now.Add(c.schedule.Interval)
	if r.left == 0 {
		c.turn(now, r)
	}
}

// turn brings r into the phase, or the round of refreshing, that follows.
func (c *campaigns) turn(now time.Time, r *campaign) {
	switch {
	case r.phase == firstBurst && c.schedule.Delay > 0:
		c.enter(r, secondBurst, r.began.Add(c.schedule.Delay))
	case c.schedule.Refresh <= 0:
		r.phase = finished
	case r.phase == refreshing && r.began.Add(c.schedule.Refresh).After(now):
		c.enter(r, refreshing, r.began.Add(c.schedule.Refresh))
	default:
		c.enter(r, refreshing, now.Add(c.spread()))
	}
}

// enter begins a phase at a time, but not before another frame may leave.
func (c *campaigns) enter(r *campaign, p phase, at time.Time) {
	if at.Before(r.due) {
		at = r.due
	}
	r.phase, r.left, r.began, r.due = p, c.schedule.frames(p), at, at
}

// spread returns the time until an address is refreshed first: up to one
// Refresh, and evenly distributed however many addresses ask one after the
// other, for each is a golden section further than the one before.
func (c *campaigns) spread() time.Duration {
	const goldenSection = 0x9e3779b97f4a7c15 // of 2^64
	share := float64(c.tick()*goldenSection) / (1 << 64)
	return time.Duration((1 - share) * float64(c.schedule.Refresh))
}

// reschedule announces by another schedule from now on: bursts that have begun
// end with it, and what comes later comes when it says. Those of addresses
// that are not announced at present are refreshed, if it says so.
func (c *campaigns) reschedule(now time.Time, s Schedule, addresses []netip.Prefix) {
	old := c.schedule
	c.schedule = s
	for _, r := range c.running {
		c.adapt(now, r, old)
	}
	heap.Init(&c.queue)
	if s.Refresh <= 0 {
		return
	}
	for _, p := range addresses {
		if c.running[p] == nil {
			r := &campaign{prefix: p, ordinal: c.tick()}
			c.enter(r, refreshing, now.Add(c.spread()))
			c.running[p] = r
			heap.Push(&c.queue, r)
		}
	}
}

// adapt fits r, which followed old, into the present schedule. The caller puts
// the queue in order.
func (c *campaigns) adapt(now time.Time, r *campaign, old Schedule) {
	begun := r.phase == firstBurst || !r.began.After(now)
	switch {
	case begun:
		r.left = min(r.left, c.schedule.frames(r.phase))
	case r.phase == secondBurst && c.schedule.Delay > 0:
		r.due = now
		c.enter(r, secondBurst, r.began.Add(c.schedule.Delay-old.Delay))
	case c.schedule.Refresh > 0:
		r.due = now
		c.enter(r, refreshing, now.Add(c.spread()))
	default:
		c.stop(r.prefix)
	}
}

// next returns when volley has something to return, false if never.
func (c *campaigns) next() (time.Time, bool) {
	if len(c.queue) == 0 {
		return time.Time{}, false
	}
	due := c.queue[0].due
	if due.Before(c.ready) {
		due = c.ready
	}
	return due, true
}
