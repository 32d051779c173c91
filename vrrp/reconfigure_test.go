package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// reload gives new groups to the host.
func (b *bench) reload(groups ...GroupConfig) []string {
	b.t.Helper()
	return b.handle(Reconfigure{Groups: groups})
}

// with returns a changed copy of a group.
func with(g GroupConfig, change func(*GroupConfig)) GroupConfig {
	change(&g)
	return g
}

// named returns a group under another name.
func named(name string, g GroupConfig) GroupConfig {
	return with(g, func(g *GroupConfig) { g.Name = name })
}

// addressed returns a router with more addresses than its own.
func addressed(rc RouterConfig, more ...string) RouterConfig {
	rc.Addresses = append([]netip.Prefix(nil), rc.Addresses...)
	for _, s := range more {
		rc.Addresses = append(rc.Addresses, netip.MustParsePrefix(s))
	}
	return rc
}

// withInterval returns a change of a group's advertisement interval.
func withInterval(d time.Duration) func(*GroupConfig) {
	return func(g *GroupConfig) { g.AdvertisementInterval = d }
}

// reload is a new configuration for a pair of priority 100 half a second after
// its timers were set: what it does in either state, and when the next timer
// fires.
type reload struct {
	name                     string
	groups                   []GroupConfig
	backup, active           []string
	backupFires, activeFires time.Duration
}

// What the pair sends with an interval of two seconds.
const (
	sentEvery2s        = "send pub 192.168.56.20 -> 224.0.0.18 vrid 56 priority 100 interval 2s 192.168.56.100"
	sentEvery2sGateway = "send int 192.168.200.20 -> 224.0.0.18 vrid 200 priority 100 interval 2s 192.168.200.250"
)

// reloadsOfSettings leave the members as they are.
func reloadsOfSettings() []reload {
	const half = second / 2
	preempt := with(pair(100), func(g *GroupConfig) { g.Preempt = Preempt{} })
	return []reload{
		{
			name: "nothing changed", groups: []GroupConfig{pair(100)},
			backupFires: down100 - half, activeFires: half,
		},
		{
			name: "members in another order", groups: []GroupConfig{groupOf(100, gatewayRouter(), publicRouter())},
			backupFires: down100 - half, activeFires: half,
		},
		{
			name: "preemption", groups: []GroupConfig{preempt},
			backupFires: down100 - half, activeFires: half,
		},
		{
			name: "priority raised", groups: []GroupConfig{pair(200)},
			backupFires: activeDownInterval(200, second),
			active:      []string{sent(200), sentGateway(200)}, activeFires: second,
		},
		{
			name: "priority lowered", groups: []GroupConfig{pair(50)},
			backupFires: activeDownInterval(50, second),
			active:      []string{sent(50), sentGateway(50)}, activeFires: second,
		},
		{
			name: "interval", groups: []GroupConfig{with(pair(100), withInterval(2*second))},
			backupFires: activeDownInterval(100, 2*second),
			active:      []string{sentEvery2s, sentEvery2sGateway}, activeFires: 2 * second,
		},
		{
			name: "made owner", groups: []GroupConfig{pair(Owner)},
			backup: []string{
				sent(255), sentGateway(255),
				"web backup -> active (priority 255): owner of the addresses", announced, announcedGateway,
			},
			backupFires: second,
			active:      []string{sent(255), sentGateway(255)}, activeFires: second,
		},
		{
			name:        "address added",
			groups:      []GroupConfig{groupOf(100, addressed(publicRouter(), "192.168.56.101/24", "192.168.56.102/32"), gatewayRouter())},
			backupFires: down100 - half,
			active:      []string{"announce pub 192.168.56.101/24,192.168.56.102/32"}, activeFires: half,
		},
		{
			name:        "all addresses removed",
			groups:      []GroupConfig{groupOf(100, bare(publicRouter()), gatewayRouter())},
			backupFires: down100 - half, activeFires: half,
		},
	}
}

