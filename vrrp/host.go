package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// Host is all virtual routers of one director. It is not safe for concurrent
// use: one goroutine owns it.
type Host struct {
	groups  []*group
	members map[RouterKey]member
	links   map[linkKey]LinkState
	dropped Drops
	stopped bool

	moved, changed bool // as in group, of all groups
	strangers      map[RouterKey]struct{}

	// deadline is the earliest of the groups', and holder the group it
	// belongs to, nil if that is to be found out again. With it a packet costs
	// the same however many groups there are.
	deadline time.Time
	holder   *group
}

// member is a router and the group it belongs to.
type member struct {
	group  *group
	router *router
}

// linkKey is what a LinkState is about.
type linkKey struct {
	name   string
	family Family
}

// NewHost returns a Host with the given groups, all in Initialize until the
// first LinkState of their interfaces. The configuration must be valid: keys
// and names unique, values within their bounds.
func NewHost(now time.Time, groups []GroupConfig) *Host {
	h := &Host{links: make(map[linkKey]LinkState), strangers: make(map[RouterKey]struct{})}
	h.reconfigure(now, groups)
	return h
}

// Handle tells the host what happened at the time now and returns what must
// be done, in order. now must not go backwards.
func (h *Host) Handle(now time.Time, ev Event) []Action {
	switch ev := ev.(type) {
	case Received:
		return h.receive(now, ev)
	case LinkState:
		return h.linkState(now, ev)
	case Expiry:
		return h.each(func(g *group) []Action { return g.expired(now) })
	case Reconfigure:
		return h.reconfigure(now, ev.Groups)
	case Shutdown:
		h.stopped = true
		return h.each(func(g *group) []Action { return g.shutdown(now, "shutdown") })
	}
	return nil
}

// handled takes over what has changed with one group.
func (h *Host) handled(g *group) {
	h.moved, h.changed = h.moved || g.moved, h.changed || g.changed
	g.moved, g.changed = false, false
	d := g.deadline()
	switch {
	case g == h.holder && !d.Equal(h.deadline):
		h.holder = nil
	case h.holder != nil && !d.IsZero() && d.Before(h.deadline):
		h.deadline, h.holder = d, g
	}
}

// Deadline returns when Handle must next be called with Expiry; the zero
// time if never.
func (h *Host) Deadline() time.Time {
	if h.holder != nil {
		return h.deadline
	}
	h.deadline = time.Time{}
	for _, g := range h.groups {
		if d := g.deadline(); !d.IsZero() && (h.holder == nil || d.Before(h.deadline)) {
			h.deadline, h.holder = d, g
		}
	}
	return h.deadline
}

// each collects the actions of all groups.
func (h *Host) each(f func(*group) []Action) []Action {
	var out []Action
	for _, g := range h.groups {
		out = append(out, f(g)...)
		h.handled(g)
	}
	return out
}

// receive reads a packet and gives it to its virtual router (RFC 9568
// section 7.1).
func (h *Host) receive(now time.Time, ev Received) []Action {
	var drop DropReason
	p := packet{Received: ev}
	if ev.TTL != requiredTTL {
		drop = DropTTL
	} else {
		p.adv, p.form, drop = ParseAdvertisement(ev.Payload, ev.Source, ev.Destination)
	}
	// The VRID is looked at before the message is trusted only to name the
	// router whose counter rises.
	key := RouterKey{Interface: ev.Interface, Family: familyOf(ev.Source)}
	if len(ev.Payload) > 1 {
		key.VRID = ev.Payload[1]
	}
	m, ok := h.members[key]
	if !ok {
		if drop == NotDropped {
			drop = DropVRID
		}
		h.dropped[drop]++
		return h.stranger(key, ev, drop)
	}
	if drop != NotDropped {
		return m.group.drop(now, m.router, ev, drop)
	}
	defer h.handled(m.group)
	return m.group.receive(now, m.router, p)
}

// stranger tells of virtual routers that are not configured here, of each
// once: they may be another cluster's, or a VRID that was mistyped on one of
// the directors.
func (h *Host) stranger(key RouterKey, ev Received, drop DropReason) []Action {
	if _, known := h.strangers[key]; known || drop != DropVRID {
		return nil
	}
	h.strangers[key] = struct{}{}
	return []Action{Notice{
		Kind:   NoticeStranger,
		Detail: fmt.Sprintf("vrid %d on %s, advertised by %v", key.VRID, key.Interface, ev.Source),
	}}
}

// familyOf returns the family of an address.
func familyOf(a netip.Addr) Family {
	if a.Is6() {
		return IPv6
	}
	return IPv4
}

// linkState remembers the state of an interface and tells the groups on it.
func (h *Host) linkState(now time.Time, ev LinkState) []Action {
	h.links[linkKey{ev.Interface, ev.Family}] = ev
	var out []Action
	for _, g := range h.groups {
		if g.applyLink(ev) {
			out = append(out, g.interfaceChanged(now)...)
			h.handled(g)
		}
	}
	return out
}

// applyLink gives the state of an interface to the members on it and reports
// whether any of them was concerned.
func (g *group) applyLink(ev LinkState) bool {
	concerned := false
	for _, r := range g.routers {
		if r.cfg.Interface == ev.Interface && r.cfg.Family == ev.Family {
			r.fault, r.source = ev.Fault, ev.Source
			concerned = true
		}
	}
	return concerned
}
