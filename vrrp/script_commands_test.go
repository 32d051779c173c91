package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// world is what the commands of a scenario act upon: a LAN, and the
// configuration that the next start or reload of a node will read. As in the
// real one, groups are the same for all nodes but for their priority.
type world struct {
	lan    lan
	groups []*scriptGroup
	lines  []string // the trace of the present command
}

// scriptGroup is a group as configured for all nodes.
type scriptGroup struct {
	GroupConfig
	priority map[string]uint8
}

// command is what a scenario can say.
type command struct {
	usage    string
	min, max int // words after the name; max 0 is any number
	run      func(w *world, args []string) error
}

// commands returns the whole language.
func commands() map[string]command {
	each := func(f func(w *world, n *node) error) func(w *world, args []string) error {
		return func(w *world, args []string) error { return w.eachNode(args, f) }
	}
	return map[string]command{
		"node":   {"NAME INTERFACE=ADDRESS...", 2, 0, (*world).addNode},
		"group":  {"NAME [priority=NODE:N,...] [interval=D] [preempt=true|false|D]", 1, 4, (*world).setGroup},
		"router": {"GROUP NAME INTERFACE VRID PREFIX...", 4, 0, (*world).setRouter},
		"remove": {"GROUP [ROUTER]", 1, 2, (*world).remove},
		"start":  {"NODE...", 1, 0, each((*world).start)},
		"reload": {"NODE...", 1, 0, each((*world).reload)},
		"stop":   {"NODE...", 1, 0, each((*world).stop)},
		"kill":   {"NODE...", 1, 0, each((*world).kill)},
		"pause":  {"NODE...", 1, 0, each((*world).pause)},
		"resume": {"NODE...", 1, 0, each((*world).resume)},
		"status": {"NODE...", 1, 0, each((*world).status)},
		"run":    {"DURATION", 1, 1, (*world).pass},
		"link":   {"NODE INTERFACE up|down", 3, 3, (*world).link},
		"cut":    {"INTERFACE NODE...", 2, 0, (*world).cut},
		"heal":   {"INTERFACE", 1, 1, (*world).heal},
		"forge":  {"INTERFACE SOURCE [vrid=N] [priority=N] [interval=D] [ttl=N] [version=N] [addresses=A,...]", 2, 8, (*world).forge},
	}
}

// newWorld returns an empty world.
func newWorld() *world {
	w := &world{}
	w.lan.now = epoch
	w.lan.trace = func(n *node, line string) {
		w.lines = append(w.lines, fmt.Sprintf("%v %s %s", w.lan.now.Sub(epoch), n.name, line))
	}
	return w
}

// run carries out one command, and what is due at this very moment.
func (w *world) run(words []string) error {
	if err := commands()[words[0]].run(w, words[1:]); err != nil {
		return err
	}
	return w.lan.run(w.lan.now)
}

// eachNode calls f for the named nodes.
func (w *world) eachNode(names []string, f func(w *world, n *node) error) error {
	for _, name := range names {
		n, err := w.lan.node(name)
		if err != nil {
			return err
		}
		if err := f(w, n); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}

// addNode adds a director with its interfaces.
func (w *world) addNode(args []string) error {
	if _, err := w.lan.node(args[0]); err == nil {
		return fmt.Errorf("there is a node %q already", args[0])
	}
	n := &node{name: args[0]}
	for _, arg := range args[1:] {
		name, address, _ := strings.Cut(arg, "=")
		source, err := netip.ParseAddr(address)
		if err != nil || !source.Is4() {
			return fmt.Errorf("%q is not INTERFACE=IPV4-ADDRESS", arg)
		}
		n.ports = append(n.ports, &port{name: name, source: source})
	}
	w.lan.nodes = append(w.lan.nodes, n)
	return nil
}

// group returns a configured group.
func (w *world) group(name string) (*scriptGroup, error) {
	i := slices.IndexFunc(w.groups, func(g *scriptGroup) bool { return g.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no group %q", name)
	}
	return w.groups[i], nil
}

// setGroup adds or changes a group.
func (w *world) setGroup(args []string) error {
	g, err := w.group(args[0])
	if err != nil {
		g = &scriptGroup{priority: make(map[string]uint8)}
		g.Name, g.AdvertisementInterval, g.Preempt.Enabled = args[0], time.Second, true
		w.groups = append(w.groups, g)
	}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "priority":
			err = g.setPriorities(value)
		case "interval":
			g.AdvertisementInterval, err = time.ParseDuration(value)
		case "preempt":
			g.Preempt, err = parsePreempt(value)
		default:
			err = fmt.Errorf("unknown setting %q", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setPriorities reads NODE:N,...
func (g *scriptGroup) setPriorities(s string) error {
	for _, word := range strings.Split(s, ",") {
		node, number, _ := strings.Cut(word, ":")
		p, err := strconv.ParseUint(number, 10, 8)
		if err != nil || p == 0 {
			return fmt.Errorf("%q is not NODE:PRIORITY with a priority of 1 to 255", word)
		}
		g.priority[node] = uint8(p)
	}
	return nil
}

// parsePreempt reads true, false or a delay.
func parsePreempt(s string) (Preempt, error) {
	if enabled, err := strconv.ParseBool(s); err == nil {
		return Preempt{Enabled: enabled}, nil
	}
	delay, err := time.ParseDuration(s)
	return Preempt{Enabled: true, Delay: delay}, err
}

// setRouter adds a router to a group, or changes it.
func (w *world) setRouter(args []string) error {
	g, err := w.group(args[0])
	if err != nil {
		return err
	}
	vrid, err := strconv.ParseUint(args[3], 10, 8)
	if err != nil || vrid == 0 {
		return fmt.Errorf("%q is not a VRID of 1 to 255", args[3])
	}
	rc := RouterConfig{RouterKey: RouterKey{Interface: args[2], Family: IPv4, VRID: uint8(vrid)}, Name: args[1]}
	for _, s := range args[4:] {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return err
		}
		rc.Addresses = append(rc.Addresses, p)
	}
	i := slices.IndexFunc(g.Routers, func(r RouterConfig) bool { return r.Name == rc.Name })
	g.Routers = slices.Clone(g.Routers)
	if i < 0 {
		g.Routers = append(g.Routers, rc)
	} else {
		g.Routers[i] = rc
	}
	return nil
}

// remove takes a group or one of its routers out of the configuration.
func (w *world) remove(args []string) error {
	g, err := w.group(args[0])
	if err != nil {
		return err
	}
	if len(args) == 1 {
		w.groups = slices.DeleteFunc(w.groups, func(o *scriptGroup) bool { return o == g })
		return nil
	}
	before := len(g.Routers)
	g.Routers = slices.DeleteFunc(slices.Clone(g.Routers), func(r RouterConfig) bool { return r.Name == args[1] })
	if len(g.Routers) == before {
		return fmt.Errorf("no router %q in group %q", args[1], args[0])
	}
	return nil
}
