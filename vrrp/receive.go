package vrrp

import (
	"fmt"
	"time"
)

// answerShare is how many answers there are at most in an interval to active
// routers that must yield, or resign.
const answerShare = 20

// packet is a received advertisement that was read without a fault.
type packet struct {
	Received
	Message
}

// admit makes the checks of RFC 9568 section 7.1 that need to know the
// virtual router. A packet that fails one touches no timer.
func (g *group) admit(now time.Time, r *router, p packet) DropReason {
	if drop := g.admitSender(r, p); drop != NotDropped {
		return drop
	}
	if p.Version != r.cfg.Version {
		return DropVersion
	}
	if p.Version == Version2 {
		if drop := r.admits2(p.Message, g.cfg.AdvertisementInterval); drop != NotDropped {
			return drop
		}
	}
	if drop := r.authenticate(g.wall(now), p); drop != NotDropped {
		return drop
	}
	// Two owners are a mistake. That neither ever listened would leave both
	// active for good, so that they are told apart like any other two.
	// One that has yielded to the other waits for it to resign like any Backup.
	resigns := p.Priority == 0 && g.state == Backup
	if g.cfg.Priority == Owner && p.Priority != Owner && !resigns {
		return DropOwner
	}
	return NotDropped
}

// admitSender looks at where a packet comes from and goes to.
func (g *group) admitSender(r *router, p packet) DropReason {
	switch {
	case r.cfg.Unicast == nil && p.Destination != r.to[0]:
		return DropDestination
	case g.state == Initialize, r.fault != NoFault:
		// Of a member that waits for its interface, the group's state says
		// nothing yet.
		return DropInitialize
	case r.cfg.Unicast != nil && p.Destination != r.source:
		return DropDestination
	case p.Source == r.source:
		return DropOwnSource
	case r.cfg.Unicast != nil && r.peerAt(p.Source) == nil:
		return DropPeer
	}
	return NotDropped
}

// receive handles a packet for a member of the group.
func (g *group) receive(now time.Time, r *router, p packet) []Action {
	if drop := g.admit(now, r, p); drop != NotDropped {
		return g.drop(now, r, p, drop)
	}
	r.counters.Received++
	if p.Priority == 0 {
		r.counters.ReceivedPriorityZero++
	}
	out := g.compare(now, r, p)
	if g.state == Active {
		return append(out, g.receiveActive(now, r, p)...)
	}
	return append(out, g.receiveBackup(now, r, p)...)
}

// drop counts a packet that is not used, and says so once in a while.
func (g *group) drop(now time.Time, r *router, p packet, reason DropReason) []Action {
	r.counters.Dropped[reason]++
	switch reason {
	case DropInitialize, DropDuplicate:
		return nil
	case DropOwnSource:
		return g.once(now, r, p, NoticeDuplicateSource,
			"advertisement from our own address %v: another host uses it, or the network loops", p.Source)
	case DropOwner:
		if g.state != Active {
			return nil
		}
		if p.Priority == 0 {
			return g.announceAgain(now)
		}
		// It will yield, but what it has announced until now stays in the
		// neighbours' caches.
		return append(g.contested(now, r, p), g.announceAgain(now)...)
	}
	if !r.notices.speakOfDrop(now, reason) {
		return nil // and nothing is put into words, for each packet of a flood
	}
	detail := fmt.Sprintf("from %v: %v", p.Source, g.explain(now, r, p, reason))
	return []Action{Notice{
		Group: g.cfg.Name, Router: r.cfg.Name, Kind: NoticeDropped, Drop: reason, Detail: detail, Recurs: g.recurs(p),
	}}
}

// explain says in words why a packet is dropped: the word of the counter, and
// what differs.
func (g *group) explain(now time.Time, r *router, p packet, reason DropReason) string {
	switch reason {
	case DropTTL:
		return fmt.Sprintf("%v: %d, not 255: it came through a router, or is forged", reason, p.TTL)
	case DropVersion:
		return fmt.Sprintf("%v: %d, configured is %v", reason, p.Payload[0]>>4, r.cfg.Version)
	case DropInterval:
		return fmt.Sprintf("%v: %v, configured is %v", reason, p.Interval, g.cfg.AdvertisementInterval)
	case DropLength:
		if p.Trailer != nil {
			return fmt.Sprintf("%v: it is signed, and no keys are configured", reason)
		}
	case DropKey:
		return fmt.Sprintf("%v: signed with key %d, which is not configured", reason, p.Trailer[1])
	case DropClock:
		return fmt.Sprintf("%v: signed %s, allowed are %v: do the directors' clocks agree?",
			reason, aside(stampOf(p.Trailer).offset(g.wall(now))), r.cfg.Auth.Window)
	case DropReplay:
		back := r.signers[p.Source].offset(g.wall(now)) - stampOf(p.Trailer).offset(g.wall(now))
		return fmt.Sprintf("%v: signed %v before the last one of that director: it is a recording, or its clock was put back",
			reason, back.Round(time.Millisecond))
	}
	return reason.String()
}

// aside says in words how far a moment is from that of our clock.
func aside(offset time.Duration) string {
	if offset < 0 {
		return fmt.Sprintf("%v behind our clock", -offset.Round(time.Millisecond))
	}
	return fmt.Sprintf("%v ahead of our clock", offset.Round(time.Millisecond))
}

