//go:build ipvs

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// checkedCrowds are what is checked, once a second each.
var checkedCrowds = []lab.Crowd{
	{Services: 10, Servers: 20, Check: lab.CheckTCP}, // few enough for an emulated machine
	{Services: 50, Servers: 20, Check: lab.CheckTCP},
	{Services: 100, Servers: 50, Check: lab.CheckTCP},
	{Services: 100, Servers: 20, Check: lab.CheckHTTP},
}

// How deaths are measured.
const (
	checksDeaths   = 20                     // of each kind
	checksApart    = 137 * time.Millisecond // from one death to the next: no divisor of a second
	checksPatience = 90 * time.Second
	checksLook     = 50 * time.Millisecond // between two looks at the kernel's table
)

// checksContenders are Bascule with the scheduling of its unit, and keepalived
// as Debian packages it.
var checksContenders = []struct {
	name  string
	start func(b *testing.B, host *lab.Host, crowd lab.Crowd) checksProgram
}{
	{"bascule", basculeChecks},
	{"keepalived", func(b *testing.B, host *lab.Host, crowd lab.Crowd) checksProgram {
		b.Helper()
		k, err := lab.StartKeepalived(host, lab.KeepalivedConfig{Priority: 150, Interval: checksInterval, Services: crowd.List()})
		must(b, err)
		return k
	}},
}

// BenchmarkChecks measures many health checks a second: how many of them the
// real servers have seen completed, the processor time of each, how many real
// servers that are well are members for all that, the memory, the time from
// the death of a real server until the kernel sends it no connections, and how
// late the advertisements are meanwhile. Of the machine, the checks have what
// the real servers, which live on it too, leave them.
func BenchmarkChecks(b *testing.B) {
	for _, crowd := range checkedCrowds {
		b.Run(fmt.Sprintf("%s-%d", crowd.Check, crowd.Total()), func(b *testing.B) {
			var results [][]figure
			for _, c := range checksContenders {
				figures := measureChecks(b, c.start, crowd)
				report(b, c.name, figures)
				results = append(results, figures)
			}
			report(b, "ratio", ratios(results[0], results[1]))
		})
	}
}

// measureChecks measures one contender once.
func measureChecks(b *testing.B, start func(*testing.B, *lab.Host, lab.Crowd) checksProgram, crowd lab.Crowd) []figure {
	b.Helper()
	s := newCheckedSite(b, crowd)
	_, err := s.LB.IPVS(bounded(b)) // loads the module
	must(b, err)
	table, err := s.LB.NewMemberReader()
	must(b, err)
	s.start(b, start)
	awaitSome(b, s.LB, crowd.Total())
	time.Sleep(checksSettle)
	capture, err := s.Capture(lab.Public)
	must(b, err)
	figures := s.steady(b)
	members, err := s.LB.CountIPVS()
	must(b, err)
	figures = append(figures, figure{"members-n", float64(members)})
	for _, death := range []lab.Death{lab.Refuse, lab.Silence} {
		removals := s.kill(b, table, death)
		middle, last := removals[len(removals)/2], removals[len(removals)-1]
		figures = append(figures,
			figure{death.String() + "-p50-ms", float64(middle.Milliseconds())},
			figure{death.String() + "-max-ms", float64(last.Milliseconds())})
	}
	figures = append(figures, s.lateness(b, capture)...)
	must(b, s.program.Kill())
	must(b, table.Close())
	must(b, s.Close())
	return figures
}

// awaitSome waits until a host's kernel has that many destinations, or for as
// long as is reasonable: a machine that cannot make so many checks may never
// find all real servers well.
func awaitSome(b *testing.B, host *lab.Host, want int) {
	b.Helper()
	for end := time.Now().Add(checksPatience); time.Now().Before(end); time.Sleep(checksLook) {
		n, err := host.CountIPVS()
		must(b, err)
		if n == want {
			return
		}
	}
}

// kill has real servers die, each a member of another service, and returns how long it
// took until each got no more connections, in the order of length.
func (s *checkedSite) kill(b *testing.B, table *lab.MemberReader, death lab.Death) []time.Duration {
	b.Helper()
	type dead struct {
		service, server netip.AddrPort
		at              time.Time
	}
	var waiting []dead
	var removals []time.Duration
	services, killed := s.crowd.List(), 0
	start := time.Now()
	await(b, crowdPatience, "the removal of the dead", func() bool {
		time.Sleep(checksLook)
		if killed < checksDeaths && time.Since(start) > time.Duration(killed)*checksApart {
			service := services[killed*len(services)/checksDeaths]
			d := dead{service: service.Addresses[0]}
			members, err := table.Members(d.service)
			must(b, err)
			for d.server = range members { // any
				break
			}
			if d.server.IsValid() { // else there is none at this moment
				must(b, s.servers.Kill(d.server.Addr(), death))
				d.at = time.Now()
				waiting = append(waiting, d)
				killed++
			}
		}
		waiting = slices.DeleteFunc(waiting, func(d dead) bool {
			members, err := table.Members(d.service)
			must(b, err)
			if !members[d.server] {
				removals = append(removals, time.Since(d.at))
			}
			return !members[d.server]
		})
		return len(removals) == checksDeaths
	})
	slices.Sort(removals)
	return removals
}
