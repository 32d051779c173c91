package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestStatus follows a group through its life.
func TestStatus(t *testing.T) {
	group := named("web", groupOf(100, publicRouter()))
	router := RouterStatus{
		RouterKey: publicRouter().RouterKey, Name: "public",
		Addresses: publicRouter().Addresses, ActiveInterval: second,
	}
	is := func(g GroupStatus, r RouterStatus) Status {
		g.Name, g.Priority = "web", 100
		r.State = g.State
		g.Routers = []RouterStatus{r}
		return Status{Groups: []GroupStatus{g}}
	}
	same := func(b *bench, want Status) {
		t.Helper()
		if diff := cmp.Diff(want, b.host.Status(), addrs, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("status (-want +got):\n%s", diff)
		}
	}

	b := newBench(t, group)
	same(b, is(GroupStatus{Since: epoch, Reason: "starting", Waiting: []string{"public: not yet known on pub"}}, router))

	b.wait(second)
	b.up("pub")
	started := b.now
	same(b, is(GroupStatus{State: Backup, Since: started, Reason: "interfaces ready"}, router))

	b.wait(second)
	b.handle(advert(publicRouter(), greaterSource, 150))
	peer := router
	peer.ActiveSource, peer.ActivePriority = netip.MustParseAddr(greaterSource), 150
	peer.Counters.Received = 1
	same(b, is(GroupStatus{State: Backup, Since: started, Reason: "interfaces ready"}, peer))

	b.handle(advert(publicRouter(), greaterSource, 0))
	router.Counters = Counters{Received: 2, ReceivedPriorityZero: 1}
	same(b, is(GroupStatus{State: Backup, Since: started, Reason: "interfaces ready"}, router))

	b.expire()
	router.Counters.Sent, router.Counters.BecameActive = 1, 1
	router.ActiveSource, router.ActivePriority = netip.MustParseAddr(ownSource), 100
	same(b, is(GroupStatus{State: Active, Since: b.now, Reason: "192.168.56.30 resigned"}, router))

	b.wait(second / 2)
	b.down("pub")
	router.ActiveSource, router.ActivePriority = netip.Addr{}, 0
	same(b, is(GroupStatus{
		State: Initialize, Since: b.now, Reason: "public: link down on pub", Faults: []string{"public: link down on pub"},
	}, router))
}

// TestSinceIsOfTheState: another reason for the same state is not a new one.
func TestSinceIsOfTheState(t *testing.T) {
	b := newBackup(t, pair(100))
	b.wait(second)
	b.down("pub")
	since := b.now
	b.wait(second)
	b.down("int")
	if got := b.host.Status().Groups[0]; !got.Since.Equal(since) || len(got.Faults) != 2 {
		t.Errorf("since %v with faults %q, want %v and both", got.Since, got.Faults, since)
	}
}

// TestStatusIsACopy: what a reader does with a Status or a Wanted does not
// reach the model.
func TestStatusIsACopy(t *testing.T) {
	b := newActive(t, pair(100))
	before := b.host.Status()
	s := b.host.Status()
	s.Groups[0].Routers[0].Addresses[0] = netip.MustParsePrefix("10.0.0.1/8")
	s.Groups[0].Name = "other"
	b.host.Wanted()["pub"].Present[0] = netip.MustParsePrefix("10.0.0.1/8")
	if diff := cmp.Diff(before, b.host.Status(), addrs); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	b.wants("pub", "192.168.56.100/24", "")
}

// TestChanged: a reader that publishes only when Changed says so misses
// nothing, and is not woken by every packet.
func TestChanged(t *testing.T) {
	b := newBench(t, groupOf(100, publicRouter()))
	steady := advert(publicRouter(), greaterSource, 150)
	ttl := steady
	ttl.TTL = 1
	steps := []struct {
		name   string
		do     func()
		wanted bool
		status bool
	}{
		{"new", func() {}, true, true},
		{"asked again", func() {}, false, false},
		{"another interface", func() { b.up("unrelated") }, false, false},
		{"started", func() { b.up("pub") }, true, true},
		{"first heard", func() { b.handle(steady) }, false, true},
		{"heard again", func() { b.wait(second); b.handle(steady) }, false, false},
		{"dropped", func() { b.handle(ttl) }, false, false},
		{"another router", func() { b.handle(advert(publicRouter(), smallerSource, 150)) }, false, true},
		{"another priority", func() { b.handle(advert(publicRouter(), greaterSource, 151)) }, false, true},
		{"another interval", func() { b.handle(advert(publicRouter(), greaterSource, 151, every(2*second))) }, false, true},
		{"resigned", func() { b.handle(advert(publicRouter(), greaterSource, 0, every(2*second))) }, false, true},
		{"early expiry", func() { b.handle(Expiry{}) }, false, false},
		{"took over", func() { b.expire() }, true, true},
		{"advertised", func() { b.expire() }, false, false},
		{"reloaded", func() { b.reload(groupOf(100, publicRouter())) }, true, true},
		{"shut down", func() { b.handle(Shutdown{}) }, true, true},
		{"shut down again", func() { b.wait(time.Second); b.handle(Shutdown{}) }, false, false},
	}
	for _, step := range steps {
		step.do()
		if wanted, status := b.host.Changed(); wanted != step.wanted || status != step.status {
			t.Errorf("%s: changed wanted %v and status %v, want %v and %v", step.name, wanted, status, step.wanted, step.status)
		}
	}
}

// TestWanted: an interface that carries active and other groups has present
// and absent addresses, of both families and in the order of the
// configuration.
func TestWanted(t *testing.T) {
	six := RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: IPv6, VRID: 56}, Name: "public6",
		Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::56/64")},
	}
	b := newBench(t, groupOf(Owner, publicRouter()), named("mail", groupOf(100, vrid(publicRouter(), 57), six)))
	b.wants("pub", "", "192.168.56.100/24,192.168.56.57/24,fe80::56/64")
	b.up("pub")
	b.wants("pub", "192.168.56.100/24", "192.168.56.57/24,fe80::56/64")
	b.reload()
	if w := b.host.Wanted(); len(w) != 0 {
		t.Errorf("without a configuration: %v", w)
	}
}
