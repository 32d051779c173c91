package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lan is a network of directors in one thread and in virtual time: interfaces
// of one name are on one segment. Every frame is encoded and parsed on its
// way, and the same seed gives the same run.
type lan struct {
	now     time.Time
	nodes   []*node
	flights []flight
	trace   func(n *node, line string)

	// latency and lose are asked for each frame and receiver; nil is none.
	latency func() time.Duration
	lose    func() bool
}

// node is one director on the LAN.
type node struct {
	name    string
	ports   []*port
	host    *Host // nil while it does not run
	paused  bool  // as a stopped virtual machine: the kernel queues, nobody reads
	backlog []Received
	holds   map[string]string // what Wanted said last, for the trace
}

// port is one interface of a node.
type port struct {
	name   string
	source netip.Addr
	down   bool
	side   int // of a divided segment; only the same side hears us
}

// flight is a frame on its way to one receiver.
type flight struct {
	at     time.Time
	to     *node
	packet Received
}

// node returns a node by its name.
func (l *lan) node(name string) (*node, error) {
	for _, n := range l.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node %q", name)
}

// port returns an interface by its name, nil if there is none.
func (n *node) port(name string) *port {
	for _, p := range n.ports {
		if p.name == name {
			return p
		}
	}
	return nil
}

// linkState returns what the node's kernel says of an interface.
func (p *port) linkState() LinkState {
	if p.down {
		return LinkState{Interface: p.name, Family: IPv4, Fault: FaultDown}
	}
	return LinkState{Interface: p.name, Family: IPv4, Source: p.source}
}

// start runs a director: a new Host that is told of all interfaces.
func (l *lan) start(n *node, groups []GroupConfig) {
	n.host, n.paused, n.backlog, n.holds = NewHost(l.now, groups), false, nil, make(map[string]string)
	for _, p := range n.ports {
		l.handle(n, p.linkState())
	}
}

// kill ends a director without a word.
func (l *lan) kill(n *node) { n.host, n.backlog = nil, nil }

// setLink plugs or unplugs a cable, and the node notices.
func (l *lan) setLink(n *node, p *port, down bool) {
	p.down = down
	if n.host != nil {
		l.handle(n, p.linkState())
	}
}

// resume lets a paused node go on. It reads what its kernel queued before it
// looks at its timers.
func (l *lan) resume(n *node) {
	backlog := n.backlog
	n.paused, n.backlog = false, nil
	for _, p := range backlog {
		l.handle(n, p)
	}
}

// handle gives an event to a node and carries out what it wants.
func (l *lan) handle(n *node, ev Event) {
	actions := n.host.Handle(l.now, ev)
	for _, a := range actions {
		l.traceLine(n, describe(a))
		if s, ok := a.(Send); ok {
			l.transmit(n, s)
		}
	}
	if wanted, _ := n.host.Changed(); wanted {
		l.traceWanted(n)
	}
}

// traceLine writes one line of the trace.
func (l *lan) traceLine(n *node, line string) {
	if l.trace != nil {
		l.trace(n, line)
	}
}

// traceWanted writes a line for each interface whose addresses have changed.
func (l *lan) traceWanted(n *node) {
	wanted := n.host.Wanted()
	for _, p := range n.ports {
		holds := joinPrefixes(wanted[p.name].Present)
		if holds != n.holds[p.name] {
			n.holds[p.name] = holds
			l.traceLine(n, strings.TrimSpace(fmt.Sprintf("%s holds %s", p.name, orNothing(holds))))
		}
	}
}

// orNothing returns a word for an empty list.
func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// transmit encodes an advertisement and puts it on the segment.
func (l *lan) transmit(n *node, s Send) {
	out := n.port(s.Interface)
	if out == nil || out.down {
		return
	}
	payload := s.Advertisement.Append(nil, s.Source, s.Destination, s.Checksum)
	l.deliver(n, out.side, Received{
		Interface: s.Interface, Source: s.Source, Destination: s.Destination, TTL: requiredTTL, Payload: payload,
	})
}

// deliver sends a packet to every other node on its side of the segment.
func (l *lan) deliver(from *node, side int, packet Received) {
	for _, to := range l.nodes {
		in := to.port(packet.Interface)
		if to == from || in == nil || in.side != side || l.lose != nil && l.lose() {
			continue
		}
		at := l.now
		if l.latency != nil {
			at = at.Add(l.latency())
		}
		l.flights = append(l.flights, flight{at, to, packet})
	}
	slices.SortStableFunc(l.flights, func(a, b flight) int { return a.at.Compare(b.at) })
}

// land gives a frame to its receiver, if that still hears it.
func (l *lan) land(f flight) {
	switch {
	case f.to.host == nil, f.to.port(f.packet.Interface).down:
	case f.to.paused:
		f.to.backlog = append(f.to.backlog, f.packet)
	default:
		l.handle(f.to, f.packet)
	}
}

// run lets time pass until the given moment. What has arrived is handled
// before timers are.
func (l *lan) run(until time.Time) error {
	for range 1_000_000 {
		var due *node
		next := until.Add(1)
		for _, n := range l.nodes {
			if n.host == nil || n.paused {
				continue
			}
			if d := n.host.Deadline(); !d.IsZero() && d.Before(next) {
				due, next = n, d
			}
		}
		arrives := len(l.flights) > 0 && !l.flights[0].at.After(next)
		if arrives {
			next = l.flights[0].at
		}
		if next.After(until) {
			l.now = until
			return nil
		}
		if next.After(l.now) {
			l.now = next
		}
		if arrives {
			f := l.flights[0]
			l.flights = l.flights[1:]
			l.land(f)
			continue
		}
		l.handle(due, Expiry{})
	}
	return fmt.Errorf("time stands still at %v", l.now.Sub(epoch))
}
