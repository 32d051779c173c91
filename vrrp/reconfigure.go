package vrrp

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// reconfigure replaces the configuration. Groups are matched with those that
// they continue, their members by RouterKey; what stays keeps its state and
// its timers. A group of which no member stays resigns.
func (h *Host) reconfigure(now time.Time, configs []GroupConfig) []Action {
	var out []Action
	first := h.groups == nil
	h.reloaded = !first
	continued := h.continued(configs)
	stays := make(map[*group]bool, len(continued))
	for _, g := range continued {
		stays[g] = true
	}
	for _, g := range h.groups {
		if !stays[g] {
			out = append(out, g.leave(now, stayActive(continued, configs))...)
		}
	}
	h.groups = make([]*group, 0, len(configs))
	for i, cfg := range configs {
		g := continued[i]
		if g == nil {
			g = newGroup(now, cfg, &h.clock)
			if first && cfg.StartDelay > 0 {
				g.startAt = now.Add(cfg.StartDelay)
			}
			g.stopped = h.stopped
			h.acquaint(g)
			out = append(out, g.interfaceChanged(now)...)
		} else {
			out = append(out, g.reconfigure(now, cfg, h.acquaint)...)
		}
		h.groups = append(h.groups, g)
	}
	h.index()
	h.moved, h.changed = true, true
	h.agenda = newAgenda(h.groups)
	return out
}

// stayActive returns the virtual routers that active groups will have.
func stayActive(continued []*group, configs []GroupConfig) map[RouterKey]bool {
	keys := make(map[RouterKey]bool)
	for i, g := range continued {
		if g != nil && g.state == Active {
			for _, rc := range configs[i].Routers {
				keys[rc.RouterKey] = true
			}
		}
	}
	return keys
}

// continued returns for each configuration the group that it continues, nil
// if it is new: one that has a member in common with it, of the same name if
// there is one, so that a group can be renamed.
func (h *Host) continued(configs []GroupConfig) []*group {
	found := make([]*group, len(configs))
	taken := make(map[*group]bool, len(configs))
	claim := func(i int, g *group) {
		if g != nil && found[i] == nil && !taken[g] {
			found[i], taken[g] = g, true
		}
	}
	named := make(map[string]*group, len(h.groups))
	for _, g := range h.groups {
		named[g.cfg.Name] = g
	}
	for i, cfg := range configs {
		if g := named[cfg.Name]; g != nil && g.shares(cfg) {
			claim(i, g)
		}
	}
	for i, cfg := range configs {
		for _, rc := range cfg.Routers {
			claim(i, h.members[rc.RouterKey].group)
		}
	}
	return found
}

// shares reports whether a member of the group is in a configuration.
func (g *group) shares(cfg GroupConfig) bool {
	return slices.ContainsFunc(g.routers, func(r *router) bool {
		return slices.ContainsFunc(cfg.Routers, func(rc RouterConfig) bool { return rc.RouterKey == r.cfg.RouterKey })
	})
}

// leave ends a group that is no longer configured. If it was active it
// resigns, except from what another active group takes over.
func (g *group) leave(now time.Time, takenOver map[RouterKey]bool) []Action {
	out := g.farewell(now, takenOver)
	return append(out, g.enter(now, Initialize, "removed from the configuration"))
}

// index maps the keys of all routers to them, and forgets the interfaces that
// none of them uses: nobody watches those any more.
func (h *Host) index() {
	h.members = make(map[RouterKey]member)
	used := make(map[linkKey]bool)
	for _, g := range h.groups {
		for _, r := range g.routers {
			h.members[r.cfg.RouterKey] = member{g, r}
			used[linkKey{r.cfg.Interface, r.cfg.Family}] = true
		}
	}
	maps.DeleteFunc(h.links, func(key linkKey, _ LinkState) bool { return !used[key] })
}

// acquaint gives a group what is known of its interfaces, and members that
// come from another group what they have signed and heard signed there: a new
// stamp must not be earlier than the last one.
func (h *Host) acquaint(g *group) {
	for _, r := range g.routers {
		if old := h.members[r.cfg.RouterKey].router; old != nil && old != r {
			r.stamp, r.signers = old.stamp, old.signers
		}
	}
	for _, ev := range h.links {
		g.applyLink(ev)
	}
}

// reconfigure takes over a configuration that continues this group.
func (g *group) reconfigure(now time.Time, cfg GroupConfig, acquaint func(*group)) []Action {
	before := g.cfg
	g.cfg = cfg
	var out []Action
	if before.Name != cfg.Name && g.state != Initialize {
		out = append(out, g.enter(now, g.state, "renamed from "+before.Name))
	}
	out = append(out, g.replaceRouters(cfg.Routers)...)
	acquaint(g)
	// A group with a fault is about to end: it must not take over before.
	_, faulty := g.interfaces()
	if !faulty && (before.Priority != cfg.Priority || before.AdvertisementInterval != cfg.AdvertisementInterval) {
		out = append(out, g.restartTimers(now)...)
	}
	return append(out, g.interfaceChanged(now)...)
}

// restartTimers applies a new priority or interval to what is running.
func (g *group) restartTimers(now time.Time) []Action {
	if g.state == Backup && g.cfg.Priority == Owner {
		return g.becomeActive(now, "owner of the addresses")
	}
	var out []Action
	for _, r := range g.routers {
		r.activeInterval = learnInterval(r.activeInterval, g.cfg.AdvertisementInterval)
		if !r.peer.source.IsValid() {
			r.activeInterval = g.cfg.AdvertisementInterval
		}
		switch {
		case r.deadline.IsZero():
		case g.state == Active:
			// The others hear of the new values at once.
			out = append(out, g.advertise(now, r)...)
			r.deadline = now.Add(g.cfg.AdvertisementInterval)
		case g.state == Backup:
			r.restartActiveDown(now, g.cfg.Priority)
		}
	}
	return out
}

// replaceRouters makes the members those of the configuration. New members
// are brought in by interfaceChanged. Members that leave say nothing: a
// priority 0 would tell directors that have not been reloaded yet that the
// whole group is up for take-over.
func (g *group) replaceRouters(configs []RouterConfig) (out []Action) {
	old := g.routers
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
	return out
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
