package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// ledger is what has been seen of one director since it was started.
type ledger struct {
	version        int                      // of its configuration
	states         map[string]stay          // of the groups, by their transitions
	delays         map[string]time.Duration // the start-up delays of the groups that it was started with
	started        time.Time
	kernel         map[string][]netip.Prefix
	status         Status // when it was last looked at
	promised       bool   // Changed has said since then that it may be another
	received, sent uint64 // packets
	budgets        map[*router]*budget
	signed         map[*router]map[netip.Addr]Stamp // the last signatures that were accepted
	held           map[*router]time.Time            // until when what was heard of an active router keeps a Backup from taking over
	looked         int                              // events since all was looked at
}

// stay is a state and since when it holds.
type stay struct {
	State
	since time.Time
}

// newLedger returns that of a director that starts now.
func newLedger(now time.Time, groups []GroupConfig) ledger {
	delays := make(map[string]time.Duration)
	for _, g := range groups {
		delays[g.Name] = g.StartDelay
	}
	return ledger{
		states: make(map[string]stay), delays: delays, started: now, kernel: make(map[string][]netip.Prefix), promised: true,
		budgets: make(map[*router]*budget), signed: make(map[*router]map[netip.Addr]Stamp),
		held: make(map[*router]time.Time),
	}
}

// print is what decides what a router does next.
type print struct {
	state                                State
	deadline, answered, lowerSince, next time.Time
	activeInterval                       time.Duration
	peer                                 peer
	rival                                rival
	source                               netip.Addr
}

// String returns it in words.
func (p print) String() string {
	at := func(t time.Time) time.Duration {
		if t.IsZero() {
			return 0
		}
		return t.Sub(epoch)
	}
	return fmt.Sprintf("\n%v deadline %v, of the group %v, learned %v, peer %v of priority %d at %v, rival %v to %v, answered %v, lower since %v, source %v",
		p.state, at(p.deadline), at(p.next), p.activeInterval, p.peer.source, p.peer.priority, at(p.peer.at),
		at(p.rival.first), at(p.rival.last), at(p.answered), at(p.lowerSince), p.source)
}

// fingerprint returns what decides what a Host does next.
func fingerprint(h *Host) (all []print) {
	for _, g := range h.groups {
		for _, r := range g.routers {
			all = append(all, print{
				g.state, r.deadline, r.answered, g.lowerSince, g.deadline(), r.activeInterval, r.peer, r.rival, r.source,
			})
		}
	}
	return all
}

// budget is how many advertisements a router may still send now.
type budget struct {
	tokens float64
	at     time.Time
}

// spend takes one advertisement from a router's budget and reports whether
// there was one. An interval brings a regular one, and as many answers to
// routers that must yield as are allowed.
func (l *ledger) spend(now time.Time, g *group, r *router) bool {
	const most = 2 * (answerShare + 2)
	b := l.budgets[r]
	if b == nil {
		b = &budget{tokens: most, at: now}
		l.budgets[r] = b
	}
	intervals := float64(now.Sub(b.at)) / float64(g.cfg.AdvertisementInterval)
	b.tokens, b.at = min(b.tokens+intervals*(answerShare+2), max(most, b.tokens))-1, now
	return b.tokens >= 0
}

// earn adds to a router's budget.
func (l *ledger) earn(r *router, tokens float64) {
	if b := l.budgets[r]; b != nil {
		b.tokens += tokens
	}
}
