package vrrp

import (
	"container/heap"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lan is a network of directors in one thread and in virtual time: interfaces
// of one name are on one segment. Every frame is encoded and parsed on its
// way, and the same calls give the same run.
type lan struct {
	now     time.Time
	nodes   []*node
	coming  upcoming
	serial  uint64 // of the last entry of coming
	events  int    // calls of Handle, and deliveries
	err     error  // ends the run
	trace   func(n *node, line string)
	witness func(n *node, ev Event, did outcomes)

	// fate is asked for each frame and receiver, and returns how long each
	// copy takes that arrives: none is a loss. nil: one, at once.
	fate func(from, to *node, iface string) []time.Duration
}

// outcomes is what followed from an event.
type outcomes struct {
	actions        []Action
	wanted, status bool // as said by Changed
}

// node is one director on the LAN.
type node struct {
	name    string
	index   int // among the nodes
	ports   []*port
	host    *Host         // nil while it does not run
	clock   time.Duration // by how much its wall clock is ahead
	paused  bool          // as a stopped virtual machine: the kernel queues, nobody reads
	backlog []Received
	holds   map[string]string // what Wanted said last, for the trace
}

// backlogMax is how many packets a kernel keeps for a process that does not
// read them.
const backlogMax = 128

// port is one interface of a node.
type port struct {
	name      string
	source    netip.Addr   // of IPv4
	sources6  []netip.Addr // of IPv6: the link-local one first
	tentative bool         // the addresses of IPv6 are not yet usable
	down      bool
	unsaid    bool                 // changed while the node was paused
	told      map[Family]LinkState // what the node knows
	side      int                  // of a divided segment; only the same side hears us
}

// entry is something that will happen: a frame arrives, or do is called.
type entry struct {
	at     time.Time
	serial uint64
	to     *node
	packet Received
	do     func()
}

// upcoming is a heap of entries: the earliest first, those of one moment in
// the order of their making.
type upcoming []*entry

// Len is how many entries there are.
func (a upcoming) Len() int { return len(a) }

// Less orders by time.
func (a upcoming) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].serial < a[j].serial
}

// Swap exchanges two entries.
func (a upcoming) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push appends an entry.
func (a *upcoming) Push(x any) { *a = append(*a, x.(*entry)) }

// Pop removes the last entry.
func (a *upcoming) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return e
}

// add puts an entry among those to come.
func (l *lan) add(e entry) {
	l.serial++
	e.serial = l.serial
	heap.Push(&l.coming, &e)
}

// after has a function called when some time has passed.
func (l *lan) after(d time.Duration, do func()) { l.add(entry{at: l.now.Add(d), do: do}) }

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

// runs reports whether the node has a process that is not stopped.
func (n *node) runs() bool { return n.host != nil && !n.paused }

// linkState returns what the node's kernel says of an interface.
func (p *port) linkState(family Family) LinkState {
	ls := LinkState{Interface: p.name, Family: family}
	switch {
	case p.down:
		ls.Fault = FaultDown
	case family == IPv4:
		ls.Sources = []netip.Addr{p.source}
	case !p.tentative:
		ls.Sources = p.sources6
	}
	return ls
}

// owns reports whether a packet to this address is for the port.
func (p *port) owns(to netip.Addr) bool {
	return to.IsMulticast() || to == p.source || !p.tentative && slices.Contains(p.sources6, to)
}

// start runs a director: a new Host that is told of all interfaces.
func (l *lan) start(n *node, groups []GroupConfig) {
	n.host, n.paused, n.backlog, n.holds = NewHost(l.now, groups), false, nil, make(map[string]string)
	n.host.clock = n.clock
	for _, p := range n.ports {
		p.unsaid = false
		l.tell(n, p)
	}
}

// tell has a node notice what an interface is like now.
func (l *lan) tell(n *node, p *port) {
	l.tellFamily(n, p, IPv4)
	if len(p.sources6) > 0 {
		l.tellFamily(n, p, IPv6)
	}
}

// tellFamily has a node notice what an interface is like for one family.
func (l *lan) tellFamily(n *node, p *port, family Family) {
	if p.told == nil {
		p.told = make(map[Family]LinkState)
	}
	p.told[family] = p.linkState(family)
	l.handle(n, p.told[family])
}

// kill ends a director without a word.
func (l *lan) kill(n *node) { n.host, n.backlog, n.paused = nil, nil, false }

// setLink plugs or unplugs a cable, and the node notices.
func (l *lan) setLink(n *node, p *port, down bool) {
	p.down = down
	l.notice(n, p)
}

