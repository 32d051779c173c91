package vrrp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// traceOf returns the whole trace of a run.
func traceOf(seed uint64, kept []int) (lines []string, err error) {
	err = simulate(seed, kept, func(_ lineKind, line string) { lines = append(lines, line) }, &tally{})
	return lines, err
}

// TestSimulationIsReplayable: a seed is a run, whether it is watched or not,
// and so is a seed with what is kept of its disturbances.
func TestSimulationIsReplayable(t *testing.T) {
	for seed := uint64(5); seed < 9; seed++ {
		for _, kept := range [][]int{nil, {3, 4, 17, 21}} {
			first, _ := traceOf(seed, kept)
			again, _ := traceOf(seed, kept)
			if diff := cmp.Diff(first, again); diff != "" {
				t.Fatalf("seed %d, keep %v (-first +again):\n%s", seed, kept, diff)
			}
			var watched, unwatched tally
			_ = simulate(seed, kept, func(lineKind, string) {}, &watched)
			_ = simulate(seed, kept, nil, &unwatched)
			if w, u := watched.String(), unwatched.String(); w != u || watched.events.Load() != unwatched.events.Load() {
				t.Fatalf("seed %d, keep %v: watched: %s; unwatched: %s", seed, kept, w, u)
			}
		}
	}
}

// TestSimulationKeeps: of the disturbances those take place that are kept, at
// the time at which they would have.
func TestSimulationKeeps(t *testing.T) {
	const seed = 6
	all, _ := traceOf(seed, nil)
	some, _ := traceOf(seed, []int{1, 4})
	numbered := func(lines []string) (list []string) {
		for _, line := range lines {
			if strings.Contains(line, " #") {
				list = append(list, line)
			}
		}
		return list
	}
	first, kept := numbered(all), numbered(some)
	if len(first) != rounds*disturbances || len(kept) != 2 {
		t.Fatalf("%d and %d disturbances, want %d and 2", len(first), len(kept), rounds*disturbances)
	}
	// What exactly happens may depend on what has happened before.
	for i, n := range []int{1, 4} {
		want, _, _ := strings.Cut(first[n], fmt.Sprintf("#%d", n))
		if !strings.HasPrefix(kept[i], want) {
			t.Errorf("disturbance %d: %q, with all others %q", n, kept[i], first[n])
		}
	}
}

// TestMinimize: what is left cannot do without any element.
func TestMinimize(t *testing.T) {
	tests := []struct{ need, want []int }{
		{nil, []int{}},
		{[]int{0}, []int{0}},
		{[]int{49}, []int{49}},
		{[]int{7, 8}, []int{7, 8}},
		{[]int{0, 13, 26, 49}, []int{0, 13, 26, 49}},
	}
	for _, tt := range tests {
		var list []int
		for i := range 50 {
			list = append(list, i)
		}
		calls := 0
		got := minimize(list, func(left []int) bool {
			calls++
			return !slices.ContainsFunc(tt.need, func(n int) bool { return !slices.Contains(left, n) })
		})
		if diff := cmp.Diff(tt.want, got); diff != "" || calls > 200 {
			t.Errorf("need %v: %d calls (-want +got):\n%s", tt.need, calls, diff)
		}
	}
}

// TestNumbers: what a failure prints is what the replay reads.
func TestNumbers(t *testing.T) {
	for _, numbers := range [][]int{{}, {0}, {4, 17, 3}} {
		got, err := splitNumbers(joinNumbers(numbers))
		if err != nil || cmp.Diff(numbers, got) != "" {
			t.Errorf("%v becomes %v, %v", numbers, got, err)
		}
	}
	if got, err := splitNumbers(""); got != nil || err != nil {
		t.Errorf("nothing becomes %v, %v; want all", got, err)
	}
	for _, text := range []string{"1,", "-1", "one", "1;2"} {
		if got, err := splitNumbers(text); err == nil {
			t.Errorf("%q becomes %v, want an error", text, got)
		}
	}
}

