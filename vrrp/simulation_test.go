package vrrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// simulation is a LAN of two or three directors that share two groups, and
// the dice that everything about it is thrown with.
type simulation struct {
	*rand.Rand
	t      *testing.T
	lan    lan
	groups []GroupConfig
	calm   bool // the LAN is whole and loses nothing
}

// newSimulation throws the directors and their groups for a seed.
func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{Rand: rand.New(rand.NewPCG(seed, 0)), t: t}
	s.lan.now = epoch
	s.lan.latency = func() time.Duration { return time.Duration(s.IntN(2000)) * time.Microsecond }
	s.lan.lose = func() bool { return !s.calm && s.IntN(10) == 0 }
	s.groups = []GroupConfig{
		named("web", groupOf(0, publicRouter(), gatewayRouter())),
		named("mail", groupOf(0, vrid(publicRouter(), 57))),
	}
	for i := range s.groups {
		g := &s.groups[i]
		g.AdvertisementInterval = []time.Duration{100 * time.Millisecond, second}[s.IntN(2)]
		g.Preempt.Enabled = s.IntN(2) == 0
	}
	for i := range 2 + s.IntN(2) {
		n := &node{name: fmt.Sprintf("lb%d", i+1)}
		for _, name := range []string{"pub", "int"} {
			n.ports = append(n.ports, &port{name: name, source: onInterface(name, fmt.Sprintf("192.168.56.%d", i+1))})
		}
		s.lan.nodes = append(s.lan.nodes, n)
		s.lan.start(n, s.groupsOf(i))
	}
	return s
}

// groupsOf returns the groups with the priorities of a node: each group
// prefers another one.
func (s *simulation) groupsOf(i int) []GroupConfig {
	groups := slices.Clone(s.groups)
	groups[0].Priority = uint8(100 + 50*i)
	groups[1].Priority = uint8(200 - 50*i)
	return groups
}

// disturb does one thing that happens to a LAN.
func (s *simulation) disturb() {
	i := s.IntN(len(s.lan.nodes))
	n := s.lan.nodes[i]
	p := n.ports[s.IntN(len(n.ports))]
	switch s.IntN(7) {
	case 0:
		p.side = s.IntN(2)
	case 1:
		s.lan.setLink(n, p, s.IntN(2) == 0)
	case 2:
		n.paused = n.host != nil
	case 3:
		s.revive(i)
	case 4:
		s.lan.kill(n)
	case 5:
		if n.host != nil {
			s.lan.handle(n, Shutdown{})
			s.lan.kill(n)
		}
	case 6:
		if n.host != nil && !n.paused {
			s.lan.handle(n, Reconfigure{Groups: s.groupsOf(i)})
		}
	}
}

// revive makes a node run, if it does not.
func (s *simulation) revive(i int) {
	n := s.lan.nodes[i]
	switch {
	case n.host == nil:
		s.lan.start(n, s.groupsOf(i))
	case n.paused:
		s.lan.resume(n)
	}
}

// pass lets time go by, and looks at every director afterwards.
func (s *simulation) pass(d time.Duration) {
	if err := s.lan.run(s.lan.now.Add(d)); err != nil {
		s.t.Fatal(err)
	}
	for _, n := range s.lan.nodes {
		if n.host != nil {
			wholeGroups(s.t, n.host)
		}
	}
}

// heal ends all disturbances.
func (s *simulation) heal() {
	s.calm = true
	for i, n := range s.lan.nodes {
		for _, p := range n.ports {
			p.side = 0
			if p.down {
				s.lan.setLink(n, p, false)
			}
		}
		s.revive(i)
	}
}

// actives returns the priorities of the directors that are active for a group.
func (s *simulation) actives(group int) (priorities []uint8) {
	for _, n := range s.lan.nodes {
		if g := n.host.Status().Groups[group]; g.State == Active {
			priorities = append(priorities, g.Priority)
		}
	}
	return priorities
}

// highest returns the highest priority for a group.
func (s *simulation) highest(group int) (p uint8) {
	for i := range s.lan.nodes {
		p = max(p, s.groupsOf(i)[group].Priority)
	}
	return p
}

// TestSimulation disturbs LANs at random. Two Active_Down_Intervals after the
// last disturbance each group has one active director, with all or nothing of
// its addresses everywhere else: the one of the highest priority, if it may
// preempt. A failure names its seed.
func TestSimulation(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSimulation(t, seed)
			for range 40 {
				s.disturb()
				s.pass(time.Duration(s.IntN(3000)) * time.Millisecond)
			}
			s.heal()
			// An interval learned before is the real one here, so that the
			// slowest group decides how long to wait.
			s.pass(2 * activeDownInterval(1, second))
			for i, g := range s.groups {
				got := s.actives(i)
				if len(got) != 1 || g.Preempt.Enabled && got[0] != s.highest(i) {
					t.Errorf("group %s: active with priority %v; want one, the highest (%d) if preempting (%v)",
						g.Name, got, s.highest(i), g.Preempt.Enabled)
				}
			}
		})
	}
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
