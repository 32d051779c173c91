package vrrp

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// simulation is a cluster on a LAN, what is wrong with it at present, and
// what has been seen of it.
type simulation struct {
	lan     lan
	cluster *cluster
	network *rand.Rand // the dice of the network
	weather weather
	cuts    [][][]bool // by segment, from, to: not heard
	latency [][][]time.Duration
	ledgers []*ledger // by director
	caches  caches
	hear    [][]time.Time // since when two directors have heard each other well
	calm    bool          // the whole LAN is undisturbed: nothing moves
	stepped bool          // a clock was stepped since the LAN was last whole
	tape    tape
	forging bool // the present event is a forged packet
	trace   func(lineKind, string)
	tally   *tally
	delays  []time.Duration // what fate returned last
}

// lineKind is what a line of a trace tells.
type lineKind uint8

// The kinds of lines.
const (
	lineSetting     lineKind = iota // what the LAN consists of
	lineDisturbance                 // what happens to it
	lineAction                      // what the directors do
)

// weather is how the network treats frames.
type weather struct {
	loss      float64       // the share that gets lost
	duplicate float64       // the share that arrives twice
	delay     time.Duration // at most; frames overtake each other
}

// drizzle is the latency of a network that nothing is wrong with: it differs
// between any two hosts, and frames do not overtake each other.
const drizzle = 400 * time.Microsecond

// The rounds of a run and the disturbances of a round.
const (
	rounds       = 5
	disturbances = 10
)

// simulate makes one run: rounds of disturbances, after each of which the LAN
// is made whole and must settle. kept are the numbers of the disturbances
// that take place, nil for all.
func simulate(seed uint64, kept []int, trace func(lineKind, string), tally *tally) error {
	s := newSimulation(seed, trace, tally)
	plan := rand.New(rand.NewPCG(seed, 1))
	for round := range rounds {
		for i := range disturbances {
			pause := s.pause(plan)
			dice := plan.Uint64()
			number := round*disturbances + i
			s.pass(pause, false)
			s.rivals()
			if kept == nil || slices.Contains(kept, number) {
				s.disturb(number, rand.New(rand.NewPCG(dice, uint64(number))))
			}
		}
		s.settle()
		s.probe(rand.New(rand.NewPCG(plan.Uint64(), 0)))
		if s.lan.err != nil {
			break
		}
	}
	tally.runs.Add(1)
	tally.events.Add(int64(s.lan.events))
	tally.simulated.Add(int64(s.lan.now.Sub(epoch)))
	return s.lan.err
}

// newSimulation builds the LAN of a seed and starts the directors on it.
func newSimulation(seed uint64, trace func(lineKind, string), tally *tally) *simulation {
	dice := rand.New(rand.NewPCG(seed, 0))
	s := &simulation{
		cluster: newCluster(dice), network: rand.New(rand.NewPCG(seed, 2)), trace: trace, tally: tally,
	}
	c := s.cluster
	nodes := len(c.hostPart[0])
	s.cuts, s.latency = perPair[bool](len(c.segments), nodes), perPair[time.Duration](len(c.segments), nodes)
	for i := range c.segments {
		for j := range nodes {
			for k := range nodes {
				s.latency[i][j][k] = drizzle/20 + time.Duration(dice.Int64N(int64(drizzle)))
			}
		}
	}
	s.hear = perPair[time.Time](1, nodes)[0]
	s.tape.packets = make(map[tapeKey]recording)
	s.caches = newCaches(len(c.segments), nodes)
	s.lan.now, s.lan.fate, s.lan.witness = epoch, s.fate, s.witness
	if trace != nil {
		s.lan.trace = func(n *node, line string) { s.note(lineAction, "%s %s", n.name, line) }
		s.describe(nodes)
	}
	for i := range nodes {
		s.lan.nodes = append(s.lan.nodes, s.newNode(i))
		s.ledgers = append(s.ledgers, &ledger{})
	}
	for _, n := range s.lan.nodes {
		s.start(n)
	}
	return s
}

// perPair returns a value for each segment and ordered pair of directors.
func perPair[T any](segments, nodes int) [][][]T {
	all := make([][][]T, segments)
	for i := range all {
		all[i] = make([][]T, nodes)
		for j := range all[i] {
			all[i][j] = make([]T, nodes)
		}
	}
	return all
}

