package vrrp

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lookEvery is after how many events of a director what is too costly to look
// at each time is looked at. What is wrong then was so for some time.
const lookEvery = 61

// witness looks at what a director does about an event. After every event
//   - only an active group has advertised, or one that resigned with it; of
//     what, for how long and from where is as configured;
//   - transitions lead from one state to the next, and addresses are announced
//     only where they are to be;
//   - a group has all its addresses or none;
//   - the deadline is that of the earliest group, and after Expiry to come.
func (s *simulation) witness(n *node, ev Event, did outcomes) {
	if s.lan.err != nil || n.host == nil {
		return
	}
	l := s.ledgers[n.index]
	_, reload := ev.(Reconfigure)
	if p, ok := ev.(Received); ok {
		l.received++
		s.hears(n, l, p)
	}
	if did.wanted {
		if reload {
			s.lose(n, l)
		}
		s.install(n, l)
	}
	if reload {
		clear(l.held) // timers start anew, perhaps shorter ones
	}
	l.promised = l.promised || did.status || did.wanted
	for _, a := range did.actions {
		switch a := a.(type) {
		case Send:
			s.checkSend(n, l, a, reload)
		case Announce:
			s.checkAnnounce(n, l, a)
		case Transition:
			s.checkTransition(n, l, ev, a)
		}
	}
	s.checkStates(n, l)
	s.checkDeadline(n, ev)
	if l.looked++; l.looked >= lookEvery || reload {
		l.looked = 0
		s.look(n, l, reload)
	}
}

// hears takes down a packet that a director has used.
func (s *simulation) hears(n *node, l *ledger, p Received) {
	if s.forging || len(p.Payload) < headerLen {
		return
	}
	m, ok := n.host.members[RouterKey{p.Interface, FamilyOf(p.Source), p.Payload[1]}]
	if !ok || !m.router.peer.at.Equal(s.lan.now) || m.router.peer.source != p.Source {
		return
	}
	r := m.router
	if r.peer.verdict == heardResigned {
		clear(l.held) // of the whole group, if it was the active router
	}
	if m.group.state == Backup && r.peer.verdict == heardActive {
		l.held[r] = s.lan.now.Add(3 * r.activeInterval)
	}
	if r.cfg.Auth == nil {
		return
	}
	if message, drop := Parse(p.Payload, p.Source, p.Destination); drop == NotDropped && message.Trailer != nil {
		if l.signed[r] == nil {
			l.signed[r] = make(map[netip.Addr]Stamp)
		}
		l.signed[r][p.Source] = stampOf(message.Trailer)
	}
}

// install has the kernel of a director follow what it wants, and demands that
// no group is torn: all addresses of an active one are wanted, and of the
// others they are all unwanted.
func (s *simulation) install(n *node, l *ledger) {
	wanted := n.host.Wanted()
	clear(l.kernel)
	for iface, w := range wanted {
		l.kernel[iface] = w.Present
	}
	for _, g := range n.host.groups {
		for _, r := range g.routers {
			w := wanted[r.cfg.Interface]
			for _, p := range r.cfg.Addresses {
				present, absent := slices.Contains(w.Present, p), slices.Contains(w.Absent, p)
				if present != (g.state == Active) || absent == present {
					s.fail("%s: group %s is %v; %v of %s is present: %v, absent: %v", n.name, g.cfg.Name, g.state, p, r.cfg.Name, present, absent)
				}
				if owned := slices.Contains(w.Owned, p); owned != (g.cfg.Priority == Owner) {
					s.fail("%s: %v of group %s, priority %d, is owned: %v", n.name, p, g.cfg.Name, g.cfg.Priority, owned)
				}
			}
		}
	}
}

