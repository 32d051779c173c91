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

// batchMax is how many packets Run delivers at once.
const batchMax = 32

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
	told    map[linkKey]vrrp.LinkState
}

// linkKey says what a vrrp.LinkState is about.
type linkKey struct {
	iface  string
	family vrrp.Family
}

// port is an interface of a host.
type port struct {
	name    string
	segment string
	down    bool
	held    []held // its own first, then virtual ones in the order wanted
}

// held is an address that is on an interface, or is about to be.
type held struct {
	prefix    netip.Prefix
	own       bool      // was put there by others, not by Want
	tentative bool      // not usable yet
	since     time.Time // when it appears
	announced time.Time // when it is to be announced, zero if it is not
}

// arrival is a packet that reaches an interface.
type arrival struct {
	at     time.Time
	packet vrrp.Received
}

// Attach gives the host an interface on a segment, with its own addresses.
func (h *Host) Attach(iface, segment string, addresses ...netip.Prefix) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.ports[iface] = &port{name: iface, segment: segment, held: owned(addresses)}
	h.apply(time.Now(), iface)
	h.tell(iface)
}

// SetAddresses replaces the addresses of an interface that are its own.
func (h *Host) SetAddresses(iface string, addresses ...netip.Prefix) {
	h.edit(iface, func(p *port) {
		p.held = append(owned(addresses), slices.DeleteFunc(p.held, func(a held) bool { return a.own || slices.Contains(addresses, a.prefix) })...)
	})
}

// SetTentative makes an address unusable, as IPv6 addresses are while the
// kernel looks for them on other machines, or usable again.
func (h *Host) SetTentative(iface string, address netip.Addr, tentative bool) {
	h.edit(iface, func(p *port) {
		for i := range p.held {
			if p.held[i].prefix.Addr() == address {
				p.held[i].tentative = tentative
			}
		}
	})
}

// owned returns addresses as an interface holds its own.
func owned(addresses []netip.Prefix) []held {
	out := make([]held, len(addresses))
	for i, p := range addresses {
		out[i] = held{prefix: p, own: true}
	}
	return out
}

// edit changes an interface, which must exist, as others than Want do.
func (h *Host) edit(iface string, change func(*port)) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	now := time.Now()
	h.settle(now)
	p := h.ports[iface]
	if p == nil {
		panic(fmt.Sprintf("linktest: host %s has no interface %q", h.name, iface))
	}
	change(p)
	h.apply(now, iface)
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
	h.edit(iface, func(p *port) { p.down = !up })
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
	var out []netip.Prefix
	for _, a := range p.held {
		if !a.since.After(now) {
			out = append(out, a.prefix)
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
func (h *Host) Drain(deliver func(vrrp.Batch)) {
	h.lan.mu.Lock()
	arrived := h.arrived(time.Now())
	h.lan.mu.Unlock()
	if len(arrived) > 0 {
		deliver(arrived)
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
		h.wanted[iface] = vrrp.Wanted{Present: slices.Clone(w.Present), Absent: slices.Clone(w.Absent), Owned: slices.Clone(w.Owned)}
	}
	for iface := range h.ports {
		h.apply(now, iface)
	}
	h.tellAll()
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
	for i := range p.held {
		a := &p.held[i]
		if !slices.Contains(addresses, a.prefix) || !slices.Contains(h.wanted[iface].Present, a.prefix) {
			continue
		}
		a.announced = now
		if a.since.After(now) {
			a.announced = a.since
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
	h.running, h.states, h.inbox, h.told = true, nil, nil, make(map[linkKey]vrrp.LinkState)
	h.tellAll()
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
	for b := range slices.Chunk(h.arrived(now), batchMax) {
		events = append(events, b)
	}
	if len(h.inbox) > 0 {
		return events, h.inbox[0].at.Sub(now)
	}
	return events, time.Hour
}

// arrived takes the packets that have arrived out of the inbox. A packet is
// lost if its interface is down when it arrives. The LAN is locked.
func (h *Host) arrived(now time.Time) vrrp.Batch {
	var out vrrp.Batch
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

// ring wakes Run.
func (h *Host) ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// apply makes the virtual addresses of an interface those that are wanted.
// Those that stay keep what they have; new ones appear after the latency. What
// is the interface's own stays, unless it is a virtual address that must not
// be there.
func (h *Host) apply(now time.Time, iface string) {
	p, w := h.ports[iface], h.wanted[iface]
	old := p.held
	p.held = slices.DeleteFunc(slices.Clone(old), func(a held) bool {
		return !a.own || slices.Contains(w.Absent, a.prefix) && !slices.Contains(w.Present, a.prefix) && !slices.Contains(w.Owned, a.prefix)
	})
	for _, prefix := range w.Present {
		same := func(a held) bool { return a.prefix == prefix }
		if slices.ContainsFunc(p.held, same) {
			continue
		}
		a := held{prefix: prefix, since: now.Add(h.latency)}
		if i := slices.IndexFunc(old, same); i >= 0 {
			a = old[i]
		}
		p.held = append(p.held, a)
	}
}

// settle sends the announcements that are due. The LAN is locked.
func (h *Host) settle(now time.Time) {
	for _, p := range h.sorted() {
		for i := range p.held {
			a := &p.held[i]
			if a.announced.IsZero() || a.announced.After(now) {
				continue
			}
			if !p.down {
				h.lan.said = append(h.lan.said, Announcement{
					Time: a.announced, Segment: p.segment, Host: h.name, Address: a.prefix.Addr(),
				})
			}
			a.announced = time.Time{}
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

// has reports whether an address is on the interface and can be used.
func (p *port) has(addr netip.Addr) bool {
	now := time.Now()
	return slices.ContainsFunc(p.held, func(a held) bool {
		return a.prefix.Addr() == addr && !a.tentative && !a.since.After(now)
	})
}