// reloadsOfMembers add, remove and move virtual routers and groups.
func reloadsOfMembers() []reload {
	const half = second / 2
	moved := gatewayRouter()
	moved.Interface = "pub"
	movedSend := "send pub 192.168.56.20 -> 224.0.0.18 vrid 200 priority 100 interval 1s 192.168.200.250"
	return []reload{
		{
			name: "member removed", groups: []GroupConfig{groupOf(100, publicRouter())},
			backupFires: down100 - half, activeFires: half,
		},
		{
			name:        "member on a known interface added",
			groups:      []GroupConfig{groupOf(100, publicRouter(), gatewayRouter(), vrid(publicRouter(), 57))},
			backupFires: down100,
			active: []string{
				"send pub 192.168.56.20 -> 224.0.0.18 vrid 57 priority 100 interval 1s 192.168.56.57",
				"announce pub 192.168.56.57/24",
			},
			activeFires: half,
		},
		{
			name: "interface of a member changed", groups: []GroupConfig{groupOf(100, publicRouter(), moved)},
			backupFires: down100,
			active:      []string{movedSend, "announce pub 192.168.200.250/24"}, activeFires: half,
		},
		{
			name: "member moved to a new group", groups: []GroupConfig{groupOf(100, publicRouter()), named("mail", groupOf(100, gatewayRouter()))},
			backup:      []string{"mail initialize -> backup (priority 100): interfaces ready"},
			backupFires: down100 - half,
			active:      []string{"mail initialize -> backup (priority 100): interfaces ready"}, activeFires: half,
		},
		{
			name: "group renamed", groups: []GroupConfig{named("mail", pair(100))},
			backup:      []string{"mail backup -> backup (priority 100): renamed from web"},
			active:      []string{"mail active -> active (priority 100): renamed from web"},
			backupFires: down100 - half, activeFires: half,
		},
		{
			name: "group added", groups: []GroupConfig{pair(100), named("mail", groupOf(200, vrid(publicRouter(), 57)))},
			backup:      []string{"mail initialize -> backup (priority 200): interfaces ready"},
			backupFires: down100 - half,
			active:      []string{"mail initialize -> backup (priority 200): interfaces ready"}, activeFires: half,
		},
		{
			name:   "group removed",
			backup: []string{"web backup -> initialize (priority 100): removed from the configuration"},
			active: []string{sent(0), sentGateway(0), "web active -> initialize (priority 100): removed from the configuration"},
		},
	}
}

// TestReconfigure changes a running pair, in each of the states.
func TestReconfigure(t *testing.T) {
	for _, tt := range slices.Concat(reloadsOfSettings(), reloadsOfMembers()) {
		t.Run(tt.name+" in backup", func(t *testing.T) {
			b := newBackup(t, pair(100))
			b.wait(second / 2)
			b.same(b.reload(tt.groups...), tt.backup...)
			b.firesIn(tt.backupFires)
		})
		t.Run(tt.name+" in active", func(t *testing.T) {
			b := newActive(t, pair(100))
			b.wait(second / 2)
			b.same(b.reload(tt.groups...), tt.active...)
			b.firesIn(tt.activeFires)
		})
		t.Run(tt.name+" in initialize", func(t *testing.T) {
			b := newBench(t, pair(100))
			b.same(without(b.reload(tt.groups...), "web initialize -> initialize"))
			b.firesIn(0)
		})
	}
}

// bare returns a router without addresses.
func bare(rc RouterConfig) RouterConfig {
	rc.Addresses = nil
	return rc
}

// vrid returns a router under another VRID, with a name and an address of its
// own.
func vrid(rc RouterConfig, id uint8) RouterConfig {
	rc.VRID, rc.Name = id, rc.Name+"2"
	a := rc.Addresses[0].Addr().As4()
	a[3] = id
	rc.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(a), rc.Addresses[0].Bits())}
	return rc
}

