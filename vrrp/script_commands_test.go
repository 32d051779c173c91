package vrrp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// world is what the commands of a scenario act upon: a LAN, and the
// configuration that the next start or reload of a node will read. As in the
// real one, groups are the same for all nodes but for their priority.
type world struct {
	lan      lan
	groups   []*scriptGroup
	lines    []string            // the trace of the present command
	last     map[string]Received // advertisement on each segment
	recorded map[string]Received // of these, what somebody keeps to send it again
}

// scriptGroup is a group as configured for all nodes.
type scriptGroup struct {
	GroupConfig
	priority map[string]uint8
	unicast  map[string][]nodeAddress // by the name of the router; none is multicast
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
		"node":   {"NAME INTERFACE=ADDRESS[,ADDRESS...]...", 2, 0, (*world).addNode},
		"group":  {"NAME [priority=NODE:N,...] [interval=D] [preempt=true|false|D] [start_delay=D]", 1, 5, (*world).setGroup},
		"router": {"GROUP NAME INTERFACE VRID PREFIX...", 4, 0, (*world).setRouter},
		"set":    {"GROUP ROUTER SETTING=VALUE...", 3, 0, (*world).set},
		"remove": {"GROUP [ROUTER]", 1, 2, (*world).remove},
		"start":  {"NODE...", 1, 0, each((*world).start)},
		"reload": {"NODE...", 1, 0, each((*world).reload)},
		"stop":   {"NODE...", 1, 0, each((*world).stop)},
		"kill":   {"NODE...", 1, 0, each((*world).kill)},
		"pause":  {"NODE...", 1, 0, each((*world).pause)},
		"resume": {"NODE...", 1, 0, each((*world).resume)},
		"status": {"NODE...", 1, 0, each((*world).status)},
		"run":    {"DURATION", 1, 1, (*world).pass},
		"clock":  {"NODE DURATION", 2, 2, (*world).clock},
		"link":   {"NODE INTERFACE up|down|tentative", 3, 3, (*world).link},
		"cut":    {"INTERFACE NODE...", 2, 0, (*world).cut},
		"heal":   {"INTERFACE", 1, 1, (*world).heal},
		"forge":  {"INTERFACE SOURCE [FIELD=VALUE...]", 2, 0, (*world).forge},
		"record": {"INTERFACE", 1, 1, (*world).record},
		"replay": {"INTERFACE", 1, 1, (*world).replay},
	}
}

// newWorld returns an empty world.
func newWorld() *world {
	w := &world{last: make(map[string]Received), recorded: make(map[string]Received)}
	w.lan.now = epoch
	w.lan.trace = func(n *node, line string) {
		w.lines = append(w.lines, fmt.Sprintf("%v %s %s", w.lan.now.Sub(epoch), n.name, line))
	}
	w.lan.witness = func(_ *node, _ Event, did outcomes) {
		for _, a := range did.actions {
			if s, ok := a.(Send); ok {
				w.last[s.Interface] = Received{
					Interface: s.Interface, Source: s.Source, Destination: s.Destination, TTL: requiredTTL, Payload: s.Append(nil),
				}
			}
		}
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
		p, err := readPort(arg)
		if err != nil {
			return err
		}
		n.ports = append(n.ports, p)
	}
	w.lan.nodes = append(w.lan.nodes, n)
	return nil
}

// readPort reads INTERFACE=ADDRESS,...: the address of IPv4, and those of IPv6
// if it has any.
func readPort(s string) (*port, error) {
	name, list, _ := strings.Cut(s, "=")
	addresses, err := readAddresses(list)
	if err != nil || !addresses[0].Is4() {
		return nil, fmt.Errorf("%q is not INTERFACE=IPV4-ADDRESS[,IPV6-ADDRESS...]", s)
	}
	p := &port{name: name, source: addresses[0], sources6: addresses[1:]}
	for _, a := range p.sources6 {
		if !a.Is6() {
			return nil, fmt.Errorf("%q has a second address of IPv4", s)
		}
	}
	return p, nil
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
		g = &scriptGroup{priority: make(map[string]uint8), unicast: make(map[string][]nodeAddress)}
		g.Name, g.AdvertisementInterval, g.Preempt.Enabled = args[0], time.Second, true
		w.groups = append(w.groups, g)
	}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "priority":
			err = g.setPriorities(value)
		case "interval":
			g.AdvertisementInterval, err = readInterval(value)
		case "preempt":
			g.Preempt, err = parsePreempt(value)
		case "start_delay":
			g.StartDelay, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown setting %q", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readInterval reads an interval that advertisements can have.
func readInterval(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && (d < MinInterval || d > MaxInterval || d%IntervalUnit != 0) {
		err = fmt.Errorf("%q is not an interval of 10ms to 40.95s in steps of 10ms", s)
	}
	return d, err
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
