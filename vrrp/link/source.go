package link

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"bascule/vrrp"
)

// sources returns the addresses of a family that packets can be sent from
// now, the best first. Virtual addresses are not among them, unless they are
// the interface's own.
func sources(addresses []address, g *goal, family vrrp.Family) []netip.Addr {
	type ranked struct {
		addr netip.Addr
		rank int
	}
	var usable []ranked
	for _, a := range addresses {
		if vrrp.FamilyOf(a.prefix.Addr()) != family || !g.lends(a.prefix) {
			continue
		}
		if r := a.rank(); r > 0 {
			usable = append(usable, ranked{a.prefix.Addr(), r})
		}
	}
	// The kernel lists the oldest IPv4 address of a kind first, and the newest
	// IPv6 one. The oldest is the one that will stay.
	if family == vrrp.IPv6 {
		slices.Reverse(usable)
	}
	slices.SortStableFunc(usable, func(a, b ranked) int { return cmp.Compare(b.rank, a.rank) })
	var out []netip.Addr
	for _, u := range usable {
		out = append(out, u.addr)
	}
	return out
}

// rank says how good an address is to send from; 0: not at all.
func (a address) rank() int {
	switch {
	case a.scope >= netlink.SCOPE_HOST || a.tentative || a.duplicate:
		return 0
	case a.prefix.Addr().Is4():
		return a.rankIPv4()
	}
	return a.rankIPv6()
}

// rankIPv4 ranks an IPv4 address. One that is secondary, or of link scope,
// will do where there is no better one: a virtual address that a dead
// predecessor left may have taken the first place.
func (a address) rankIPv4() int {
	switch {
	case a.scope == netlink.SCOPE_LINK:
		return 1
	case a.secondary:
		return 2
	}
	return 3
}

// rankIPv6 ranks an IPv6 address: link-local ones first (RFC 9568 section
// 5.1.2.1), then those that will stay.
func (a address) rankIPv6() int {
	rank := 3
	if a.prefix.Addr().IsLinkLocalUnicast() {
		rank = 5
	}
	switch {
	case a.deprecated:
		return rank - 1
	case a.secondary: // a temporary one, of RFC 8981
		return 1
	}
	return rank
}
