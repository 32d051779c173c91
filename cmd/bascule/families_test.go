//go:build !ipvs

package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// familiesConfig is one group of both families: on the public side with one
// VRID for both, on the internal side as gateways.
const familiesConfig = `
nodes = ["lb", "lb2"]

[group.web]
priority = { lb = 150, lb2 = 100 }

[group.web.router.four]
interface = "enp0s3"
vrid = 56
addresses = ["192.168.56.10/24"]

[group.web.router.six]
interface = "enp0s3"
vrid = 56
addresses = ["fe80::10/64", "fd56::10/64"]

[group.web.router.gateway]
interface = "enp0s8"
vrid = 200
addresses = ["192.168.200.250/24"]

[group.web.router.gateway6]
interface = "enp0s8"
vrid = 200
addresses = ["fe80::250/64"]
`

// families are the addresses of familiesConfig.
var families = []string{"192.168.56.10", "fe80::10", "fd56::10", "192.168.200.250", "fe80::250"}

// awaitAddress waits until an address is on a host, or is not.
func awaitAddress(t *testing.T, host *lab.Host, address string, present bool) {
	t.Helper()
	must(t, lab.AwaitAddress(bounded(t), host, netip.MustParseAddr(address), present))
}

// awaitFamilies waits until all addresses are on one host and none on another.
func awaitFamilies(t *testing.T, active, backup *lab.Host) {
	t.Helper()
	for _, address := range families {
		awaitAddress(t, active, address, true)
		awaitAddress(t, backup, address, false)
	}
}

// TestBothFamiliesMoveTogether: a group of IPv4 and IPv6 moves as one, with an
// ordered stop, with a crash, and when one director has no link-local address:
// it waits for one, has no problem, and recovers alone.
func TestBothFamiliesMoveTogether(t *testing.T) {
	t.Parallel()
	l := lab.NewT(t)
	for _, host := range []*lab.Host{l.LB, l.LB2} {
		must(t, host.AwaitLinkLocal(bounded(t)))
	}
	capture, err := l.Capture()
	must(t, err)
	lb, lb2 := newDirector(t, l.LB, familiesConfig), newDirector(t, l.LB2, familiesConfig)
	must(t, lb.Start(bounded(t)))
	must(t, lb2.Start(bounded(t)))
	awaitFamilies(t, l.LB, l.LB2)

	moves := func(what string, bound time.Duration, event func(context.Context) error) {
		t.Helper()
		start, heldUp := time.Now(), holdUps(t.Context())
		ended := make(chan error, 1) // an ordered stop goes on after the addresses have moved
		go func() { ended <- event(bounded(t)) }()
		for _, address := range families {
			awaitAddress(t, l.LB2, address, true)
		}
		took, held := time.Since(start), heldUp()
		must(t, <-ended)
		timely(t, what+": both families on the other director", took, bound, held)
	}
	moves("stopped", skew(100), lb.Stop)
	must(t, lb.Start(bounded(t)))
	awaitFamilies(t, l.LB, l.LB2)

	link := linkLocal(t, l.LB, lab.FirstCard)
	moves("link-local address lost", skew(100), func(ctx context.Context) error {
		_, err := l.LB.Output(ctx, "ip", "-6", "address", "del", link.String(), "dev", lab.FirstCard)
		return err
	})
	awaitFamilies(t, l.LB2, l.LB)
	table, err := lb.Control(bounded(t), "status")
	must(t, err)
	if !strings.Contains(table, "waiting") || !strings.Contains(table, "six: waiting for a usable link-local address on enp0s3") {
		t.Errorf("status without a link-local address:\n%s", table)
	}
	status, err := lb.Status(bounded(t))
	must(t, err)
	if group, _ := status.Group("web"); group.State != lab.StateInitialize || len(group.Faults) != 0 {
		t.Errorf("a group that waits: %+v", group)
	}
	_, err = l.LB.Output(bounded(t), "ip", "-6", "address", "add", link.String(), "dev", lab.FirstCard)
	must(t, err)
	awaitFamilies(t, l.LB, l.LB2)

	moves("killed", 3*time.Second+skew(100), func(context.Context) error {
		must(t, lb.Kill())
		return l.LB.CutLinks()
	})
	must(t, l.LB.RestoreLinks())
	must(t, lb.Start(bounded(t)))
	awaitFamilies(t, l.LB, l.LB2)
	noTwoActives(t, capture)
}

// linkLocal returns the link-local address that a host gave itself.
func linkLocal(t *testing.T, host *lab.Host, iface string) netip.Prefix {
	t.Helper()
	addresses, err := host.Addresses(iface)
	must(t, err)
	for _, p := range addresses {
		if p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() && !strings.Contains(fmt.Sprint(families), p.Addr().String()) {
			return p
		}
	}
	t.Fatalf("%s has no link-local address on %s: %v", host.Name, iface, addresses)
	return netip.Prefix{}
}
