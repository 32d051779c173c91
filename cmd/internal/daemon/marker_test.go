package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bascule/cmd/internal/config"
	"bascule/lvs"
	"bascule/lvs/mark"
)

// kernelMarks is the kernel's table of marks, or none while it fails.
type kernelMarks struct {
	mu     sync.Mutex
	rules  []mark.Rule
	edits  int
	broken error
}

// table returns the way to this table.
func (k *kernelMarks) table() markTable {
	return markTable{
		check: func(rules []mark.Rule) (bool, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			return slices.Equal(rules, k.rules), k.broken
		},
		apply: func(rules []mark.Rule) error {
			k.set(rules, nil)
			return nil
		},
	}
}

// set replaces the table, and whether it fails.
func (k *kernelMarks) set(rules []mark.Rule, broken error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rules, k.broken = rules, broken
	k.edits++
}

// has says whether the table has that many rules.
func (k *kernelMarks) has(n int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.rules) == n
}

// TestMarker: rules come with a configuration, are repaired, are tried again
// after a failure, which is shown, and go at the end.
func TestMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := netip.MustParseAddr("192.0.2.1")
		vs := config.VirtualServer{Match: []lvs.Match{{Protocol: lvs.TCP, First: addr, Last: addr, FirstPort: 80, LastPort: 80}}}
		vs.Services = []lvs.Service{{ServiceKey: lvs.MarkKey(7, false)}}
		rules := markRules(&config.Node{VirtualServers: []config.VirtualServer{{}, vs}})
		if len(rules) != 1 || rules[0].Mark != 7 {
			t.Fatalf("rules %v", rules)
		}
		k := &kernelMarks{rules: rules[:1:1]} // a predecessor's
		log := new(strings.Builder)
		m := newMarker(slog.New(slog.NewTextHandler(log, nil)), k.table())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.run(ctx)
		}()
		expect := func(when string, n int, problem string) {
			t.Helper()
			synctest.Wait()
			if got := strings.Join(m.problems(), ""); !k.has(n) || got != problem {
				t.Errorf("%s: %d rules, problem %q; want %d, %q", when, len(k.rules), got, n, problem)
			}
		}
		expect("after a predecessor", 0, "")
		m.configure(rules)
		expect("configured", 1, "")
		edits := k.edits
		time.Sleep(10 * markPeriod)
		if synctest.Wait(); k.edits != edits {
			t.Error("edits what is as wanted")
		}
		k.set(nil, nil)
		time.Sleep(markPeriod)
		expect("flushed by somebody", 1, "")
		k.set(nil, errors.New("no nf_tables"))
		time.Sleep(markPeriod)
		expect("broken", 0, "firewall marks: no nf_tables")
		k.set(nil, nil)
		time.Sleep(markRetry)
		expect("mended", 1, "")
		if got := strings.Count(log.String(), "\n"); got != 4 {
			t.Errorf("%d lines of log, want repaired, not set, set and repaired:\n%s", got, log)
		}
		must(t, m.clear(t.Context()))
		expect("cleared", 0, "")
		cancel()
		<-ended
	})
}

// TestMarkerDoesNotWait: an ordered stop waits for a kernel that hangs only
// where there are rules to remove.
func TestMarkerDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, rules := range [][]mark.Rule{nil, make([]mark.Rule, 1)} {
			answer := make(chan struct{})
			m := newMarker(slog.New(slog.DiscardHandler), markTable{
				check: func([]mark.Rule) (bool, error) { <-answer; return true, nil },
			})
			m.configure(rules)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := m.clear(ctx); (err != nil) != (rules != nil) {
				t.Errorf("with %d rules: %v", len(rules), err)
			}
			cancel()
			close(answer)
		}
	})
}

// TestMarkerUnused: a kernel without nf_tables is no problem for who needs no
// rules.
func TestMarkerUnused(t *testing.T) {
	k := &kernelMarks{broken: errors.New("no nf_tables")}
	m := newMarker(slog.New(slog.DiscardHandler), k.table())
	if err := m.reconcile(); err == nil || len(m.problems()) != 0 {
		t.Errorf("error %v, problems %v", err, m.problems())
	}
	must(t, m.clear(t.Context()))
	m = newMarker(slog.New(slog.DiscardHandler), k.table())
	m.configure(make([]mark.Rule, 1))
	if err := m.reconcile(); err == nil || len(m.problems()) != 1 {
		t.Errorf("with rules: error %v, problems %v", err, m.problems())
	}
	must(t, m.clear(t.Context()))
}

// TestMarkerAfterClear: a reload that is late in an ordered stop does not bring
// rules back.
func TestMarkerAfterClear(t *testing.T) {
	for _, before := range [][]mark.Rule{nil, make([]mark.Rule, 1)} {
		k := &kernelMarks{}
		m := newMarker(slog.New(slog.DiscardHandler), k.table())
		m.configure(before)
		must(t, m.reconcile())
		must(t, m.clear(t.Context()))
		m.configure(make([]mark.Rule, 2))
		must(t, m.reconcile())
		if !k.has(0) {
			t.Errorf("%d rules, and a reload during the stop has left %d", len(before), len(k.rules))
		}
	}
}
