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
	"time"
)

// ErrAbsent says that the kernel has no IPVS, so that there is no table and
// nothing can be in it.
var ErrAbsent = errors.New("kernel has no IPVS")

// Protocol is the transport protocol of a service, by its IP number.
type Protocol uint8

// The protocols.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// Protocols returns all protocols, for messages and to read their names.
func Protocols() []Protocol { return []Protocol{TCP, UDP, SCTP} }

// String returns "tcp", "udp" or "sctp".
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return "invalid protocol"
}

// Forwarding is how packets reach a real server, in ipvsadm's words.
type Forwarding uint8

// The forwarding methods.
const (
	Masquerade Forwarding = iota // network address translation; replies pass through the director
	Direct                       // to the real server's hardware address; it has the virtual address too, and replies by itself
	Tunnel                       // wrapped in another packet; the real server has the virtual address too, and replies by itself
)

// String returns the word that the configuration and status use.
func (f Forwarding) String() string {
	switch f {
	case Masquerade:
		return "masquerade"
	case Direct:
		return "direct"
	case Tunnel:
		return "tunnel"
	}
	return "invalid forwarding method"
}

// ServiceKey identifies an IPVS service: by protocol, address and port, or by
// firewall mark.
type ServiceKey struct {
	Protocol Protocol       // 0 of a mark, which is of any protocol
	Address  netip.AddrPort // port 0: all ports; of a mark: the unspecified address of its family
	Mark     uint32         // 0: the service is one of Address
}

// MarkKey returns the key of the service of a firewall mark on packets of
// IPv6, or of IPv4.
func MarkKey(mark uint32, ipv6 bool) ServiceKey {
	address := netip.IPv4Unspecified()
	if ipv6 {
		address = netip.IPv6Unspecified()
	}
	return ServiceKey{Address: netip.AddrPortFrom(address, 0), Mark: mark}
}

// Service is an IPVS service. What is not in its key is changed in place.
type Service struct {
	ServiceKey
	Scheduler   string // the kernel's name: "wrr", "lc", …
	Flags       ServiceFlags
	Persistence Persistence
	Altered     bool // the kernel holds settings beyond this type: only read, never wanted, so that Diff resets them
}

// ServiceFlags are settings of a service that are on or off, by their bits in
// the kernel (IP_VS_SVC_F_*).
type ServiceFlags uint32

// The flags. What the flags of a scheduler mean depends on it: of sh and mh
// the first is "fallback" and the second "port".
const (
	OnePacket      ServiceFlags = 0x04 // UDP: every packet is scheduled by itself
	SchedulerFlag1 ServiceFlags = 0x08
	SchedulerFlag2 ServiceFlags = 0x10
	SchedulerFlag3 ServiceFlags = 0x20
)

// Persistence keeps a client's connections on one real server. Its zero value
// is none.
type Persistence struct {
	Timeout time.Duration // whole seconds since the latest connection; 0: no persistence
	Prefix  uint8         // clients whose addresses have that many bits in common are one; 0 only without a timeout
	Engine  string        // "sip", or "" for the client's address
}

// MaxWeight is the largest weight of a real server.
const MaxWeight = 65535

// Destination is one real server of an IPVS service as the kernel holds it.
type Destination struct {
	Address    netip.AddrPort
	Forwarding Forwarding
	Tunnel     Encapsulation // zero unless Forwarding is Tunnel
	Weight     uint32        // 0 to MaxWeight; 0 takes no new connections
	// From Upper connections on it takes no new ones, until it has fewer than
	// Lower (0: three quarters of Upper). Upper 0 is without a limit.
	Upper, Lower uint32
	Altered      bool // as in Service
}

// Encapsulation is how packets are wrapped for a tunnel. Its zero value is
// IP in IP.
type Encapsulation struct {
	Type     TunnelType
	Port     uint16         // UDP port of GUE, else 0
	Checksum TunnelChecksum // of GUE and GRE
}

// TunnelType is the outer protocol of a tunnel, by the kernel's number.
type TunnelType uint8

// The types of tunnel.
const (
	IPIP TunnelType = iota
	GUE
	GRE
)

// String returns "ipip", "gue" or "gre".
func (t TunnelType) String() string {
	switch t {
	case IPIP:
		return "ipip"
	case GUE:
		return "gue"
	case GRE:
		return "gre"
	}
	return "invalid tunnel type"
}

// TunnelChecksum says what the outer header's checksum is, by the bits of the
// kernel (IP_VS_TUNNEL_ENCAP_FLAG_*).
type TunnelChecksum uint8

// The checksums of a tunnel.
const (
	NoChecksum     TunnelChecksum = 0
	Checksum       TunnelChecksum = 1
	RemoteChecksum TunnelChecksum = 2 // GUE only
)

// String returns "none", "checksum" or "remote".
func (c TunnelChecksum) String() string {
	switch c {
	case NoChecksum:
		return "none"
	case Checksum:
		return "checksum"
	case RemoteChecksum:
		return "remote"
	}
	return "invalid tunnel checksum"
}

// Entry is one service of a Table with its destinations.
type Entry struct {
	Service      Service
	Destinations map[netip.AddrPort]Destination
}

// Table is the content of the kernel's IPVS table, or the wanted content.
type Table map[ServiceKey]Entry
