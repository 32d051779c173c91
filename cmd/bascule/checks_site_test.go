package main

import (
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// How checks are measured.
const (
	checksInterval = 100 * time.Millisecond // between advertisements
	checksSettle   = 10 * time.Second       // after all real servers are members
	checksWindow   = 10 * time.Second
)

// checksProgram is a program that checks a Crowd.
type checksProgram interface {
	program
	Memory() (int64, error)
}

// basculeChecks starts Bascule with the scheduling of its unit.
func basculeChecks(b *testing.B, host *lab.Host, crowd lab.Crowd) checksProgram {
	b.Helper()
	launcher, err := lab.AsUnit(host, unit, measured(b))
	must(b, err)
	d, err := lab.NewDirector(host, launcher)
	must(b, err)
	must(b, d.WriteConfig(lab.BasculeConfig{Interval: checksInterval, Services: crowd.List()}.TOML()))
	must(b, d.Launch())
	return d
}

// checkedSite is a laboratory with a Crowd that is checked.
type checkedSite struct {
	*lab.Lab
	crowd   lab.Crowd
	servers *lab.CrowdServers
	program checksProgram
}

// newCheckedSite builds the site without its director.
func newCheckedSite(b *testing.B, crowd lab.Crowd) *checkedSite {
	b.Helper()
	s := &checkedSite{Lab: lab.NewT(b), crowd: crowd}
	servers, err := s.StartCrowdServers(crowd.Check)
	must(b, err)
	s.servers = servers
	return s
}

// start starts the program. Its log is printed if the benchmark fails.
func (s *checkedSite) start(b *testing.B, start func(*testing.B, *lab.Host, lab.Crowd) checksProgram) {
	b.Helper()
	s.program = start(b, s.LB, s.crowd)
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("log:\n%s", tail(s.program.Log(), 4096))
		}
	})
	must(b, lab.AwaitAddress(bounded(b), s.LB, lab.PublicVIP.Addr(), true))
}

// steady measures the program while all is well.
func (s *checkedSite) steady(b *testing.B) []figure {
	b.Helper()
	before, cpu, started := s.completed(b), processorTime(b, s.program), time.Now()
	time.Sleep(checksWindow)
	checks, cpu := s.completed(b)-before, processorTime(b, s.program)-cpu
	took := time.Since(started)
	pss, err := s.program.Memory()
	must(b, err)
	return []figure{
		{"done-per-s", float64(checks) / took.Seconds()},
		{"cpu-µs", float64(cpu.Microseconds()) / float64(checks)},
		{"pss-MB", float64(pss) / 1e6}, {"rss-MB", memory(b, s.program)},
	}
}

// completed returns how many checks the real servers have answered.
func (s *checkedSite) completed(b *testing.B) int64 {
	b.Helper()
	n, err := s.servers.Completed()
	must(b, err)
	return n
}

// lateness says how late the advertisements in a capture were.
func (s *checkedSite) lateness(b *testing.B, capture *lab.Capture) []figure {
	b.Helper()
	frames, err := capture.Stop()
	must(b, err)
	late := lateness(frames, s.LB.OwnAddresses()[0].Addr(), checksInterval)
	if late == nil {
		b.Fatal("nothing was advertised")
	}
	return late[:3] // there is nobody to take over
}
