package vrrp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// disturbance is one kind of thing that happens to a LAN. It says in words
// what it did.
type disturbance func(s *simulation, r *rand.Rand) string

// kindsOfDisturbance are all, the frequent ones more than once.
var kindsOfDisturbance = []disturbance{
	(*simulation).cutOneWay, (*simulation).cutOneWay, (*simulation).cutBoth, (*simulation).cutBoth, (*simulation).divide,
	(*simulation).mend, (*simulation).change, (*simulation).change, (*simulation).clear,
	(*simulation).halt, (*simulation).halt, (*simulation).crash, (*simulation).crash, (*simulation).stop,
	(*simulation).unplug, (*simulation).unplug, (*simulation).detect, (*simulation).readdress,
	(*simulation).step, (*simulation).edit, (*simulation).edit, (*simulation).reloadOne,
}

// disturb does one thing that happens to a LAN.
func (s *simulation) disturb(number int, r *rand.Rand) {
	if s.lan.err != nil {
		return
	}
	kind := oneOf(r, kindsOfDisturbance...)
	// What it does to the directors comes after it in the trace.
	at := s.trace
	var pending []string
	if at != nil {
		s.trace = func(_ lineKind, line string) { pending = append(pending, line) }
	}
	what := kind(s, r)
	s.trace = at
	s.note(lineDisturbance, "#%d %s", number, what)
	for _, line := range pending {
		at(lineAction, line)
	}
}

// anyNode throws a director.
func (s *simulation) anyNode(r *rand.Rand) *node { return oneOf(r, s.lan.nodes...) }

// anyPair throws two directors, and a segment.
func (s *simulation) anyPair(r *rand.Rand) (segment, from, to int) {
	from = r.IntN(len(s.lan.nodes))
	to = (from + 1 + r.IntN(len(s.lan.nodes)-1)) % len(s.lan.nodes)
	return r.IntN(len(s.cluster.segments)), from, to
}

// spell throws for how long something lasts: shorter than a director's
// patience, or longer.
func (s *simulation) spell(r *rand.Rand) time.Duration {
	most := s.cluster.pace * time.Duration(oneOf(r, 1, 3, 8, 30))
	return time.Duration(r.Int64N(int64(most))) + time.Millisecond
}

// cut has one director not heard by another, or heard again.
func (s *simulation) cut(segment, from, to int, cut bool) {
	s.cuts[segment][from][to] = cut
	s.disturbed(from, to, s.lan.now)
}

// cutOneWay has a director not heard by another one that it hears.
func (s *simulation) cutOneWay(r *rand.Rand) string {
	segment, from, to := s.anyPair(r)
	s.cut(segment, from, to, true)
	return fmt.Sprintf("on %s lb%d is not heard by lb%d", s.cluster.segments[segment], from+1, to+1)
}

// cutBoth separates two directors, that may both hear a third.
func (s *simulation) cutBoth(r *rand.Rand) string {
	segment, from, to := s.anyPair(r)
	s.cut(segment, from, to, true)
	s.cut(segment, to, from, true)
	return fmt.Sprintf("on %s lb%d and lb%d do not hear each other", s.cluster.segments[segment], from+1, to+1)
}

// divide breaks a segment, or all, into two.
func (s *simulation) divide(r *rand.Rand) string {
	sides := r.Uint64()
	all := r.IntN(2) == 0
	chosen := r.IntN(len(s.cluster.segments))
	for segment := range s.cuts {
		if !all && segment != chosen {
			continue
		}
		s.eachPair(func(i, j int) { s.cut(segment, i, j, (sides>>i^sides>>j)&1 == 1) })
	}
	var names [2][]string
	for _, n := range s.lan.nodes {
		side := sides >> n.index & 1
		names[side] = append(names[side], n.name)
	}
	where := "segment " + s.cluster.segments[chosen] + " is"
	if all {
		where = "all segments are"
	}
	return fmt.Sprintf("%s divided: %s | %s", where, strings.Join(names[0], " "), strings.Join(names[1], " "))
}

// eachPair calls f for every ordered pair of directors.
func (s *simulation) eachPair(f func(i, j int)) {
	for i := range s.lan.nodes {
		for j := range s.lan.nodes {
			if i != j {
				f(i, j)
			}
		}
	}
}

// mend makes a segment whole.
func (s *simulation) mend(r *rand.Rand) string {
	segment := r.IntN(len(s.cluster.segments))
	s.eachPair(func(i, j int) { s.cut(segment, i, j, false) })
	return fmt.Sprintf("segment %s is whole", s.cluster.segments[segment])
}

// change changes how the network treats frames.
func (s *simulation) change(r *rand.Rand) string {
	s.setWeather(weather{
		loss: oneOf(r, 0, 0.05, 0.3, 0.8), duplicate: oneOf(r, 0, 0, 0.1, 0.5),
		delay: s.cluster.pace * time.Duration(oneOf(r, 0, 1, 10, 50)) / 10,
	})
	return fmt.Sprintf("the network loses %.0f%%, repeats %.0f%%, delays up to %v",
		100*s.weather.loss, 100*s.weather.duplicate, s.weather.delay)
}

// clear lets the network treat frames well again.
func (s *simulation) clear(*rand.Rand) string {
	s.setWeather(weather{})
	return "the network is well"
}

// setWeather changes how frames are treated from now on. Those that are on
// their way arrive when they would have.
func (s *simulation) setWeather(w weather) {
	until := s.lan.now.Add(s.weather.delay)
	if w != (weather{}) {
		until = s.lan.now.Add(time.Hour) // not before it is well again
	} else {
		s.eachPair(func(i, j int) { s.hear[i][j] = time.Time{} })
	}
	s.weather = w
	s.eachPair(func(i, j int) { s.disturbed(i, j, until) })
}

