package vrrp

import (
	"math/rand/v2"
	"slices"
	"time"
)

// heal ends all disturbances: every director runs, with one configuration
// and the right time, and hears all others.
func (s *simulation) heal() {
	s.note(lineDisturbance, "the LAN is made whole")
	s.setWeather(weather{})
	for segment := range s.cuts {
		s.eachPair(func(i, j int) { s.cut(segment, i, j, false) })
	}
	s.verifyCaches()
	for _, n := range s.lan.nodes {
		if n.clock != 0 {
			s.setClock(n, 0)
		}
		for _, p := range n.ports {
			s.setLink(n, p, false)
			s.setSource(n, p, false)
		}
		s.goOn(n)
		s.revive(n)
	}
	// What directors of different configurations have told each other counts
	// for both: a member that only one of them has is no help.
	s.land()
	for _, n := range s.lan.nodes {
		if s.ledgers[n.index].version != s.cluster.version {
			s.reload(n)
		}
	}
}

// patience is how long a whole LAN may take until the right director is
// active for a group, and alone. It adds up the worst of all that may follow
// each other: frames that were late, the detection of addresses in use, the
// start-up delay, the time in which signatures look old because a clock was
// ahead, an Active_Down_Interval of a learned interval, the delay of
// preemption, and another Active_Down_Interval.
func (s *simulation) patience(g *shared) time.Duration {
	d := 5*s.cluster.pace + detectTime + g.StartDelay + g.Preempt.Delay
	window, slowest := time.Duration(0), time.Duration(0)
	for _, rc := range g.Routers {
		if rc.Auth != nil {
			window = max(window, 2*rc.Auth.Window)
		}
		slowest = max(slowest, down(rc, learnedIntervalLimit*g.AdvertisementInterval, 1)+down(rc, g.AdvertisementInterval, 1))
	}
	return d + window + slowest + 3*g.AdvertisementInterval
}

// skewOf is the Skew_Time of a router (RFC 9568 section 6.1, RFC 3768 section
// 6.1), written down a second time.
func skewOf(rc RouterConfig, interval time.Duration, priority uint8) time.Duration {
	if rc.Version == Version2 {
		interval = time.Second
	}
	return (256 - time.Duration(priority)) * interval / 256
}

// down is the Active_Down_Interval of a router.
func down(rc RouterConfig, interval time.Duration, priority uint8) time.Duration {
	return 3*interval + skewOf(rc, interval, priority)
}

// settle makes the LAN whole, waits, and demands that all is as it must be,
// and stays so.
func (s *simulation) settle() {
	if s.lan.err != nil {
		return
	}
	s.heal()
	s.await()
	s.stepped = false
}

// await waits until the LAN must have settled and looks whether it has.
func (s *simulation) await() {
	var longest, interval time.Duration
	for _, g := range s.cluster.groups {
		longest, interval = max(longest, s.patience(g)), max(interval, g.AdvertisementInterval)
	}
	s.pass(longest, true)
	if s.lan.err != nil {
		return
	}
	s.settled()
	s.quiet(6 * interval)
	s.settled()
	s.tally.settled.Add(1)
}

// settled demands of a whole LAN that has had its time: each group has one
// active director, the usable one of the highest priority if that may
// preempt, and everybody else is Backup and knows who is active; the owner,
// if there is one, preempts always (RFC 9568 section 6.1). The neighbours'
// caches point to nobody else.
func (s *simulation) settled() {
	for i, g := range s.cluster.groups {
		active := s.activesOf(i)
		highest := slices.Max(g.priorities)
		switch {
		case len(active) != 1:
			s.fail("group %s of a whole LAN has %d active directors: %v", g.Name, len(active), names(active))
			return
		case (g.Preempt.Enabled || highest == Owner) && g.priorities[active[0].index] != highest:
			s.fail("group %s: %s is active with priority %d, and the highest is %d",
				g.Name, active[0].name, g.priorities[active[0].index], highest)
		}
		for _, n := range s.lan.nodes {
			s.agrees(n, n.host.groups[i], active[0])
		}
		for _, rc := range g.Routers {
			s.reachable(rc, active[0])
		}
	}
}

// activesOf returns the directors that are active for a group.
func (s *simulation) activesOf(group int) (list []*node) {
	for _, n := range s.lan.nodes {
		if n.host != nil && n.host.groups[group].state == Active {
			list = append(list, n)
		}
	}
	return list
}

