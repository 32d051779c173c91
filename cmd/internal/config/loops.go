package config

import (
	"net/netip"

	"bascule/lvs"
)

// targets returns the traffic that a virtual server sends to a real server.
func (s server) targets(rs netip.AddrPort) []lvs.Match {
	var list []lvs.Match
	for _, key := range s.byPort() {
		switch {
		case key.Mark == 0:
			list = append(list, portsOf(key.Protocol, key.Key(rs).Address))
		case len(s.match) == 0:
			for _, protocol := range lvs.Protocols() {
				list = append(list, portsOf(protocol, rs))
			}
		default:
			for _, m := range s.match {
				to := portsOf(m.Protocol, rs)
				if rs.Port() == 0 {
					to.FirstPort, to.LastPort = m.FirstPort, m.LastPort
				}
				list = append(list, to)
			}
		}
	}
	return list
}

// loops reports real servers and sorry servers that are virtual servers
// themselves: IPVS balances a connection once, and what it sends to an address
// of this director is for a program there. A real server with a virtual address
// would moreover be checked on the active director, wherever the check is. A
// sorry server is not checked, and a page of apology on each director can have
// no other address that is the same on all. Here virtual is where virtual
// addresses are given.
func (p *problems) loops(c *Configuration, virtual map[scopedAddress]place) {
	served := newClaimIndex(c.claims())
	for _, s := range c.servers {
		for i, rs := range s.config.RealServers {
			at, isVirtual := virtual[scopedAddress{address: rs.Address.Addr()}]
			if !p.loop(s, rs.Address, s.realAt[i], served) && isVirtual {
				p.add(s.realAt[i], "%q cannot be a real server, %s is a virtual address: %s at %s", showHost(rs.Address), rs.Address.Addr(), at.key, at)
			}
		}
		for i, rs := range s.config.Sorry {
			p.loop(s, rs.Address, s.sorryAt[i], served)
		}
	}
}

// loop reports a server that is a virtual server, and returns whether it is.
func (p *problems) loop(s server, address netip.AddrPort, at place, served claimIndex) bool {
	for _, to := range s.targets(address) {
		switch other, found := served.find(to); {
		case !found:
			continue
		case other.server == s.config.Name:
			p.add(at, "%q is the address of the virtual server itself: %s at %s", showHost(address), other.at.key, other.at)
		default:
			p.add(at, "%q is the address of the virtual server %s: %s at %s", showHost(address), other.server, other.at.key, other.at)
		}
		return true
	}
	return false
}