// halt stops a director's process for a while, as a suspended virtual machine
// or one that gets no processor.
func (s *simulation) halt(r *rand.Rand) string {
	n, d := s.anyNode(r), s.spell(r)
	if !n.runs() {
		return n.name + " would be paused, but does not run"
	}
	n.paused = true
	s.touch(n)
	s.lan.after(d, func() { s.goOn(n) })
	return fmt.Sprintf("%s is paused for %v", n.name, d)
}

// goOn ends a pause.
func (s *simulation) goOn(n *node) {
	if n.paused {
		s.touch(n)
		s.lan.resume(n)
	}
}

// crash ends a director without a word, and starts it after a while.
func (s *simulation) crash(r *rand.Rand) string {
	n, d := s.anyNode(r), s.spell(r)
	s.kill(n)
	s.lan.after(d, func() { s.revive(n) })
	return fmt.Sprintf("%s crashes, and is started after %v", n.name, d)
}

// kill ends a director without a word. Its addresses stay in the kernel.
func (s *simulation) kill(n *node) {
	s.touch(n)
	s.lan.kill(n)
}

// revive starts a director that does not run.
func (s *simulation) revive(n *node) {
	if n.host == nil {
		s.start(n)
	}
}

// stop ends a director in order, and starts it after a while.
func (s *simulation) stop(r *rand.Rand) string {
	n, d := s.anyNode(r), s.spell(r)
	if !n.runs() {
		return n.name + " would be stopped, but does not run"
	}
	s.lan.handle(n, Shutdown{})
	s.kill(n)
	s.lan.after(d, func() { s.revive(n) })
	return fmt.Sprintf("%s is stopped, and started after %v", n.name, d)
}

// detectTime is how long IPv6 looks whether an address is in use already
// (RFC 4862 section 5.1, with a RetransTimer of a second; here shorter, or
// short intervals would have to wait for it all the time).
const detectTime = 200 * time.Millisecond

// unplug has a director lose a link for a while.
func (s *simulation) unplug(r *rand.Rand) string {
	n, d := s.anyNode(r), s.spell(r)
	p := oneOf(r, n.ports...)
	s.setLink(n, p, true)
	s.lan.after(d, func() { s.setLink(n, p, false) })
	return fmt.Sprintf("%s loses its link on %s for %v", n.name, p.name, d)
}

// setLink plugs or unplugs a cable. With the link, the addresses of IPv6 come
// back later.
func (s *simulation) setLink(n *node, p *port, down bool) {
	if p.down == down {
		return
	}
	s.touch(n)
	p.tentative = p.tentative || !down
	s.lan.setLink(n, p, down)
	if !down {
		s.lan.after(detectTime, func() { s.detected(n, p) })
	}
}

// detect has the addresses of IPv6 be tentative for a while.
func (s *simulation) detect(r *rand.Rand) string {
	n := s.anyNode(r)
	p := oneOf(r, n.ports...)
	s.touch(n)
	p.tentative = true
	s.lan.notice(n, p)
	s.lan.after(detectTime, func() { s.detected(n, p) })
	return fmt.Sprintf("%s has tentative addresses only on %s, for %v", n.name, p.name, detectTime)
}

// detected ends that.
func (s *simulation) detected(n *node, p *port) {
	if p.tentative && !p.down {
		s.touch(n)
		p.tentative = false
		s.lan.notice(n, p)
	}
}

// readdress gives a director another address on a segment for a while.
func (s *simulation) readdress(r *rand.Rand) string {
	n, d := s.anyNode(r), s.spell(r)
	p := oneOf(r, n.ports...)
	segment := s.cluster.segment(p.name)
	s.setSource(n, p, true)
	s.lan.after(d, func() { s.setSource(n, p, false) })
	return fmt.Sprintf("%s has the address %v on %s for %v", n.name, s.cluster.away(segment, n.index), p.name, d)
}

// setSource changes the address of an interface.
func (s *simulation) setSource(n *node, p *port, away bool) {
	s.touch(n)
	segment := s.cluster.segment(p.name)
	p.source = s.cluster.home(segment, n.index, IPv4)[0]
	if away {
		p.source = s.cluster.away(segment, n.index)
	}
	s.lan.notice(n, p)
}

// step puts a director's clock forward or back.
func (s *simulation) step(r *rand.Rand) string {
	n := s.anyNode(r)
	if !s.cluster.stepped {
		return "the clock of " + n.name + " is right: nothing else bounds replay"
	}
	d := oneOf(r, 100*time.Millisecond, time.Second, time.Minute, time.Hour) * oneOf[time.Duration](r, -1, 1)
	s.setClock(n, n.clock+d)
	return fmt.Sprintf("the clock of %s is %v ahead", n.name, n.clock)
}

// setClock sets by how much a director's clock is ahead.
func (s *simulation) setClock(n *node, ahead time.Duration) {
	s.touch(n)
	s.stepped = true
	n.clock = ahead
	if n.host != nil {
		n.host.clock = ahead
	}
}

// edit changes the configuration. Some directors read it now, the others
// later or when the LAN is made whole.
func (s *simulation) edit(r *rand.Rand) string {
	what := s.cluster.edit(r, len(s.lan.nodes))
	var readers []string
	for _, n := range s.lan.nodes {
		if r.IntN(3) > 0 && n.runs() {
			readers = append(readers, n.name)
			s.reload(n)
		}
	}
	return fmt.Sprintf("configuration: %s; read by %s", what, orNothing(strings.Join(readers, " ")))
}

// reloadOne has one director read the configuration.
func (s *simulation) reloadOne(r *rand.Rand) string {
	n := s.anyNode(r)
	s.reload(n)
	return n.name + " reads the configuration"
}
