package vrrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// duo is two directors on one LAN: the first has priority 150, the second 100.
type duo struct {
	t   *testing.T
	lan lan
}

// newDuo starts both with a router each and lets the first become active.
func newDuo(t *testing.T, first, second RouterConfig) *duo {
	t.Helper()
	d := &duo{t: t, lan: lan{now: epoch}}
	for i := range 2 {
		source := netip.MustParseAddr(fmt.Sprintf("192.168.56.%d", 11+i))
		d.lan.nodes = append(d.lan.nodes, &node{name: fmt.Sprint("lb", i+1), index: i, ports: []*port{{name: "pub", source: source}}})
	}
	d.lan.start(d.lan.nodes[0], []GroupConfig{groupOf(150, first)})
	d.lan.start(d.lan.nodes[1], []GroupConfig{groupOf(100, second)})
	d.pass(activeDownInterval(150, time.Second))
	d.stands()
	return d
}

// pass lets time go by.
func (d *duo) pass(duration time.Duration) {
	d.t.Helper()
	if err := d.lan.run(d.lan.now.Add(duration)); err != nil {
		d.t.Fatal(err)
	}
}

// reload gives one of them another router configuration.
func (d *duo) reload(i int, rc RouterConfig) {
	d.lan.handle(d.lan.nodes[i], Reconfigure{Groups: []GroupConfig{groupOf([]uint8{150, 100}[i], rc)}})
}

// router returns what one of them knows of the router.
func (d *duo) router(i int) RouterStatus { return d.lan.nodes[i].host.Status().Groups[0].Routers[0] }

// stands fails the test unless the first is active, the second is not, and the
// second has heard every single advertisement of it.
func (d *duo) stands() {
	d.t.Helper()
	first, other := d.router(0), d.router(1)
	if first.State != Active || other.State != Backup {
		d.t.Fatalf("the first is %v, the second %v", first.State, other.State)
	}
	if other.Counters.Received != first.Counters.Sent || other.Counters.Dropped != (Drops{}) {
		d.t.Fatalf("sent %d, received %d, dropped %v", first.Counters.Sent, other.Counters.Received, other.Counters.Dropped)
	}
}

// keyed returns a router that knows the numbered test keys, signs with the
// first of them, and enforces signatures.
func keyed(ids ...int) RouterConfig {
	rc := publicRouter()
	rc.Auth = &Auth{Mode: AuthEnforce, Window: 5 * second, Active: uint8(ids[0])}
	for _, id := range ids {
		rc.Auth.Keys = append(rc.Auth.Keys, testKeys()[id-1])
	}
	return rc
}

// TestKeyRollOver: two directors change to another key by reloads, one after
// the other and in either order, and not one advertisement is lost: both learn
// the new key, then both sign with it, then both forget the old one.
func TestKeyRollOver(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		d := newDuo(t, keyed(1), keyed(1))
		for _, rc := range []RouterConfig{keyed(1, 2), keyed(2, 1), keyed(2)} {
			for _, i := range order {
				d.reload(i, rc)
				d.pass(3 * second / 2)
				d.stands()
			}
		}
	}
}

// TestKeyRollOverTooFast: who signs with a key that the other has not learned
// is not heard; the test above would see it.
func TestKeyRollOverTooFast(t *testing.T) {
	d := newDuo(t, keyed(1), keyed(1))
	d.reload(0, keyed(2))
	d.pass(2 * second)
	if got := d.router(1).Counters.Dropped[DropKey]; got != 2 {
		t.Errorf("dropped %d for an unknown key, want 2", got)
	}
}

// TestAuthChangeOver: a pair that does not sign comes to enforce signatures by
// way of the modes, one director after the other, and goes back, without a
// lost advertisement.
func TestAuthChangeOver(t *testing.T) {
	in := func(mode AuthMode) RouterConfig { return signing(publicRouter(), mode) }
	steps := []RouterConfig{publicRouter(), in(AuthReceiveOnly), in(AuthPermissive), in(AuthEnforce),
		in(AuthPermissive), in(AuthReceiveOnly), publicRouter()}
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		d := newDuo(t, steps[0], steps[0])
		for _, rc := range steps[1:] {
			for _, i := range order {
				d.reload(i, rc)
				d.pass(3 * second / 2)
				d.stands()
			}
		}
	}
}

// TestPasswordChange: version 2 knows one password at a time. Between the two
// reloads the directors do not hear each other, and the status says why.
func TestPasswordChange(t *testing.T) {
	d := newDuo(t, old(publicRouter(), "first"), old(publicRouter(), "first"))
	d.reload(0, old(publicRouter(), "second"))
	d.pass(2 * second)
	if got := d.router(1).Counters.Dropped[DropPassword]; got != 2 {
		t.Errorf("dropped %d for the password, want 2", got)
	}
	d.reload(1, old(publicRouter(), "second"))
	d.pass(4 * second)
	if first, other := d.router(0), d.router(1); first.State != Active || other.State != Backup {
		t.Errorf("after both reloads the first is %v, the second %v", first.State, other.State)
	}
}
