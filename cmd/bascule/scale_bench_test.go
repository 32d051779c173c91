//go:build !ipvs

package main

import (
	"slices"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// wideContender is a program that can run the directors of a Wide laboratory.
type wideContender struct {
	name  string
	start func(b *testing.B, host *lab.Host, config lab.WideConfig) program
}

// basculeWide is Bascule with the scheduling of its unit.
var basculeWide = wideContender{"bascule", func(b *testing.B, host *lab.Host, config lab.WideConfig) program {
	b.Helper()
	launcher, err := lab.AsUnit(host, unit, measured(b))
	must(b, err)
	d, err := lab.NewDirector(host, launcher)
	must(b, err)
	must(b, d.WriteConfig(config.TOML()))
	must(b, d.Launch())
	return d
}}

// keepalivedWide is keepalived as Debian packages it, with more settings of
// its block global_defs.
func keepalivedWide(name, global string) wideContender {
	return wideContender{name, func(b *testing.B, host *lab.Host, config lab.WideConfig) program {
		b.Helper()
		k, err := lab.StartKeepalivedWith(host, config.Keepalived(host.Name, global))
		must(b, err)
		return k
	}}
}

// begin starts a contender on a host. Its log is printed if the benchmark
// fails.
func (c wideContender) begin(b *testing.B, host *lab.Host, config lab.WideConfig) program {
	b.Helper()
	p := c.start(b, host, config)
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("log of %s on %s:\n%s", c.name, host.Name, tail(p.Log(), 4096))
		}
	})
	return p
}

// How the scale is measured.
const (
	scaleRounds   = 2                // the contenders take turns
	scaleSettle   = 7 * time.Second  // until the second burst of announcements is over
	scaleWindow   = 10 * time.Second // of the steady state
	scaleAttempts = 4
)

// BenchmarkScale measures what 1000 virtual routers on four links cost, each a
// group of its own: the share of one processor that the active and the backup
// director take in the steady state, their memory, the time until all
// addresses are there after the start, and the time until they are all on the
// other director after the active one was killed.
func BenchmarkScale(b *testing.B) {
	for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond} {
		b.Run(interval.String(), func(b *testing.B) {
			config := lab.WideConfig{LANs: 4, Routers: 250, Interval: interval}
			contenders := []wideContender{basculeWide, keepalivedWide("keepalived", "")}
			results := make([][]figure, len(contenders))
			for range scaleRounds {
				for i, c := range contenders {
					results[i] = append(results[i], measureScale(b, c, config)...)
				}
			}
			for i, c := range contenders {
				report(b, c.name, medians(results[i]))
			}
			report(b, "ratio", ratios(medians(results[0]), medians(results[1])))
		})
	}
}

// measureScale measures one contender once.
func measureScale(b *testing.B, c wideContender, config lab.WideConfig) []figure {
	b.Helper()
	w := lab.NewWideT(b, config.LANs)
	started := time.Now()
	active := c.begin(b, w.LB, config)
	must(b, w.AwaitVirtualAddresses(bounded(b), w.LB, config.Total()))
	whole := time.Since(started)
	backup := c.begin(b, w.LB2, config)
	activeCPU, backupCPU, disturbed := steady(b, w, config, active, backup)
	activeRSS, backupRSS := memory(b, active), memory(b, backup)
	killed := time.Now()
	must(b, active.Kill())
	must(b, w.AwaitVirtualAddresses(bounded(b), w.LB2, config.Total()))
	taken := time.Since(killed)
	must(b, w.Close())
	return []figure{
		{"active-cpu-%", activeCPU}, {"backup-cpu-%", backupCPU},
		{"active-rss-MB", activeRSS}, {"backup-rss-MB", backupRSS},
		{"disturbed-n", disturbed},
		{"start-ms", float64(whole.Milliseconds())}, {"takeover-ms", float64(taken.Milliseconds())},
	}
}

// steady returns what both programs take of one processor in the steady state,
// in percent, and how often that had to be measured again because the backup
// had taken over: on a machine with much else to do that may happen to a
// program of ordinary priority. One that never comes to rest is a failure.
func steady(b *testing.B, w *lab.Wide, config lab.WideConfig, active, backup program) (activeCPU, backupCPU, disturbed float64) {
	b.Helper()
	for again := range scaleAttempts {
		must(b, w.AwaitVirtualAddresses(bounded(b), w.LB, config.Total()))
		must(b, w.AwaitVirtualAddresses(bounded(b), w.LB2, 0))
		time.Sleep(scaleSettle)
		activeCPU, backupCPU = window(b, active, backup)
		here, err := w.VirtualAddresses(w.LB)
		there, err2 := w.VirtualAddresses(w.LB2)
		if err == nil && err2 == nil && here == config.Total() && there == 0 {
			return activeCPU, backupCPU, float64(again)
		}
	}
	b.Fatalf("after %d attempts the backup director still takes over without a cause", scaleAttempts)
	return 0, 0, 0
}

// window returns what both programs take of one processor for a time, in
// percent.
func window(b *testing.B, active, backup program) (activeCPU, backupCPU float64) {
	b.Helper()
	active0, backup0, started := processorTime(b, active), processorTime(b, backup), time.Now()
	time.Sleep(scaleWindow)
	active1, backup1, took := processorTime(b, active), processorTime(b, backup), time.Since(started)
	share := func(d time.Duration) float64 { return 100 * float64(d) / float64(took) }
	return share(active1 - active0), share(backup1 - backup0)
}

// medians returns the median of the values of each unit, in the order in
// which the units come first.
func medians(figures []figure) []figure {
	values := map[string][]float64{}
	var out []figure
	for _, f := range figures {
		if values[f.unit] == nil {
			out = append(out, figure{unit: f.unit})
		}
		values[f.unit] = append(values[f.unit], f.value)
	}
	for i := range out {
		v := values[out[i].unit]
		slices.Sort(v)
		out[i].value = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	return out
}
