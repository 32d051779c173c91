//go:build ipvs

package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// crowds are the sizes to be measured.
var crowds = []lab.Crowd{{Services: 50, Servers: 20}, {Services: 100, Servers: 50}, {Services: 370, Servers: 100}}

// How a Crowd is measured.
const (
	crowdSettle   = 3 * time.Second       // after which no more edits follow from a reload
	crowdInterval = 50 * time.Millisecond // between two looks at the kernel's table
	crowdPatience = 5 * time.Minute       // for the program of a slow machine
)

// crowdProgram is a director's program that balances a Crowd.
type crowdProgram interface {
	program
	reload(b *testing.B, crowd lab.Crowd)
}

// crowdContender is a program that can balance a Crowd.
type crowdContender struct {
	name  string
	start func(b *testing.B, host *lab.Host, crowd lab.Crowd) crowdProgram
}

// keepalivedCrowd is keepalived as a crowdProgram.
type keepalivedCrowd struct{ *lab.Keepalived }

// keepalivedCrowdConfig is what it is told.
func keepalivedCrowdConfig(crowd lab.Crowd) lab.KeepalivedConfig {
	return lab.KeepalivedConfig{Priority: 150, Services: crowd.List()}
}

// reload implements crowdProgram.
func (k keepalivedCrowd) reload(b *testing.B, crowd lab.Crowd) {
	b.Helper()
	must(b, k.Reload(keepalivedCrowdConfig(crowd)))
}

// basculeCrowd is bascule as a crowdProgram.
type basculeCrowd struct{ *lab.Director }

// reload implements crowdProgram, by a signal as with keepalived: the command
// waits for an end that a slow machine comes to too late.
func (d basculeCrowd) reload(b *testing.B, crowd lab.Crowd) {
	b.Helper()
	must(b, d.WriteConfig(lab.BasculeConfig{Services: crowd.List()}.TOML()))
	must(b, d.Process().Signal(syscall.SIGHUP))
}

// crowdContenders are Bascule and what it is compared to.
func crowdContenders() []crowdContender {
	return []crowdContender{
		{"bascule", func(b *testing.B, host *lab.Host, crowd lab.Crowd) crowdProgram {
			b.Helper()
			d, err := lab.NewDirector(host, measured(b))
			must(b, err)
			must(b, d.WriteConfig(lab.BasculeConfig{Services: crowd.List()}.TOML()))
			must(b, d.Launch())
			return basculeCrowd{d}
		}},
		{"keepalived", func(b *testing.B, host *lab.Host, crowd lab.Crowd) crowdProgram {
			b.Helper()
			k, err := lab.StartKeepalived(host, keepalivedCrowdConfig(crowd))
			must(b, err)
			return keepalivedCrowd{k}
		}},
	}
}

// BenchmarkCrowd measures, for many real servers: the time from the start
// until the kernel has them all, the time from a reload with one weight
// changed until the kernel has that, how many edits the reload made, the
// processor time of the start and of the reload, and the memory after both.
func BenchmarkCrowd(b *testing.B) {
	for _, crowd := range crowds {
		b.Run(fmt.Sprint(crowd.Total()), func(b *testing.B) {
			var results [][]figure
			for _, c := range crowdContenders() {
				figures := measureCrowd(b, c, crowd)
				report(b, c.name, figures)
				results = append(results, figures)
			}
			report(b, "ratio", ratios(results[0], results[1]))
		})
	}
}

// measureCrowd measures one contender once.
func measureCrowd(b *testing.B, c crowdContender, crowd lab.Crowd) []figure {
	b.Helper()
	l := lab.NewT(b)
	_, err := l.LB.IPVS(bounded(b)) // loads the module
	must(b, err)
	edits, err := lab.NewEditCounter()
	must(b, err)
	started := time.Now()
	p := c.start(b, l.LB, crowd)
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("log of %s:\n%s", c.name, tail(p.Log(), 4096))
		}
	})
	awaitCrowd(b, l.LB, crowd.Total())
	programmed, startEdits := time.Since(started), settledEdits(b, edits)
	startCPU := processorTime(b, p)
	crowd.Changed = true
	service, server := crowd.Middle()
	reloaded := time.Now()
	p.reload(b, crowd)
	await(b, crowdPatience, "the changed weight", func() bool {
		time.Sleep(crowdInterval)
		weight, _, err := l.LB.Weight(b.Context(), service.Addresses[0], server.Address)
		must(b, err)
		return weight == server.Weight
	})
	took := time.Since(reloaded)
	reloadEdits := settledEdits(b, edits) - startEdits
	figures := []figure{
		{"start-ms", float64(programmed.Milliseconds())}, {"start-edits-n", float64(startEdits)},
		{"start-cpu-ms", float64(startCPU.Milliseconds())},
		{"reload-ms", float64(took.Milliseconds())}, {"reload-edits-n", float64(reloadEdits)},
		{"reload-cpu-ms", float64((processorTime(b, p) - startCPU).Milliseconds())},
		{"rss-MB", memory(b, p)},
	}
	must(b, edits.Close())
	must(b, p.Kill())
	must(b, l.Close())
	return figures
}

// awaitCrowd waits until a host's kernel has that many destinations.
func awaitCrowd(b *testing.B, host *lab.Host, want int) {
	b.Helper()
	await(b, crowdPatience, fmt.Sprintf("%d destinations", want), func() bool {
		time.Sleep(crowdInterval)
		n, err := host.CountIPVS()
		must(b, err)
		return n == want
	})
}

// settledEdits waits until no more edits come, and returns how many there
// have been.
func settledEdits(b *testing.B, edits *lab.EditCounter) int {
	b.Helper()
	last := -1
	for {
		n, err := edits.Count()
		must(b, err)
		if n == last {
			return n
		}
		last = n
		time.Sleep(crowdSettle)
	}
}
