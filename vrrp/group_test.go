package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// pair returns the usual group: a public address and a gateway.
func pair(priority uint8) GroupConfig { return groupOf(priority, publicRouter(), gatewayRouter()) }

// skew100 and down100 are Skew_Time and Active_Down_Interval of priority 100
// at one second.
const (
	skew100 = 609375 * time.Microsecond
	down100 = 3*second + skew100
)

// TestGroupStartsWhole: nothing starts before every interface is known, in
// whatever order they become so, and the group becomes active as one.
func TestGroupStartsWhole(t *testing.T) {
	for _, order := range [][2]string{{"pub", "int"}, {"int", "pub"}} {
		b := newBench(t, pair(100))
		b.same(b.up(order[0]))
		b.inState(Initialize)
		b.wait(second)
		b.same(b.up("unrelated"))
		b.same(b.up(order[1]), "web initialize -> backup (priority 100): interfaces ready")
		b.firesIn(down100)
		b.same(b.up(order[0]))
		b.same(b.expire(),
			sent(100), sentGateway(100),
			"web backup -> active (priority 100): no advertisement heard",
			announced, announcedGateway)
		b.wants("pub", "192.168.56.100/24", "")
		b.wants("int", "192.168.200.250/24", "")
		b.same(b.expire(), sent(100), sentGateway(100))
	}
}

// TestGroupStartsFaulty: an interface that is known to be unusable is the
// reason that is shown; when it recovers the group starts.
func TestGroupStartsFaulty(t *testing.T) {
	b := newBench(t, pair(100))
	b.same(b.handle(LinkState{Interface: "int", Family: IPv4, Fault: FaultMissing}),
		"web initialize -> initialize (priority 100): public: not yet known on pub; gateway: interface missing on int")
	b.same(b.up("pub"),
		"web initialize -> initialize (priority 100): gateway: interface missing on int")
	b.same(b.down("int"),
		"web initialize -> initialize (priority 100): gateway: link down on int")
	b.same(b.down("int"))
	b.same(b.up("int"), "web initialize -> backup (priority 100): interfaces ready")
}

// TestGroupWaitsForTheLastTimer: as long as one member hears an active router
// the group stays Backup, and the deadline is that of the last member.
func TestGroupWaitsForTheLastTimer(t *testing.T) {
	b := newBackup(t, pair(100))
	for range 5 {
		b.wait(second)
		b.same(b.handle(advert(gatewayRouter(), greaterSource, 150)))
		b.same(b.handle(Expiry{}))
		b.firesIn(down100)
	}
	b.same(b.expire(),
		sent(100), sentGateway(100),
		"web backup -> active (priority 100): no advertisement from 192.168.200.30 for 3.609s",
		announced, announcedGateway)
}

// TestGroupYieldsWhole: one member that must yield takes the others with it,
// and nobody resigns: the higher router is there to serve. Last advertisements
// tell everywhere that there was another one.
func TestGroupYieldsWhole(t *testing.T) {
	for _, rc := range []RouterConfig{publicRouter(), gatewayRouter()} {
		b := newActive(t, pair(100))
		b.wait(second / 2)
		source := onInterface(rc.Interface, greaterSource).String()
		b.same(b.handle(advert(rc, greaterSource, 150)),
			sent(100), sentGateway(100),
			"web active -> backup (priority 100): "+source+" is active with priority 150")
		b.wants("pub", "", "192.168.56.100/24")
		b.wants("int", "", "192.168.200.250/24")
		b.firesIn(down100)
	}
}

// TestGroupYieldsWithItsOwnIntervals: what one member learns of the router it
// yields to does not stretch the others' timers, and nothing is left of what
// they learned before they were active.
func TestGroupYieldsWithItsOwnIntervals(t *testing.T) {
	b := newBackup(t, pair(100))
	b.handle(advert(gatewayRouter(), greaterSource, 150, every(4*second)))
	b.expire()
	b.inState(Active)
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.inState(Backup)
	b.firesIn(down100)
}

// TestGroupForgetsWhoWasActive: who was heard before we were active is not
// shown as the active router after we have yielded to another.
func TestGroupForgetsWhoWasActive(t *testing.T) {
	b := newBackup(t, pair(100))
	b.handle(advert(gatewayRouter(), greaterSource, 150))
	b.expire()
	b.handle(advert(publicRouter(), smallerSource, 160))
	b.inState(Backup)
	routers := b.host.Status().Groups[0].Routers
	if got := routers[0].ActiveSource.String(); got != smallerSource {
		t.Errorf("public: active is %v, want %v", got, smallerSource)
	}
	if got := routers[1].ActiveSource; got.IsValid() {
		t.Errorf("gateway: active is %v, want nobody yet", got)
	}
}

