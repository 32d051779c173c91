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

// entry is what a goal knows of one address.
type entry struct {
	role  role
	owned bool // is the interface's own (vrrp.Wanted)
	// ours says that it may be removed whoever put it there: always of a plain
	// virtual address; of an owned one only if it was on the interface as a
	// plain one before.
	ours bool
}

// goal is the wanted state of the addresses of one interface. It is never
// changed, only replaced.
type goal struct {
	generation uint64 // of the wanted state that it was made from
	wanted     vrrp.Wanted
	entries    map[netip.Prefix]entry
	plain      map[netip.Addr]struct{} // the addresses of the wanted state that are not the interface's own
	closing    bool                    // the interface is not wanted any more
	// since has, for each family that is used on the interface, the generation
	// that began to use it.
	since map[vrrp.Family]uint64
}

// nextGoal returns the goal that follows old (nil at first) when the wanted
// state is w, and old itself if nothing changes. swept says that old was
// reached, so that what it had to remove is gone: if such an address appears
// again, it is somebody else's.
func nextGoal(old *goal, generation uint64, w vrrp.Wanted, closing, swept bool) *goal {
	if old != nil && old.closing == closing && sameWanted(old.wanted, w) {
		return old
	}
	g := &goal{
		generation: generation,
		wanted:     vrrp.Wanted{Present: slices.Clone(w.Present), Absent: slices.Clone(w.Absent), Owned: slices.Clone(w.Owned), LinkLocal: w.LinkLocal},
		entries:    make(map[netip.Prefix]entry, len(w.Present)+len(w.Absent)),
		plain:      make(map[netip.Addr]struct{}, len(w.Present)+len(w.Absent)),
		closing:    closing,
	}
	if old != nil {
		for p, e := range old.entries {
			if e.role == present || !swept {
				g.entries[p] = entry{role: former, owned: e.owned, ours: e.ours}
			}
		}
	}
	owned := newAddrSet(w.Owned)
	g.enter(w.Absent, absent, owned)
	g.enter(w.Present, present, owned)
	g.since = g.families(old)
	return g
}

// sameWanted reports whether two wanted states are equal.
func sameWanted(a, b vrrp.Wanted) bool {
	return slices.Equal(a.Present, b.Present) && slices.Equal(a.Absent, b.Absent) && slices.Equal(a.Owned, b.Owned) &&
		a.LinkLocal == b.LinkLocal
}

// enter gives addresses a role.
func (g *goal) enter(list []netip.Prefix, r role, owned addrSet) {
	for _, p := range list {
		_, own := owned[p]
		g.entries[p] = entry{role: r, owned: own, ours: !own || g.entries[p].ours}
		if !own {
			g.plain[p.Addr()] = struct{}{}
		}
	}
}

// entry returns what the goal says of an address on the interface. A virtual
// one of another prefix length, such as another program has left, does what the
// right one does, and must not be there: it would stay while another director
// is active.
func (g *goal) entry(p netip.Prefix) entry {
	if e, ok := g.entries[p]; ok {
		return e
	}
	if g.misfit(p) {
		return entry{role: absent, ours: true}
	}
	return entry{}
}

// misfit reports whether p is a virtual address with another prefix length.
func (g *goal) misfit(p netip.Prefix) bool {
	_, exact := g.entries[p]
	_, plain := g.plain[p.Addr()]
	return plain && !exact
}

// families returns since when each family is used that the wanted state has
// an address of, be it only one to remove. Without any address it is IPv4, so
// that somebody says whether the interface is there. An interface that is
// being given up keeps what it has until its addresses are gone.
func (g *goal) families(old *goal) map[vrrp.Family]uint64 {
	if g.closing && old != nil {
		return old.since
	}
	since := make(map[vrrp.Family]uint64)
	begin := func(f vrrp.Family) {
		since[f] = g.generation
		if old != nil && !old.closing && old.since[f] != 0 {
			since[f] = old.since[f]
		}
	}
	for _, list := range [][]netip.Prefix{g.wanted.Present, g.wanted.Absent} {
		for _, p := range list {
			begin(vrrp.FamilyOf(p.Addr()))
		}
	}
	if len(since) == 0 {
		begin(vrrp.IPv4)
	}
	return since
}

// abandoned returns the goal for an interface that g is not about any more:
// whatever g manages must not be there.
func (g *goal) abandoned() *goal {
	out := &goal{generation: g.generation, entries: make(map[netip.Prefix]entry, len(g.entries)), plain: g.plain}
	for p, e := range g.entries {
		e.role = absent
		out.entries[p] = e
	}
	return out
}

// wants reports whether p should be on the interface.
func (g *goal) wants(p netip.Prefix) bool { return g.entry(p).role == present }

// manages reports whether p is, or was, a virtual address.
func (g *goal) manages(p netip.Prefix) bool { return g.entry(p).role != foreign }

// lends reports whether packets may be sent from p: it is none of the virtual
// addresses, or the interface's own all the same.
func (g *goal) lends(p netip.Prefix) bool { return !g.manages(p) || g.entry(p).owned }

// disposes reports whether p may be removed where it is not wanted; added are
// the addresses that we have put there.
func (g *goal) disposes(p netip.Prefix, added addrSet) bool {
	_, own := added[p]
	return g.manages(p) && (own || g.entry(p).ours)
}

// diff returns what is missing of the goal, in the order wanted, and what is
// too much, in the order of have, which is what is on the interface. swept
// says that former addresses have been removed already; added are those that
// we have put there.
func diff(have []netip.Prefix, g *goal, swept bool, added addrSet) (add, remove []netip.Prefix) {
	done := newAddrSet(have)
	for _, p := range have {
		if r := g.entry(p).role; g.disposes(p, added) && (r == absent || r == former && !swept) {
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
