package link

import (
	"net/netip"
	"slices"
)

// addrSet is a set of addresses.
type addrSet map[netip.Prefix]struct{}

// newAddrSet returns the set of the addresses in a list.
func newAddrSet(list []netip.Prefix) addrSet {
	set := make(addrSet, len(list))
	for _, p := range list {
		set[p] = struct{}{}
	}
	return set
}

// ledger is what has been done to one interface that it does not show.
type ledger struct {
	owed  addrSet // addresses of others that may have been deleted along with virtual ones
	added addrSet // addresses that are there because we have put them there
}

// newLedger returns an empty one.
func newLedger() *ledger { return &ledger{owed: make(addrSet), added: make(addrSet)} }

// check forgets what we have added and is not there any more: if it comes
// back, others have put it there.
func (l *ledger) check(have []netip.Prefix) {
	if len(l.added) == 0 {
		return
	}
	there := newAddrSet(have)
	for p := range l.added {
		if _, ok := there[p]; !ok {
			delete(l.added, p)
		}
	}
}

// endanger remembers the addresses of others that the kernel may delete along
// with virtual ones, because they are secondary to them (it does so unless
// net.ipv4.conf.*.promote_secondaries is set). IPv6 knows nothing of the kind.
func (l *ledger) endanger(g *goal, have, remove []netip.Prefix) {
	subnets := make(addrSet, len(remove))
	for _, p := range remove {
		if p.Addr().Is4() {
			subnets[p.Masked()] = struct{}{}
		}
	}
	for _, p := range have {
		if _, ok := subnets[p.Masked()]; ok && !g.disposes(p, l.added) {
			l.owed[p] = struct{}{}
		}
	}
}

// collect returns the addresses of others that have to be put back, and
// forgets those that are there.
func (l *ledger) collect(g *goal, have []netip.Prefix) []netip.Prefix {
	for _, p := range have {
		delete(l.owed, p)
	}
	var out []netip.Prefix
	for p := range l.owed {
		if e := g.entry(p); e.role != foreign && !e.owned {
			delete(l.owed, p)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}
