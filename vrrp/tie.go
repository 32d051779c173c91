package vrrp

import "time"

// rival is when another active router of the same priority was heard by a
// member.
type rival struct{ first, last time.Time }

// outcome is how a tie between active routers of equal priority ends for us.
type outcome uint8

// The outcomes.
const (
	noTie     outcome = iota // the priorities differ
	won                      // the other one must yield
	lost                     // we must
	undecided                // another member of the group is to decide first
)

// tie decides between us and an active router of the same priority: the
// greater address wins (RFC 9568 section 6.4.3). In a group the addresses may
// compare differently on each link, and then each director would yield to the
// other. So the first member that hears the rival decides for all, the same
// one on every director because the members have one order. A later member
// decides only if the rival has been heard by it for an interval and by none
// before it.
func (g *group) tie(now time.Time, r *router, p packet) outcome {
	if p.Priority != g.cfg.Priority {
		return noTie
	}
	memory := activeDownInterval(g.cfg.Priority, g.cfg.AdvertisementInterval)
	if now.Sub(r.rival.last) > memory {
		r.rival.first = now
	}
	r.rival.last = now
	for _, earlier := range g.routers {
		if earlier == r {
			break
		}
		if now.Sub(earlier.rival.last) <= memory {
			return won // or we would not be active any more
		}
	}
	switch {
	case r != g.routers[0] && now.Sub(r.rival.first) < g.cfg.AdvertisementInterval:
		return undecided
	case r.source.Less(p.Source):
		return lost
	}
	return won
}
