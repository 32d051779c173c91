package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// reconfigure replaces the configuration. Groups are matched by name, their
// members by RouterKey; what stays keeps its state and its timers. Actions of
// groups that leave come last, so that a router that moved to another group
// does not resign.
func (h *Host) reconfigure(now time.Time, configs []GroupConfig) []Action {
	old := make(map[string]*group, len(h.groups))
	for _, g := range h.groups {
		old[g.cfg.Name] = g
	}
	var out []Action
	var removed []*router
	groups := make([]*group, 0, len(configs))
	for _, cfg := range configs {
		g, ok := old[cfg.Name]
		if !ok {
			g = newGroup(now, cfg)
			g.stopped = h.stopped
			h.applyLinks(g)
			out = append(out, g.interfaceChanged(now)...)
		} else {
			delete(old, cfg.Name)
			actions, gone := g.reconfigure(now, cfg, h.applyLinks)
			out = append(out, actions...)
			removed = append(removed, gone...)
		}
		groups = append(groups, g)
	}
	leaving := h.groups
	h.groups = groups
	h.index()
	for _, g := range leaving {
		if old[g.cfg.Name] == g {
			removed = append(removed, g.activeRouters()...)
			out = append(out, g.enter(now, Initialize, "removed from the configuration"))
		}
	}
	h.changed = true
	return append(out, h.resign(removed)...)
}

// resign returns priority 0 for routers that were active and no longer are
// configured, or have moved to a group that is not active.
func (h *Host) resign(removed []*router) []Action {
	var out []Action
	for _, r := range removed {
		if m, stays := h.members[r.cfg.RouterKey]; !stays || m.group.state != Active {
			out = append(out, r.advertisement(0, r.activeInterval))
		}
	}
	return out
}

// activeRouters returns the members that owe the LAN a priority 0 when they
// leave.
func (g *group) activeRouters() []*router {
	if g.state != Active {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(g.routers), func(r *router) bool { return r.fault != NoFault })
}

// index maps the keys of all routers to them.
func (h *Host) index() {
	h.members = make(map[RouterKey]member)
	for _, g := range h.groups {
		for _, r := range g.routers {
			h.members[r.cfg.RouterKey] = member{g, r}
		}
	}
}

// applyLinks gives a group what is known of its interfaces.
func (h *Host) applyLinks(g *group) {
	for _, ev := range h.links {
		g.applyLink(ev)
	}
}

// reconfigure takes over a configuration of the same name. It returns the
// members that left an active group besides what is to be done.
func (g *group) reconfigure(now time.Time, cfg GroupConfig, applyLinks func(*group)) (out []Action, removed []*router) {
	before := g.cfg
	g.cfg = cfg
	g.changed = true
	out, removed = g.replaceRouters(cfg.Routers)
	applyLinks(g)
	// A group with a fault is about to end: it must not take over before.
	_, faulty := g.interfaces()
	if !faulty && (before.Priority != cfg.Priority || before.AdvertisementInterval != cfg.AdvertisementInterval) {
		out = append(out, g.restartTimers(now)...)
	}
	return append(out, g.interfaceChanged(now)...), removed
}

// restartTimers applies a new priority or interval to what is running.
func (g *group) restartTimers(now time.Time) []Action {
	if g.state == Backup && g.cfg.Priority == Owner {
		return g.becomeActive(now, "owner of the addresses")
	}
	var out []Action
	for _, r := range g.routers {
		if !r.peer.source.IsValid() {
			r.activeInterval = g.cfg.AdvertisementInterval
		}
		switch {
		case r.deadline.IsZero():
		case g.state == Active:
			// The others hear of the new values at once.
			out = append(out, r.advertisement(g.cfg.Priority, g.cfg.AdvertisementInterval))
			r.deadline = now.Add(g.cfg.AdvertisementInterval)
		case g.state == Backup:
			r.restartActiveDown(now, g.cfg.Priority)
		}
	}
	return out
}

// replaceRouters makes the members those of the configuration. New members
// are brought in by interfaceChanged.
func (g *group) replaceRouters(configs []RouterConfig) (out []Action, removed []*router) {
	old := g.routers
	active := g.activeRouters()
	g.routers = nil
	for _, cfg := range configs {
		i := slices.IndexFunc(old, func(r *router) bool { return r.cfg.RouterKey == cfg.RouterKey })
		if i < 0 {
			g.routers = append(g.routers, newRouter(cfg, g.cfg.AdvertisementInterval))
			continue
		}
		r := old[i]
		added := addedAddresses(r.cfg, cfg)
		r.configure(cfg)
		g.routers = append(g.routers, r)
		if g.state == Active && len(added) > 0 {
			out = append(out, Announce{Interface: cfg.Interface, Addresses: added})
		}
	}
	removed = slices.DeleteFunc(active, func(r *router) bool { return slices.Contains(g.routers, r) })
	return out, removed
}

// addedAddresses returns what the new configuration has and the old had not.
func addedAddresses(before, after RouterConfig) (added []netip.Prefix) {
	for _, p := range after.Addresses {
		if !slices.Contains(before.Addresses, p) {
			added = append(added, p)
		}
	}
	return added
}
