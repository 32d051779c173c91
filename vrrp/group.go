package vrrp

import (
	"strings"
	"time"
)

// group is the state machine of RFC 9568 section 6.4 for a set of virtual
// routers with one state. A group of one router is that section to the
// letter. With more, the group becomes Active when the Active_Down_Timer of
// every member has fired, and leaves Active when any member must: it holds
// all its addresses or none.
type group struct {
	cfg     GroupConfig
	state   State
	since   time.Time
	reason  string // why it is in this state
	routers []*router
	stopped bool // shut down: nothing starts it again

	// lowerSince is since when only lower-priority active routers have been
	// heard, for Preempt.Delay; zero if that is not so.
	lowerSince time.Time
	// announced is when the addresses were last announced because another
	// director had claimed them.
	announced time.Time
	owed      bool      // an announcement has been put off
	resigned  time.Time // when the active director was last heard to resign
	// startAt is when the group may leave Initialize for the first time.
	startAt time.Time
	// clock is by how much the wall clock is ahead of what Handle is told.
	clock *time.Duration

	wake  time.Time // when the host's agenda has it; not after its deadline
	index int       // in the host's agenda; -1: not there
	// moved says that Wanted would differ from before, changed that Status
	// would.
	moved, changed bool
}

// newGroup returns a group in Initialize whose interfaces are not yet known.
func newGroup(now time.Time, cfg GroupConfig, clock *time.Duration) *group {
	g := &group{cfg: cfg, since: now, reason: "starting", clock: clock, index: -1, moved: true, changed: true}
	for _, rc := range cfg.Routers {
		g.routers = append(g.routers, newRouter(rc, cfg.AdvertisementInterval))
	}
	return g
}

// wall returns the time of the wall clock.
func (g *group) wall(now time.Time) time.Time { return now.Add(*g.clock) }

// deadline returns when the group must next be told of an Expiry; zero if
// never. In Backup that is when the last member's timer fires, and never
// while a member that a reload added does not know its interface yet.
func (g *group) deadline() time.Time {
	if g.state == Initialize {
		if unknown, faulty := g.interfaces(); unknown || faulty || g.stopped {
			return time.Time{}
		}
		return g.startAt
	}
	var t time.Time
	for _, r := range g.routers {
		switch {
		case r.deadline.IsZero():
			if g.state != Active {
				return time.Time{}
			}
		case t.IsZero(),
			g.state == Backup && r.deadline.After(t),
			g.state == Active && r.deadline.Before(t):
			t = r.deadline
		}
	}
	return t
}

// faults lists what keeps the group in Initialize, a line for each member.
func (g *group) faults() []string {
	return g.lines(func(f Fault) bool { return f != NoFault })
}

// lines lists the faults of a kind, a line for each member.
func (g *group) lines(kind func(Fault) bool) []string {
	var words []string
	for _, r := range g.routers {
		if kind(r.fault) {
			words = append(words, r.cfg.Name+": "+r.describeFault())
		}
	}
	return words
}

// interfaceChanged makes the state follow the faults of the interfaces: any
// fault is Initialize for all, none is the Startup event. An interface of
// which nothing is known yet keeps a group from starting, but ends nothing:
// it is a new member's, and will be known in a moment.
func (g *group) interfaceChanged(now time.Time) []Action {
	g.changed = true
	if g.stopped || len(g.routers) == 0 {
		return nil
	}
	unknown, faulty := g.interfaces()
	switch {
	case faulty:
		if reason := strings.Join(g.faults(), "; "); g.state != Initialize || reason != g.reason {
			return g.becomeInitialize(now, reason)
		}
	case g.state != Initialize:
		return g.join(now)
	case !unknown && now.Before(g.startAt):
		if g.reason != startDelayed {
			return []Action{g.enter(now, Initialize, startDelayed)}
		}
	case !unknown:
		return g.startup(now)
	}
	return nil
}

// startDelayed is the reason of Initialize during the start-up delay.
const startDelayed = "waiting for the start-up delay"

// interfaces reports whether any member's interface is not yet known, and
// whether any is known to be faulty. A new member that waits for what comes by
// itself does not end what an active group does already.
func (g *group) interfaces() (unknown, faulty bool) {
	for _, r := range g.routers {
		waits := r.fault == FaultUnknown || g.state == Active && r.deadline.IsZero() && r.fault.Waits()
		unknown = unknown || waits
		faulty = faulty || r.fault != NoFault && !waits
	}
	return unknown, faulty
}

// join brings members that a reload added, and whose interface has become
// known, into the state of their group.
func (g *group) join(now time.Time) []Action {
	var out []Action
	for _, r := range g.routers {
		if !r.deadline.IsZero() || r.fault != NoFault {
			continue
		}
		if g.state == Backup {
			r.restartActiveDown(now, g.cfg.Priority)
			continue
		}
		out = append(out, g.takeOver(now, r)...)
		out = append(out, r.announce()...)
	}
	return out
}

// startup is the Startup event of RFC 9568 section 6.4.1.
func (g *group) startup(now time.Time) []Action {
	g.startAt = time.Time{}
	for _, r := range g.routers {
		r.activeInterval = g.cfg.AdvertisementInterval
		r.peer = peer{}
	}
	if g.cfg.Priority == Owner {
		return g.becomeActive(now, "owner of the addresses")
	}
	return g.becomeBackup(now, "interfaces ready")
}

