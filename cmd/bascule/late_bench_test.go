//go:build !ipvs

package main

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// How lateness is measured.
const (
	lateInterval = 10 * time.Millisecond // the shortest there is (RFC 9568 section 5.2.7 counts in it)
	lateLoops    = 2                     // busy loops beside the directors, for each processor
	lateWindow   = 60 * time.Second
	lateSettle   = 3 * time.Second
)

// BenchmarkLate measures how late the advertisements of an active director
// are when the machine is busy, by the kernel's time of their arrival on the
// LAN: by how much the time between two of them exceeds the interval. It
// counts how often the backup director, on the same machine, took over for no
// other reason than that: for Bascule that fails, for the others it is a
// figure. All contenders run in the same minute, beside the same busy loops,
// each on a LAN of its own.
func BenchmarkLate(b *testing.B) {
	contenders := []wideContender{
		basculeWide,
		keepalivedWide("keepalived", ""),
		keepalivedWide("keepalived_rt", "vrrp_rt_priority 50"),
	}
	pairs := make([]*latePair, len(contenders))
	for i, c := range contenders {
		pairs[i] = newLatePair(b, c)
	}
	loop(b, pairs[0].LB)
	time.Sleep(lateSettle)
	results := make([][]figure, len(pairs))
	var running sync.WaitGroup
	for i, p := range pairs {
		capture, err := p.Capture()
		must(b, err)
		running.Go(func() {
			time.Sleep(lateWindow)
			frames, err := capture.Stop()
			if err != nil {
				b.Error(err)
			}
			results[i] = lateness(frames, p.LB.OwnAddresses()[0].Addr(), lateInterval)
		})
	}
	running.Wait()
	for i, c := range contenders {
		if results[i] == nil {
			b.Fatalf("%s has not advertised", c.name)
		}
		report(b, c.name, results[i])
	}
	for i, c := range contenders[1:] {
		report(b, "ratio_to_"+c.name, ratios(results[0], results[i+1]))
	}
	if n := value(results[0], takeovers); n != 0 {
		b.Errorf("%s has had %v false take-overs, and must have 0 with the scheduling of %s", contenders[0].name, n, unit)
	}
}

// latePair is two directors with one virtual router, the first active.
type latePair struct{ *lab.Wide }

// newLatePair starts a contender on both directors.
func newLatePair(b *testing.B, c wideContender) *latePair {
	b.Helper()
	p := &latePair{lab.NewWideT(b, 1)}
	config := lab.WideConfig{LANs: 1, Routers: 1, Interval: lateInterval}
	c.begin(b, p.LB, config)
	must(b, p.AwaitVirtualAddresses(bounded(b), p.LB, 1))
	c.begin(b, p.LB2, config)
	return p
}

// loop keeps all processors busy until the benchmark ends.
func loop(b *testing.B, host *lab.Host) {
	b.Helper()
	for range lateLoops * runtime.NumCPU() {
		p, err := host.Start("sh", "-c", "while :; do :; done")
		must(b, err)
		b.Cleanup(func() { must(b, p.Kill()) })
	}
}

// TestMediansAndRatios reduces two rounds of figures and divides them.
func TestMediansAndRatios(t *testing.T) {
	t.Parallel()
	ours := medians([]figure{{"cpu-%", 3}, {"start-ms", 10}, {"cpu-%", 1}, {"start-ms", 20}, {"cpu-%", 8}, {"start-ms", 60}})
	if want := []figure{{"cpu-%", 3}, {"start-ms", 20}}; !slices.Equal(ours, want) {
		t.Errorf("medians %v, want %v", ours, want)
	}
	if got := medians([]figure{{"cpu-%", 3}, {"cpu-%", 1}}); !slices.Equal(got, []figure{{"cpu-%", 2}}) {
		t.Errorf("median of two: %v, want 2", got)
	}
	got := ratios(ours, []figure{{"cpu-%", 6}, {"start-ms", 0}})
	if want := []figure{{"cpu-ratio", 0.5}}; !slices.Equal(got, want) {
		t.Errorf("ratios %v, want %v: nothing is divided by 0", got, want)
	}
}
