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
	// reloaded says that this is not the first configuration.
	reloaded bool

	moved, changed bool // as in group, of all groups
	strangers      map[RouterKey]struct{}

	agenda agenda
	clock  time.Duration // by how much the wall clock is ahead of what Handle is told; not 0 in simulations only
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
	case Batch:
		var out []Action
		for _, p := range ev {
			out = append(out, h.receive(now, p)...)
		}
		return out
	case LinkState:
		return h.linkState(now, ev)
	case Expiry:
		return h.expire(now)
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
	h.agenda.note(g)
}

// Deadline returns when Handle must next be called with Expiry; the zero
// time if never.
func (h *Host) Deadline() time.Time {
	if g := h.agenda.first(); g != nil {
		return g.wake
	}
	return time.Time{}
}

// expire tells the groups whose time has come.
func (h *Host) expire(now time.Time) []Action {
	var out []Action
	if d := h.Deadline(); d.IsZero() || now.Before(d) {
		return nil
	}
	for g := h.agenda.first(); g != nil && !now.Add(g.early()).Before(g.wake); g = h.agenda.first() {
		out = append(out, g.expired(now)...)
		h.handled(g)
	}
	return out
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
	p := packet{Received: ev}
	// The VRID is looked at before the message is trusted only to name the
	// router whose counter rises, and whose peers may be far away.
	key := RouterKey{Interface: ev.Interface, Family: FamilyOf(ev.Source)}
	if len(ev.Payload) > 1 {
		key.VRID = ev.Payload[1]
	}
	m, ok := h.members[key]
	var drop DropReason
	if far := ok && m.router.farPeer(ev.Source); ev.TTL != requiredTTL && !far {
		drop = DropTTL
	} else {
		p.Message, drop = Parse(ev.Payload, ev.Source, ev.Destination)
	}
	if !ok {
		if drop == NotDropped {
			drop = DropVRID
		}
		h.dropped[drop]++
		return h.stranger(key, ev, drop)
	}
	if drop != NotDropped {
		if drop != DropTTL && len(ev.Payload) >= headerLen && p.Version != m.router.cfg.Version {
			drop = DropVersion // says more than what is wrong with it otherwise
		}
		return m.group.drop(now, m.router, p, drop)
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

// FamilyOf returns the family of an address; IPv4 if it is invalid.
func FamilyOf(a netip.Addr) Family {
	if a.Is6() {
		return IPv6
	}
	return IPv4
}

// linkState tells the groups on an interface of its state, and remembers it for
// those to come. One that nobody uses was still on its way when a reload gave
// the interface up: should a later one use it again, it is told of anew. Before
// the first reload it is that of an interface which others want to know of, and
// is not told twice.
func (h *Host) linkState(now time.Time, ev LinkState) []Action {
	var out []Action
	used := !h.reloaded
	for _, g := range h.groups {
		if g.applyLink(ev) {
			used = true
			out = append(out, g.interfaceChanged(now)...)
			h.handled(g)
		}
	}
	if used {
		h.links[linkKey{ev.Interface, ev.Family}] = ev
	}
	return out
}

// applyLink gives the state of an interface to the members on it and reports
// whether any of them was concerned.
func (g *group) applyLink(ev LinkState) bool {
	concerned := false
	for _, r := range g.routers {
		if r.cfg.Interface == ev.Interface && r.cfg.Family == ev.Family {
			r.applyLink(ev)
			concerned = true
		}
	}
	return concerned
}
