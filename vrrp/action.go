package vrrp

import "net/netip"

// Action is something that the caller of Handle must do once, in order: one
// of Send, Announce, Transition, Notice.
type Action interface{ action() }

// Send is one advertisement to transmit, with TTL 255.
type Send struct {
	Interface     string
	Source        netip.Addr
	Destination   netip.Addr
	Advertisement Advertisement
	Checksum      ChecksumForm
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
	Detail string
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
}
