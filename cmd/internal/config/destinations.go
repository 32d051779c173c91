package config

import (
	"net/netip"
	"slices"

	"bascule/lvs"
)

// unusedPorts reports ports of real servers that the kernel does not look at:
// where a client's connections to all ports stay together, each keeps its port.
func (p *problems) unusedPorts(s server) {
	s.everyServer(func(rs lvs.RealServerConfig, at place) {
		for _, service := range s.config.Services {
			if rs.Address.Port() == 0 || rs.Forwarding != lvs.Masquerade || service.Address.Port() != 0 || service.Persistence.Timeout == 0 {
				continue
			}
			p.add(at, "%q has a port, which the persistent service %v of all ports does not translate to: it has to be left out; a check has a port of its own",
				rs.Address, service.ServiceKey)
			return
		}
	})
}

// loopbacks reports loopback addresses that only the director's own connections
// could get to: the kernel drops what comes from outside and would have to be
// translated to one. Without translation it takes one for the director itself.
func (p *problems) loopbacks(s server) {
	outside := slices.ContainsFunc(s.config.Services, func(service lvs.Service) bool { return !service.Address.Addr().IsLoopback() })
	s.everyServer(func(rs lvs.RealServerConfig, at place) {
		if outside && rs.Forwarding == lvs.Masquerade && rs.Address.Addr().IsLoopback() {
			p.add(at, "%q is a loopback address, to which the kernel translates nothing that comes from outside: "+
				"the director itself is reached at another address of its own, or with forwarding = %q", showHost(rs.Address), lvs.Direct)
		}
	})
}

// byPort returns one service of each port, for real servers without a port are
// another destination for each. The zero key stands for services that are
// wrong.
func (s server) byPort() []lvs.ServiceKey {
	var keys []lvs.ServiceKey
	seen := map[uint16]bool{}
	for _, service := range s.config.Services {
		if port := service.Address.Port(); !seen[port] {
			seen[port] = true
			keys = append(keys, service.ServiceKey)
		}
	}
	if len(keys) == 0 {
		return []lvs.ServiceKey{{}}
	}
	return keys
}

// serversTwice reports real servers and sorry servers that are one destination
// of a service in the kernel: they would be there twice, or go when they are
// needed.
func (p *problems) serversTwice(s server) {
	keys, reported := s.byPort(), map[place]bool{}
	for _, key := range keys {
		first, of := map[netip.AddrPort]place{}, s.config.Name
		if len(keys) > 1 {
			of += " for " + key.String()
		}
		s.everyServer(func(rs lvs.RealServerConfig, at place) {
			address := key.Key(rs.Address).Address
			before, twice := first[address]
			switch {
			case !twice:
				first[address] = at
			case !reported[at]:
				reported[at] = true
				p.add(at, "%q is a server of %s already: %s at %s", showHost(rs.Address), of, before.key, before)
			}
		})
	}
}
