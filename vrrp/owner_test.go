package vrrp

import (
	"testing"
	"time"
)

// newOwner returns a bench whose group owns its addresses.
func newOwner(t *testing.T, routers ...RouterConfig) *bench {
	t.Helper()
	b := newBench(t, groupOf(Owner, routers...))
	b.up("pub", "int")
	b.inState(Active)
	return b
}

// owns fails the test unless these addresses of an interface are its own.
func (b *bench) owns(name, want string) {
	b.t.Helper()
	if got := joinPrefixes(b.host.Wanted()[name].Owned); got != want {
		b.t.Errorf("owned on %s: %q, want %q", name, got, want)
	}
}

// TestOwnedAddresses: those of a router with priority 255 are marked as the
// interface's own, in every state, and no others are.
func TestOwnedAddresses(t *testing.T) {
	other := named("mail", groupOf(100, vrid(publicRouter(), 57)))
	b := newBench(t, groupOf(Owner, publicRouter()), other)
	b.owns("pub", "192.168.56.100/24")
	b.wants("pub", "", "192.168.56.100/24,192.168.56.57/24")
	b.up("pub")
	b.owns("pub", "192.168.56.100/24")
	b.wants("pub", "192.168.56.100/24", "192.168.56.57/24")
	b.handle(Shutdown{})
	b.owns("pub", "192.168.56.100/24")
	b.reload(groupOf(100, publicRouter()), other)
	b.owns("pub", "")
}

// TestRFC9568_7_1_OwnerHearsNobodyLower: who owns the addresses discards what
// others say, whatever their priority, and goes on.
func TestRFC9568_7_1_OwnerHearsNobodyLower(t *testing.T) {
	for _, priority := range []uint8{0, 1, 100, 254} {
		b := newOwner(t, publicRouter())
		if got := b.fateOf(advert(publicRouter(), greaterSource, priority)); got != DropOwner {
			t.Errorf("priority %d: %v, want %v", priority, got, DropOwner)
		}
		b.inState(Active)
		b.firesIn(second)
	}
}

// TestOwnerAnnouncesAgain: another router was active meanwhile, and what it
// announced is in the neighbours' caches. The owner says so and announces the
// whole group, once in an interval; its own rhythm tells the other to yield. One
// that resigns was active too.
func TestOwnerAnnouncesAgain(t *testing.T) {
	b := newOwner(t, publicRouter(), gatewayRouter())
	b.expire()
	lower := advert(publicRouter(), smallerSource, 100)
	b.same(b.handle(lower),
		"notice web/public second active router of lower priority: 192.168.56.10 is active too, with priority 100",
		announced, announcedGateway)
	b.wait(second / 2)
	b.same(b.handle(lower))
	b.wait(second / 2)
	b.same(b.handle(lower), announced, announcedGateway)
	b.wait(second)
	b.same(b.handle(advert(publicRouter(), smallerSource, 0)), announced, announcedGateway)
	b.inState(Active)
}

// TestTwoOwners: both say 255, which is a mistake. As between any other two
// equals the greater address stays, so that there is one; the mistake is told
// of and stands in the status of both.
func TestTwoOwners(t *testing.T) {
	const notice = "notice web/public second owner of the addresses: 192.168.56."
	const mistake = " has priority 255 like us: only one can own the addresses"
	stays := newOwner(t, publicRouter())
	stays.same(stays.handle(advert(publicRouter(), smallerSource, 255)), notice+"10"+mistake, sent(255))
	stays.inState(Active)

	yields := newOwner(t, publicRouter())
	yields.same(yields.handle(advert(publicRouter(), greaterSource, 255)),
		notice+"30"+mistake, sent(255), "web active -> backup (priority 255): 192.168.56.30 is active with priority 255")
	yields.wants("pub", "", "192.168.56.100/24")
	yields.owns("pub", "192.168.56.100/24")
	yields.firesIn(activeDownInterval(255, second))
	for _, b := range []*bench{stays, yields} {
		if got := b.problems(); len(got) != 1 {
			t.Errorf("problems: %q, want the second owner", got)
		}
	}
}

// TestOwnerThatYielded listens to the other owner only: a lower priority does
// not keep it from taking its addresses back.
func TestOwnerThatYielded(t *testing.T) {
	b := newOwner(t, publicRouter())
	b.handle(advert(publicRouter(), greaterSource, 255))
	b.wait(second)
	b.handle(advert(publicRouter(), greaterSource, 255))
	b.firesIn(activeDownInterval(255, second))
	b.wait(second)
	b.same(b.handle(advert(publicRouter(), smallerSource, 254)))
	b.firesIn(activeDownInterval(255, second) - second)
	b.same(b.expire(),
		sent(255), "web backup -> active (priority 255): no advertisement from 192.168.56.30 for 3.004s", announced)
}

// TestOwnerThatYieldedHearsTheResignation: the other owner ends in order; only
// Skew_Time is left to wait.
func TestOwnerThatYieldedHearsTheResignation(t *testing.T) {
	b := newOwner(t, publicRouter())
	b.handle(advert(publicRouter(), greaterSource, 255))
	b.wait(second)
	b.same(b.handle(advert(publicRouter(), greaterSource, 0)))
	b.firesIn(second / 256)
	b.same(b.expire(), sent(255), "web backup -> active (priority 255): 192.168.56.30 resigned", announced)
}

// TestTwoOwnersInAGroup: the first member decides for all of them, as with any
// tie.
func TestTwoOwnersInAGroup(t *testing.T) {
	b := newOwner(t, publicRouter(), gatewayRouter())
	b.handle(advert(gatewayRouter(), "192.168.200.99", 255))
	b.inState(Active)
	b.handle(advert(publicRouter(), greaterSource, 255))
	b.inState(Backup)
}

// TestOwnerRecovers: a fault takes an owner's addresses from it; after it the
// owner is active at once, without listening first.
func TestOwnerRecovers(t *testing.T) {
	b := newOwner(t, publicRouter())
	b.same(b.down("pub"), "web active -> initialize (priority 255): public: link down on pub")
	b.wants("pub", "", "192.168.56.100/24")
	b.wait(time.Minute)
	b.same(b.up("pub"), sent(255), "web initialize -> active (priority 255): owner of the addresses", announced)
}

// TestOwnerNoMore: a reload that takes the ownership away leaves the group
// active, with a priority that others may beat.
func TestOwnerNoMore(t *testing.T) {
	b := newOwner(t, publicRouter())
	b.same(b.reload(groupOf(100, publicRouter())), sent(100))
	b.same(b.handle(advert(publicRouter(), smallerSource, 101)),
		sent(100), "web active -> backup (priority 100): 192.168.56.10 is active with priority 101")
}
