package config

import (
	"net/netip"

	"bascule/vrrp"
)

// address is a virtual address and where it was given.
type address struct {
	prefix netip.Prefix
	at     place
}

// addressExample says how a virtual address is written.
const addressExample = `an address with its prefix length is wanted, such as "192.168.56.10/24" or "2001:db8::10/64"`

// addresses reads the virtual addresses of a router, which are of one family.
func addresses(p *problems, n *node) ([]address, bool) {
	elements := p.elements(n, `an array of addresses such as "192.168.56.10/24"`)
	if len(elements) > vrrp.MaxAddresses {
		p.add(n.place, "has %d addresses: an advertisement carries at most %d", len(elements), vrrp.MaxAddresses)
	}
	var list []address
	for _, element := range elements {
		prefix, ok := virtualAddress(p, element)
		if !ok {
			continue
		}
		if len(list) > 0 && vrrp.FamilyOf(prefix.Addr()) != vrrp.FamilyOf(list[0].prefix.Addr()) {
			p.add(element.place, "%q is of another family than %q: each needs a virtual router of its own, which can have the same vrid and be in the same group",
				prefix, list[0].prefix)
			continue
		}
		list = append(list, address{prefix: prefix, at: element.place})
	}
	return list, len(list) > 0
}

// virtualAddress reads an address of a host with its prefix length.
func virtualAddress(p *problems, n *node) (netip.Prefix, bool) {
	written, ok := text("an address and its prefix length")(p, n)
	if !ok {
		return netip.Prefix{}, false
	}
	prefix, err := netip.ParsePrefix(written)
	reason := ""
	switch bare, bareErr := netip.ParseAddr(written); {
	case bareErr == nil && bare.Zone() != "":
		reason = "has a zone, which is the interface of the virtual router anyway: " + addressExample
	case bareErr == nil:
		reason = "has no prefix length: " + addressExample
	case err != nil:
		reason = "is no address: " + addressExample
	case !usable(prefix.Addr()):
		reason = "cannot be a virtual address: " + addressExample
	case prefix.Bits() == 0 || prefix.Bits() <= prefix.Addr().BitLen()-2 && atEdge(prefix):
		reason = "is the address of a network or a broadcast address: " + addressExample
	default:
		return prefix, true
	}
	p.add(n.place, "%s %s", quote(written), reason)
	return netip.Prefix{}, false
}

// hostAddress reads the address of a director.
func hostAddress(p *problems, n *node) (netip.Addr, bool) {
	const example = `an address without prefix length is wanted, such as "192.168.56.11"`
	written, ok := text("an address")(p, n)
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(written)
	_, prefixErr := netip.ParsePrefix(written)
	reason := ""
	switch {
	case prefixErr == nil:
		reason = "has a prefix length: " + example
	case err != nil:
		reason = "is no address: " + example
	case addr.Zone() != "":
		reason = "has a zone, which is the interface of the virtual router anyway: " + example
	case !usable(addr):
		reason = "cannot be the address of a director: " + example
	default:
		return addr, true
	}
	p.add(n.place, "%s %s", quote(written), reason)
	return netip.Addr{}, false
}

// usable is true of addresses that a host may have on a link.
func usable(addr netip.Addr) bool {
	if addr.Is4() {
		first := addr.As4()[0]
		return first != 0 && first < 224 && !addr.IsLoopback()
	}
	return !addr.Is4In6() && !addr.IsUnspecified() && !addr.IsMulticast() && !addr.IsLoopback()
}

// atEdge is true of the first address of a network, which in IPv6 all of its
// routers have (RFC 4291 section 2.6.1), and of the last one of IPv4.
func atEdge(prefix netip.Prefix) bool {
	if prefix.Addr() == prefix.Masked().Addr() {
		return true
	}
	if prefix.Addr().Is6() {
		return false
	}
	last := prefix.Masked().Addr().As4()
	for i := prefix.Bits(); i < 32; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	return prefix.Addr() == netip.AddrFrom4(last)
}

// familyName writes a family as people do.
func familyName(f vrrp.Family) string {
	if f == vrrp.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}
