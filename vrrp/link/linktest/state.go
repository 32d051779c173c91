package linktest

import (
	"maps"
	"net/netip"
	"slices"

	"bascule/vrrp"
)

// tellAll queues what has changed of all interfaces, attached or wanted. The
// LAN is locked.
func (h *Host) tellAll() {
	names := make(map[string]bool)
	for iface := range h.ports {
		names[iface] = true
	}
	for iface := range h.wanted {
		names[iface] = true
	}
	for _, iface := range slices.Sorted(maps.Keys(names)) {
		h.tell(iface)
	}
}

// tell queues the states of an interface that are others than those told
// before. The LAN is locked.
func (h *Host) tell(iface string) {
	for _, family := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		key := linkKey{iface, family}
		if !h.uses(iface, family) {
			delete(h.told, key)
			continue
		}
		s := h.state(iface, family)
		last, known := h.told[key]
		if known && last.Fault == s.Fault && slices.Equal(last.Sources, s.Sources) || !h.running {
			continue
		}
		h.told[key] = s
		h.states = append(h.states, s)
		h.ring()
	}
}

// uses reports whether the host has a socket for a family on an interface: for
// IPv4 always, for IPv6 if it has such addresses, virtual or not.
func (h *Host) uses(iface string, family vrrp.Family) bool {
	if family == vrrp.IPv4 {
		return true
	}
	of := func(p netip.Prefix) bool { return p.Addr().Is6() }
	w := h.wanted[iface]
	if slices.ContainsFunc(w.Present, of) || slices.ContainsFunc(w.Absent, of) {
		return true
	}
	p := h.ports[iface]
	return p != nil && slices.ContainsFunc(p.held, func(a held) bool { return of(a.prefix) })
}

// state returns what there is to say of an interface.
func (h *Host) state(iface string, family vrrp.Family) vrrp.LinkState {
	s := vrrp.LinkState{Interface: iface, Family: family}
	switch p := h.ports[iface]; {
	case p == nil:
		s.Fault = vrrp.FaultMissing
	case p.down:
		s.Fault = vrrp.FaultDown
	default:
		s.Sources = p.sources(family, h.wanted[iface])
	}
	return s
}

// sources returns the addresses of a family that the interface can send from:
// its own that are usable and not virtual, of IPv6 link-local ones first.
func (p *port) sources(family vrrp.Family, w vrrp.Wanted) []netip.Addr {
	var local, global []netip.Addr
	for _, a := range p.held {
		virtual := slices.Contains(w.Present, a.prefix) || slices.Contains(w.Absent, a.prefix)
		addr := a.prefix.Addr()
		switch {
		case !a.own, a.tentative, virtual && !slices.Contains(w.Owned, a.prefix), addr.Is6() != (family == vrrp.IPv6):
		case addr.Is6() && addr.IsLinkLocalUnicast():
			local = append(local, addr)
		default:
			global = append(global, addr)
		}
	}
	return append(local, global...)
}

// hears reports whether the host takes packets to that destination from the
// interface.
func (h *Host) hears(p *port, destination netip.Addr) bool {
	if destination.IsMulticast() {
		return destination.Is4() || h.uses(p.name, vrrp.IPv6)
	}
	return p.has(destination)
}