// TestReconfigureTwice: giving the same configuration again does nothing, also
// after it has changed something.
func TestReconfigureTwice(t *testing.T) {
	b := newActive(t, pair(100))
	changed := with(groupOf(100, addressed(publicRouter(), "192.168.56.101/24"), vrid(gatewayRouter(), 201)), withInterval(2*second))
	b.reload(changed)
	due := b.host.Deadline()
	b.wait(second / 4)
	b.same(b.reload(changed))
	if !b.host.Deadline().Equal(due) {
		t.Errorf("deadline moved from %v to %v", due, b.host.Deadline())
	}
}

// TestReconfigureAddresses: a new address is wanted and advertised with the
// next advertisement, an old one is neither.
func TestReconfigureAddresses(t *testing.T) {
	b := newActive(t, pair(100))
	b.reload(groupOf(100, addressed(bare(publicRouter()), "192.168.56.101/24"), gatewayRouter()))
	b.wants("pub", "192.168.56.101/24", "")
	b.same(b.expire(),
		"send pub 192.168.56.20 -> 224.0.0.18 vrid 56 priority 100 interval 1s 192.168.56.101",
		sentGateway(100))
}

// TestReconfigurePrefixLength: the same address under another prefix length is
// another one to install and to announce.
func TestReconfigurePrefixLength(t *testing.T) {
	b := newActive(t, pair(100))
	b.same(b.reload(groupOf(100, addressed(bare(publicRouter()), "192.168.56.100/32"), gatewayRouter())),
		"announce pub 192.168.56.100/32")
	b.wants("pub", "192.168.56.100/32", "")
}

// TestReconfigureKeepsWhatWasLearned: in Backup, an interval learned from the
// active router outlives a change of priority, and one not learned follows the
// configuration.
func TestReconfigureKeepsWhatWasLearned(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150, every(2*second)))
	b.reload(groupOf(90, publicRouter()))
	b.firesIn(activeDownInterval(90, 2*second))
}

// TestReconfigureBoundsWhatWasLearned: an interval that was learned within the
// bound of before may be beyond that of the new configuration.
func TestReconfigureBoundsWhatWasLearned(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150, every(2*second)))
	b.reload(with(groupOf(100, publicRouter()), withInterval(second/10)))
	b.firesIn(activeDownInterval(100, 4*second/10))
}

// TestReconfigureResignsWithItsInterval: a member that goes after a change of
// interval resigns with the interval that it advertised last.
func TestReconfigureResignsWithItsInterval(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.reload(with(groupOf(100, publicRouter()), withInterval(2*second)))
	b.same(without(b.reload(), "web"),
		"send pub 192.168.56.20 -> 224.0.0.18 vrid 56 priority 0 interval 2s 192.168.56.100")
}

// TestReconfigureRaisedAboveTheActive: the router that was accepted until now
// is preempted after the timer.
func TestReconfigureRaisedAboveTheActive(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), smallerSource, 150))
	b.reload(groupOf(200, publicRouter()))
	got := listen(b, always(150))
	if want := activeDownInterval(200, second); got != want {
		t.Errorf("active after %v, want %v", got, want)
	}
}

// newcomer is a member on an interface of which nothing is known yet.
func newcomer() RouterConfig {
	return RouterConfig{
		RouterKey: RouterKey{Interface: "dmz", Family: IPv4, VRID: 9}, Name: "dmz",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.9.9/24")},
	}
}

// dmzSend is what the newcomer sends.
func dmzSend(priority string) string {
	return "send dmz 192.168.200.20 -> 224.0.0.18 vrid 9 priority " + priority + " interval 1s 192.168.9.9"
}

// TestReconfigureUnknownInterfaceInActive: a new member does not end the group
// while its interface is not known; it joins when it is.
func TestReconfigureUnknownInterfaceInActive(t *testing.T) {
	b := newActive(t, pair(100))
	b.same(b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer())))
	b.inState(Active)
	b.same(b.expire(), sent(100), sentGateway(100))
	b.wait(second / 2)
	b.same(b.up("dmz"), dmzSend("100"), "announce dmz 192.168.9.9/24")
	b.firesIn(second / 2)
	b.same(b.reload(pair(100)))
}

