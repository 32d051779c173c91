package vrrp

import (
	"slices"
	"testing"
	"time"
)

// delay is the start-up delay of these tests.
const delay = 30 * second

// delayedStart returns a group that waits before it starts.
func delayedStart(g GroupConfig) GroupConfig {
	return with(g, func(g *GroupConfig) { g.StartDelay = delay })
}

// The lines of a group that waits and that has waited.
const (
	startWaits = "web initialize -> initialize (priority 100): waiting for the start-up delay"
	startEnds  = "web initialize -> backup (priority 100): interfaces ready"
)

// TestStartDelay: interfaces are ready, packets come in, and nothing happens
// until the delay is over. Then the group starts as if it were new.
func TestStartDelay(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.firesIn(0)
	b.same(b.up("pub"), startWaits)
	b.waits([]string{"start-up delay"}, nil)
	for range 29 {
		b.wait(second)
		b.same(b.handle(advert(publicRouter(), smallerSource, 50)))
		b.same(b.handle(Expiry{}))
		b.inState(Initialize)
	}
	b.firesIn(second)
	if got := b.host.Status().Groups[0].StartsAt; !got.Equal(epoch.Add(delay)) {
		t.Errorf("the status says that it starts at %v, want %v", got, epoch.Add(delay))
	}
	b.same(b.expire(), startEnds)
	b.waits(nil, nil)
	if got := b.host.Status().Groups[0].StartsAt; !got.IsZero() {
		t.Errorf("the status says that it starts at %v, though it has", got)
	}
	b.firesIn(down100)
}

// TestStartDelayOfTheOwner: who owns the addresses waits too.
func TestStartDelayOfTheOwner(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(Owner, publicRouter())))
	b.up("pub")
	b.firesIn(delay)
	b.same(b.expire(), sent(255), "web initialize -> active (priority 255): owner of the addresses", announced)
}

// TestStartDelayIsOver: interfaces that become ready later are not waited for
// once more, and neither is a fault.
func TestStartDelayIsOver(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.wait(delay)
	b.same(b.up("pub"), startEnds)
	b.down("pub")
	b.same(b.up("pub"), startEnds)
}

// TestStartDelayWithFaults: a fault during the delay is told of, and neither
// prolongs nor ends the delay.
func TestStartDelayWithFaults(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.up("pub")
	b.wait(10 * second)
	b.same(b.down("pub"), "web initialize -> initialize (priority 100): public: link down on pub")
	b.waits(nil, []string{"public: link down on pub"})
	b.firesIn(0)
	b.wait(10 * second)
	b.same(b.up("pub"), startWaits)
	b.firesIn(10 * second)
	b.down("pub")
	b.wait(20 * second)
	b.same(b.handle(Expiry{}))
	b.inState(Initialize)
	b.same(b.up("pub"), startEnds)
}

// TestStartDelayWithReload: settings change during the delay and hold after
// it; groups that the reload brings do not wait.
func TestStartDelayWithReload(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.up("pub")
	b.wait(10 * second)
	mail := named("mail", delayedStart(groupOf(100, vrid(publicRouter(), 57))))
	b.same(b.reload(delayedStart(groupOf(200, publicRouter())), mail), "mail initialize -> backup (priority 100): interfaces ready")
	b.firesIn(down100)
	b.expire()
	b.now = epoch.Add(delay)
	b.same(without(b.handle(Expiry{}), "send"), "web initialize -> backup (priority 200): interfaces ready")
}

// TestStartDelayMadeOwner: a reload that gives the ownership does not start
// the group before its time.
func TestStartDelayMadeOwner(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.up("pub")
	b.wait(second)
	b.same(b.reload(delayedStart(groupOf(Owner, publicRouter()))))
	b.inState(Initialize)
	b.firesIn(delay - second)
}

// TestStartDelayWithANewMember: a member whose interface is not known holds
// the group back longer than the delay does.
func TestStartDelayWithANewMember(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.up("pub")
	b.reload(delayedStart(pair(100)))
	b.firesIn(0)
	b.wait(delay)
	b.same(b.handle(Expiry{}))
	b.inState(Initialize)
	b.same(b.up("int"), startEnds)
}

// TestStartDelayWithShutdown: the end comes first, and nothing starts after it.
func TestStartDelayWithShutdown(t *testing.T) {
	b := newBench(t, delayedStart(groupOf(100, publicRouter())))
	b.up("pub")
	b.wait(second)
	b.same(b.handle(Shutdown{}), "web initialize -> initialize (priority 100): shutdown")
	b.firesIn(0)
	b.wait(delay)
	b.same(b.handle(Expiry{}))
	b.inState(Initialize)
}

// TestStartDelayOfSeveralGroups: each has its own.
func TestStartDelayOfSeveralGroups(t *testing.T) {
	web, mail := delayedStart(groupOf(100, publicRouter())), named("mail", groupOf(100, vrid(publicRouter(), 57)))
	mail.StartDelay = 10 * time.Second
	b := newBench(t, web, mail)
	b.up("pub")
	b.firesIn(10 * second)
	b.same(b.expire(), "mail initialize -> backup (priority 100): interfaces ready")
	for !b.host.Deadline().After(epoch.Add(delay)) {
		if got := b.expire(); slices.Contains(got, startEnds) && b.now.Sub(epoch) != delay {
			t.Errorf("started after %v", b.now.Sub(epoch))
		}
	}
	if got := b.host.Status().Groups[0].State; got != Backup {
		t.Errorf("web is %v after its delay", got)
	}
}
