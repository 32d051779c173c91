//go:build ipvs

package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// machine is one director's software at work.
type machine interface {
	Stop(ctx context.Context) error
	Kill() error
}

// contender is a program that can run the pair of directors.
type contender struct {
	name  string
	start func(b *testing.B, host *lab.Host, priority int) machine
}

// contenders are Bascule and what it is compared to, both with the same
// priorities, intervals and checks.
func contenders() []contender {
	return []contender{
		{"bascule", func(b *testing.B, host *lab.Host, _ int) machine {
			d := newDirector(b, host, lab.ReferenceConfig)
			must(b, d.Start(bounded(b)))
			return d
		}},
		{"keepalived", func(b *testing.B, host *lab.Host, priority int) machine {
			k, err := lab.StartKeepalived(host, lab.KeepalivedConfig{Priority: priority, Services: []lab.Service{lab.WebService()}})
			must(b, err)
			return k
		}},
	}
}

// pair is two directors of one contender, the first of them active.
type pair struct {
	*lab.Lab
	b         *testing.B
	contender contender
	lb        machine
	web       []*lab.WebServer
}

// newPair builds the site and waits until it is at work.
func newPair(b *testing.B, c contender) *pair {
	b.Helper()
	p := &pair{Lab: lab.NewT(b), b: b, contender: c}
	web, err := p.StartWebServers()
	must(b, err)
	p.web = web
	p.lb = c.start(b, p.LB, 150)
	c.start(b, p.LB2, priorityLB2)
	p.awaitWhole()
	return p
}

// awaitWhole waits until the first director is active and all web servers are
// members on both.
func (p *pair) awaitWhole() {
	p.b.Helper()
	awaitVIPs(p.b, p.LB, true)
	awaitVIPs(p.b, p.LB2, false)
	p.awaitMembers(allWeb)
}

// awaitMembers waits until both kernels have these members, and returns how
// long that took.
func (p *pair) awaitMembers(want []string) time.Duration {
	p.b.Helper()
	return await(p.b, patience, "members", func() bool {
		return slices.Equal(members(p.b, p.LB), want) && slices.Equal(members(p.b, p.LB2), want)
	})
}

// gap measures the longest gap in service during an event, until the second
// director, or the first, has the addresses.
func (p *pair) gap(to *lab.Host, event func()) time.Duration {
	p.b.Helper()
	probe := p.Client.Probe(lab.ServiceAddress, lab.ProbeConfig{Timeout: 50 * time.Millisecond})
	awaitAnswers(p.b, probe, 10)
	event()
	awaitVIPs(p.b, to, true)
	awaitAnswers(p.b, probe, 20)
	report, err := probe.Stop()
	must(p.b, err)
	return report.Longest()
}

// BenchmarkPair measures what a client and an administrator notice of each
// way to lose something, in milliseconds, for Bascule and for keepalived.
func BenchmarkPair(b *testing.B) {
	scenarios := []struct {
		name    string
		measure func(*pair) time.Duration
	}{
		{"active_killed", func(p *pair) time.Duration {
			return p.gap(p.LB2, func() { must(p.b, p.lb.Kill()); must(p.b, p.LB.CutLinks()) })
		}},
		{"active_stopped", func(p *pair) time.Duration {
			return p.gap(p.LB2, func() { must(p.b, p.lb.Stop(bounded(p.b))) })
		}},
		{"internal_link_lost", func(p *pair) time.Duration {
			return p.gap(p.LB2, func() { must(p.b, p.LB.CutLinks(lab.SecondCard)) })
		}},
		{"preemption", func(p *pair) time.Duration {
			must(p.b, p.lb.Stop(bounded(p.b)))
			awaitVIPs(p.b, p.LB2, true)
			return p.gap(p.LB, func() { p.lb = p.contender.start(p.b, p.LB, 150); awaitVIPs(p.b, p.LB2, false) })
		}},
		{"web_server_dead_to_removed", func(p *pair) time.Duration {
			must(p.b, p.web[1].Stop())
			return p.awaitMembers([]string{allWeb[0], allWeb[2]})
		}},
		{"web_server_back_to_member", func(p *pair) time.Duration {
			must(p.b, p.web[1].Stop())
			p.awaitMembers([]string{allWeb[0], allWeb[2]})
			must(p.b, p.web[1].Start())
			return p.awaitMembers(allWeb)
		}},
	}
	for _, s := range scenarios {
		for _, c := range contenders() {
			b.Run(s.name+"/"+c.name, func(b *testing.B) {
				var total time.Duration
				for range b.N {
					p := newPair(b, c)
					total += s.measure(p)
					must(b, p.Close())
				}
				b.ReportMetric(0, "ns/op") // building the site is not what is measured
				b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms")
			})
		}
	}
}
