package vrrp

import (
	"fmt"
	"time"
)

// assertShare is how many answers there are at most in an interval to active
// routers that must yield.
const assertShare = 20

// packet is a received advertisement that was read without a fault.
type packet struct {
	Received
	adv  Advertisement
	form ChecksumForm
}

// admit makes the checks of RFC 9568 section 7.1 that need to know the
// virtual router. A packet that fails one touches no timer.
func (g *group) admit(r *router, p packet) DropReason {
	switch {
	case p.Destination != r.cfg.Family.MulticastAddress():
		return DropDestination
	case g.state == Initialize, r.fault != NoFault:
		// Of a member that waits for its interface, the group's state says
		// nothing yet.
		return DropInitialize
	case p.Source == r.source:
		return DropOwnSource
	case g.cfg.Priority == Owner:
		return DropOwner
	}
	return NotDropped
}

// receive handles a packet for a member of the group.
func (g *group) receive(now time.Time, r *router, p packet) []Action {
	if drop := g.admit(r, p); drop != NotDropped {
		return g.drop(now, r, p.Received, drop)
	}
	r.counters.Received++
	if p.adv.Priority == 0 {
		r.counters.ReceivedPriorityZero++
	}
	out := g.compare(now, r, p)
	if g.state == Active {
		return append(out, g.receiveActive(now, r, p)...)
	}
	return append(out, g.receiveBackup(now, r, p)...)
}

// drop counts a packet that is not used, and says so once in a while.
func (g *group) drop(now time.Time, r *router, p Received, reason DropReason) []Action {
	r.counters.Dropped[reason]++
	switch reason {
	case DropInitialize:
		return nil
	case DropOwnSource:
		return g.once(now, r, NoticeDuplicateSource,
			"advertisement from our own address %v: another host uses it, or the network loops", p.Source)
	}
	return g.once(now, r, NoticeDropped, "from %v: %v", p.Source, reason)
}

// receiveBackup is the reception of an advertisement in RFC 9568 section
// 6.4.2.
func (g *group) receiveBackup(now time.Time, r *router, p packet) []Action {
	switch {
	case p.adv.Priority == 0:
		g.resigned(now, r, p)
	case p.adv.Priority >= g.cfg.Priority, !g.preempts(now):
		g.changed = r.heard(now, p, heardActive) || g.changed
		r.activeInterval = learnInterval(p.adv.Interval, g.cfg.AdvertisementInterval)
		r.restartActiveDown(now, g.cfg.Priority)
		if p.adv.Priority >= g.cfg.Priority {
			g.lowerSince = time.Time{}
		}
	default:
		g.changed = r.heard(now, p, heardLower) || g.changed
	}
	return nil
}

// resigned sets the timer of a router that heard priority 0 to Skew_Time. If
// it was the active router that resigned, it cannot hold the rest of the
// group either: no other member waits longer.
func (g *group) resigned(now time.Time, r *router, p packet) {
	wasActive := p.Source == r.peer.source
	g.changed = r.heard(now, p, heardResigned) || g.changed
	r.deadline = now.Add(skewTime(g.cfg.Priority, r.activeInterval))
	if !wasActive {
		return
	}
	for _, m := range g.routers {
		if skewed := now.Add(skewTime(g.cfg.Priority, m.activeInterval)); skewed.Before(m.deadline) {
			m.deadline = skewed
		}
	}
}

// preempts reports whether an active router of lower priority is to be
// replaced now, and starts the delay when the first is heard.
func (g *group) preempts(now time.Time) bool {
	if !g.cfg.Preempt.Enabled {
		return false
	}
	if g.lowerSince.IsZero() {
		g.lowerSince = now
	}
	return now.Sub(g.lowerSince) >= g.cfg.Preempt.Delay
}

// receiveActive is the reception of an advertisement in RFC 9568 section
// 6.4.3.
func (g *group) receiveActive(now time.Time, r *router, p packet) []Action {
	tie := g.tie(now, r, p)
	switch {
	case p.adv.Priority == 0:
		r.deadline = now.Add(g.cfg.AdvertisementInterval)
		return []Action{r.advertisement(g.cfg.Priority, g.cfg.AdvertisementInterval)}
	case p.adv.Priority > g.cfg.Priority, tie == lost:
		r.activeInterval = learnInterval(p.adv.Interval, g.cfg.AdvertisementInterval)
		out := g.becomeBackup(now, fmt.Sprintf("%v is active with priority %d", p.Source, p.adv.Priority))
		r.heard(now, p, heardActive)
		return out
	case tie == undecided:
		return nil
	}
	return g.assert(now, r, p)
}

// assert answers an active router that must yield to us (section 6.4.3), and
// corrects what its announcements did to the neighbours' caches and to the
// switches.
func (g *group) assert(now time.Time, r *router, p packet) []Action {
	var out []Action
	// Bounded, lest two directors that both insist answer each other without
	// end, or somebody has us multiply what he sends.
	if now.Sub(r.asserted) >= g.cfg.AdvertisementInterval/assertShare {
		r.asserted = now
		out = append(out, r.advertisement(g.cfg.Priority, g.cfg.AdvertisementInterval))
	}
	out = append(out, g.once(now, r, NoticePeerLower, "%v is active too, with priority %d", p.Source, p.adv.Priority)...)
	if now.Sub(g.announced) < g.cfg.AdvertisementInterval {
		return out
	}
	g.announced = now
	return append(out, g.announce()...)
}
