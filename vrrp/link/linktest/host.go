package linktest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// ttl is the TTL that packets of a LAN arrive with.
const ttl = 255

// Host is a machine on a LAN. It does for a speaker what link.Network does on
// a real one. Its methods may be called by any goroutine.
type Host struct {
	lan   *LAN
	name  string
	bell  chan struct{} // wakes Run
	ports map[string]*port

	wanted  map[string]vrrp.Wanted
	latency time.Duration // of the addresses
	inbox   []arrival     // packets that have not been handed over, by time of arrival
	paused  bool
	running bool
	states  []vrrp.LinkState // not yet delivered
}

// port is an interface of a host.
type port struct {
	name    string
	segment string
	own     netip.Prefix
	down    bool
	virtual []virtual // in the order wanted
}

// virtual is a virtual address that is on an interface, or is about to be.
type virtual struct {
	prefix    netip.Prefix
	since     time.Time // when it appears
	announced time.Time // when it is to be announced, zero if it is not
}

// arrival is a packet that reaches an interface.
type arrival struct {
	at     time.Time
	packet vrrp.Received
}

// Attach gives the host an interface on a segment, with the address that it
// sends from.
func (h *Host) Attach(iface, segment string, address netip.Prefix) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.ports[iface] = &port{name: iface, segment: segment, own: address}
	h.apply(time.Now(), iface)
	h.tell(iface)
}

// Detach deletes an interface.
func (h *Host) Detach(iface string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.settle(time.Now())
	delete(h.ports, iface)
	h.tell(iface)
}

// SetLink plugs the cable of an interface, or pulls it.
func (h *Host) SetLink(iface string, up bool) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.settle(time.Now())
	p := h.ports[iface]
	if p == nil {
		panic(fmt.Sprintf("linktest: host %s has no interface %q", h.name, iface))
	}
	if p.down != !up {
		p.down = !up
		h.tell(iface)
	}
}

// SetLatency sets how long it takes from Want until an address is on its
// interface. It holds for what is wanted from now on.
func (h *Host) SetLatency(d time.Duration) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.latency = d
}

// Pause keeps Run from delivering anything, like a machine whose readers do
// not run; packets go on arriving in its sockets, where Drain finds them.
func (h *Host) Pause() { h.setPaused(true) }

// Resume ends Pause.
func (h *Host) Resume() { h.setPaused(false) }

// setPaused changes whether Run delivers.
func (h *Host) setPaused(paused bool) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.paused = paused
	h.ring()
}

// Addresses returns the addresses that are on an interface now, its own first.
func (h *Host) Addresses(iface string) []netip.Prefix {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	now := time.Now()
	h.settle(now)
	p := h.ports[iface]
	if p == nil {
		return nil
	}
	out := []netip.Prefix{p.own}
	for _, v := range p.virtual {
		if !v.since.After(now) {
			out = append(out, v.prefix)
		}
	}
	return out
}

// Wanted returns what was wanted last.
func (h *Host) Wanted() map[string]vrrp.Wanted {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	return h.wanted
}

// Send puts an advertisement on the segment of the interface. Like the
// kernel it refuses what cannot leave.
func (h *Host) Send(iface string, source, destination netip.Addr, payload []byte) error {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	now := time.Now()
	h.settle(now)
	p := h.ports[iface]
	switch {
	case p == nil:
		return fmt.Errorf("interface %s: %w", iface, unix.ENODEV)
	case p.down:
		return fmt.Errorf("interface %s: %w", iface, unix.ENETDOWN)
	case !p.has(source):
		return fmt.Errorf("interface %s: send from %s, which it does not have: %w", iface, source, unix.EINVAL)
	}
	h.lan.carry(h, p, Packet{
		Time: now, Segment: p.segment, From: h.name,
		Source: source, Destination: destination, Payload: slices.Clone(payload),
	})
	return nil
}

// Drain hands over the packets that have arrived and were not delivered.
func (h *Host) Drain(deliver func(vrrp.Received)) {
	h.lan.mu.Lock()
	arrived := h.arrived(time.Now())
	h.lan.mu.Unlock()
	for _, p := range arrived {
		deliver(p)
	}
}

// Want replaces the wanted state of the addresses on all interfaces.
func (h *Host) Want(wanted map[string]vrrp.Wanted) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	now := time.Now()
	h.settle(now)
	h.wanted = make(map[string]vrrp.Wanted, len(wanted))
	for iface, w := range wanted {
		h.wanted[iface] = vrrp.Wanted{Present: slices.Clone(w.Present), Absent: slices.Clone(w.Absent)}
		if h.ports[iface] == nil {
			h.tell(iface)
		}
	}
	for iface := range h.ports {
		h.apply(now, iface)
	}
}

// Announce announces addresses once they are on the interface.
func (h *Host) Announce(iface string, addresses []netip.Prefix) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	now := time.Now()
	h.settle(now)
	p := h.ports[iface]
	if p == nil {
		return
	}
	for i := range p.virtual {
		v := &p.virtual[i]
		if !slices.Contains(addresses, v.prefix) {
			continue
		}
		v.announced = now
		if v.since.After(now) {
			v.announced = v.since
		}
	}
	h.settle(now)
}

