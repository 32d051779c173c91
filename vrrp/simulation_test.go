package vrrp

import (
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What TestSimulation does can be said on its command line.
var (
	simulationEvents = flag.Int("simulation.events", 200_000, "simulate until this many events have been handled")
	simulationFirst  = flag.Uint64("simulation.first", 1, "the seed of the first run")
	simulationSeed   = flag.Uint64("simulation.seed", 0, "replay the run of this seed, with its trace")
	simulationShrink = flag.Bool("simulation.shrink", true, "look for the fewest disturbances with which a failed run fails")
	simulationKeep   = flag.String("simulation.keep", "", "of the replay keep only these disturbances (numbers, between commas)")
)

// TestSimulation disturbs clusters of directors at random, and looks after
// every event and at quiet moments whether what they promise holds. What is
// promised is said at witness, settle, probe and rivals. A failure names its
// seed, and the fewest disturbances that still make it fail.
func TestSimulation(t *testing.T) {
	if *simulationSeed != 0 {
		replay(t, *simulationSeed, *simulationKeep)
		return
	}
	var tally tally
	start := time.Now()
	failure := simulateMany(&tally)
	t.Logf("FIGURE simulation: %d events in %d runs, %v of virtual time, in %v",
		tally.events.Load(), tally.runs.Load(), time.Duration(tally.simulated.Load()).Round(time.Second), time.Since(start).Round(time.Millisecond))
	t.Logf("simulation: %v", &tally)
	if failure != nil {
		report(t, failure)
		return
	}
	tally.complain(t)
}

// tally counts what the runs together have seen, so that a simulation that
// shows nothing is noticed.
type tally struct {
	runs, simulated                            atomic.Int64
	events                                     atomic.Int64
	settled, probes, takeovers, splits, forged atomic.Int64
}

// String returns the counts.
func (c *tally) String() string {
	return fmt.Sprintf("%d times whole again, %d clean faults, %d take-overs, %d pairs of active directors on one segment, %d forged packets",
		c.settled.Load(), c.probes.Load(), c.takeovers.Load(), c.splits.Load(), c.forged.Load())
}

// complain fails the test if something that is to be tested never happened.
func (c *tally) complain(t *testing.T) {
	for what, n := range map[string]*atomic.Int64{
		"a LAN that was whole again": &c.settled, "a clean fault": &c.probes, "a take-over": &c.takeovers,
		"two active directors that hear each other": &c.splits, "a forged packet": &c.forged,
	} {
		if n.Load() == 0 {
			t.Errorf("there never was %s", what)
		}
	}
}

// failure is a run in which something did not hold.
type failure struct {
	seed uint64
	kept []int // the numbers of the disturbances that took place; nil: all
	err  error
}

// simulateMany runs seed after seed, on all processors, until there were
// enough events or one run failed: of those the one of the lowest seed.
func simulateMany(tally *tally) *failure {
	var (
		next   atomic.Uint64
		mutex  sync.Mutex
		failed *failure
		group  sync.WaitGroup
	)
	next.Store(*simulationFirst - 1)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for tally.events.Load() < int64(*simulationEvents) {
				seed := next.Add(1)
				mutex.Lock()
				over := failed != nil
				mutex.Unlock()
				if over {
					return
				}
				if err := simulate(seed, nil, nil, tally); err != nil {
					mutex.Lock()
					if failed == nil || seed < failed.seed {
						failed = &failure{seed: seed, err: err}
					}
					mutex.Unlock()
				}
			}
		})
	}
	group.Wait()
	return failed
}

// report fails the test with what there is to know about a failed run.
func report(t *testing.T, f *failure) {
	if *simulationShrink {
		f = shrink(f)
	}
	t.Errorf("seed %d: %v\nIt fails with these disturbances (%d of those of the run):\n%s\n"+
		"Replay with the trace:\ngo test ./vrrp -run '^TestSimulation$' -v -simulation.seed=%d -simulation.keep=%s",
		f.seed, f.err, len(f.kept), f.scenario(), f.seed, joinNumbers(f.kept))
}

// scenario tells what happens in a failed run, without what follows from it.
func (f *failure) scenario() string {
	var lines []string
	_ = simulate(f.seed, f.kept, func(kind lineKind, line string) {
		if kind != lineAction {
			lines = append(lines, "  "+line)
		}
	}, &tally{})
	return strings.Join(lines, "\n")
}

// replay runs one seed and prints all that happens.
func replay(t *testing.T, seed uint64, keep string) {
	kept, err := splitNumbers(keep)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	err = simulate(seed, kept, func(_ lineKind, line string) { fmt.Fprintln(&lines, line) }, &tally{})
	t.Logf("the run of seed %d:\n%s", seed, lines.String())
	if err != nil {
		t.Error(err)
	}
}

// joinNumbers writes the numbers of disturbances; "none" if there are none.
func joinNumbers(numbers []int) string {
	if len(numbers) == 0 {
		return "none"
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

// splitNumbers reads what joinNumbers wrote; nothing at all means all.
func splitNumbers(s string) ([]int, error) {
	switch s {
	case "":
		return nil, nil
	case "none":
		return []int{}, nil
	}
	var numbers []int
	for _, word := range strings.Split(s, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not the number of a disturbance", word)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