// names lists directors in words.
func names(nodes []*node) (list []string) {
	for _, n := range nodes {
		list = append(list, n.name)
	}
	return list
}

// agrees demands that a director is Backup, if it is not the active one, and
// knows which is.
func (s *simulation) agrees(n *node, g *group, active *node) {
	if n == active {
		return
	}
	if g.state != Backup {
		s.fail("%s: group %s is %v (%s) on a whole LAN", n.name, g.cfg.Name, g.state, g.reason)
	}
	for _, r := range g.routers {
		other := active.host.members[r.cfg.RouterKey].router
		if r.peer.source != other.source {
			s.fail("%s: %s/%s takes %v for the active one, which is %v", n.name, g.cfg.Name, r.cfg.Name, r.peer.source, other.source)
		}
	}
}

// reachable demands that no neighbour has the addresses of a router with
// another director than the active one.
func (s *simulation) reachable(rc RouterConfig, active *node) {
	segment := s.cluster.segment(rc.Interface)
	for i, cache := range s.caches[segment] {
		for _, p := range rc.Addresses {
			if n := cache[p.Addr()]; n != nil && n != active {
				s.fail("the neighbour of lb%d on %s has %v at %s, and %s is active", i+1, rc.Interface, p, n.name, active.name)
			}
		}
	}
}

// quiet demands that an undisturbed LAN does not move, and that each active
// director advertises once in an interval.
func (s *simulation) quiet(d time.Duration) {
	if s.lan.err != nil {
		return
	}
	before := make(map[*router]uint64)
	for _, n := range s.lan.nodes {
		for _, m := range n.host.members {
			before[m.router] = m.router.counters.Sent
		}
	}
	s.calm = true
	s.pass(d, true)
	s.calm = false
	for _, n := range s.lan.nodes {
		for _, g := range n.host.groups {
			want := int64(0)
			if g.state == Active {
				want = int64(d / g.cfg.AdvertisementInterval)
			}
			for _, r := range g.routers {
				got := int64(r.counters.Sent - before[r])
				if got < want-min(want, 1) || got > want+min(want, 1) {
					s.fail("%s: %s/%s is %v and sent %d times in %v, want %d", n.name, g.cfg.Name, r.cfg.Name, g.state, got, d, want)
				}
			}
		}
	}
}

// rivals demands that no two directors are active for a group for longer than
// they need to hear of each other, if they do: three intervals, for a member
// may leave the decision between equals to an earlier one for an interval.
func (s *simulation) rivals() {
	if s.lan.err != nil || s.stepped {
		return
	}
	for i, g := range s.cluster.groups {
		active := slices.DeleteFunc(s.activesOfVersion(i), func(n *node) bool { return !n.runs() })
		for a := range active {
			for _, other := range active[a+1:] {
				if !s.joined(active[a], other, g) {
					continue
				}
				s.tally.splits.Add(1)
				since := s.hear[active[a].index][other.index]
				for _, n := range []*node{active[a], other} {
					since = later(since, n.host.groups[i].since)
				}
				both := s.lan.now.Sub(since)
				if both > 3*g.AdvertisementInterval+10*drizzle {
					s.fail("group %s: %s and %s are both active, and have heard each other for %v", g.Name, active[a].name, other.name, both)
				}
			}
		}
	}
}

// later returns the later of two moments.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// activesOfVersion returns the active directors that have the present
// configuration.
func (s *simulation) activesOfVersion(group int) []*node {
	var list []*node
	for _, n := range s.lan.nodes {
		if n.host != nil && s.ledgers[n.index].version == s.cluster.version && n.host.groups[group].state == Active {
			list = append(list, n)
		}
	}
	return list
}

// joined reports whether two directors hear each other on all segments of a
// group.
func (s *simulation) joined(a, b *node, g *shared) bool {
	return !slices.ContainsFunc(g.Routers, func(rc RouterConfig) bool {
		segment := s.cluster.segment(rc.Interface)
		return s.cuts[segment][a.index][b.index] || s.cuts[segment][b.index][a.index] ||
			a.ports[segment].down || b.ports[segment].down
	})
}

