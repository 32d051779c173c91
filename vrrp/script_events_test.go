package vrrp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// configOf returns the configuration as one node reads it.
func (w *world) configOf(n *node) ([]GroupConfig, error) {
	var groups []GroupConfig
	for _, g := range w.groups {
		cfg := g.GroupConfig
		p, ok := g.priority[n.name]
		if !ok {
			return nil, fmt.Errorf("group %s gives it no priority", g.Name)
		}
		cfg.Priority = p
		var err error
		if cfg.Routers, err = g.routersOf(n.name); err != nil {
			return nil, fmt.Errorf("group %s: %w", g.Name, err)
		}
		groups = append(groups, cfg)
	}
	return groups, unique(groups)
}

// routersOf returns the routers of a group as one node reads them.
func (g *scriptGroup) routersOf(name string) ([]RouterConfig, error) {
	list := slices.Clone(g.Routers)
	for i := range list {
		u, err := unicastOf(g.unicast[list[i].Name], name)
		if err != nil {
			return nil, fmt.Errorf("router %s: %w", list[i].Name, err)
		}
		if list[i].Version == Version2 && g.AdvertisementInterval%time.Second != 0 {
			return nil, fmt.Errorf("router %s: version 2 has whole seconds, not %v", list[i].Name, g.AdvertisementInterval)
		}
		list[i].Unicast = u
	}
	return list, nil
}

// unique is an error for a configuration that has a virtual router twice.
func unique(groups []GroupConfig) error {
	seen := make(map[RouterKey]bool)
	for _, g := range groups {
		for _, rc := range g.Routers {
			if seen[rc.RouterKey] {
				return fmt.Errorf("vrid %d of %v is twice on %s", rc.VRID, rc.Family, rc.Interface)
			}
			seen[rc.RouterKey] = true
		}
	}
	return nil
}

// running is an error for a node that does not run.
func running(n *node) error {
	if n.host == nil {
		return fmt.Errorf("does not run")
	}
	return nil
}

// start runs a node that does not run.
func (w *world) start(n *node) error {
	if n.host != nil {
		return fmt.Errorf("runs already")
	}
	groups, err := w.configOf(n)
	if err == nil {
		w.lan.start(n, groups)
	}
	return err
}

// reload gives a node the present configuration.
func (w *world) reload(n *node) error {
	if err := running(n); err != nil {
		return err
	}
	groups, err := w.configOf(n)
	if err == nil {
		w.lan.handle(n, Reconfigure{Groups: groups})
	}
	return err
}

// stop ends a node in order.
func (w *world) stop(n *node) error {
	if err := running(n); err != nil {
		return err
	}
	w.lan.handle(n, Shutdown{})
	w.lan.kill(n)
	return nil
}

// kill ends a node without a word.
func (w *world) kill(n *node) error {
	err := running(n)
	w.lan.kill(n)
	return err
}

// pause stops a node's clock.
func (w *world) pause(n *node) error {
	n.paused = true
	return running(n)
}

// resume lets it go on.
func (w *world) resume(n *node) error {
	if !n.paused {
		return fmt.Errorf("is not paused")
	}
	w.lan.resume(n)
	return nil
}

// status writes what a node knows of its groups.
func (w *world) status(n *node) error {
	if err := running(n); err != nil {
		return err
	}
	for _, g := range n.host.Status().Groups {
		w.lan.traceLine(n, fmt.Sprintf("status %s: %v since %v (%s)", g.Name, g.State, g.Since.Sub(epoch), g.Reason))
		for _, word := range slices.Concat(g.Faults, g.Waiting) {
			w.lan.traceLine(n, fmt.Sprintf("status %s: not started: %s", g.Name, word))
		}
		for _, r := range g.Routers {
			active := "nobody"
			if r.ActiveSource.IsValid() {
				active = fmt.Sprintf("%v priority %d every %v", r.ActiveSource, r.ActivePriority, r.ActiveInterval)
			}
			line := fmt.Sprintf("status %s/%s: active is %s; sent %d received %d", g.Name, r.Name, active, r.Counters.Sent, r.Counters.Received)
			for reason, count := range r.Counters.Dropped {
				if count > 0 {
					line += fmt.Sprintf(" dropped %v %d", DropReason(reason), count)
				}
			}
			w.lan.traceLine(n, strings.Join(append([]string{line}, r.Problems...), "; "))
		}
	}
	return nil
}

// pass lets time go by.
func (w *world) pass(args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration of 0 or more", args[0])
	}
	return w.lan.run(w.lan.now.Add(d))
}

// portOf returns a node's interface.
func (w *world) portOf(name, iface string) (*node, *port, error) {
	n, err := w.lan.node(name)
	if err != nil {
		return nil, nil, err
	}
	p := n.port(iface)
	if p == nil {
		return nil, nil, fmt.Errorf("node %s has no interface %q", name, iface)
	}
	return n, p, nil
}

// link plugs or unplugs a node's cable.
func (w *world) link(args []string) error {
	n, p, err := w.portOf(args[0], args[1])
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"up", "down", "tentative"}, args[2]) {
		return fmt.Errorf("a link goes up, down or is tentative, not %q", args[2])
	}
	p.tentative = args[2] == "tentative"
	w.lan.setLink(n, p, args[2] == "down")
	return nil
}

// clock sets by how much a node's wall clock is ahead of the true time.
func (w *world) clock(args []string) error {
	n, err := w.lan.node(args[0])
	if err != nil {
		return err
	}
	if n.clock, err = time.ParseDuration(args[1]); err != nil {
		return err
	}
	if n.host != nil {
		n.host.clock = n.clock
	}
	return nil
}

// cut divides a segment: the named nodes are on the far side. No link goes
// down.
func (w *world) cut(args []string) error {
	for _, name := range args[1:] {
		_, p, err := w.portOf(name, args[0])
		if err != nil {
			return err
		}
		p.side = 1
	}
	return nil
}

// heal makes a segment one again.
func (w *world) heal(args []string) error {
	found := false
	for _, n := range w.lan.nodes {
		if p := n.port(args[0]); p != nil {
			p.side, found = 0, true
		}
	}
	if !found {
		return fmt.Errorf("no node has an interface %q", args[0])
	}
	return nil
}
