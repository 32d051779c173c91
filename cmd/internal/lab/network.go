package lab

import (
	"fmt"
	"net/netip"
)

// The LANs, by the names that Frame.LAN uses.
const (
	Public   = "public"
	Internal = "internal"
)

// The interfaces of the hosts, in Debian's names: the first network card is
// on the LAN where the host is reached, the second one is the directors' way
// to the web servers.
const (
	FirstCard  = "enp0s3"
	SecondCard = "enp0s8"
)

// The VRIDs of the two virtual routers: the last byte that tells their LANs
// apart.
const (
	PublicVRID   = 56
	InternalVRID = 200
)

// The virtual addresses, which the active director holds both.
var (
	PublicVIP   = prefix("192.168.56.10/24")
	InternalVIP = prefix("192.168.200.250/24")
)

// The virtual addresses of the IPv6 virtual routers, which have the same VRIDs.
// The first of a router is link-local, as RFC 9568 section 5.2.9 wants it.
var (
	PublicVIP6   = []netip.Prefix{prefix("fe80::100/64"), prefix("fd00:56::10/64")}
	InternalVIP6 = []netip.Prefix{prefix("fe80::250/64"), prefix("fd00:200::250/64")}
)

// ServiceAddress is where clients find the web site.
var ServiceAddress = netip.AddrPortFrom(PublicVIP.Addr(), 80)

// switchName is the namespace that holds the bridges.
const switchName = "switch"

// card is one network card of a host.
type card struct {
	name    string
	lan     string
	address netip.Prefix
}

// address6 is the card's unique local IPv6 address: the IPv4 one of the card
// with its last two bytes in the same decimal digits, 192.168.56.11/24 being
// fd00:56::11/64. The link-local one is the kernel's work.
func (c card) address6() netip.Prefix {
	b := c.address.Addr().As4()
	return prefix(fmt.Sprintf("fd00:%d::%d/64", b[2], b[3]))
}

// VirtualRouter is one of the laboratory's virtual routers, of one family.
type VirtualRouter struct {
	Name      string // of the LAN
	Interface string // of a director's card on that LAN
	VRID      int
	Addresses []netip.Prefix
}

// Families says which Internet protocols the virtual routers are of.
type Families uint8

// The choices of Families.
const (
	IPv4 Families = iota
	IPv6
	DualStack // both: twice as many virtual routers
)

// String returns the families as a test's name has them.
func (f Families) String() string {
	return [...]string{"IPv4", "IPv6", "IPv4 and IPv6"}[f]
}

// Routers returns the virtual routers of the families: the public one and the
// internal one of IPv4, then those of IPv6.
func (f Families) Routers() []VirtualRouter {
	var routers []VirtualRouter
	if f != IPv6 {
		routers = append(routers,
			VirtualRouter{Public, FirstCard, PublicVRID, []netip.Prefix{PublicVIP}},
			VirtualRouter{Internal, SecondCard, InternalVRID, []netip.Prefix{InternalVIP}})
	}
	if f != IPv4 {
		routers = append(routers,
			VirtualRouter{Public, FirstCard, PublicVRID, PublicVIP6},
			VirtualRouter{Internal, SecondCard, InternalVRID, InternalVIP6})
	}
	return routers
}

// Is6 says whether the virtual router is one of IPv6.
func (r VirtualRouter) Is6() bool { return r.Addresses[0].Addr().Is6() }

// plan is what a host consists of.
type plan struct {
	name     string
	cards    []card
	gateways []netip.Addr // of the default routes, one of a family
	forward  bool         // whether it routes
}

// plans returns the hosts of the laboratory, from the client inwards.
func plans() []plan {
	return []plan{
		{name: "client", cards: []card{{FirstCard, Public, prefix("192.168.56.1/24")}}},
		directorPlan("lb", "192.168.56.11/24", "192.168.200.251/24"),
		directorPlan("lb2", "192.168.56.12/24", "192.168.200.252/24"),
		webPlan("web1", "192.168.200.11/24"),
		webPlan("web2", "192.168.200.12/24"),
		webPlan("web3", "192.168.200.13/24"),
	}
}

// directorPlan is a host with a card on each LAN that routes between them.
func directorPlan(name, public, internal string) plan {
	return plan{name: name, forward: true, cards: []card{
		{FirstCard, Public, prefix(public)},
		{SecondCard, Internal, prefix(internal)},
	}}
}

// webPlan is a web server, whose answers leave through the internal VIPs.
func webPlan(name, address string) plan {
	return plan{
		name:     name,
		cards:    []card{{FirstCard, Internal, prefix(address)}},
		gateways: []netip.Addr{InternalVIP.Addr(), InternalVIP6[1].Addr()},
	}
}

// prefix is netip.MustParsePrefix, shortened for tables.
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