// TestReconfigureUnknownInterfaceInBackup: the group does not take over before
// it can do so with all its members, and then waits for the newcomer's timer.
func TestReconfigureUnknownInterfaceInBackup(t *testing.T) {
	b := newBackup(t, pair(100))
	b.same(b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer())))
	b.firesIn(0)
	b.wait(time.Minute)
	b.same(b.handle(Expiry{}))
	b.same(b.up("dmz"))
	b.firesIn(down100)
	b.same(b.expire()[:3], sent(100), sentGateway(100), dmzSend("100"))
}

// TestReconfigureUnknownInterfaceFails: what becomes known is a fault, and that
// ends the group for all. The newcomer never was active and resigns nowhere.
func TestReconfigureUnknownInterfaceFails(t *testing.T) {
	b := newActive(t, pair(100))
	b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer()))
	b.same(b.handle(LinkState{Interface: "dmz", Family: IPv4, Fault: FaultMissing}),
		sent(0), sentGateway(0),
		"web active -> initialize (priority 100): dmz: interface missing on dmz")
}

// TestReconfigureUnknownInterfaceHearsNothing: a newcomer that waits for its
// interface is in Initialize, whatever its group is in.
func TestReconfigureUnknownInterfaceHearsNothing(t *testing.T) {
	for _, priority := range []uint8{0, 50, 150} {
		b := newBackup(t, pair(100))
		b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer()))
		b.same(b.handle(advert(newcomer(), greaterSource, priority)))
		b.firesIn(0)
		b = newActive(t, pair(100))
		b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer()))
		b.same(b.handle(advert(newcomer(), greaterSource, priority)))
		b.inState(Active)
		b.firesIn(second)
	}
}

// TestReconfigureUnknownInterfaceYields: a group that yields while a newcomer
// waits for its interface does not start a timer for it, and says no last word.
func TestReconfigureUnknownInterfaceYields(t *testing.T) {
	b := newActive(t, pair(100))
	b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer()))
	b.same(b.handle(advert(publicRouter(), greaterSource, 150)),
		sent(100), sentGateway(100), "web active -> backup (priority 100): 192.168.56.30 is active with priority 150")
	b.inState(Backup)
	b.firesIn(0)
	b.up("dmz")
	b.firesIn(down100)
}

// TestReconfigureUnknownInterfaceRemoved: a newcomer that goes before it ever
// advertised has nothing to take back.
func TestReconfigureUnknownInterfaceRemoved(t *testing.T) {
	b := newActive(t, pair(100))
	b.reload(groupOf(100, publicRouter(), gatewayRouter(), newcomer()))
	b.same(b.reload(pair(100)))
}

// TestReconfigureOwnerWithUnknownInterface: who is made owner together with a
// new member advertises on the members whose interfaces it knows, and has no
// address to send from on the other.
func TestReconfigureOwnerWithUnknownInterface(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.same(b.reload(groupOf(Owner, publicRouter(), newcomer())),
		sent(255),
		"web backup -> active (priority 255): owner of the addresses",
		announced)
	b.same(b.expire(), sent(255))
	b.same(b.up("dmz"), dmzSend("255"), "announce dmz 192.168.9.9/24")
}

// TestReconfigureFaultyMember: a new member on an interface known to be faulty
// ends the group at once. What left in the same reload says nothing of its own.
func TestReconfigureFaultyMember(t *testing.T) {
	b := newActive(t, pair(100))
	b.handle(LinkState{Interface: "dmz", Family: IPv4, Fault: FaultDown})
	b.same(b.reload(groupOf(100, publicRouter(), newcomer())),
		sent(0),
		"web active -> initialize (priority 100): dmz: link down on dmz")
}

// TestReconfigureFaultyMemberAmongOthers: a new member that could have joined
// did not, and has nothing to resign from.
func TestReconfigureFaultyMemberAmongOthers(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.handle(LinkState{Interface: "dmz", Family: IPv4, Fault: FaultDown})
	b.same(b.reload(groupOf(100, publicRouter(), vrid(publicRouter(), 57), newcomer())),
		sent(0),
		"web active -> initialize (priority 100): dmz: link down on dmz")
}

