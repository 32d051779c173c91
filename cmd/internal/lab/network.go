package lab

import "net/netip"

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
	PublicVIP   = netip.MustParsePrefix("192.168.56.10/24")
	InternalVIP = netip.MustParsePrefix("192.168.200.250/24")
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

// plan is what a host consists of.
type plan struct {
	name    string
	cards   []card
	gateway netip.Addr // of the default route; invalid: none
	forward bool       // whether it routes
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

// webPlan is a web server, whose answers leave through the internal VIP.
func webPlan(name, address string) plan {
	return plan{
		name:    name,
		cards:   []card{{FirstCard, Internal, prefix(address)}},
		gateway: InternalVIP.Addr(),
	}
}

// prefix is netip.MustParsePrefix, shortened for tables.
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
