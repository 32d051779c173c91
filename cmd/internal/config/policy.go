package config

import (
	"time"

	"bascule/lvs"
)

// Bounds of the policies.
const (
	maxSlowStart = time.Hour
	maxDrain     = 24 * time.Hour
)

// policies reads what becomes of a virtual server when real servers fail,
// come and go.
func (p *problems) policies(s section, result *server, way way) {
	config := &result.config
	config.Quorum = p.quorum(s)
	p.sorryServers(s, result, way)
	failing := []lvs.OnFailure{lvs.RemoveOnFailure, lvs.InhibitOnFailure}
	word := optional(s, "on_failure", lvs.RemoveOnFailure.String(), choice(namesOf(failing)...))
	for _, o := range failing {
		if o.String() == word {
			config.OnFailure = o
		}
	}
	policies := []lvs.AllDown{lvs.AllDownNone, lvs.AllDownLast, lvs.AllDownAll}
	word = optional(s, "all_down", lvs.AllDownNone.String(), choice(namesOf(policies)...))
	for _, a := range policies {
		if a.String() == word {
			config.AllDown = a
		}
	}
	if n := s.table["all_down"]; n != nil && len(config.Sorry) > 0 && config.AllDown != lvs.AllDownNone {
		p.add(n.place, "%q excludes sorry_server at %s, which takes over when all are down", config.AllDown, s.table["sorry_server"].place)
	}
	config.SlowStart = optional(s, "slow_start", 0, duration(0, maxSlowStart))
	config.DrainLimit = optional(s, "drain", 0, duration(0, maxDrain))
}

// quorum reads how much of a virtual server has to be healthy: a sum of
// weights, alone or in a table with a hysteresis.
func (p *problems) quorum(s section) lvs.Quorum {
	const most, allowed = 1 << 30, "1 to 1073741824"
	n := s.table["quorum"]
	if n == nil {
		return lvs.Quorum{}
	}
	if n.table == nil {
		weight, _ := integer(1, most, allowed)(p, n)
		return lvs.Quorum{Weight: uint32(weight)}
	}
	t, _ := p.section(n, "weight", "hysteresis")
	weight, ok := required(t, "weight", "the sum of the weights of healthy real servers that is needed, "+allowed, integer(1, most, allowed))
	hysteresis := optional(t, "hysteresis", 0, integer(0, most, "0 to less than weight"))
	if ok && hysteresis >= weight {
		p.add(t.table["hysteresis"].place, "%d is not less than weight, which is %d", hysteresis, weight)
	}
	return lvs.Quorum{Weight: uint32(weight), Hysteresis: uint32(hysteresis)}
}

// sorryServers reads the servers that take over when the quorum is lost: an
// address, a table, or several of either.
func (p *problems) sorryServers(s section, result *server, before way) {
	n := s.table["sorry_server"]
	if n == nil {
		return
	}
	nodes := []*node{n}
	if n.isList {
		nodes = p.elements(n, "an array of addresses or tables")
	}
	for _, element := range nodes {
		sorry := lvs.RealServerConfig{Weight: 1, Forwarding: before.forwarding, Tunnel: before.tunnel}
		at, ok := element.place, false
		if element.table == nil {
			sorry.Address, ok = host(p, element)
		} else if t, isTable := p.section(element, "address", "weight", "forwarding", "tunnel"); isTable {
			w := p.way(t, before)
			sorry.Forwarding, sorry.Tunnel = w.forwarding, w.tunnel
			sorry.Weight = uint32(optional(t, "weight", 1, integer(1, lvs.MaxWeight, "1 to 65535")))
			sorry.Address, ok = required(t, "address", `the address, such as "192.168.200.99:80"`, host)
			at = t.child("address")
			if given := t.table["address"]; given != nil {
				at = given.place
			}
		}
		if ok {
			result.config.Sorry = append(result.config.Sorry, sorry)
			result.sorryAt = append(result.sorryAt, at)
		}
	}
}