// Run delivers packets and states of interfaces until ctx ends, beginning with
// the states of all interfaces. It may be called again after it has returned,
// as when a director is started again.
func (h *Host) Run(ctx context.Context, deliver func(vrrp.Event)) error {
	h.begin()
	defer h.end()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		events, wait := h.due(time.Now())
		for _, ev := range events {
			deliver(ev)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-h.bell:
		case <-timer.C:
		}
	}
}

// begin prepares the states to deliver first.
func (h *Host) begin() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.running, h.states, h.inbox = true, nil, nil
	for _, p := range h.sorted() {
		h.tell(p.name)
	}
	for iface := range h.wanted {
		if h.ports[iface] == nil {
			h.tell(iface)
		}
	}
}

// end closes the sockets: what arrives now is lost. Addresses stay.
func (h *Host) end() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.running = false
}

// due returns what can be delivered now and how long the next will take.
func (h *Host) due(now time.Time) ([]vrrp.Event, time.Duration) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	if h.paused {
		return nil, time.Hour
	}
	var events []vrrp.Event
	for _, s := range h.states {
		events = append(events, s)
	}
	h.states = nil
	for _, p := range h.arrived(now) {
		events = append(events, p)
	}
	if len(h.inbox) > 0 {
		return events, h.inbox[0].at.Sub(now)
	}
	return events, time.Hour
}

// arrived takes the packets that have arrived out of the inbox. A packet is
// lost if its interface is down when it arrives. The LAN is locked.
func (h *Host) arrived(now time.Time) []vrrp.Received {
	var out []vrrp.Received
	for len(h.inbox) > 0 && !h.inbox[0].at.After(now) {
		out = append(out, h.inbox[0].packet)
		h.inbox = h.inbox[1:]
	}
	return slices.DeleteFunc(out, func(r vrrp.Received) bool {
		p := h.ports[r.Interface]
		return p == nil || p.down
	})
}

// accept puts a packet into the inbox, behind those that arrive no later. The
// LAN is locked.
func (h *Host) accept(p Packet, iface string, at time.Time) {
	if !h.running {
		return
	}
	i, _ := slices.BinarySearchFunc(h.inbox, at, func(a arrival, at time.Time) int {
		if a.at.After(at) {
			return 1
		}
		return -1
	})
	h.inbox = slices.Insert(h.inbox, i, arrival{at: at, packet: vrrp.Received{
		Interface: iface, Source: p.Source, Destination: p.Destination, TTL: ttl, Payload: slices.Clone(p.Payload),
	}})
	h.ring()
}

// tell queues the state of an interface for delivery. The LAN is locked.
func (h *Host) tell(iface string) {
	s := vrrp.LinkState{Interface: iface, Family: vrrp.IPv4, Fault: vrrp.FaultMissing}
	if p := h.ports[iface]; p != nil {
		s.Fault, s.Source = vrrp.NoFault, p.own.Addr()
		if p.down {
			s.Fault, s.Source = vrrp.FaultDown, netip.Addr{}
		}
	}
	h.states = append(h.states, s)
	h.ring()
}

// ring wakes Run.
func (h *Host) ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// apply makes the virtual addresses of an interface those that are wanted.
// Those that stay keep what they have; new ones appear after the latency.
func (h *Host) apply(now time.Time, iface string) {
	p := h.ports[iface]
	old := p.virtual
	p.virtual = nil
	for _, prefix := range h.wanted[iface].Present {
		v := virtual{prefix: prefix, since: now.Add(h.latency)}
		if i := slices.IndexFunc(old, func(o virtual) bool { return o.prefix == prefix }); i >= 0 {
			v = old[i]
		}
		p.virtual = append(p.virtual, v)
	}
}

// settle sends the announcements that are due. The LAN is locked.
func (h *Host) settle(now time.Time) {
	for _, p := range h.sorted() {
		for i := range p.virtual {
			v := &p.virtual[i]
			if v.announced.IsZero() || v.announced.After(now) {
				continue
			}
			if !p.down {
				h.lan.said = append(h.lan.said, Announcement{
					Time: v.announced, Segment: p.segment, Host: h.name, Address: v.prefix.Addr(),
				})
			}
			v.announced = time.Time{}
		}
	}
}

// sorted returns the interfaces by name.
func (h *Host) sorted() []*port {
	out := make([]*port, 0, len(h.ports))
	for _, p := range h.ports {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *port) int { return strings.Compare(a.name, b.name) })
	return out
}

// has reports whether an address is on the interface.
func (p *port) has(a netip.Addr) bool {
	now := time.Now()
	return p.own.Addr() == a || slices.ContainsFunc(p.virtual, func(v virtual) bool {
		return v.prefix.Addr() == a && !v.since.After(now)
	})
}

// hears reports whether the interface takes packets to that destination.
func (p *port) hears(destination netip.Addr) bool {
	return destination.IsMulticast() || p.has(destination)
}
