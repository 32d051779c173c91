package vrrp

import (
	"net/netip"
	"time"
)

// Action is something that the caller of Handle must do once, in order: one
// of Send, Announce, Transition, Notice.
type Action interface{ action() }

// Send is one advertisement to transmit, with TTL 255.
type Send struct {
	Interface     string
	Source        netip.Addr
	Destination   netip.Addr
	Advertisement Advertisement
	Encoding      Encoding
}

// Append appends the payload of the packet to b and returns the longer slice.
func (s Send) Append(b []byte) []byte {
	return s.Advertisement.Append(b, s.Source, s.Destination, s.Encoding)
}

// Announce asks for gratuitous ARP (or unsolicited neighbour advertisements)
// for addresses that this director has just become responsible for, once
// they are really on the interface.
type Announce struct {
	Interface string
	Addresses []netip.Prefix
}

// Transition reports that a group changed its state, that it stayed in
// Initialize for another reason, or that it goes on under another name.
type Transition struct {
	Group    string
	From, To State
	Priority uint8
	Reason   string // in words, for the log: "timer expired", "gateway: link down on enp0s8"
}

// Notice reports something that an administrator should know of a virtual
// router and that changes no state. It is reported when it begins or changes,
// not with every packet.
type Notice struct {
	Group  string // empty, like Router, if it is about none that is configured
	Router string
	Kind   NoticeKind
	Drop   DropReason // of NoticeDropped; NotDropped of others
	Detail string
	// Recurs is within which time the notice comes again if what it is about
	// goes on; 0 of what lasts, or is told but once.
	Recurs time.Duration
}

// NoticeKind says what a Notice is about.
type NoticeKind uint8

// The kinds of Notice.
const (
	NoticeAddressMismatch  NoticeKind = iota // the peer advertises other addresses
	NoticeIntervalMismatch                   // the peer advertises another interval
	NoticeChecksumMismatch                   // the peer uses the other checksum form
	NoticeDuplicateSource                    // a packet with our own source address came in
	NoticeDropped                            // packets are being dropped, with the reason
	NoticePeerLower                          // another director of lower priority is active too
	NoticeStranger                           // an advertisement for a virtual router that is not configured
	NoticeUnsigned                           // unsigned advertisements are accepted
	NoticeOwner                              // another director claims to own the addresses that we own
	noticeKinds                              // how many there are
)

// String returns the word that the log uses.
func (k NoticeKind) String() string {
	switch k {
	case NoticeAddressMismatch:
		return "address list mismatch"
	case NoticeIntervalMismatch:
		return "advertisement interval mismatch"
	case NoticeChecksumMismatch:
		return "checksum form mismatch"
	case NoticeDuplicateSource:
		return "own source address received"
	case NoticeDropped:
		return "advertisements dropped"
	case NoticePeerLower:
		return "second active router of lower priority"
	case NoticeStranger:
		return "unknown virtual router"
	case NoticeUnsigned:
		return "unsigned advertisements accepted"
	case NoticeOwner:
		return "second owner of the addresses"
	}
	return "invalid notice"
}

func (Send) action()       {}
func (Announce) action()   {}
func (Transition) action() {}
func (Notice) action()     {}

// Wanted is the state that the virtual addresses of one interface should
// have. Present and Absent together are all that the configuration knows of
// there; other addresses on the interface are none of our business.
type Wanted struct {
	Present []netip.Prefix
	Absent  []netip.Prefix
	// Owned are those of both lists that are the interface's own, of a router
	// with priority Owner: what others have put there is never removed, and
	// may be the source of advertisements.
	Owned []netip.Prefix
	// LinkLocal says that a virtual router of IPv6 needs a link-local address
	// of the interface to send from: one that uses multicast.
	LinkLocal bool
}
