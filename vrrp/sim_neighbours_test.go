package vrrp

import (
	"net/netip"
	"slices"
)

// caches is what the neighbours of the directors know. Beside each director
// there is one on each segment: it hears what that director hears, and that
// director.
type caches [][]map[netip.Addr]*node

// newCaches returns empty caches.
func newCaches(segments, nodes int) caches {
	all := make(caches, segments)
	for i := range all {
		all[i] = make([]map[netip.Addr]*node, nodes)
		for j := range all[i] {
			all[i][j] = make(map[netip.Addr]*node)
		}
	}
	return all
}

// learn has the neighbours that can be reached believe an announcement.
// Frames that get lost are not modelled: an announcement is repeated.
func (s *simulation) learn(n *node, a Announce) {
	if n.port(a.Interface).down {
		return
	}
	segment := s.cluster.segment(a.Interface)
	for i, cache := range s.caches[segment] {
		if i != n.index && s.cuts[segment][n.index][i] {
			continue
		}
		for _, p := range a.Addresses {
			cache[p.Addr()] = n
		}
	}
}

// verifyCaches has the neighbours find out what anybody finds out: that a
// director does not answer any more. What they know of an active one they
// keep, even if there is another: to tell them is what announcements are for.
func (s *simulation) verifyCaches() {
	for segment, list := range s.caches {
		for _, cache := range list {
			for addr, n := range cache {
				if holds(n, s.cluster.segments[segment], addr) == nil {
					delete(cache, addr)
				}
			}
		}
	}
}

// forsake has the neighbours find out that a director has lost addresses of
// which it could not say so: the link is down, or it yields while there are
// directors of another configuration, which may not have the member on which
// it says so. What it could say is for the others to act upon.
func (s *simulation) forsake(n *node, g *group) {
	mixed := slices.ContainsFunc(s.ledgers, func(l *ledger) bool { return l.version != s.ledgers[n.index].version })
	for _, r := range g.routers {
		if r.fault == NoFault && !mixed {
			continue
		}
		for _, cache := range s.caches[s.cluster.segment(r.cfg.Interface)] {
			for _, addr := range r.addresses {
				if cache[addr] == n {
					delete(cache, addr)
				}
			}
		}
	}
}

// lose has the neighbours find out that a director has lost addresses with a
// reload. A member that leaves its group says nothing, lest directors that
// have not read the configuration yet take over, so that there is nothing to
// act upon for who may have had the address all the time.
func (s *simulation) lose(n *node, l *ledger) {
	wanted := n.host.Wanted()
	for iface, before := range l.kernel {
		for _, p := range before {
			if slices.Contains(wanted[iface].Present, p) {
				continue
			}
			for _, cache := range s.caches[s.cluster.segment(iface)] {
				if cache[p.Addr()] == n {
					delete(cache, p.Addr())
				}
			}
		}
	}
}

// holds returns the active group by which a director has an address; nil if
// it has not.
func holds(n *node, iface string, addr netip.Addr) *group {
	if n.host == nil {
		return nil
	}
	for _, g := range n.host.groups {
		for _, r := range g.routers {
			if g.state != Active || r.cfg.Interface != iface {
				continue
			}
			for _, a := range r.addresses {
				if a == addr {
					return g
				}
			}
		}
	}
	return nil
}