// TestReconfigureOwnerWithFaultyMember: a group that cannot start whole does
// not become active for a moment either.
func TestReconfigureOwnerWithFaultyMember(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(LinkState{Interface: "dmz", Family: IPv4, Fault: FaultDown})
	b.same(b.reload(groupOf(Owner, publicRouter(), newcomer())),
		"web backup -> initialize (priority 255): dmz: link down on dmz")
}

// TestReconfigureMoveBetweenActiveGroups: a router that moves to a group that
// is active too does not resign on the way.
func TestReconfigureMoveBetweenActiveGroups(t *testing.T) {
	mail := named("mail", groupOf(100, vrid(publicRouter(), 57)))
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		b := newActive(t, pair(100), mail)
		groups := []GroupConfig{
			groupOf(100, publicRouter()),
			named("mail", groupOf(100, vrid(publicRouter(), 57), gatewayRouter())),
		}
		b.same(b.reload(groups[order[0]], groups[order[1]]), sentGateway(100), announcedGateway)
		b.inState(Active)
	}
}

// TestNewMemberThatWaitsEndsNothing: a reload gives an active group a router
// of IPv6, whose link-local address takes a moment or never comes. The group
// goes on, says what it waits for, and the router joins when it can.
func TestNewMemberThatWaitsEndsNothing(t *testing.T) {
	six := publicRouter()
	six.Family, six.Name = IPv6, "six"
	six.Addresses = []netip.Prefix{netip.MustParsePrefix("fe80::100/64")}
	b := newActive(t, groupOf(100, publicRouter()))
	b.reload(groupOf(100, publicRouter(), six))
	link := LinkState{Interface: "pub", Family: IPv6}
	b.same(b.handle(link))
	b.inState(Active)
	if diff := cmp.Diff([]string{"six: waiting for a usable link-local address on pub"}, b.host.Status().Groups[0].Waiting); diff != "" {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
	link.Sources = []netip.Addr{netip.MustParseAddr("fe80::20")}
	if got := b.handle(link); len(got) != 2 {
		t.Errorf("joins with %q, want an advertisement and an announcement", got)
	}
	link.Sources = nil // that one is lost, which is something else
	b.handle(link)
	b.inState(Initialize)
}

// TestReloadOfManyGroups: finding out which groups go on costs no more for
// each when there are many, for the advertisements wait meanwhile.
func TestReloadOfManyGroups(t *testing.T) {
	const many = 4000
	groups := make([]GroupConfig, many)
	for i := range groups {
		rc := publicRouter()
		rc.Interface, rc.VRID = fmt.Sprintf("if%d", i/250), uint8(1+i%250)
		groups[i] = named(fmt.Sprint(i), groupOf(100, rc))
	}
	host := NewHost(epoch, groups)
	start := time.Now()
	host.Handle(epoch, Reconfigure{Groups: groups})
	if took := time.Since(start); took > 2*time.Second { // it was ten
		t.Errorf("%d groups: %v", many, took)
	}
}

// TestReconfigureLateLinkState: what is told of an interface after a reload has
// given it up is not what a later reload, which uses it again, goes by. An
// owner would be active at once, with addresses of long ago.
func TestReconfigureLateLinkState(t *testing.T) {
	owner := GroupConfig{Name: "late", Priority: Owner, AdvertisementInterval: second, Routers: []RouterConfig{newcomer()}}
	b := newActive(t, groupOf(100, publicRouter()))
	b.up("dmz")
	b.same(b.reload(groupOf(100, publicRouter()), owner)[:1], dmzSend("255")) // known before the first reload
	b.reload(groupOf(100, publicRouter()))
	b.up("dmz")
	b.same(b.reload(groupOf(100, publicRouter()), owner))
	if got := b.host.Status().Groups[1]; got.State != Initialize || len(got.Waiting) != 1 {
		t.Errorf("%v, waiting for %q; want it to wait for its interface", got.State, got.Waiting)
	}
	b.same(b.up("dmz")[:1], dmzSend("255"))
}