// notice has a node notice that an interface has changed: at once, or when it
// goes on.
func (l *lan) notice(n *node, p *port) {
	switch {
	case n.runs():
		l.tell(n, p)
	case n.paused:
		p.unsaid = true
	}
}

// resume lets a paused node go on. It reads what its kernel queued before it
// looks at its timers.
func (l *lan) resume(n *node) {
	backlog := n.backlog
	n.paused, n.backlog = false, nil
	for _, p := range n.ports {
		if p.unsaid {
			p.unsaid = false
			l.tell(n, p)
		}
	}
	for _, p := range backlog {
		l.handle(n, p)
	}
}

// handle gives an event to a node and carries out what it wants.
func (l *lan) handle(n *node, ev Event) {
	l.events++
	did := outcomes{actions: n.host.Handle(l.now, ev)}
	for _, a := range did.actions {
		if l.trace != nil {
			l.trace(n, describe(a))
		}
		if s, ok := a.(Send); ok {
			l.transmit(n, s)
		}
	}
	did.wanted, did.status = n.host.Changed()
	if did.wanted && l.trace != nil {
		l.traceWanted(n)
	}
	if l.witness != nil {
		l.witness(n, ev, did)
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
	payload := s.Append(nil)
	l.deliver(n, out.side, Received{
		Interface: s.Interface, Source: s.Source, Destination: s.Destination, TTL: requiredTTL, Payload: payload,
	})
}

// deliver sends a packet to every other node on its side of the segment that
// it is addressed to.
func (l *lan) deliver(from *node, side int, packet Received) {
	for _, to := range l.nodes {
		in := to.port(packet.Interface)
		if to == from || in == nil || in.side != side || !in.owns(packet.Destination) {
			continue
		}
		if l.fate == nil {
			l.add(entry{at: l.now, to: to, packet: packet})
			continue
		}
		for _, delay := range l.fate(from, to, packet.Interface) {
			l.add(entry{at: l.now.Add(delay), to: to, packet: packet})
		}
	}
}

// land gives a frame to its receiver, if that still hears it.
func (l *lan) land(to *node, packet Received) {
	in := to.port(packet.Interface)
	switch {
	case to.host == nil, in.down, !in.owns(packet.Destination):
	case to.paused:
		l.events++
		if len(to.backlog) < backlogMax {
			to.backlog = append(to.backlog, packet)
		}
	default:
		l.handle(to, packet)
	}
}

// stillMax is how many events there may be before time moves.
const stillMax = 100_000

// run lets time pass until the given moment. What has arrived is handled
// before timers are.
func (l *lan) run(until time.Time) error {
	for still := 0; l.err == nil; still++ {
		due, next := l.nextTimer(until.Add(1))
		happens := len(l.coming) > 0 && !l.coming[0].at.After(next)
		if happens {
			next = l.coming[0].at
		}
		switch {
		case next.After(until):
			l.now = until
			return nil
		case next.After(l.now):
			l.now, still = next, 0
		case still > stillMax:
			return fmt.Errorf("time stands still at %v", l.now.Sub(epoch))
		}
		if !happens {
			l.handle(due, Expiry{})
			continue
		}
		if e := heap.Pop(&l.coming).(*entry); e.do != nil {
			e.do()
		} else {
			l.land(e.to, e.packet)
		}
	}
	return l.err
}

// nextTimer returns the node whose timer fires first, and when, if that is
// before the given moment.
func (l *lan) nextTimer(before time.Time) (due *node, at time.Time) {
	at = before
	for _, n := range l.nodes {
		if !n.runs() {
			continue
		}
		if d := n.host.Deadline(); !d.IsZero() && d.Before(at) {
			due, at = n, d
		}
	}
	return due, at
}

// wholeGroups fails the test if the addresses of a group are not all wanted or
// all unwanted, as its state says.
func wholeGroups(t interface {
	Helper()
	Fatalf(string, ...any)
}, h *Host) {
	t.Helper()
	wanted := h.Wanted()
	for _, g := range h.Status().Groups {
		for _, r := range g.Routers {
			if r.State != g.State {
				t.Fatalf("%s/%s is %v in a group that is %v", g.Name, r.Name, r.State, g.State)
			}
			w := wanted[r.Interface]
			for _, p := range r.Addresses {
				present, absent := contains(w.Present, p), contains(w.Absent, p)
				if present != (g.State == Active) || absent == present {
					t.Fatalf("%s/%s is %v; %v present: %v, absent: %v", g.Name, r.Name, g.State, p, present, absent)
				}
			}
		}
	}
}

// contains reports whether a list has a prefix.
func contains(list []netip.Prefix, p netip.Prefix) bool { return slices.Contains(list, p) }