// receiveBackup is the reception of an advertisement in RFC 9568 section
// 6.4.2.
func (g *group) receiveBackup(now time.Time, r *router, p packet) []Action {
	switch {
	case p.Priority == 0:
		g.hearResignation(now, r, p)
	case p.Source == r.peer.source && r.peer.verdict != heardResigned && now.Sub(g.resigned) < g.cfg.AdvertisementInterval/answerShare:
		// Sent before the resignation that another link has brought sooner. On
		// the link of the resignation it is from one who is back at once.
	case p.Priority >= g.cfg.Priority, !g.preempts(now):
		g.changed = r.heard(now, p, heardActive) || g.changed
		g.learn(r, p.Interval)
		r.restartActiveDown(now, g.cfg.Priority)
		if p.Priority >= g.cfg.Priority {
			g.lowerSince = time.Time{}
		}
	case r.outlives(now, g.cfg.Priority, p):
		// The last word of one who yields to the active router that we hear.
	default:
		g.changed = r.heard(now, p, heardLower) || g.changed
	}
	return nil
}

// outlives reports whether the active router that this one hears is another
// than the sender, goes before it, and was heard lately enough to be alive.
func (r *router) outlives(now time.Time, priority uint8, p packet) bool {
	return r.peer.verdict == heardActive && r.peer.source.IsValid() && r.peer.source != p.Source &&
		r.peer.priority > p.Priority && now.Sub(r.peer.at) <= r.activeDown(priority)
}

// learn adopts the interval that the active router advertises.
func (g *group) learn(r *router, advertised time.Duration) {
	learned := learnInterval(advertised, g.cfg.AdvertisementInterval)
	g.changed = g.changed || learned != r.activeInterval
	r.activeInterval = learned
}

// hearResignation sets the timer of a router that heard priority 0 to
// Skew_Time. If it was the active router that resigned, it cannot hold the rest
// of the group either: no other member waits longer.
func (g *group) hearResignation(now time.Time, r *router, p packet) {
	wasActive := p.Source == r.peer.source
	g.changed = r.heard(now, p, heardResigned) || g.changed
	r.deadline = now.Add(r.skew(g.cfg.Priority))
	if !wasActive {
		return
	}
	g.resigned = now
	for _, m := range g.routers {
		if skewed := now.Add(m.skew(g.cfg.Priority)); skewed.Before(m.deadline) {
			m.deadline = skewed
		}
	}
}

// preempts reports whether an active router of lower priority is to be
// replaced now, and starts the delay when the first is heard.
func (g *group) preempts(now time.Time) bool {
	if !g.cfg.Preempt.Enabled {
		return false
	}
	if g.lowerSince.IsZero() {
		g.lowerSince = now
	}
	return now.Sub(g.lowerSince) >= g.cfg.Preempt.Delay
}

// receiveActive is the reception of an advertisement in RFC 9568 section
// 6.4.3.
func (g *group) receiveActive(now time.Time, r *router, p packet) []Action {
	tie := g.tie(now, r, p)
	switch {
	case p.Priority == 0:
		return g.reassure(now, r)
	case p.Priority > g.cfg.Priority, tie == lost:
		return g.yield(now, r, p)
	case tie == undecided:
		return nil
	}
	return g.assert(now, r, p)
}

// reassure answers one who resigns: who listens hears at once that somebody is
// active still, or as soon as may be. Who resigned was active too, and has
// announced so.
func (g *group) reassure(now time.Time, r *router) []Action {
	var out []Action
	if g.mayAnswer(now, r) {
		r.deadline = now.Add(g.cfg.AdvertisementInterval)
		out = g.advertise(now, r)
	} else if again := r.answered.Add(g.cfg.AdvertisementInterval / answerShare); again.Before(r.deadline) {
		r.deadline = again
	}
	return append(out, g.announceAgain(now)...)
}

// mayAnswer reports whether a packet may be answered, which is bounded: two
// directors that both insist must not answer each other without end, nor may
// somebody have us multiply what he sends, or put our advertisement off.
func (g *group) mayAnswer(now time.Time, r *router) bool {
	if now.Sub(r.answered) < g.cfg.AdvertisementInterval/answerShare {
		return false
	}
	r.answered = now
	return true
}

// yield makes room for an active router that is to stay. After a split of the
// network it may not know that there was another one, and that it must
// announce its addresses again: a last advertisement tells it, on every link,
// for not everybody announces a whole group because of one member.
func (g *group) yield(now time.Time, r *router, p packet) []Action {
	out := g.lastWord(now)
	g.learn(r, p.Interval)
	out = append(out, g.becomeBackup(now, fmt.Sprintf("%v is active with priority %d", p.Source, p.Priority))...)
	r.heard(now, p, heardActive)
	return out
}

// lastWord returns an advertisement of every member that was advertising and
// still can.
func (g *group) lastWord(now time.Time) []Action {
	var out []Action
	for _, r := range g.routers {
		if r.fault == NoFault && !r.deadline.IsZero() {
			out = append(out, g.advertise(now, r)...)
		}
	}
	return out
}

// assert answers an active router that must yield to us (section 6.4.3), and
// corrects what its announcements did to the neighbours' caches and to the
// switches.
func (g *group) assert(now time.Time, r *router, p packet) []Action {
	var out []Action
	if g.mayAnswer(now, r) {
		out = g.advertise(now, r)
	}
	out = append(out, g.contested(now, r, p)...)
	return append(out, g.announceAgain(now)...)
}

// contested tells of another active router that must yield to us, unless we
// have just taken over from it.
func (g *group) contested(now time.Time, r *router, p packet) []Action {
	if now.Sub(g.since) < g.cfg.AdvertisementInterval {
		return nil
	}
	return g.once(now, r, p, NoticePeerLower, "%v is active too, with priority %d", p.Source, p.Priority)
}

// announceAgain announces the addresses of the whole group. If that was done a
// moment ago it is put off, for the other may have done it since.
func (g *group) announceAgain(now time.Time) []Action {
	g.owed = now.Sub(g.announced) < g.cfg.AdvertisementInterval
	if g.owed {
		return nil
	}
	g.announced = now
	return g.announce()
}
