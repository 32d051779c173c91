package daemon

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bascule/cmd/internal/config"
	"bascule/lvs/mark"
)

// How often the rules of marks are looked at, and tried again after a failure.
const (
	markPeriod = 2 * time.Second
	markRetry  = 5 * time.Second
)

// markTable is the part of package mark that the marker uses.
type markTable struct {
	check func([]mark.Rule) (bool, error)
	apply func([]mark.Rule) error
}

// marker keeps the rules that give packets the marks of virtual servers.
type marker struct {
	log     *slog.Logger
	table   markTable
	changed chan struct{} // holds a token when wanted has been replaced
	wanted  atomic.Pointer[[]mark.Rule]
	nothing *[]mark.Rule // wanted from the ordered stop on
	problem atomic.Pointer[string]

	used atomic.Bool // there have been rules

	mu    sync.Mutex  // held while the kernel is looked at
	there []mark.Rule // what was there when it was looked at last
}

// newMarker returns a marker that wants no rules.
func newMarker(log *slog.Logger, table markTable) *marker {
	m := &marker{log: log, table: table, changed: make(chan struct{}, 1), nothing: new([]mark.Rule)}
	m.wanted.Store(new([]mark.Rule))
	return m
}

// markRules returns the rules that a configuration asks for.
func markRules(node *config.Node) []mark.Rule {
	var rules []mark.Rule
	for _, vs := range node.VirtualServers {
		for _, match := range vs.Match {
			rules = append(rules, mark.Rule{Mark: vs.Services[0].Mark, Match: match})
		}
	}
	return rules
}

// configure replaces the rules, unless the ordered stop has come first. It does
// not wait for the kernel.
func (m *marker) configure(rules []mark.Rule) {
	for {
		old := m.wanted.Load()
		if old == m.nothing || m.wanted.CompareAndSwap(old, &rules) {
			break
		}
	}
	m.wake()
}

// wake has run look at the kernel.
func (m *marker) wake() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// run keeps the rules until ctx ends.
func (m *marker) run(ctx context.Context) {
	for {
		pause := markPeriod
		if m.reconcile() != nil {
			pause = markRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
		case <-time.After(pause):
		}
	}
}

// reconcile makes the kernel's rules the wanted ones. Where none are wanted and
// none have been, what a predecessor left is removed, and a kernel that knows
// no rules is no problem.
func (m *marker) reconcile() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	rules := *m.wanted.Load()
	unused := len(rules) == 0 && !m.used.Load()
	good, err := m.table.check(rules)
	if err == nil && !good {
		if m.used.Load() && slices.Equal(rules, m.there) {
			m.log.Warn("rules of firewall marks repaired", "rules", len(rules))
		}
		err = m.table.apply(rules)
	}
	if err == nil {
		m.there = rules
		if len(rules) > 0 {
			m.used.Store(true)
		}
		if m.problem.Swap(nil) != nil {
			m.log.Info("rules of firewall marks set")
		}
		return nil
	}
	if unused {
		return err
	}
	text := "firewall marks: " + err.Error()
	if old := m.problem.Swap(&text); old == nil || *old != text {
		m.log.Warn("rules of firewall marks not set", "error", err.Error())
	}
	return err
}

// clear removes all rules, for an ordered stop, and for good: a reload may be
// late. Where there have never been any it does not wait for the kernel.
func (m *marker) clear(ctx context.Context) error {
	unused := len(*m.wanted.Swap(m.nothing)) == 0 && !m.used.Load()
	m.wake()
	if unused {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- m.reconcile() }()
	select {
	case err := <-done:
		if !m.used.Load() {
			return nil // none were ever set
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// problems lists what keeps the rules from being as wanted.
func (m *marker) problems() []string {
	if text := m.problem.Load(); text != nil {
		return []string{*text}
	}
	return nil
}
