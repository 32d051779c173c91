package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The group addresses of advertisements (RFC 9568 sections 5.1.1.2, 5.1.2.2).
var (
	multicastIPv4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	multicastIPv6 = netip.MustParseAddr("ff02::12")
)

// MulticastAddress is where advertisements of a family are sent.
func (f Family) MulticastAddress() netip.Addr {
	if f == IPv6 {
		return multicastIPv6
	}
	return multicastIPv4
}

// router is one virtual router of a group: its timer, its interface and what
// it has heard. The state is the group's.
type router struct {
	cfg       RouterConfig
	addresses []netip.Addr // cfg.Addresses without prefix length, as advertised
	fault     Fault        // of the interface
	source    netip.Addr   // our address on the interface

	// deadline is the Active_Down_Timer in Backup and the Adver_Timer in
	// Active; zero in Initialize.
	deadline time.Time
	// activeInterval is Active_Adver_Interval: our own, or learned.
	activeInterval time.Duration
	peer           peer
	rival          rival
	asserted       time.Time // when an active router that must yield was last answered
	notices        noticer
	counters       Counters
}

// peer is what was last heard of another director.
type peer struct {
	source   netip.Addr // zero: nobody heard since this state began
	priority uint8
	checksum ChecksumForm
	verdict  verdict
	at       time.Time
}

// verdict is what an advertisement meant for the one who heard it in Backup.
type verdict uint8

// The verdicts.
const (
	heardActive   verdict = iota // accepted as the active router's
	heardLower                   // discarded: we preempt its sender
	heardResigned                // priority 0
)

// newRouter returns a router that knows nothing of its interface.
func newRouter(cfg RouterConfig, interval time.Duration) *router {
	r := &router{fault: FaultUnknown, activeInterval: interval}
	r.configure(cfg)
	return r
}

// configure takes over what may change while the router lives.
func (r *router) configure(cfg RouterConfig) {
	r.cfg = cfg
	r.addresses = make([]netip.Addr, len(cfg.Addresses))
	for i, p := range cfg.Addresses {
		r.addresses[i] = p.Addr()
	}
}

// advertisement returns the Send of this router with the given priority.
func (r *router) advertisement(priority uint8, interval time.Duration) Send {
	r.counters.Sent++
	if priority == 0 {
		r.counters.SentPriorityZero++
	}
	return Send{
		Interface:   r.cfg.Interface,
		Source:      r.source,
		Destination: r.cfg.Family.MulticastAddress(),
		Advertisement: Advertisement{
			VRID: r.cfg.VRID, Priority: priority, Interval: interval, Addresses: r.addresses,
		},
		Checksum: r.cfg.Checksum,
	}
}

// heard records the sender of a valid advertisement.
func (r *router) heard(now time.Time, p packet, v verdict) (news bool) {
	old := r.peer
	r.peer = peer{source: p.Source, priority: p.adv.Priority, checksum: p.form, verdict: v, at: now}
	return old.source != p.Source || old.priority != p.adv.Priority || old.checksum != p.form || old.verdict != v
}

// describePeer says in words why the timer of this router ran out.
func (r *router) describePeer(now time.Time) string {
	switch {
	case !r.peer.source.IsValid():
		return "no advertisement heard"
	case r.peer.verdict == heardLower:
		return fmt.Sprintf("preempting %v of priority %d", r.peer.source, r.peer.priority)
	case r.peer.verdict == heardResigned:
		return fmt.Sprintf("%v resigned", r.peer.source)
	}
	return fmt.Sprintf("no advertisement from %v for %v", r.peer.source, now.Sub(r.peer.at).Round(time.Millisecond))
}

// sameAddresses reports whether both lists hold the same addresses, in
// whatever order.
func sameAddresses(a, b []netip.Addr) bool {
	if slices.Equal(a, b) {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

// joinAddresses lists addresses in words.
func joinAddresses(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