// checkSend looks at one advertisement.
func (s *simulation) checkSend(n *node, l *ledger, a Send, reload bool) {
	l.sent++
	adv := a.Advertisement
	m, ok := n.host.members[RouterKey{a.Interface, FamilyOf(a.Source), adv.VRID}]
	if told := n.port(a.Interface).told[FamilyOf(a.Source)]; !slices.Contains(told.Sources, a.Source) {
		s.fail("%s: sends from %v on %s, which has %v", n.name, a.Source, a.Interface, told.Sources)
	}
	if reload && (!ok || adv.Priority == 0) {
		return // it has left, perhaps to another group
	}
	if !ok {
		s.fail("%s: sends for vrid %d on %s, which it has not", n.name, adv.VRID, a.Interface)
		return
	}
	g, r := m.group, m.router
	was := l.states[g.cfg.Name].State
	switch {
	case !slices.Contains(r.to, a.Destination):
		s.fail("%s: sends to %v", n.name, a.Destination)
	case adv.Priority == 0 && (was != Active || g.state != Initialize):
		s.fail("%s: %s resigns, was %v, is %v", n.name, r.cfg.Name, was, g.state)
	case adv.Priority > 0 && was != Active && g.state != Active:
		s.fail("%s: %s advertises, was %v, is %v", n.name, r.cfg.Name, was, g.state)
	case adv.Priority > 0 && (adv.Priority != g.cfg.Priority || adv.Interval != g.cfg.AdvertisementInterval):
		s.fail("%s: %s advertises priority %d every %v", n.name, r.cfg.Name, adv.Priority, adv.Interval)
	}
	s.record(r.cfg.RouterKey, a)
	if adv.Priority > 0 && a.Destination == r.to[0] && !l.spend(s.lan.now, g, r) {
		s.fail("%s: %s floods the segment", n.name, r.cfg.Name)
	}
}

// checkAnnounce looks at one announcement.
func (s *simulation) checkAnnounce(n *node, l *ledger, a Announce) {
	if s.calm {
		s.fail("%s: announces on an undisturbed LAN", n.name)
	}
	if len(a.Addresses) == 0 {
		s.fail("%s: announces nothing on %s", n.name, a.Interface)
	}
	for _, p := range a.Addresses {
		if !slices.Contains(l.kernel[a.Interface], p) {
			s.fail("%s: announces %v on %s, which it has not", n.name, p, a.Interface)
		}
	}
	s.learn(n, a)
}

// checkTransition looks at one change of state, or of a name.
func (s *simulation) checkTransition(n *node, l *ledger, ev Event, a Transition) {
	if s.calm {
		s.fail("%s: %s on an undisturbed LAN", n.name, describe(a))
	}
	if old, ok := strings.CutPrefix(a.Reason, "renamed from "); ok {
		l.states[a.Group] = l.states[old]
		delete(l.states, old)
		delete(l.delays, old)
	}
	was := l.states[a.Group]
	if a.From != was.State || a.Reason == "" {
		s.fail("%s: group %s was %v: %s", n.name, a.Group, was.State, describe(a))
	}
	if a.From != a.To {
		l.states[a.Group] = stay{a.To, s.lan.now}
	}
	for _, g := range n.host.groups {
		if g.cfg.Name == a.Group {
			s.checkCause(n, l, ev, g, a, was)
		}
	}
}

// checkCause demands that a group changes its state for a good reason only:
//   - it does not leave Initialize before the start-up delay is over;
//   - it does not preempt if it must not, or before it has waited;
//   - it does not take over from one who is silent while any member hears an
//     active router (section 6.4.2: an Active_Down_Interval is longer than
//     three intervals);
//   - it yields to a higher priority, or to the greater address of an equal
//     one (RFC 9568 section 6.4.3; with more members they agree on which link
//     decides, so that this is known of one member only).
func (s *simulation) checkCause(n *node, l *ledger, ev Event, g *group, a Transition, was stay) {
	waited := s.lan.now.Sub(was.since)
	switch {
	case a.From == Initialize && a.To != Initialize && s.lan.now.Sub(l.started) < l.delays[a.Group]:
		s.fail("%s: %s, started %v ago, start-up delay %v", n.name, describe(a), s.lan.now.Sub(l.started), l.delays[a.Group])
	case strings.HasPrefix(a.Reason, "preempting") && (!g.cfg.Preempt.Enabled || waited < g.cfg.Preempt.Delay):
		s.fail("%s: %s after %v, preempt is %+v", n.name, describe(a), waited, g.cfg.Preempt)
	case a.From == Active && a.To == Backup:
		p, ok := ev.(Received)
		if !ok || p.Payload[2] < g.cfg.Priority {
			s.fail("%s: %s because of %T", n.name, describe(a), ev)
		}
		if r := g.routers[0]; ok && len(g.routers) == 1 && p.Payload[2] == g.cfg.Priority && p.Source.Less(r.source) {
			s.fail("%s: %s, although our %v is greater", n.name, describe(a), r.source)
		}
	case a.To == Active && a.From == Backup:
		s.tally.takeovers.Add(1)
		for _, r := range g.routers {
			if s.lan.now.Before(l.held[r]) && strings.HasPrefix(a.Reason, "no advertisement") {
				s.fail("%s: %s, but %s holds it back until %v", n.name, describe(a), r.cfg.Name, l.held[r].Sub(epoch))
			}
		}
	}
	if a.From == Active {
		s.forsake(n, g)
	}
	for _, r := range g.routers {
		l.earn(r, 1)
		if a.To == Initialize {
			delete(l.held, r)
		}
	}
}

