package config

import (
	"slices"

	"bascule/lvs"
)

// balancing reports what is wrong between keys of virtual servers that are
// right each by itself.
func (p *problems) balancing(c *Configuration) {
	for _, s := range c.servers {
		p.families(s, c.sync)
		p.unreachable(s)
		p.unusedPorts(s)
		p.loopbacks(s)
		p.serversTwice(s)
		p.unreachedQuorum(s)
	}
	p.duplicateServices(c)
	p.overlaps(c)
	if c.sync != nil && c.sync.group != "" && !slices.ContainsFunc(c.groups, func(g group) bool { return g.name == c.sync.group }) {
		var names []string
		for _, g := range c.groups {
			names = append(names, g.name)
		}
		p.add(c.sync.groupAt, "%s is no group%s", quote(c.sync.group), didYouMean(c.sync.group, names))
	}
}

// totalWeight is the sum of the weights of all real servers.
func (s server) totalWeight() uint64 {
	var sum uint64
	for _, rs := range s.config.RealServers {
		sum += uint64(rs.Weight)
	}
	return sum
}

// unreachedQuorum reports a quorum that all real servers together do not
// reach, be it at the beginning or when it has been lost.
func (p *problems) unreachedQuorum(s server) {
	need, sum := s.config.Quorum, s.totalWeight()
	again := uint64(need.Weight) + uint64(need.Hysteresis)
	switch {
	case len(s.config.RealServers) == 0:
	case uint64(need.Weight) > sum:
		p.add(s.given.at("quorum"), "%d is never reached: the weights of all real servers are %d", need.Weight, sum)
	case again > sum && need.Hysteresis < need.Weight:
		p.add(s.given.at("quorum").child("hysteresis"),
			"%d keeps the quorum lost for ever, once it is: it is reached again from weight + hysteresis = %d on, and the weights of all real servers are %d",
			need.Hysteresis, again, sum)
	}
}

// everyServer calls f for each real server and sorry server, with the place of
// its address.
func (s server) everyServer(f func(rs lvs.RealServerConfig, at place)) {
	for i, rs := range s.config.RealServers {
		f(rs, s.realAt[i])
	}
	for i, rs := range s.config.Sorry {
		f(rs, s.sorryAt[i])
	}
}

// families reports real servers of another family than a service: packets get
// there through tunnels only, and not if connections are synchronized, whose
// messages have one family for both.
func (p *problems) families(s server, sync *connectionSync) {
	s.everyServer(func(rs lvs.RealServerConfig, at place) {
		for _, service := range s.config.Services {
			switch other := service.IPv6() != rs.Address.Addr().Is6(); {
			case !other:
			case rs.Forwarding != lvs.Tunnel:
				p.add(at, "%q is of another family than the service %v: only a tunnel leads there; services of both families are two virtual servers",
					showHost(rs.Address), service.ServiceKey)
				return
			case sync != nil:
				p.add(at, "%q is of another family than the service %v, which excludes the synchronization of connections at %s",
					showHost(rs.Address), service.ServiceKey, sync.at)
				return
			}
		}
	})
}

// unreachable reports real servers whose port would have to be translated
// where nothing is.
func (p *problems) unreachable(s server) {
	s.everyServer(func(rs lvs.RealServerConfig, at place) {
		for _, service := range s.config.Services {
			port := service.Address.Port()
			if rs.Forwarding == lvs.Masquerade || rs.Address.Port() == 0 || service.Mark == 0 && rs.Address.Port() == port {
				continue
			}
			p.add(at, "%q has a port of its own, which forwarding = %q cannot translate: it has to be that of the service, or left out",
				rs.Address, rs.Forwarding)
			return
		}
	})
}
