package vrrp

import (
	"net/netip"
	"time"
)

// Owner is the priority of the router that owns the virtual addresses as its
// own interface addresses (RFC 9568 section 5.2.4).
const Owner = 255

// Family is the IP version that a virtual router serves. A VRID of one family
// is unrelated to the same VRID of the other (RFC 9568 section 1.2).
type Family uint8

// The two families, by their IP version number.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns "ipv4" or "ipv6".
func (f Family) String() string {
	if f == IPv6 {
		return "ipv6"
	}
	return "ipv4"
}

// Version is the version of VRRP that a virtual router speaks. Messages of
// another one are dropped.
type Version uint8

// The versions. The zero value is the present one; version 2 (RFC 3768) is
// for old peers, and for IPv4 only.
const (
	Version3 Version = iota
	Version2
)

// String returns the number of the version.
func (v Version) String() string {
	if v == Version2 {
		return "2"
	}
	return "3"
}

// RouterKey identifies a virtual router on one director: no two may share it.
type RouterKey struct {
	Interface string // the name of the link that carries the advertisements
	Family    Family
	VRID      uint8 // 1 to 255, RFC 9568 section 5.2.3
}

// RouterConfig is what this director is told about one virtual router.
type RouterConfig struct {
	RouterKey
	Name      string         // unique within its group
	Addresses []netip.Prefix // the virtual addresses, with the prefix to install them with, in the order advertised
	Version   Version
	Checksum  ChecksumForm // the form to send; both are accepted
	// Password is the Simple Text Password of RFC 2338 section 5.3.6 that
	// version 2 sends and demands, MaxPassword bytes at most; "": none. It
	// protects from mistakes, not from anybody who can listen.
	Password string
	Unicast  *Unicast // nil: multicast
	Auth     *Auth    // nil: advertisements are not signed; version 3 only
}

// Unicast has advertisements sent to listed directors instead of the group
// address, and accepted from those only.
type Unicast struct {
	Source netip.Addr // our own address, which must be on the interface
	Peers  []Peer     // the other directors
}

// Peer is another director in unicast mode.
type Peer struct {
	Address netip.Addr
	// Routed says that there are routers in between, so that the TTL proves
	// nothing.
	Routed bool
}

// Preempt says whether a director of higher priority takes over from an
// active one of lower priority (Preempt_Mode, RFC 9568 section 6.1).
type Preempt struct {
	Enabled bool
	// Delay is how long a lower-priority active router must have been heard
	// before it is no longer listened to; 0: from the start. The take-over
	// comes when the Active_Down_Timer then runs out.
	Delay time.Duration
}

// GroupConfig is a set of virtual routers that are active on the same
// director or on none. Priority and preemption belong to the group, so that
// its members cannot disagree.
type GroupConfig struct {
	Name                  string
	Priority              uint8         // 1 to 254, or Owner
	AdvertisementInterval time.Duration // 10 ms to 40.95 s in steps of 10 ms (RFC 9568 section 5.2.7); whole seconds if a router is of version 2
	Preempt               Preempt
	// StartDelay is how long the groups that a Host begins with stay in
	// Initialize, whatever happens; those of a later configuration do not wait.
	StartDelay time.Duration
	Routers    []RouterConfig
}
