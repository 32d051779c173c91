package config

import (
	"net/netip"
	"strings"
	"time"

	"bascule/vrrp"
)

// maxPreemptDelay is more than anybody waits, keepalived's 1000 s included.
const maxPreemptDelay = time.Hour

// priorityRule leaves out 255, the owner of the addresses: it would have them
// as its own, and they must not be taken away from its interface when it is
// not active.
const priorityRule = "1 to 254"

// group reads one group.
func (p *problems) group(name string, n *node, nodes []string) group {
	g := group{name: name}
	s, ok := p.section(n, "priority", "advertisement_interval", "preempt", "router")
	if !ok {
		return g
	}
	g.priority = perNode(s, "priority", priorityRule, nodes, integer(1, vrrp.Owner-1, priorityRule))
	g.interval = optional(s, "advertisement_interval", time.Second, advertisementInterval)
	g.preempt = optionalPerNode(s, "preempt", vrrp.Preempt{Enabled: true}, nodes, preempt)
	p.named(s, "router", func(name string, n *node) {
		g.routers = append(g.routers, p.router(name, n, nodes))
	})
	router := s.table["router"]
	if router == nil && !s.isMisspelt("router") || router != nil && router.table != nil && len(router.names) == 0 {
		p.add(n.place, "has no virtual routers: at least one table [%s.NAME] is wanted", joinKey(n.key, "router"))
	}
	return g
}

// advertisementInterval reads an interval that an advertisement can carry.
func advertisementInterval(p *problems, n *node) (time.Duration, bool) {
	value, ok := duration(vrrp.MinInterval, vrrp.MaxInterval)(p, n)
	if ok && value%vrrp.MinInterval != 0 {
		p.add(n.place, "%s is not a multiple of %s: VRRP counts in hundredths of a second", quote(n.scalar.(string)), vrrp.MinInterval)
		return 0, false
	}
	return value, ok
}

// preempt reads true, false, or how long to wait first.
func preempt(p *problems, n *node) (vrrp.Preempt, bool) {
	switch n.scalar.(type) {
	case bool:
		enabled, ok := boolean(p, n)
		return vrrp.Preempt{Enabled: enabled}, ok
	case string:
		delay, ok := duration(0, maxPreemptDelay)(p, n)
		return vrrp.Preempt{Enabled: true, Delay: delay}, ok
	}
	p.wrongType(n, `true, false, or a delay such as "30s"`)
	return vrrp.Preempt{}, false
}

// routerNotYet are the keys of a virtual router that are not supported yet.
var routerNotYet = map[string]string{"unicast": ""}

// router reads one virtual router of a group.
func (p *problems) router(name string, n *node, nodes []string) router {
	r := router{name: name, vridAt: n.child("vrid")}
	s, ok := p.sectionNotYet(n, routerNotYet, "interface", "vrid", "addresses", "checksum")
	if !ok {
		return r
	}
	r.interfaces = perNode(s, "interface", "the name of the interface that carries the advertisements", nodes, interfaceName)
	r.vrid, _ = required(s, "vrid", "1 to 255", integer(1, 255, "1 to 255"))
	if given := s.table["vrid"]; given != nil {
		r.vridAt = given.place
	}
	r.addresses, _ = required(s, "addresses", `the virtual addresses, such as ["192.168.56.10/24"]`, addresses)
	r.checksum = optional(s, "checksum", vrrp.ChecksumPseudoHeader, checksum)
	return r
}

// interfaceName reads a name that the kernel accepts for a link.
func interfaceName(p *problems, n *node) (string, bool) {
	name, ok := text("the name of an interface")(p, n)
	if !ok {
		return "", false
	}
	bad := func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r == 0x7f }
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsFunc(name, bad) {
		p.add(n.place, `%s is no name of an interface: 1 to 15 characters without spaces, "/" and ":"`, quote(name))
		return "", false
	}
	return name, true
}

// checksum reads what the checksum of IPv4 advertisements covers.
func checksum(p *problems, n *node) (vrrp.ChecksumForm, bool) {
	forms := []vrrp.ChecksumForm{vrrp.ChecksumPseudoHeader, vrrp.ChecksumMessage}
	word, ok := choice(forms[0].String(), forms[1].String())(p, n)
	if word == vrrp.ChecksumMessage.String() {
		return vrrp.ChecksumMessage, ok
	}
	return vrrp.ChecksumPseudoHeader, ok
}

// addresses reads the virtual addresses of a router.
func addresses(p *problems, n *node) ([]address, bool) {
	elements := p.elements(n, `an array of addresses such as "192.168.56.10/24"`)
	if len(elements) > vrrp.MaxAddresses {
		p.add(n.place, "has %d addresses: an advertisement carries at most %d", len(elements), vrrp.MaxAddresses)
	}
	var list []address
	for _, element := range elements {
		if prefix, ok := virtualAddress(p, element); ok {
			list = append(list, address{prefix: prefix, at: element.place})
		}
	}
	return list, len(list) > 0
}

// virtualAddress reads an address of a host with its prefix length.
func virtualAddress(p *problems, n *node) (netip.Prefix, bool) {
	const example = `an IPv4 address with its prefix length is wanted, such as "192.168.56.10/24"`
	written, ok := text("an IPv4 address and its prefix length")(p, n)
	if !ok {
		return netip.Prefix{}, false
	}
	prefix, err := netip.ParsePrefix(written)
	addr := prefix.Addr()
	reason := ""
	switch bare, bareErr := netip.ParseAddr(written); {
	case bareErr == nil && bare.Is6(), err == nil && addr.Is6():
		reason = "is an IPv6 address: IPv6 is not supported yet"
	case bareErr == nil:
		reason = "has no prefix length: " + example
	case err != nil:
		reason = "is no address: " + example
	case !usable(addr):
		reason = "cannot be a virtual address: " + example
	case prefix.Bits() == 0 || prefix.Bits() <= 30 && atEdge(prefix):
		reason = "is the address of a network or a broadcast address: " + example
	default:
		return prefix, true
	}
	p.add(n.place, "%s %s", quote(written), reason)
	return netip.Prefix{}, false
}

// usable is true of IPv4 addresses that a host may have on a link.
func usable(addr netip.Addr) bool {
	first := addr.As4()[0]
	return first != 0 && first < 224 && !addr.IsLoopback()
}

// atEdge is true of the first and the last address of an IPv4 network.
func atEdge(prefix netip.Prefix) bool {
	last := prefix.Masked().Addr().As4()
	for i := prefix.Bits(); i < 32; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	return prefix.Addr() == prefix.Masked().Addr() || prefix.Addr() == netip.AddrFrom4(last)
}
