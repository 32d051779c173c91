package config

import (
	"net/netip"

	"bascule/lvs"
)

// contradictions reports what is wrong between keys that are right each by
// itself.
func (p *problems) contradictions(c *Configuration) {
	virtual := p.duplicateAddresses(c)
	p.duplicateVRIDs(c)
	p.duplicateServices(c)
	p.loops(c, virtual)
}

// duplicateAddresses reports virtual addresses that are given twice. It
// returns where each is given first.
func (p *problems) duplicateAddresses(c *Configuration) map[netip.Addr]place {
	first := map[netip.Addr]place{}
	for _, g := range c.groups {
		for _, r := range g.routers {
			for _, a := range r.addresses {
				if at, twice := first[a.prefix.Addr()]; twice {
					p.add(a.at, "%s is already a virtual address: %s at %s", a.prefix.Addr(), at.key, at)
					continue
				}
				first[a.prefix.Addr()] = a.at
			}
		}
	}
	return first
}

// duplicateVRIDs reports virtual routers that could not be told apart on the
// interface of a director.
func (p *problems) duplicateVRIDs(c *Configuration) {
	type identity struct {
		node, link string
		vrid       int64
	}
	first := map[identity]place{}
	for _, g := range c.groups {
		for _, r := range g.routers {
			for _, name := range c.nodes {
				id := identity{name, r.interfaces[name], r.vrid}
				if id.link == "" || id.vrid == 0 {
					continue
				}
				if at, twice := first[id]; twice {
					p.add(r.vridAt, "%d is already used on interface %s of %s: %s at %s", id.vrid, id.link, name, at.key, at)
					break
				}
				first[id] = r.vridAt
			}
		}
	}
}

// duplicateServices reports virtual servers that would be one in the kernel.
func (p *problems) duplicateServices(c *Configuration) {
	first := map[lvs.ServiceKey]place{}
	for _, s := range c.servers {
		key := s.config.ServiceKey
		if !key.Address.IsValid() {
			continue
		}
		if at, twice := first[key]; twice {
			p.add(s.addressAt, "%s %s is already a virtual server: %s at %s", key.Protocol, key.Address, at.key, at)
			continue
		}
		first[key] = s.addressAt
	}
}

// loops reports real servers that are the director itself: their connections
// would come back to it. Here virtual is where virtual addresses are given.
func (p *problems) loops(c *Configuration, virtual map[netip.Addr]place) {
	for _, s := range c.servers {
		for i, rs := range s.config.RealServers {
			at, isVirtual := virtual[rs.Address.Addr()]
			switch {
			case rs.Address == s.config.Address:
				p.add(s.realAt[i], "%q is the address of the virtual server itself: %s at %s", rs.Address, s.addressAt.key, s.addressAt)
			case isVirtual:
				p.add(s.realAt[i], "%q cannot be a real server, %s is a virtual address: %s at %s", rs.Address, rs.Address.Addr(), at.key, at)
			}
		}
	}
}