// TestGroupFaultResigns: a member's fault ends the group, which says so
// wherever it still can.
func TestGroupFaultResigns(t *testing.T) {
	b := newActive(t, pair(100))
	b.same(b.down("int"),
		sent(0),
		"web active -> initialize (priority 100): gateway: link down on int")
	b.firesIn(0)
	b.wants("pub", "", "192.168.56.100/24")
	b.wants("int", "", "192.168.200.250/24")
	b.same(b.handle(advert(publicRouter(), smallerSource, 0)))
	b.same(b.down("pub"),
		"web initialize -> initialize (priority 100): public: link down on pub; gateway: link down on int")
	b.same(b.up("int"),
		"web initialize -> initialize (priority 100): public: link down on pub")
	b.same(b.up("pub"), "web initialize -> backup (priority 100): interfaces ready")
	b.firesIn(down100)
}

// TestGroupFaultInBackup: there is nothing to resign from.
func TestGroupFaultInBackup(t *testing.T) {
	b := newBackup(t, pair(100))
	b.same(b.down("pub"), "web backup -> initialize (priority 100): public: link down on pub")
	b.firesIn(0)
}

// TestGroupFaultOfBoth: with both links gone at once there is nowhere to say
// it. The second comes as an event of its own; the first has said what it can.
func TestGroupFaultOfBoth(t *testing.T) {
	b := newActive(t, pair(100))
	b.same(without(b.down("pub"), "web"), sentGateway(0))
	b.same(without(b.down("int"), "web"))
}

// TestGroupResignationReachesAllMembers: the active router can resign on one
// member only, because the other's link is what it lost. It holds nothing any
// more: no member waits longer than Skew_Time.
func TestGroupResignationReachesAllMembers(t *testing.T) {
	b := newBackup(t, pair(100))
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.handle(advert(gatewayRouter(), greaterSource, 150))
	b.wait(second / 2)
	b.same(b.handle(advert(publicRouter(), greaterSource, 0)))
	b.firesIn(skew100)
	b.same(without(b.expire(), "web"), sent(100), sentGateway(100), announced, announcedGateway)
}

// TestGroupResignationOfAStranger: priority 0 from somebody else than the
// active router shortens the timer of the member that heard it (RFC 9568
// section 6.4.2 asks no more), and of no other.
func TestGroupResignationOfAStranger(t *testing.T) {
	b := newBackup(t, pair(100))
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.handle(advert(gatewayRouter(), greaterSource, 150))
	b.wait(second / 2)
	b.handle(advert(publicRouter(), smallerSource, 0))
	b.firesIn(down100 - second/2)
}

// TestGroupResignationNeverDelays: a member that has less to wait than
// Skew_Time keeps its timer.
func TestGroupResignationNeverDelays(t *testing.T) {
	b := newBackup(t, pair(100))
	b.handle(advert(publicRouter(), greaterSource, 150))
	gateway := b.host.Deadline()
	b.now = gateway.Add(-second / 10)
	b.handle(advert(publicRouter(), greaterSource, 150))
	b.handle(advert(publicRouter(), greaterSource, 0))
	b.firesIn(skew100)
	for _, r := range b.host.groups[0].routers {
		if r.cfg.Name == "gateway" && !r.deadline.Equal(gateway) {
			t.Errorf("the gateway's timer moved from %v to %v", gateway, r.deadline)
		}
	}
}

// TestGroupPriorityZeroWhileActive: the answer and the restarted timer are the
// member's; the others keep their rhythm. Who resigns was active and has
// announced the addresses, so that the group does it again.
func TestGroupPriorityZeroWhileActive(t *testing.T) {
	b := newActive(t, pair(100))
	b.wait(second / 2)
	b.same(b.handle(advert(gatewayRouter(), smallerSource, 0)), sentGateway(100))
	b.firesIn(second / 2)
	b.same(b.expire(), sent(100), announced, announcedGateway)
	b.same(b.expire(), sentGateway(100))
}

// TestGroupAssertsWhole: somebody else was active on one member; all
// announcements are repeated, because he had announced all of them.
func TestGroupAssertsWhole(t *testing.T) {
	b := newActive(t, pair(100))
	b.wait(second)
	b.same(without(b.handle(advert(gatewayRouter(), smallerSource, 50)), "notice"),
		sentGateway(100), announced, announcedGateway)
}

