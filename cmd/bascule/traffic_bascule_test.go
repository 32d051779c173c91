//go:build ipvs

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bascule/cmd/internal/lab"
)

// TestTraffic has bascule balance all cases.
func TestTraffic(t *testing.T) {
	cases := trafficCases()
	b := newBazaar(t, cases)
	services, total := servicesOf(cases)
	d := newDirector(t, b.LB, lab.BasculeConfig{Families: lab.DualStack, Services: services}.TOML())
	must(t, d.Start(bounded(t)))
	b.serve(t, cases, total)
}

// TestTunnelMTU sends datagrams that fill the MTU of the client's LAN, and do
// not fit into the tunnel: the director tells the client so, which sends
// fragments then.
func TestTunnelMTU(t *testing.T) {
	var cases []trafficCase
	for i, servers := range [][]string{directAddresses, direct6Addresses} {
		s := forwarded(fmt.Sprintf("large%d", i), 8050+uint16(i), "tunnel", lab.Tunnel{Type: "ipip"}, i == 1, servers)
		s.Protocol = "udp"
		cases = append(cases, trafficCase{Service: s})
	}
	b := newBazaar(t, cases)
	services, total := servicesOf(cases)
	d := newDirector(t, b.LB, lab.BasculeConfig{Families: lab.DualStack, Services: services}.TOML())
	must(t, d.Start(bounded(t)))
	b.await(t, total)
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			b.setUp(t, c.accept())
			headers := []int{20 + 8, 40 + 8}[i] // of IP and UDP; the question ends a line
			q := lab.Question{Protocol: "udp", Target: c.Addresses[0], Message: strings.Repeat("x", 1500-headers-1)}
			if _, err := b.Client.Ask(q); !errors.Is(err, unix.EMSGSIZE) {
				t.Errorf("the first answer: error %v, want %v", err, unix.EMSGSIZE)
			}
			if _, err := b.Client.Ask(q); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

// TestDownloadsSurvive has bascule fail over under downloads.
func TestDownloadsSurvive(t *testing.T) { testSurvival(t, "bascule", beginBascule, "stop", "kill") }

// beginBascule runs bascule, whose configuration has the priorities of both
// directors.
func beginBascule(t testing.TB, host *lab.Host, _ int, sync bool) runner {
	t.Helper()
	d := newDirector(t, host, lab.BasculeConfig{NoPreempt: true, Services: downloadServices, Sync: sync}.TOML())
	must(t, d.Start(bounded(t)))
	return d
}
