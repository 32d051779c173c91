//go:build !ipvs

package main

import (
	"fmt"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// BenchmarkChecksAlone measures the checks of Bascule without IPVS, on a
// machine that is not emulated: how many are completed each second, of how
// many that are due, what each costs of processor time, the memory, and how
// late the advertisements are meanwhile. keepalived checks nothing without
// IPVS. The real servers and the switch are on the same machine.
func BenchmarkChecksAlone(b *testing.B) {
	for _, crowd := range []lab.Crowd{
		{Services: 1, Servers: 1, Check: lab.CheckTCP}, // what all else costs
		{Services: 50, Servers: 20, Check: lab.CheckTCP},
		{Services: 100, Servers: 50, Check: lab.CheckTCP},
		{Services: 100, Servers: 20, Check: lab.CheckHTTP},
	} {
		b.Run(fmt.Sprintf("%s-%d", crowd.Check, crowd.Total()), func(b *testing.B) {
			s := newCheckedSite(b, crowd)
			s.start(b, basculeChecks)
			time.Sleep(checksSettle)
			capture, err := s.Capture(lab.Public)
			must(b, err)
			figures := append(s.steady(b), s.lateness(b, capture)...)
			must(b, s.Close())
			report(b, "bascule", figures)
		})
	}
}
