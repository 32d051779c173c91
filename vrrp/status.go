package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// Drops counts dropped packets by reason.
type Drops [dropReasons]uint64

// Counters count what one virtual router sent and received.
type Counters struct {
	Sent                 uint64
	SentPriorityZero     uint64
	Received             uint64
	ReceivedPriorityZero uint64
	BecameActive         uint64
	Dropped              Drops
}

// Status is a copy of the state of a Host.
type Status struct {
	Groups  []GroupStatus
	Dropped Drops // packets that belong to no configured virtual router
}

// GroupStatus is the state of one group.
type GroupStatus struct {
	Name     string
	State    State
	Since    time.Time
	Reason   string // why it is in this state
	Priority uint8
	Faults   []string  // what keeps it in Initialize
	Waiting  []string  // what it waits for in Initialize, which is no fault
	StartsAt time.Time // when the start-up delay ends; zero if there is none, or it is over
	Routers  []RouterStatus
}

// RouterStatus is the state of one virtual router.
type RouterStatus struct {
	RouterKey
	Name           string
	State          State
	Addresses      []netip.Prefix
	ActiveSource   netip.Addr // who is active as far as we know; invalid if unknown
	ActivePriority uint8      // its priority
	ActiveInterval time.Duration
	ActiveChecksum ChecksumForm // the form it uses, if it is not us
	Problems       []string
	Counters       Counters
}

// Changed reports whether Wanted, and whether Status (its counters apart),
// may differ from what they were when Changed was last called.
func (h *Host) Changed() (wanted, status bool) {
	wanted, status = h.moved, h.changed
	h.moved, h.changed = false, false
	return wanted, status
}

// Status returns a copy of the whole state, in the order of the
// configuration.
func (h *Host) Status() Status {
	s := Status{Dropped: h.dropped, Groups: make([]GroupStatus, len(h.groups))}
	for i, g := range h.groups {
		s.Groups[i] = g.status()
	}
	return s
}

// status returns a copy of the state of one group.
func (g *group) status() GroupStatus {
	s := GroupStatus{
		Name: g.cfg.Name, State: g.state, Since: g.since, Reason: g.reason,
		Priority: g.cfg.Priority, StartsAt: g.startAt, Routers: make([]RouterStatus, len(g.routers)),
	}
	s.Faults = g.lines(func(f Fault) bool { return f != NoFault && !f.Waits() })
	s.Waiting = g.lines(Fault.Waits)
	if g.state == Initialize && g.reason == startDelayed {
		s.Waiting = append(s.Waiting, "start-up delay")
	}
	for i, r := range g.routers {
		s.Routers[i] = r.status(g)
	}
	return s
}

// status returns a copy of the state of one router.
func (r *router) status(g *group) RouterStatus {
	s := RouterStatus{
		RouterKey: r.cfg.RouterKey, Name: r.cfg.Name, State: g.state,
		Addresses: slices.Clone(r.cfg.Addresses), ActiveInterval: r.activeInterval,
		Problems: r.notices.problems(), Counters: r.counters,
	}
	switch {
	case g.state == Active:
		s.ActiveSource, s.ActivePriority = r.source, g.cfg.Priority
		s.ActiveInterval = g.cfg.AdvertisementInterval
	case g.state == Backup && r.peer.verdict != heardResigned:
		s.ActiveSource, s.ActivePriority, s.ActiveChecksum = r.peer.source, r.peer.priority, r.peer.checksum
	}
	return s
}

// Wanted returns for every interface of the configuration which virtual
// addresses must be on it and which must not, and what it must have to send from.
func (h *Host) Wanted() map[string]Wanted {
	all := make(map[string]Wanted)
	for _, g := range h.groups {
		for _, r := range g.routers {
			w := all[r.cfg.Interface]
			if g.state == Active {
				w.Present = append(w.Present, r.cfg.Addresses...)
			} else {
				w.Absent = append(w.Absent, r.cfg.Addresses...)
			}
			if g.cfg.Priority == Owner {
				w.Owned = append(w.Owned, r.cfg.Addresses...)
			}
			w.LinkLocal = w.LinkLocal || r.needsLinkLocal()
			all[r.cfg.Interface] = w
		}
	}
	return all
}
