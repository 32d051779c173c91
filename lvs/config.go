package lvs

import (
	"net/netip"
	"slices"
	"time"
)

// VirtualServerConfig is what the administrator asks of one virtual server:
// one or several services with the same real servers.
type VirtualServerConfig struct {
	Name        string
	Services    []Service // at least one; their keys are distinct, and no other virtual server has them
	RealServers []RealServerConfig

	Quorum     Quorum
	Sorry      []RealServerConfig // they take over when the quorum is lost; not checked
	AllDown    AllDown
	OnFailure  OnFailure
	SlowStart  time.Duration // from joining, or the end of draining, to the full weight; 0: at once
	DrainLimit time.Duration // how long connections of one that leaves may go on; 0: for ever if the administrator drains it, else not at all
}

// RealServerConfig is one real server of a virtual server.
type RealServerConfig struct {
	Address      netip.AddrPort // port 0: the port of each service
	Weight       uint32
	Forwarding   Forwarding
	Tunnel       Encapsulation
	Upper, Lower uint32 // as in Destination
	Checked      bool   // a health check decides on membership; without one it is always a member
}

// Quorum is the sum of the weights of healthy real servers that a virtual
// server needs: those that the administrator has set, or else that their checks
// advise, or else that are configured, whatever slow start has made of them. One
// that drains counts nothing. Its zero value needs none.
type Quorum struct {
	Weight     uint32
	Hysteresis uint32 // less than Weight: lost below Weight-Hysteresis, reached again from Weight+Hysteresis on
}

// AllDown is what becomes of a virtual server without a healthy real server
// and without a sorry server. One of weight 0 takes no connections, and does
// not count.
type AllDown uint8

// The policies. Only one that was healthy, or was never checked, can stay.
const (
	AllDownNone AllDown = iota // it has no members: connections are refused
	AllDownLast                // the ones that failed last stay: a broken check must not take a site down
	AllDownAll                 // all are members
)

// String returns the word that the configuration uses.
func (a AllDown) String() string {
	switch a {
	case AllDownNone:
		return "none"
	case AllDownLast:
		return "last"
	case AllDownAll:
		return "all"
	}
	return "invalid policy"
}

// OnFailure is what becomes of a real server that its check puts out.
type OnFailure uint8

// The ways to put a real server out.
const (
	RemoveOnFailure  OnFailure = iota // its connections are cut
	InhibitOnFailure                  // weight 0: its connections, and clients that persist, go on
)

// String returns the word that the configuration uses.
func (o OnFailure) String() string {
	switch o {
	case RemoveOnFailure:
		return "remove"
	case InhibitOnFailure:
		return "inhibit"
	}
	return "invalid policy"
}

// RealServerKey identifies a real server among all virtual servers: facts
// about it are kept under this key, whatever its place in the configuration.
// Of a virtual server with several services any of them will do.
type RealServerKey struct {
	Service ServiceKey
	Address netip.AddrPort // as the kernel has it: with a port, unless the service has none
}

// Clone returns a copy that shares nothing that its user may change.
func (c VirtualServerConfig) Clone() VirtualServerConfig {
	c.Services = slices.Clone(c.Services)
	c.RealServers = slices.Clone(c.RealServers)
	c.Sorry = slices.Clone(c.Sorry)
	return c
}

// Key returns the key of a real server under the first service.
func (c VirtualServerConfig) Key(realServer netip.AddrPort) RealServerKey {
	return c.Services[0].Key(realServer)
}

// Key returns the key of a real server in this service. One without a port has
// the service's.
func (k ServiceKey) Key(realServer netip.AddrPort) RealServerKey {
	return RealServerKey{k, k.destination(realServer)}
}

// destination returns the address of a real server as the kernel has it in
// this service.
func (k ServiceKey) destination(realServer netip.AddrPort) netip.AddrPort {
	if realServer.Port() == 0 {
		return netip.AddrPortFrom(realServer.Addr(), k.Address.Port())
	}
	return realServer
}