// probe makes one clean fault on a LAN that has settled, and demands that
// another director has taken over as soon as the RFC says.
func (s *simulation) probe(r *rand.Rand) {
	if s.lan.err != nil {
		return
	}
	s.land()
	s.tally.probes.Add(1)
	faults := []func(*rand.Rand, *node) (string, func(*shared) time.Duration){s.probeKill, s.probeKill, s.probeStop, s.probeUnplug, s.probePause}
	before := make([]*node, len(s.cluster.groups))
	for i := range s.cluster.groups {
		before[i] = s.activesOf(i)[0]
	}
	victim := oneOf(r, before...)
	what, limit := oneOf(r, faults...)(r, victim)
	s.note(lineDisturbance, "probe: %s", what)
	start := s.lan.now
	type check struct {
		at    time.Duration
		group int
	}
	var checks []check
	for i, g := range s.cluster.groups {
		if d := limit(g); before[i] == victim && d > 0 {
			checks = append(checks, check{d, i})
		}
	}
	slices.SortFunc(checks, func(a, b check) int { return int(a.at - b.at) })
	for _, c := range checks {
		s.pass(max(0, start.Add(c.at).Sub(s.lan.now)), true)
		s.tookOver(c.group, victim, what, c.at)
	}
	for i, n := range before {
		if s.lan.err == nil && (n != victim || limit(s.cluster.groups[i]) == 0) && !slices.Equal(s.activesOf(i), []*node{n}) {
			s.fail("%s: group %s has moved from %s to %v, which had nothing to do with it", what, s.cluster.groups[i].Name, n.name, names(s.activesOf(i)))
		}
	}
	if s.lan.err == nil {
		s.heal()
		s.await()
	}
}

// land waits until no frame is on its way.
func (s *simulation) land() {
	frame := func(e *entry) bool { return e.do == nil }
	for s.lan.err == nil && slices.ContainsFunc(s.lan.coming, frame) {
		if err := s.lan.run(s.lan.coming[0].at); err != nil {
			s.fail("%w", err)
		}
	}
}

// tookOver demands that somebody else is active.
func (s *simulation) tookOver(group int, victim *node, what string, within time.Duration) {
	if s.lan.err != nil {
		return
	}
	for _, n := range s.activesOf(group) {
		if n != victim {
			return
		}
	}
	s.fail("%s: nobody has taken over group %s within %v", what, s.cluster.groups[group].Name, within)
}

// silence is how long the slowest Backup waits for an active director that
// was silenced just now, or for one that has resigned.
func (s *simulation) silence(g *shared, victim *node, resigned bool) (d time.Duration) {
	for i, priority := range g.priorities {
		if i == victim.index {
			continue
		}
		for _, rc := range g.Routers {
			wait := skewOf(rc, g.AdvertisementInterval, priority)
			if !resigned {
				wait = down(rc, g.AdvertisementInterval, priority)
			}
			d = max(d, wait)
		}
	}
	return d + 2*drizzle
}

// probeKill kills a director.
func (s *simulation) probeKill(_ *rand.Rand, n *node) (string, func(*shared) time.Duration) {
	s.kill(n)
	return n.name + " is killed", func(g *shared) time.Duration { return s.silence(g, n, false) }
}

// probeStop stops a director in order.
func (s *simulation) probeStop(_ *rand.Rand, n *node) (string, func(*shared) time.Duration) {
	s.lan.handle(n, Shutdown{})
	s.kill(n)
	return n.name + " is stopped", func(g *shared) time.Duration { return s.silence(g, n, true) }
}

// probeUnplug takes one link away. On the others it can still resign, for the
// whole group.
func (s *simulation) probeUnplug(r *rand.Rand, n *node) (string, func(*shared) time.Duration) {
	p := oneOf(r, n.ports...)
	s.setLink(n, p, true)
	return n.name + " loses its link on " + p.name, func(g *shared) time.Duration {
		there, elsewhere := false, false
		for _, rc := range g.Routers {
			there = there || rc.Interface == p.name
			elsewhere = elsewhere || rc.Interface != p.name
		}
		if !there {
			return 0
		}
		return s.silence(g, n, elsewhere)
	}
}

// probePause stops the process of a director.
func (s *simulation) probePause(_ *rand.Rand, n *node) (string, func(*shared) time.Duration) {
	n.paused = true
	s.touch(n)
	return n.name + " is paused", func(g *shared) time.Duration { return s.silence(g, n, false) }
}
