package vrrp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutationEvents is within how many events the simulation must find a mistake.
const mutationEvents = 1_000_000

// mutation is a mistake that somebody could make in the core: in a file, the
// text old, which must be there once, becomes new.
type mutation struct {
	name, file, old, new string
}

// mutations are mistakes that no single exchange of messages shows.
var mutations = []mutation{
	{"a group takes over when the first of its timers fires", "group.go",
		"g.state == Backup && r.deadline.After(t),", "g.state == Backup && r.deadline.Before(t),"},
	{"a resignation shortens the timer of one member only", "receive.go",
		"if !wasActive {", "if wasActive || true {"},
	{"each member decides a tie for itself", "tie.go",
		"case r != g.routers[0] && now.Sub(r.rival.first) < g.cfg.AdvertisementInterval:", "case false:"},
	{"the smaller address wins a tie", "tie.go",
		"case r.source.Less(p.Source):", "case p.Source.Less(r.source):"},
	{"an equal priority does not restart the timer", "receive.go",
		"case p.Priority >= g.cfg.Priority, !g.preempts(now):", "case p.Priority > g.cfg.Priority, !g.preempts(now):"},
	{"the learned interval has no bound", "timers.go",
		"return min(advertised, learnedIntervalLimit*own)", "return advertised"},
	{"the delay of preemption counts from the start", "receive.go",
		"return now.Sub(g.lowerSince) >= g.cfg.Preempt.Delay", "return now.Sub(g.since) >= g.cfg.Preempt.Delay/2"},
	{"invalid packets restart the Adver_Timer", "receive.go",
		"r.counters.Dropped[reason]++\n", "r.counters.Dropped[reason]++\n\tif g.state == Active {\n\t\tr.deadline = now.Add(g.cfg.AdvertisementInterval)\n\t}\n"},
	{"who yields resigns", "receive.go",
		"out := g.lastWord(now)\n", "out := g.farewell(now, nil)\n"},
	{"who yields says nothing", "receive.go",
		"out := g.lastWord(now)\n", "var out []Action\n"},
	{"an announcement that came too soon is not made up for", "group.go",
		"if g.owed {", "if false {"},
	{"who has just taken over does not announce again", "receive.go",
		"out = append(out, g.contested(now, r, p)...)\n",
		"if now.Sub(g.since) < g.cfg.AdvertisementInterval {\n\t\treturn out\n\t}\n\tout = append(out, g.contested(now, r, p)...)\n"},
	{"in unicast mode everybody is a peer", "receive.go",
		"case r.cfg.Unicast != nil && r.peerAt(p.Source) == nil:", "case false:"},
	{"a fault counts on the last member only", "group.go",
		"faulty = faulty || r.fault", "faulty = r.fault"},
	{"a recording is taken for the original", "auth.go",
		"if known && stamp < last && (", "if known && stamp > last && ("},
	{"stamps stay ahead after the clock has been put back", "auth.go",
		"if a.Window > 0 && last.offset(wall) > a.Window {", "if a.Window < 0 && last.offset(wall) > a.Window {"},
	{"the agenda forgets an earlier deadline", "agenda.go",
		"case d.Before(g.wake):", "case d.Before(g.wake) && g.state == Initialize:"},
	{"a new member does not learn what its interface is like", "reconfigure.go",
		"\tacquaint(g)\n", "\t_ = acquaint\n"},
}

// TestSimulationFindsMutations: the simulation is worth something, for it
// finds mistakes that are planted, each within mutationEvents events; and
// nothing is found where there is none.
func TestSimulationFindsMutations(t *testing.T) {
	for _, m := range append([]mutation{{name: "none"}}, mutations...) {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out, err := m.run(t)
			switch {
			case m.file == "" && err != nil:
				t.Errorf("the simulation fails without a mutation:\n%s", out)
			case m.file != "" && err == nil:
				t.Errorf("%s: %q instead of %q is not found:\n%s", m.file, m.new, m.old, out)
			case m.file != "" && !strings.Contains(out, "Replay with the trace:"):
				t.Errorf("%v, but not because the simulation has found something:\n%s", err, out)
			case m.file != "":
				t.Log(firstLine(out, "seed "))
			}
		})
	}
}

// run compiles this package with the mutation in it and runs the simulation.
func (m mutation) run(t *testing.T) (output string, err error) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "mutant")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-o", binary, "-overlay", m.overlay(t, dir), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("does not compile: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary, "-test.run", "^TestSimulation$", "-test.v",
		fmt.Sprintf("-simulation.events=%d", mutationEvents), "-simulation.shrink=false")
	run.Env = append(os.Environ(), "GOMAXPROCS=1") // they run side by side
	out, err := run.CombinedOutput()
	return string(out), err
}

// overlay writes the mutated file into a directory, and what makes the
// compiler read it instead of the original.
func (m mutation) overlay(t *testing.T, dir string) string {
	replace := make(map[string]string)
	if m.file != "" {
		text, err := os.ReadFile(m.file)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte(m.old)); n != 1 {
			t.Fatalf("%s has %q %d times, want once: bring the mutation up to date", m.file, m.old, n)
		}
		original, err := filepath.Abs(m.file)
		if err != nil {
			t.Fatal(err)
		}
		replace[original] = filepath.Join(dir, m.file)
		mutated := bytes.Replace(text, []byte(m.old), []byte(m.new), 1)
		if err := os.WriteFile(replace[original], mutated, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// firstLine returns the first line that contains a text.
func firstLine(s, text string) string {
	for _, line := range strings.Split(s, "\n") {
		if strings.Contains(line, text) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
