package vrrp

import (
	"testing"
	"time"
)

// TestTieIsDecidedByTheFirstMember: a director whose address is the greater
// one on the first member's LAN stays, although it is the smaller one on the
// other LAN, and whichever LAN it hears the rival on first.
func TestTieIsDecidedByTheFirstMember(t *testing.T) {
	stays := newActive(t, pair(100))
	stays.wait(second / 4)
	stays.same(stays.handle(advert(gatewayRouter(), "192.168.200.99", 100))) // undecided: not answered
	stays.inState(Active)
	stays.handle(advert(publicRouter(), smallerSource, 100))
	stays.inState(Active)
	stays.wait(second)
	stays.handle(advert(gatewayRouter(), "192.168.200.99", 100))
	stays.inState(Active)

	yields := newActive(t, pair(100))
	yields.handle(advert(gatewayRouter(), "192.168.200.1", 100))
	yields.inState(Active)
	yields.handle(advert(publicRouter(), greaterSource, 100))
	yields.inState(Backup)
}

// TestTieOfAPartialSplit: where the first member's LAN stays split, the second
// member decides after an interval: its LAN must not have two active routers.
func TestTieOfAPartialSplit(t *testing.T) {
	b := newActive(t, pair(100))
	rival := advert(gatewayRouter(), "192.168.200.99", 100)
	b.handle(rival)
	b.inState(Active)
	b.wait(second)
	b.handle(rival)
	b.inState(Backup)
}

// TestTieIsForgotten: a rival that was heard long ago decides nothing, and
// neither does one from before the last take-over.
func TestTieIsForgotten(t *testing.T) {
	b := newActive(t, pair(100))
	b.handle(advert(publicRouter(), smallerSource, 100))
	for range 5 {
		b.wait(time.Second)
		b.handle(Expiry{})
	}
	rival := advert(gatewayRouter(), "192.168.200.99", 100)
	b.handle(rival)
	b.wait(second)
	b.handle(rival)
	b.inState(Backup)
	b.expire()
	b.inState(Active)
	b.handle(rival)
	b.inState(Active)
}
