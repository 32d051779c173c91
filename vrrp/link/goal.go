package link

import (
	"net/netip"
	"slices"

	"bascule/vrrp"
)

// role is what a goal says of one address.
type role uint8

// The roles. The zero value is an address that is none of our business.
const (
	foreign role = iota
	present      // belongs on the interface
	absent       // must not be there, ever
	former       // managed before and no longer mentioned: is removed once
)

// goal is the wanted state of the addresses of one interface. It is never
// changed, only replaced.
type goal struct {
	generation uint64 // of the wanted state that it was made from
	wanted     vrrp.Wanted
	roles      map[netip.Prefix]role
	closing    bool   // the interface is not wanted any more
	since      uint64 // the generation that began to want the interface
}

// nextGoal returns the goal that follows old (nil at first) when the wanted
// state is w, and old itself if nothing changes. swept says that old was
// reached, so that what it had to remove is gone: if such an address appears
// again, it is somebody else's.
func nextGoal(old *goal, generation uint64, w vrrp.Wanted, closing, swept bool) *goal {
	if old != nil && old.closing == closing &&
		slices.Equal(w.Present, old.wanted.Present) && slices.Equal(w.Absent, old.wanted.Absent) {
		return old
	}
	g := &goal{
		generation: generation,
		wanted:     vrrp.Wanted{Present: slices.Clone(w.Present), Absent: slices.Clone(w.Absent)},
		roles:      make(map[netip.Prefix]role, len(w.Present)+len(w.Absent)),
		closing:    closing,
		since:      generation,
	}
	if old != nil {
		if old.closing == closing {
			g.since = old.since
		}
		for p, r := range old.roles {
			if r == present || !swept {
				g.roles[p] = former
			}
		}
	}
	for _, p := range w.Absent {
		g.roles[p] = absent
	}
	for _, p := range w.Present {
		g.roles[p] = present
	}
	return g
}

// abandoned returns the goal for an interface that g is not about any more:
// whatever g manages must not be there.
func (g *goal) abandoned() *goal {
	out := &goal{generation: g.generation, roles: make(map[netip.Prefix]role, len(g.roles))}
	for p := range g.roles {
		out.roles[p] = absent
	}
	return out
}

// wants reports whether p should be on the interface.
func (g *goal) wants(p netip.Prefix) bool { return g.roles[p] == present }

// manages reports whether p is, or was, a virtual address.
func (g *goal) manages(p netip.Prefix) bool { return g.roles[p] != foreign }

// diff returns what is missing of the goal, in the order wanted, and what is
// too much, in the order of have, which is what is on the interface. swept
// says that former addresses have been removed already.
func diff(have []netip.Prefix, g *goal, swept bool) (add, remove []netip.Prefix) {
	done := make(map[netip.Prefix]struct{}, len(have))
	for _, p := range have {
		done[p] = struct{}{}
		if r := g.roles[p]; r == absent || r == former && !swept {
			remove = append(remove, p)
		}
	}
	for _, p := range g.wanted.Present {
		if _, ok := done[p]; !ok {
			done[p] = struct{}{}
			add = append(add, p)
		}
	}
	return add, remove
}
