package config

import (
	"net/netip"

	"bascule/lvs"
	"bascule/vrrp"
)

// contradictions reports what is wrong between keys that are right each by
// itself.
func (p *problems) contradictions(c *Configuration) {
	virtual := p.duplicateAddresses(c)
	p.duplicateVRIDs(c)
	p.virtualDirectors(c, virtual)
	p.balancing(c)
	p.loops(c, virtual)
}

// scopedAddress is what can be a virtual address only once: an address, of
// link-local ones together with the link (RFC 4007 section 4), which is an
// interface of a node.
type scopedAddress struct {
	address    netip.Addr
	node, link string
}

// scopes returns all that an address of a virtual router, or of a director on
// the links of one, is.
func (r router) scopes(addr netip.Addr, nodes []string) []scopedAddress {
	if !addr.IsLinkLocalUnicast() {
		return []scopedAddress{{address: addr}}
	}
	var list []scopedAddress
	for _, name := range nodes {
		list = append(list, scopedAddress{addr, name, r.interfaces[name]})
	}
	return list
}

// duplicateAddresses reports virtual addresses that are given twice. It
// returns where each is given first.
func (p *problems) duplicateAddresses(c *Configuration) map[scopedAddress]place {
	first := map[scopedAddress]place{}
	for _, g := range c.groups {
		for _, r := range g.routers {
			for _, a := range r.addresses {
				addr := a.prefix.Addr()
				for _, scope := range r.scopes(addr, c.nodes) {
					if at, twice := first[scope]; twice {
						p.add(a.at, "%s is already a virtual address: %s at %s", addr, at.key, at)
						break
					}
					first[scope] = a.at
				}
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
		family     vrrp.Family
		vrid       int64
	}
	first := map[identity]place{}
	for _, g := range c.groups {
		for _, r := range g.routers {
			for _, name := range c.nodes {
				id := identity{name, r.interfaces[name], r.family(), r.vrid}
				if id.link == "" || id.vrid == 0 {
					continue
				}
				if at, twice := first[id]; twice {
					p.add(r.vridAt, "%d is already used on interface %s of %s for %s: %s at %s", id.vrid, id.link, name, familyName(id.family), at.key, at)
					break
				}
				first[id] = r.vridAt
			}
		}
	}
}

// virtualDirectors reports directors that are to be reached at an address
// which moves between them. That goes for the owner of an address too: while
// another director has it, neither hears the other, for a host sends nothing
// out to an address that it has itself, and Linux takes nothing in from one.
// Here virtual is where virtual addresses are given.
func (p *problems) virtualDirectors(c *Configuration, virtual map[scopedAddress]place) {
	for _, g := range c.groups {
		for _, r := range g.routers {
			for _, a := range r.unicast.all() {
				for _, scope := range r.scopes(a.addr, c.nodes) {
					if at, isVirtual := virtual[scope]; isVirtual {
						p.add(a.at, "%q is a virtual address, and one that stays with the director is wanted: %s at %s", a.addr, at.key, at)
						break
					}
				}
			}
		}
	}
}

// duplicateServices reports virtual servers that would be one in the kernel.
func (p *problems) duplicateServices(c *Configuration) {
	first := map[lvs.ServiceKey]place{}
	for _, s := range c.servers {
		for _, service := range s.config.Services {
			key := service.ServiceKey
			if !key.Address.IsValid() {
				continue
			}
			if at, twice := first[key]; twice {
				p.add(s.addressAt, "%v is already a virtual server: %s at %s", key, at.key, at)
				continue
			}
			first[key] = s.addressAt
		}
	}
}
