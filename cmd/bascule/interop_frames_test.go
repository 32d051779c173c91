//go:build !ipvs

package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"bascule/cmd/internal/lab"
)

// end looks at all that was captured: never two active directors, and from
// Bascule what the wire is to carry.
func (i *interop) end() {
	i.t.Helper()
	frames, err := i.capture.Stop()
	must(i.t, err)
	for _, o := range lab.SimultaneousActives(frames) {
		i.t.Errorf("two active routers: %v", o)
	}
	for _, r := range i.wire.families.Routers() {
		i.checkFrames(r, frames)
	}
}

// checkFrames compares Bascule's advertisements for a virtual router with the
// wire. There must be some.
func (i *interop) checkFrames(r lab.VirtualRouter, frames []lab.Frame) {
	i.t.Helper()
	seen := 0
	want := i.wanted(r)
	for _, f := range frames {
		if f.Kind != lab.Advertisement || f.LAN != r.Name || f.Source.Is6() != r.Is6() || !i.LB.Sent(f) {
			continue
		}
		seen++
		got := format{f.Version, f.TTL, f.Checksum, f.Destination, f.Interval, strings.TrimRight(string(f.Trailer), "\x00"), len(f.Trailer)}
		if got != want {
			i.t.Fatalf("bascule sends %+v for %s, want %+v", got, routerName(r), want)
		}
		if !slices.Equal(f.Addresses, addresses([]lab.VirtualRouter{r})) {
			i.t.Fatalf("bascule advertises %v for %s, want %v", f.Addresses, routerName(r), r.Addresses)
		}
	}
	if seen == 0 {
		i.t.Errorf("no advertisement of bascule was captured for %s", routerName(r))
	}
}

// format is the form of an advertisement.
type format struct {
	version       uint8
	ttl           uint8
	checksum      lab.ChecksumForm
	destination   netip.Addr
	interval      time.Duration
	password      string
	trailerLength int
}

// wanted is the form of Bascule's advertisements for a virtual router.
func (i *interop) wanted(r lab.VirtualRouter) format {
	f := format{version: 3, ttl: 255, checksum: lab.ChecksumPseudoHeader, destination: netip.MustParseAddr("ff02::12"), interval: i.basculePart.interval}
	if !r.Is6() {
		f.version, f.checksum, f.destination = uint8(i.wire.version), i.wire.checksum, netip.MustParseAddr("224.0.0.18")
	}
	if f.version == 2 {
		// RFC 3768 keeps the room of RFC 2338's password, and fills it with 0.
		f.checksum, f.password, f.trailerLength = lab.ChecksumMessage, i.wire.password, 8
	}
	if i.wire.unicast {
		f.destination, _ = i.LB2.OwnAddress(r.Interface, r.Is6()) // a director has it
	}
	return f
}

// quiet fails the test if Bascule has something to complain of: two well
// configured directors understand each other.
func (i *interop) quiet() {
	i.t.Helper()
	status, err := i.bascule.Status(bounded(i.t))
	must(i.t, err)
	for _, p := range status.Problems {
		i.t.Errorf("problem: %s", p)
	}
	i.noneDropped()
	for line := range strings.Lines(i.bascule.Log()) {
		if strings.Contains(line, "mismatch") {
			i.t.Errorf("bascule logs: %s", line)
		}
	}
}

// noneDropped fails the test if Bascule has dropped an advertisement, but for
// those that came before it took part.
func (i *interop) noneDropped() {
	i.t.Helper()
	status, err := i.bascule.Status(bounded(i.t))
	must(i.t, err)
	group, found := status.Group("web")
	if !found || len(group.Routers) != len(i.wire.families.Routers()) {
		i.t.Fatalf("status has not all virtual routers: %+v", group)
	}
	dropped := map[string]map[string]int{"no virtual router": status.Dropped}
	for _, r := range group.Routers {
		dropped[r.Name] = r.Counters.Dropped
	}
	for router, reasons := range dropped {
		if reasons == nil {
			i.t.Errorf("status does not say what was dropped of %s", router)
		}
		for reason, count := range reasons {
			if reason != "initialize" {
				i.t.Errorf("bascule has dropped %d advertisements of %s: %s", count, router, reason)
			}
		}
	}
}