// checkStates demands that the states are those in which the transitions have
// ended, and that no Backup waits for longer than the bound of what it may
// learn allows.
func (s *simulation) checkStates(n *node, l *ledger) {
	for _, g := range n.host.groups {
		if was := l.states[g.cfg.Name]; was.State != g.state {
			s.fail("%s: group %s is %v, its transitions ended in %v", n.name, g.cfg.Name, g.state, was.State)
		}
		if g.state != Backup {
			continue
		}
		for _, r := range g.routers {
			longest := down(r.cfg, learnedIntervalLimit*g.cfg.AdvertisementInterval, g.cfg.Priority)
			if wait := r.deadline.Sub(s.lan.now); wait > longest {
				s.fail("%s: %s/%s waits for %v, and %v is the longest that its interval allows", n.name, g.cfg.Name, r.cfg.Name, wait, longest)
			}
		}
	}
}

// checkDeadline looks at when the director wants to be called again.
func (s *simulation) checkDeadline(n *node, ev Event) {
	var want time.Time
	for _, g := range n.host.groups {
		if d := g.deadline(); !d.IsZero() && (want.IsZero() || d.Before(want)) {
			want = d
		}
	}
	got := n.host.Deadline()
	if !got.Equal(want) {
		s.fail("%s: after %T the deadline is %v, the earliest of the groups %v", n.name, ev, got.Sub(epoch), want.Sub(epoch))
	}
	if _, ok := ev.(Expiry); ok && !got.IsZero() && !got.After(s.lan.now) {
		s.fail("%s: after Expiry the deadline is %v", n.name, got.Sub(epoch))
	}
}

// look compares what is too costly to be compared each time: what Changed has
// kept silent about, and the counters. And an Expiry before its time must do
// nothing.
func (s *simulation) look(n *node, l *ledger, reload bool) {
	h := n.host
	if d := h.Deadline(); !d.IsZero() && s.lan.now.Before(d) {
		before := fingerprint(h)
		if actions := h.Handle(s.lan.now, Expiry{}); len(actions) > 0 || !slices.Equal(before, fingerprint(h)) {
			s.fail("%s: does something %v before its deadline", n.name, d.Sub(s.lan.now))
		}
	}
	status := withoutCounters(h.Status())
	if !l.promised && !reflect.DeepEqual(l.status, status) {
		s.fail("%s: the status has changed in silence (-before +after):\n%s", n.name, cmp.Diff(l.status, status, addrs))
	}
	l.status, l.promised = status, false
	for iface, w := range h.Wanted() {
		if !slices.Equal(w.Present, l.kernel[iface]) {
			s.fail("%s: on %s %v is wanted, and %v was when that last changed", n.name, iface, w.Present, l.kernel[iface])
		}
	}
	received, sent := counted(h)
	if !reload && (received != l.received || sent != l.sent) {
		s.fail("%s: counts %d received and %d sent, which were %d and %d", n.name, received, sent, l.received, l.sent)
	}
	l.received, l.sent = received, sent
}

// withoutCounters returns a status without what changes with every packet.
func withoutCounters(s Status) Status {
	s.Dropped = Drops{}
	for i := range s.Groups {
		for j := range s.Groups[i].Routers {
			s.Groups[i].Routers[j].Counters = Counters{}
		}
	}
	return s
}

// counted adds up what a Host counts: the packets that it was given, and those
// that it had sent.
func counted(h *Host) (received, sent uint64) {
	received = h.dropped.sum()
	for _, m := range h.members {
		c := &m.router.counters
		received += c.Received + c.Dropped.sum()
		sent += c.Sent * uint64(len(m.router.to))
	}
	return received, sent
}

// sum adds up all reasons.
func (d *Drops) sum() (n uint64) {
	for _, count := range d {
		n += count
	}
	return n
}
