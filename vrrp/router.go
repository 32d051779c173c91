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
	to        []netip.Addr // where advertisements go
	link      LinkState    // of the interface, as last heard
	fault     Fault        // why the interface cannot carry this router
	source    netip.Addr   // our address on the interface

	// deadline is the Active_Down_Timer in Backup and the Adver_Timer in
	// Active; zero in Initialize.
	deadline time.Time
	// activeInterval is Active_Adver_Interval: our own, or learned.
	activeInterval time.Duration
	peer           peer
	rival          rival
	answered       time.Time // when an active router that must yield, or resigned, was last answered
	notices        noticer
	counters       Counters
	stamp          Stamp                // of our last signature
	signers        map[netip.Addr]Stamp // the last signature of each director
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
	r := &router{
		link:  LinkState{Fault: FaultUnknown},
		fault: FaultUnknown, activeInterval: interval, signers: make(map[netip.Addr]Stamp),
	}
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
	r.to = r.destinations()
	r.applyLink(r.link)
}

// applyLink judges what has been heard of the interface: whether there is an
// address that this router can send from.
func (r *router) applyLink(link LinkState) {
	r.link, r.fault, r.source = link, link.Fault, netip.Addr{}
	if link.Fault != NoFault {
		return
	}
	switch unicast := r.cfg.Unicast; {
	case unicast != nil && slices.Contains(link.Sources, unicast.Source):
		r.source = unicast.Source
	case unicast != nil:
		r.fault = FaultNoSource
	case r.needsLinkLocal() && (len(link.Sources) == 0 || !link.Sources[0].IsLinkLocalUnicast()):
		r.fault = FaultNoLinkLocal
	case len(link.Sources) == 0:
		r.fault = FaultNoSource
	default:
		r.source = link.Sources[0]
	}
}

// describeFault says in words why the interface cannot carry this router.
func (r *router) describeFault() string {
	if r.fault == FaultNoSource && r.cfg.Unicast != nil {
		return fmt.Sprintf("%v: %v is not usable on %s", r.fault, r.cfg.Unicast.Source, r.cfg.Interface)
	}
	return fmt.Sprintf("%v on %s", r.fault, r.cfg.Interface)
}

// needsLinkLocal reports whether advertisements have to come from a link-local
// address (RFC 9568 section 5.1.2.1).
func (r *router) needsLinkLocal() bool { return r.cfg.Family == IPv6 && r.cfg.Unicast == nil }

// destinations are where advertisements go.
func (r *router) destinations() []netip.Addr {
	if r.cfg.Unicast == nil {
		return []netip.Addr{r.cfg.Family.MulticastAddress()}
	}
	list := make([]netip.Addr, len(r.cfg.Unicast.Peers))
	for i, p := range r.cfg.Unicast.Peers {
		list[i] = p.Address
	}
	return list
}

// peerAt returns the unicast peer of an address, nil if there is none.
func (r *router) peerAt(source netip.Addr) *Peer {
	if r.cfg.Unicast == nil {
		return nil
	}
	i := slices.IndexFunc(r.cfg.Unicast.Peers, func(p Peer) bool { return p.Address == source })
	if i < 0 {
		return nil
	}
	return &r.cfg.Unicast.Peers[i]
}

// farPeer reports whether a source is a peer behind routers, which count down
// its TTL.
func (r *router) farPeer(source netip.Addr) bool {
	p := r.peerAt(source)
	return p != nil && p.Routed
}

// advertise returns the advertisement of this router with the given priority,
// one Send for each destination.
func (r *router) advertise(wall time.Time, priority uint8, interval time.Duration) []Action {
	r.counters.Sent++
	if priority == 0 {
		r.counters.SentPriorityZero++
	}
	send := Send{
		Interface: r.cfg.Interface,
		Source:    r.source,
		Advertisement: Advertisement{
			VRID: r.cfg.VRID, Priority: priority, Interval: interval, Addresses: r.addresses,
		},
		Encoding: Encoding{Version: r.cfg.Version, Checksum: r.cfg.Checksum, Password: r.cfg.Password},
	}
	if key := r.cfg.Auth.signer(); key != nil {
		r.stamp = r.cfg.Auth.next(r.stamp, wall)
		send.Encoding.Key, send.Encoding.Stamp = key, r.stamp
	}
	out := make([]Action, len(r.to))
	for i, to := range r.to {
		send.Destination = to
		out[i] = send
	}
	return out
}

// heard records the sender of a valid advertisement.
func (r *router) heard(now time.Time, p packet, v verdict) (news bool) {
	old := r.peer
	r.peer = peer{source: p.Source, priority: p.Priority, checksum: p.Checksum, verdict: v, at: now}
	return old.source != p.Source || old.priority != p.Priority || old.checksum != p.Checksum || old.verdict != v
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