// shutdown is the Shutdown event of RFC 9568 sections 6.4.2 and 6.4.3.
func (g *group) shutdown(now time.Time, reason string) []Action {
	if g.stopped {
		return nil
	}
	g.stopped = true
	return g.becomeInitialize(now, reason)
}

// earlyShare is how much of an interval an advertisement may be early, so that
// those that are due at nearly the same time leave together.
const earlyShare = 100

// early is how long before its deadline the group may be told of an Expiry.
func (g *group) early() time.Duration {
	if g.state != Active {
		return 0
	}
	return g.cfg.AdvertisementInterval / earlyShare
}

// expired acts on the timers that have fired.
func (g *group) expired(now time.Time) []Action {
	due := now.Add(g.early())
	d := g.deadline()
	switch {
	case d.IsZero() || due.Before(d):
		return nil
	case g.state == Initialize:
		return g.startup(now)
	case g.state == Backup:
		return g.becomeActive(now, g.cause().describePeer(now))
	}
	var out []Action
	for _, r := range g.routers {
		if r.deadline.IsZero() || due.Before(r.deadline) {
			continue
		}
		out = append(out, g.advertise(now, r)...)
		g.changed = r.notices.outlived(now) || g.changed
		// Counting from the deadline keeps the period exact when the caller
		// is a little late; after a long pause it starts afresh.
		r.deadline = r.deadline.Add(g.cfg.AdvertisementInterval)
		if !r.deadline.After(now) {
			r.deadline = now.Add(g.cfg.AdvertisementInterval)
		}
	}
	if g.owed {
		out = append(out, g.announceAgain(now)...)
	}
	return out
}

// cause is the member that says best why the group takes over: one that heard
// a resignation, for that shortened the others' timers, or else the one whose
// timer held the group back the longest.
func (g *group) cause() *router {
	cause := g.routers[0]
	for _, r := range g.routers {
		if r.peer.verdict == heardResigned {
			return r
		}
		if r.deadline.After(cause.deadline) {
			cause = r
		}
	}
	return cause
}

// becomeInitialize gives everything up.
func (g *group) becomeInitialize(now time.Time, reason string) []Action {
	out := g.farewell(now, nil)
	for _, r := range g.routers {
		r.deadline = time.Time{}
		r.peer = peer{}
		r.notices.forget()
	}
	return append(out, g.enter(now, Initialize, reason))
}

// farewell returns the priority 0 of every member that was advertising and
// still can (section 6.4.3), except of those that are kept.
func (g *group) farewell(now time.Time, kept map[RouterKey]bool) []Action {
	var out []Action
	for _, r := range g.routers {
		if g.state == Active && r.fault == NoFault && !r.deadline.IsZero() && !kept[r.cfg.RouterKey] {
			out = append(out, r.advertise(g.wall(now), 0, g.cfg.AdvertisementInterval)...)
		}
	}
	return out
}

// advertise returns the advertisement of a member with the group's priority.
func (g *group) advertise(now time.Time, r *router) []Action {
	return r.advertise(g.wall(now), g.cfg.Priority, g.cfg.AdvertisementInterval)
}

// becomeBackup listens: to the active router that made it yield, or for one.
// Members whose interface is not yet known join later.
func (g *group) becomeBackup(now time.Time, reason string) []Action {
	for _, r := range g.routers {
		if r.fault == NoFault {
			r.restartActiveDown(now, g.cfg.Priority)
		}
	}
	g.lowerSince = time.Time{}
	return []Action{g.enter(now, Backup, reason)}
}

// becomeActive takes over: advertisements for all members first, so that the
// others yield, then the addresses (Wanted), then their announcement. Members
// whose interface is not yet known join later.
func (g *group) becomeActive(now time.Time, reason string) []Action {
	var out []Action
	for _, r := range g.routers {
		if r.fault == NoFault {
			out = append(out, g.takeOver(now, r)...)
		}
	}
	out = append(out, g.enter(now, Active, reason))
	g.announced, g.owed = now, false
	return append(out, g.announce()...)
}

// enter changes the state and reports it.
func (g *group) enter(now time.Time, to State, reason string) Action {
	from := g.state
	if from != to {
		g.since, g.moved = now, true
	}
	g.state, g.reason, g.changed = to, reason, true
	return Transition{Group: g.cfg.Name, From: from, To: to, Priority: g.cfg.Priority, Reason: reason}
}

// announce asks for the announcement of every member's addresses.
func (g *group) announce() []Action {
	var out []Action
	for _, r := range g.routers {
		if r.fault == NoFault {
			out = append(out, r.announce()...)
		}
	}
	return out
}

// announce asks for the announcement of one member's addresses, if it has any.
func (r *router) announce() []Action {
	if len(r.cfg.Addresses) == 0 {
		return nil
	}
	return []Action{Announce{Interface: r.cfg.Interface, Addresses: r.cfg.Addresses}}
}

// takeOver makes one member active: it advertises at once, and forgets the
// interval that it learned of the one before.
func (g *group) takeOver(now time.Time, r *router) []Action {
	r.deadline = now.Add(g.cfg.AdvertisementInterval)
	r.activeInterval = g.cfg.AdvertisementInterval
	r.counters.BecameActive++
	r.peer = peer{}
	r.rival = rival{}
	r.notices.forget()
	return g.advertise(now, r)
}

// restartActiveDown sets the Active_Down_Timer to the full
// Active_Down_Interval.
func (r *router) restartActiveDown(now time.Time, priority uint8) {
	r.deadline = now.Add(r.activeDown(priority))
}
