package config

import (
	"net/netip"
	"slices"

	"bascule/checker"
	"bascule/lvs"
)

// server is the configuration of a virtual server.
type server struct {
	config    lvs.VirtualServerConfig
	match     []lvs.Match              // packets that get its firewall mark from us
	matchAt   []place                  // of each of them
	checks    map[netip.AddrPort]check // by real server; those without a check are missing
	given     section                  // the whole table
	addressAt place
	realAt    []place // of the address of each real server
	sorryAt   []place // of the address of each sorry server
}

// server reads one virtual server.
func (p *problems) server(name string, n *node, nodes []string) server {
	result := server{addressAt: n.child("address"), checks: map[netip.AddrPort]check{}}
	result.config.Name = name
	s, ok := p.section(n, "address", "addresses", "fwmark", "family", "match", "protocol",
		"scheduler", "scheduler_flags", "one_packet", "persistence", "forwarding", "tunnel",
		"quorum", "sorry_server", "all_down", "on_failure", "slow_start", "drain", "check", "real_server")
	if !ok {
		return result
	}
	result.given = s
	for _, key := range []string{"address", "addresses", "fwmark"} {
		if given := s.table[key]; given != nil {
			result.addressAt = given.place
			break
		}
	}
	p.services(s, &result)
	way := p.way(s, way{})
	p.realServers(s, &result, way, checkReader{p, nodes})
	p.policies(s, &result, way)
	return result
}

// virtualServer is what a director has to do, which the caller may change.
func (s server) virtualServer(node string) VirtualServer {
	return VirtualServer{VirtualServerConfig: s.config.Clone(), Match: slices.Clone(s.match), Checks: s.conditions(node, nil)}
}

// conditions are the checks of the real servers on a director. Those without a
// check are missing.
func (s server) conditions(node string, read secrets) map[netip.AddrPort]checker.Condition {
	all := make(map[netip.AddrPort]checker.Condition, len(s.checks))
	for _, rs := range s.config.RealServers {
		if c, checked := s.checks[rs.Address]; checked {
			all[rs.Address] = c.condition(s.probed(rs.Address), node, read)
		}
	}
	return all
}
