// Package lvs is the model of a load balancer on the kernel's IP Virtual
// Server (IPVS): services, real servers, membership, the table that the
// kernel should hold, and the difference to the one that it holds.
//
// The package does no input or output, reads no clock and starts no
// goroutine.
package lvs

import (
	"errors"
	"net/netip"
)

// ErrAbsent says that the kernel has no IPVS, so that there is no table and
// nothing can be in it.
var ErrAbsent = errors.New("kernel has no IPVS")

// Protocol is the transport protocol of a service, by its IP number.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns "tcp" or "udp".
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return "invalid protocol"
}

// Forwarding is how packets reach a real server, in ipvsadm's words.
type Forwarding uint8

// The forwarding methods.
const (
	Masquerade Forwarding = iota // network address translation; replies pass through the director
)

// String returns the word that the configuration and status use.
func (f Forwarding) String() string {
	if f == Masquerade {
		return "masquerade"
	}
	return "invalid forwarding method"
}

// ServiceKey identifies an IPVS service.
type ServiceKey struct {
	Protocol Protocol
	Address  netip.AddrPort
}

// Service is an IPVS service. What is not in its key is changed in place.
type Service struct {
	ServiceKey
	Scheduler string // the kernel's name: "wrr", "lc", …
	Altered   bool   // the kernel holds settings beyond this type: only read, never wanted, so that Diff resets them
}

// MaxWeight is the largest weight of a real server.
const MaxWeight = 65535

// Destination is one real server of an IPVS service as the kernel holds it.
type Destination struct {
	Address    netip.AddrPort
	Forwarding Forwarding
	Weight     uint32 // 0 to MaxWeight; 0 takes no new connections
	Altered    bool   // as in Service
}

// Entry is one service of a Table with its destinations.
type Entry struct {
	Service      Service
	Destinations map[netip.AddrPort]Destination
}

// Table is the content of the kernel's IPVS table, or the wanted content.
type Table map[ServiceKey]Entry
