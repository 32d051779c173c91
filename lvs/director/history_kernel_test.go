//go:build ipvs

package director_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs"
)

// kernelHistories are how many random histories the real kernel sees: each takes
// seconds, and the in-memory kernel sees thousands.
const kernelHistories = 30

// kernelHistory is a director on the real kernel, and another program.
type kernelHistory struct {
	*director.Director
	path   string // of the network namespace
	end    func() error
	other  *ipvs.Client
	others lvs.Table // what is the other program's
	config []lvs.VirtualServerConfig
}

// TestKernelHistory checks that after any sequence of configurations, facts,
// decisions, restarts and edits of others the real kernel holds what the status
// says, and what others have of their own.
func TestKernelHistory(t *testing.T) {
	path := newNamespace(t)
	checks := flag.Lookup("rapid.checks")
	if err := flag.Set(checks.Name, fmt.Sprint(kernelHistories)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set(checks.Name, checks.DefValue) }()
	rapid.Check(t, func(t *rapid.T) {
		other, err := ipvs.OpenAt(path)
		if err != nil {
			t.Fatal(err)
		}
		h := &kernelHistory{path: path, other: other, others: lvs.Table{}}
		h.begin(nil, nil)
		for range rapid.IntRange(5, 20).Draw(t, "length") {
			h.step(t)
			time.Sleep(time.Duration(rapid.IntRange(0, 200).Draw(t, "pause, ms")) * time.Millisecond)
		}
		h.compare(t)
		h.finish(t)
	})
}

// begin lets a director run that has been told what its predecessor left.
func (h *kernelHistory) begin(owned []lvs.ServiceKey, overrides []lvs.StoredOverride) {
	h.Director = director.New(dialAt(h.path), slog.New(slog.DiscardHandler))
	h.Configure(h.config, owned)
	h.SetOverrides(overrides)
	h.end = begin(h.Director)
	<-h.Ready()
}

// step lets something happen.
func (h *kernelHistory) step(t *rapid.T) {
	k := rapid.SampledFrom(ourKeys).Draw(t, "service")
	address := numbered(rapid.IntRange(0, 3).Draw(t, "real server"))
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1:
		h.config = anyConfig(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "configuration") })
		h.Configure(h.config, nil)
	case 2, 3, 4:
		h.Report(lvs.RealServerKey{Service: k, Address: address}, lvs.Fact{Healthy: rapid.Bool().Draw(t, "healthy"), Reason: "timeout"})
	case 5:
		o := lvs.Override{Kind: rapid.SampledFrom([]lvs.OverrideKind{lvs.Enable, lvs.Drain, lvs.Weigh}).Draw(t, "override"), Weight: 7}
		_ = h.Override(context.Background(), fmt.Sprint("s", slices.Index(ourKeys, k)), address, o) // it may not be configured
	case 6:
		last := h.Snapshot()
		if err := h.end(); err != nil {
			t.Fatal(err)
		}
		h.begin(last.Owned, last.Overrides)
	default:
		h.interfere(t, k, address)
	}
}

// interfere lets the other program edit the table: what is ours, or its own.
func (h *kernelHistory) interfere(t *rapid.T, k lvs.ServiceKey, address netip.AddrPort) {
	op := lvs.Op{
		Kind:        lvs.OpKind(rapid.IntRange(int(lvs.AddService), int(lvs.DeleteService)).Draw(t, "kind")),
		Service:     lvs.Service{ServiceKey: k, Scheduler: "lc"},
		Destination: lvs.Destination{Address: address, Weight: rapid.Uint32Range(0, 5).Draw(t, "weight")},
	}
	own := rapid.Bool().Draw(t, "its own")
	if own {
		op.Service.ServiceKey = rapid.SampledFrom(otherKeys).Draw(t, "its service")
	} else if !slices.ContainsFunc(h.config, func(c lvs.VirtualServerConfig) bool { return c.Services[0].ServiceKey == k }) {
		return // it would be the other program's
	}
	err := h.other.Apply(op) // fails where there is nothing to edit
	if own && err == nil {
		h.others.Apply(op)
	}
}

// compare waits until the kernel holds what the status says.
func (h *kernelHistory) compare(t *rapid.T) {
	var diff string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		status := h.Snapshot()
		reading, err := h.other.Read()
		if err != nil {
			t.Fatal(err)
		}
		diff = gocmp.Diff(statedTable(status, h.others), reading.Table, netipComparer)
		if diff == "" && len(status.Problems) == 0 {
			return
		}
	}
	t.Errorf("kernel after 30 s (-want +got):\n%s\nproblems %q", diff, h.Snapshot().Problems)
}

// finish gives up what is the director's, and then what is the other program's.
func (h *kernelHistory) finish(t *rapid.T) {
	err := h.Clear(context.Background())
	reading, failed := h.other.Read()
	if diff := gocmp.Diff(h.others, reading.Table, netipComparer); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for _, entry := range reading.Table {
		err = errors.Join(err, h.other.Apply(lvs.Op{Kind: lvs.DeleteService, Service: entry.Service}))
	}
	if err := errors.Join(err, failed, h.end(), h.other.Close()); err != nil {
		t.Error(err)
	}
}
