package config

import (
	"net/netip"
	"slices"

	"bascule/vrrp"
)

// unicast is the directors of a virtual router that does not use multicast.
type unicast struct {
	nodes     []string // in the order of the configuration
	addresses map[string]peerAddress
	peers     []peerAddress // directors that are no nodes
	routed    []string      // nodes, and addresses of peers
}

// peerAddress is the address of a director, and where it was given.
type peerAddress struct {
	addr netip.Addr
	at   place
}

// unicast reads the keys about unicast, nil if there are none.
func (p *problems) unicast(s section, nodes []string) *unicast {
	n := s.table["unicast"]
	if n == nil {
		for _, key := range []string{"unicast_peers", "unicast_routed"} {
			if further := s.table[key]; further != nil && !s.isMisspelt("unicast") {
				p.add(further.place, "has a meaning together with unicast only, which is missing")
			}
		}
		return nil
	}
	if n.table == nil {
		p.wrongType(n, `a table with the address of each node, such as { lb = "192.168.56.11", lb2 = "192.168.56.12" },`)
		return nil
	}
	u := &unicast{nodes: nodes, addresses: byNode(p, n, nodes, peer)}
	if peers := s.table["unicast_peers"]; peers != nil {
		for _, element := range p.elements(peers, `an array of addresses such as "192.168.56.13"`) {
			if a, ok := peer(p, element); ok {
				u.peers = append(u.peers, a)
			}
		}
	}
	if routed := s.table["unicast_routed"]; routed != nil {
		p.routed(routed, u)
		p.unroutable(routed, u)
	}
	if len(n.names) < 2 && s.table["unicast_peers"] == nil {
		p.add(n.place, "there is nobody to talk to: another node, or unicast_peers, is wanted")
	}
	p.unicastTwice(u)
	return u
}

// peer reads the address of a director, with its place.
func peer(p *problems, n *node) (peerAddress, bool) {
	addr, ok := hostAddress(p, n)
	return peerAddress{addr, n.place}, ok
}

// routed reads which directors are behind routers.
func (p *problems) routed(n *node, u *unicast) {
	for _, element := range p.elements(n, "an array of nodes, or of addresses from unicast_peers,") {
		name, ok := text("a node, or an address from unicast_peers")(p, element)
		addr, _ := netip.ParseAddr(name)
		known := slices.Contains(u.nodes, name) ||
			slices.ContainsFunc(u.peers, func(a peerAddress) bool { return a.addr == addr })
		switch {
		case !ok:
		case known && addr.IsValid():
			u.routed = append(u.routed, addr.String())
		case known:
			u.routed = append(u.routed, name)
		default:
			p.add(element.place, "%s is neither a node%s nor an address in unicast_peers", quote(name), didYouMean(name, u.nodes))
		}
	}
}

// unroutable reports link-local addresses of directors where some are behind
// routers: one of any two that talk to each other would be told nothing (RFC
// 4007 section 9).
func (p *problems) unroutable(routed *node, u *unicast) {
	for _, a := range u.all() {
		if a.addr.IsLinkLocalUnicast() && len(u.routed) > 0 {
			p.add(a.at, "%q is link-local, and no router passes its packets on: %s at %s says that there are routers on the way",
				a.addr, routed.key, routed.place)
		}
	}
}

// unicastTwice reports directors that could not be told apart.
func (p *problems) unicastTwice(u *unicast) {
	first := map[netip.Addr]place{}
	for _, a := range u.all() {
		if at, twice := first[a.addr]; twice {
			p.add(a.at, "%q is given twice: %s at %s", a.addr, at.key, at)
			continue
		}
		first[a.addr] = a.at
	}
}

// all are the addresses of all directors, those of the nodes first.
func (u *unicast) all() []peerAddress {
	if u == nil {
		return nil
	}
	var list []peerAddress
	for _, name := range u.nodes {
		if a, ok := u.addresses[name]; ok {
			list = append(list, a)
		}
	}
	return append(list, u.peers...)
}

// forNode is whom one director talks to: all others. There are routers on the
// way if there are any between either of the two and the rest.
func (u *unicast) forNode(name string) *vrrp.Unicast {
	if u == nil {
		return nil
	}
	far := slices.Contains(u.routed, name)
	config := &vrrp.Unicast{Source: u.addresses[name].addr}
	for _, other := range u.nodes {
		if other != name {
			config.Peers = append(config.Peers, vrrp.Peer{
				Address: u.addresses[other].addr, Routed: far || slices.Contains(u.routed, other),
			})
		}
	}
	for _, a := range u.peers {
		config.Peers = append(config.Peers, vrrp.Peer{
			Address: a.addr, Routed: far || slices.Contains(u.routed, a.addr.String()),
		})
	}
	return config
}
