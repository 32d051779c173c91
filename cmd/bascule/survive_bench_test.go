//go:build ipvs

package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// How the benchmark of the downloads is done.
const (
	benchDownloads = 50 // on each service
	benchLosses    = 20 // fail-overs, of each kind by turns
)

// relayContenders are what downloads survive, or do not.
var relayContenders = []struct {
	name  string
	begin beginRunner
}{
	{"bascule", beginBascule},
	{"keepalived", beginKeepalived},
}

// BenchmarkDownloads counts the downloads that break in fail-overs, by
// forwarding and by the way in which the active director is lost, with and
// without synchronisation of connections.
func BenchmarkDownloads(b *testing.B) {
	for _, c := range relayContenders {
		for _, sync := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/sync=%v", c.name, sync), func(b *testing.B) {
				report(b, "all", countBroken(b, newRelay(b, sync, c.begin)))
			})
		}
	}
}

// tally is what became of the downloads by one forwarding method in losses of
// one kind.
type tally struct {
	total, broken int
	stall         time.Duration // the longest of those that went on
}

// countBroken has the director lost again and again, and returns for each
// forwarding method and each kind of loss how many downloads broke, and the
// longest stall of those that went on.
func countBroken(b *testing.B, r *relay) []figure {
	b.Helper()
	tallies := map[string]*tally{}
	for i := range benchLosses {
		l := losses[i%len(losses)]
		for forwarding, report := range r.failOver(b, l, benchDownloads) {
			name := forwarding + "-" + l.name
			if tallies[name] == nil {
				tallies[name] = &tally{}
			}
			t := tallies[name]
			t.total += benchDownloads
			t.broken += report.Count()
			t.stall = max(t.stall, report.Stall)
		}
	}
	must(b, r.Close())
	var figures []figure
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		t := tallies[name]
		figures = append(figures,
			figure{fmt.Sprintf("%s-broken-of-%d", name, t.total), float64(t.broken)},
			figure{name + "-stall-ms", float64(t.stall.Milliseconds())})
	}
	return figures
}