// TestUpcoming: what comes first comes first, and at one moment what was said
// first.
func TestUpcoming(t *testing.T) {
	var l lan
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		l.add(entry{at: epoch.Add(time.Duration(r.IntN(50)) * time.Second)})
	}
	last := &entry{}
	for len(l.coming) > 0 {
		e := heap.Pop(&l.coming).(*entry)
		if e.at.Before(last.at) || e.at.Equal(last.at) && e.serial < last.serial {
			t.Fatalf("%v (%d) after %v (%d)", e.at, e.serial, last.at, last.serial)
		}
		last = e
	}
}

// quietSimulation returns a simulation that has been started and left alone
// until somebody is active.
func quietSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := newSimulation(seed, nil, &tally{})
	s.settle()
	if s.lan.err != nil {
		t.Fatal(s.lan.err)
	}
	return s
}

// TestSimulationNotices: what the simulation looks after it notices, each
// thing for itself.
func TestSimulationNotices(t *testing.T) {
	first := func(s *simulation) (*node, *group) {
		n := s.activesOf(0)[0]
		return n, n.host.groups[0]
	}
	tests := []struct {
		name  string
		spoil func(s *simulation)
		want  string
	}{
		{"two active directors", func(s *simulation) {
			for _, n := range s.lan.nodes {
				n.host.groups[0].state = Active
			}
			s.settled()
		}, "active directors: [lb1 lb2"},
		{"none", func(s *simulation) {
			_, g := first(s)
			g.state = Backup
			s.settled()
		}, "has 0 active directors"},
		{"a neighbour that was not told", func(s *simulation) {
			n, g := first(s)
			g.routers[0].cfg.Addresses = nil
			s.cluster.groups[0].Routers[0].Addresses = append(s.cluster.groups[0].Routers[0].Addresses,
				s.cluster.virtual(0, g.routers[0].cfg.RouterKey, 9))
			for _, caches := range s.caches {
				caches[0][s.cluster.virtual(0, g.routers[0].cfg.RouterKey, 9).Addr()] = s.lan.nodes[(n.index+1)%len(s.lan.nodes)]
			}
			s.settled()
		}, "the neighbour of lb1"},
		{"a state without a transition", func(s *simulation) {
			n, g := first(s)
			g.state = Backup
			s.lan.handle(n, Received{Interface: s.cluster.segments[0]})
		}, "its transitions ended in active"},
		{"a wrong counter", func(s *simulation) {
			n, g := first(s)
			g.routers[0].counters.Received++
			s.look(n, s.ledgers[n.index], false)
		}, "counts"},
		{"a change in silence", func(s *simulation) {
			n, g := first(s)
			s.look(n, s.ledgers[n.index], false)
			g.reason = "changed its mind"
			s.look(n, s.ledgers[n.index], false)
		}, "changed in silence"},
		{"a move on a quiet LAN", func(s *simulation) {
			n, _ := first(s)
			s.calm = true
			s.lan.handle(n, Shutdown{})
		}, "on an undisturbed LAN"},
		{"a flood", func(s *simulation) {
			n, g := first(s)
			for range 1000 {
				for _, a := range g.advertise(s.lan.now, g.routers[0]) {
					s.checkSend(n, s.ledgers[n.index], a.(Send), false)
				}
			}
		}, "floods the segment"},
		{"silence", func(s *simulation) {
			n, g := first(s)
			for _, r := range g.routers {
				r.deadline = s.lan.now.Add(time.Hour)
			}
			n.host.agenda = newAgenda(n.host.groups)
			s.quiet(6 * g.cfg.AdvertisementInterval)
		}, "on an undisturbed LAN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := quietSimulation(t, 1)
			tt.spoil(s)
			if s.lan.err == nil || !strings.Contains(s.lan.err.Error(), tt.want) {
				t.Errorf("noticed: %v; want %q", s.lan.err, tt.want)
			}
		})
	}
}