// TestGroupOwner: priority 255 starts active on all members.
func TestGroupOwner(t *testing.T) {
	b := newBench(t, pair(Owner))
	b.same(b.up("int"))
	b.same(b.up("pub"),
		sent(255), sentGateway(255),
		"web initialize -> active (priority 255): owner of the addresses",
		announced, announcedGateway)
}

// TestGroupShutdownIsFinal: every group resigns where it is active, and
// nothing starts it again: no link, no timer, no configuration.
func TestGroupShutdownIsFinal(t *testing.T) {
	b := newActive(t, pair(100))
	b.same(b.handle(Shutdown{}),
		sent(0), sentGateway(0),
		"web active -> initialize (priority 100): shutdown")
	b.same(b.handle(Shutdown{}))
	b.wait(time.Hour)
	b.same(b.handle(Expiry{}))
	b.same(b.down("pub"))
	b.same(b.up("pub"))
	b.handle(advert(publicRouter(), smallerSource, 0))
	other := groupOf(200, publicRouter())
	other.Name = "late"
	b.handle(Reconfigure{Groups: []GroupConfig{pair(Owner), other}})
	b.inState(Initialize)
	b.firesIn(0)
}

// TestTwoGroupsOnOneInterface: what happens to one group is none of the
// other's business, though they share the link.
func TestTwoGroupsOnOneInterface(t *testing.T) {
	mail := publicRouter()
	mail.VRID = 57
	second := GroupConfig{
		Name: "mail", Priority: 200, AdvertisementInterval: second,
		Preempt: Preempt{Enabled: true}, Routers: []RouterConfig{mail},
	}
	b := newBench(t, pair(100), second)
	b.same(b.up("pub"), "mail initialize -> backup (priority 200): interfaces ready")
	b.same(b.up("int"), "web initialize -> backup (priority 100): interfaces ready")
	b.expire()
	states := func(web, mail State) {
		t.Helper()
		if s := b.host.Status().Groups; s[0].State != web || s[1].State != mail {
			t.Fatalf("web is %v, mail %v; want %v, %v", s[0].State, s[1].State, web, mail)
		}
	}
	states(Backup, Active)
	b.handle(advert(mail, greaterSource, 250))
	states(Backup, Backup)
	b.expire()
	states(Active, Backup)
	b.down("int")
	states(Initialize, Backup)
	b.down("pub")
	states(Initialize, Initialize)
}

// TestLinkOfTheOtherFamily: a link serves each family by itself.
func TestLinkOfTheOtherFamily(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	b.same(b.handle(LinkState{Interface: "pub", Family: IPv6, Fault: FaultNoSource}))
	b.inState(Active)
}

// TestSourceChanges: advertisements follow the interface's primary address.
func TestSourceChanges(t *testing.T) {
	b := newActive(t, groupOf(100, publicRouter()))
	link := linkUp("pub")
	link.Sources = []netip.Addr{onInterface("pub", "192.168.56.40")}
	b.same(b.handle(link))
	b.inState(Active)
	b.same(b.expire(), "send pub 192.168.56.40 -> 224.0.0.18 vrid 56 priority 100 interval 1s 192.168.56.100")
}

// TestResignedAndBack: one who resigns and is active again at once, as an owner
// is, is heard: nothing on that link can have been sent before.
func TestResignedAndBack(t *testing.T) {
	b := newBackup(t, pair(100))
	b.handle(advert(publicRouter(), greaterSource, 255))
	b.handle(advert(publicRouter(), greaterSource, 0))
	b.wait(10 * time.Millisecond)
	b.handle(advert(publicRouter(), greaterSource, 255))
	b.firesIn(down100)
}

// TestGroupResignationOvertakesAnAdvertisement: the links are read by turns, so
// that what was sent before the resignation may be heard after it, on another
// link. Only what comes later says that the director is active there still.
func TestGroupResignationOvertakesAnAdvertisement(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration
		takes bool
	}{{10 * time.Millisecond, true}, {100 * time.Millisecond, false}} {
		b := newBackup(t, pair(100))
		b.handle(advert(publicRouter(), greaterSource, 150))
		b.handle(advert(gatewayRouter(), greaterSource, 150))
		b.handle(advert(publicRouter(), greaterSource, 0))
		b.wait(tt.after)
		b.handle(advert(gatewayRouter(), greaterSource, 150))
		want := down100
		if tt.takes {
			want = skewTime(100, second) - tt.after
		}
		b.firesIn(want)
	}
}
