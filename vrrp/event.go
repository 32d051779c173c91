package vrrp

import "net/netip"

// Event is something that happened outside: one of Received, Batch, LinkState,
// Expiry, Reconfigure, Shutdown.
type Event interface{ event() }

// Received is an IP packet of protocol 112 that arrived on an interface. The
// payload is not yet checked; Handle does that (RFC 9568 section 7.1).
type Received struct {
	Interface   string
	Source      netip.Addr
	Destination netip.Addr
	TTL         uint8  // IPv4 TTL or IPv6 Hop Limit
	Payload     []byte // without the IP header; Handle does not keep it
}

// Batch is packets that are heard at the same moment, the oldest first. What
// follows from them is what follows from each of them in turn.
type Batch []Received

// LinkState says whether an interface can carry a virtual router now. The
// first one for each interface ends Initialize (unless there is a fault).
type LinkState struct {
	Interface string
	Family    Family
	Fault     Fault
	// Sources are the addresses of this family that packets can be sent from
	// now, the primary one first: of IPv6 a link-local one, if there is one.
	// Virtual addresses are not among them.
	Sources []netip.Addr
}

// Expiry says that the time of Deadline may have come.
type Expiry struct{}

// Reconfigure replaces the configuration. What is equal in both goes on
// undisturbed.
type Reconfigure struct{ Groups []GroupConfig }

// Shutdown ends every virtual router (RFC 9568 section 6.4): the active ones
// send priority 0.
type Shutdown struct{}

func (Received) event()    {}
func (Batch) event()       {}
func (LinkState) event()   {}
func (Expiry) event()      {}
func (Reconfigure) event() {}
func (Shutdown) event()    {}

// Fault is why an interface cannot carry a virtual router.
type Fault uint8

// The faults of an interface.
const (
	NoFault          Fault = iota
	FaultUnknown           // nothing has been heard of the interface yet
	FaultMissing           // no interface of this name
	FaultDown              // administratively down, or no carrier
	FaultNoSource          // no address to send advertisements from
	FaultNoLinkLocal       // no usable link-local address yet, which IPv6 gives itself after a moment
	FaultSocket            // the socket for advertisements could not be opened
)

// String returns the words that status and the log use.
func (f Fault) String() string {
	switch f {
	case NoFault:
		return "none"
	case FaultUnknown:
		return "not yet known"
	case FaultMissing:
		return "interface missing"
	case FaultDown:
		return "link down"
	case FaultNoSource:
		return "no address to send from"
	case FaultNoLinkLocal:
		return "waiting for a usable link-local address"
	case FaultSocket:
		return "socket error"
	}
	return "invalid fault"
}

// Waits reports whether the fault is the ordinary course of things, which is
// over in a moment.
func (f Fault) Waits() bool { return f == FaultUnknown || f == FaultNoLinkLocal }