// newNode returns a director with an interface on each segment.
func (s *simulation) newNode(i int) *node {
	n := &node{name: fmt.Sprintf("lb%d", i+1), index: i}
	for segment, name := range s.cluster.segments {
		n.ports = append(n.ports, &port{
			name: name, source: s.cluster.home(segment, i, IPv4)[0], sources6: s.cluster.home(segment, i, IPv6),
		})
	}
	return n
}

// describe writes what the LAN consists of.
func (s *simulation) describe(nodes int) {
	s.note(lineSetting, "%d directors; segments %v", nodes, s.cluster.segments)
	for _, g := range s.cluster.groups {
		s.note(lineSetting, "group %s", g.describe())
	}
	for i, name := range s.cluster.segments {
		var list []netip.Addr
		for j := range nodes {
			list = append(list, s.cluster.home(i, j, IPv4)[0])
		}
		s.note(lineSetting, "on %s: %s", name, joinAddresses(list))
	}
}

// note writes a line of the trace.
func (s *simulation) note(kind lineKind, format string, args ...any) {
	if s.trace != nil {
		s.trace(kind, fmt.Sprintf("%v ", s.lan.now.Sub(epoch))+fmt.Sprintf(format, args...))
	}
}

// fail ends the run, if it has not ended yet.
func (s *simulation) fail(format string, args ...any) {
	if s.lan.err == nil {
		s.lan.err = fmt.Errorf("%v: %w", s.lan.now.Sub(epoch), fmt.Errorf(format, args...))
		s.note(lineDisturbance, "FAILED: %v", s.lan.err)
	}
}

// start runs a director with the present configuration.
func (s *simulation) start(n *node) {
	l := s.ledgers[n.index]
	groups := s.cluster.of(n.index)
	*l = newLedger(s.lan.now, groups)
	l.version = s.cluster.version
	s.touch(n)
	s.lan.start(n, groups)
}

// reload gives a director the present configuration. The kernel is asked of
// the interfaces that were not used before, and of those alone.
func (s *simulation) reload(n *node) {
	if !n.runs() {
		return
	}
	l := s.ledgers[n.index]
	l.version = s.cluster.version
	s.touch(n)
	used := maps.Clone(n.host.links)
	s.lan.handle(n, Reconfigure{Groups: s.cluster.of(n.index)})
	for _, p := range n.ports {
		for _, family := range []Family{IPv4, IPv6} {
			if _, ok := used[linkKey{p.name, family}]; !ok {
				s.lan.tellFamily(n, p, family)
			}
		}
	}
}

// touch takes down that something happened to a director.
func (s *simulation) touch(n *node) {
	for i := range s.hear {
		s.disturbed(n.index, i, s.lan.now)
	}
}

// disturbed takes down that two directors have not heard each other well until
// the given moment.
func (s *simulation) disturbed(i, j int, until time.Time) {
	for _, since := range []*time.Time{&s.hear[i][j], &s.hear[j][i]} {
		if since.Before(until) {
			*since = until
		}
	}
}

// fate is what becomes of a frame on its way to one receiver.
func (s *simulation) fate(from, to *node, iface string) []time.Duration {
	s.delays = s.delays[:0]
	segment := s.cluster.segment(iface)
	if s.cuts[segment][from.index][to.index] {
		return nil
	}
	w := &s.weather
	if *w == (weather{}) {
		return append(s.delays, s.latency[segment][from.index][to.index])
	}
	if s.network.Float64() < w.loss {
		return nil
	}
	copies := 1
	if s.network.Float64() < w.duplicate {
		copies = 2
	}
	for range copies {
		delay := s.latency[segment][from.index][to.index]
		if w.delay > 0 {
			delay += time.Duration(s.network.Int64N(int64(w.delay)))
		}
		s.delays = append(s.delays, delay)
	}
	return s.delays
}

// pass lets time go by, with packets in between that must not matter. Packets
// on the air are recorded if they can be trusted.
func (s *simulation) pass(d time.Duration, trusted bool) {
	s.tape.running = trusted
	const steps = 4
	for range steps {
		if err := s.lan.run(s.lan.now.Add(d / steps)); err != nil {
			s.fail("%w", err)
			return
		}
		for _, n := range s.lan.nodes {
			if n.runs() {
				s.forge(n)
			}
		}
	}
}

// pause throws how long it is until the next disturbance: sometimes no time
// at all, sometimes long enough for everybody to have forgotten the last one.
func (s *simulation) pause(r *rand.Rand) time.Duration {
	most := s.cluster.pace * time.Duration(oneOf(r, 0, 1, 1, 4, 4, 16))
	return time.Duration(r.Int64N(int64(most) + 1))
}
