package director

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"bascule/lvs"
)

const (
	// paceBurst is how many changes of one real server, or one quorum, are
	// logged one after the other.
	paceBurst = 4
	// pacePause is how long after one of them there may be another.
	pacePause = time.Minute
)

// subject is what changes are about.
type subject struct {
	virtualServer string
	realServer    netip.AddrPort // invalid: the quorum
}

// pace bounds how much is logged about one subject.
type pace struct {
	left   int        // how many changes may be logged at once
	since  time.Time  // when that was so
	held   int        // changes that are not logged yet
	latest lvs.Change // of them
}

// full says whether nothing has been logged for long.
func (p *pace) full(now time.Time) bool {
	if more := int(now.Sub(p.since) / pacePause); more > 0 {
		p.left, p.since = min(p.left+more, paceBurst), p.since.Add(time.Duration(more)*pacePause)
	}
	return p.left == paceBurst
}

// allow says whether a change may be logged now, and counts it.
func (p *pace) allow(now time.Time) bool {
	if p.full(now) {
		p.since = now
	}
	if p.left == 0 {
		return false
	}
	p.left--
	return true
}

// paces are those of all subjects that have changed lately.
type paces struct {
	lately map[subject]*pace
	held   map[subject]*pace // of these, those with changes that are not logged yet
	swept  time.Time
}

// take takes a change. It returns the pace if that is to be logged now.
func (p *paces) take(now time.Time, c lvs.Change) *pace {
	about := subject{c.VirtualServer, c.RealServer}
	one := p.lately[about]
	if one == nil {
		if p.lately == nil {
			p.lately, p.held = make(map[subject]*pace), make(map[subject]*pace)
		}
		one = &pace{left: paceBurst, since: now}
		p.lately[about] = one
	}
	one.held, one.latest = one.held+1, c
	if !one.allow(now) {
		p.held[about] = one
		return nil
	}
	delete(p.held, about)
	return one
}

// overdue returns those whose changes may be logged by now, and forgets those
// of which nothing has been logged for long.
func (p *paces) overdue(now time.Time) (due []*pace) {
	for _, about := range slices.SortedFunc(maps.Keys(p.held), compareSubjects) {
		if p.held[about].allow(now) {
			due = append(due, p.held[about])
			delete(p.held, about)
		}
	}
	if now.Sub(p.swept) >= pacePause {
		p.swept = now
		maps.DeleteFunc(p.lately, func(about subject, one *pace) bool { return p.held[about] == nil && one.full(now) })
	}
	return due
}

// compareSubjects puts subjects in order.
func compareSubjects(a, b subject) int {
	return cmp.Or(cmp.Compare(a.virtualServer, b.virtualServer), a.realServer.Compare(b.realServer))
}
