package config

import (
	"net/netip"

	"bascule/lvs"
)

// allPorts is the last port; the first one is 1.
const allPorts = 1<<16 - 1

// claim is traffic that a virtual server takes: that of a service, or packets
// that get its firewall mark from us.
type claim struct {
	lvs.Match
	service lvs.ServiceKey // with a mark: the packets get it
	server  string
	at      place
}

// String says what is claimed.
func (c claim) String() string {
	if c.service.Mark != 0 {
		return c.Match.String()
	}
	return c.service.String()
}

// claims returns what all virtual servers take, in their order. What
// administrators mark by themselves is not known.
func (c *Configuration) claims() []claim {
	var list []claim
	for _, s := range c.servers {
		for _, service := range s.config.Services {
			if service.Mark == 0 {
				list = append(list, claim{portsOf(service.Protocol, service.Address), service.ServiceKey, s.config.Name, s.addressAt})
				continue
			}
			for i, m := range s.match {
				list = append(list, claim{m, service.ServiceKey, s.config.Name, s.matchAt[i]})
			}
		}
	}
	return list
}

// portsOf is traffic to one address, and to all of its ports if that is 0.
func portsOf(protocol lvs.Protocol, to netip.AddrPort) lvs.Match {
	m := lvs.Match{Protocol: protocol, First: to.Addr(), Last: to.Addr(), FirstPort: to.Port(), LastPort: to.Port()}
	if to.Port() == 0 {
		m.FirstPort, m.LastPort = 1, allPorts
	}
	return m
}

// overlap says whether some packet is in both.
func overlap(a, b lvs.Match) bool {
	return a.Protocol == b.Protocol && !a.Last.Less(b.First) && !b.Last.Less(a.First) &&
		a.FirstPort <= b.LastPort && b.FirstPort <= a.LastPort
}

// overlaps reports packets that get the mark of one virtual server although
// another has them, by its own mark or by its address: a packet has one mark,
// and the kernel looks for that before the address. To leave the rest to a
// service of all ports is meant, as it is among services with an address.
func (p *problems) overlaps(c *Configuration) {
	all := c.claims()
	for i, mine := range all {
		if mine.service.Mark == 0 {
			continue
		}
		for j, other := range all {
			marks, whole := other.service.Mark != 0, other.service.Address.Port() != 0
			switch {
			case other.server == mine.server || other.service == mine.service || !overlap(mine.Match, other.Match):
				continue
			case marks && j > i, !marks && !whole && (mine.FirstPort > 1 || mine.LastPort < allPorts):
				continue
			}
			p.add(mine.at, "%q has packets of the virtual server %s, and one of the two would not get them: %q, %s at %s",
				mine.Match, other.server, other, other.at.key, other.at)
			break
		}
	}
}

// claimIndex finds who takes the traffic to an address.
type claimIndex struct {
	single map[netip.Addr][]claim
	ranges []claim
}

// newClaimIndex returns an index of these claims.
func newClaimIndex(all []claim) claimIndex {
	index := claimIndex{single: map[netip.Addr][]claim{}}
	for _, c := range all {
		if c.First == c.Last {
			index.single[c.First] = append(index.single[c.First], c)
		} else {
			index.ranges = append(index.ranges, c)
		}
	}
	return index
}

// find returns who takes some of the traffic to one address.
func (x claimIndex) find(to lvs.Match) (claim, bool) {
	for _, list := range [...][]claim{x.single[to.First], x.ranges} {
		for _, c := range list {
			if overlap(c.Match, to) {
				return c, true
			}
		}
	}
	return claim{}, false
}
