package lab

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Overlap is a time in which two routers were active for one virtual router.
type Overlap struct {
	LAN      string
	VRID     uint8
	Old, New netip.Addr // whose claim is older, and who joined in
	From, To time.Time  // the first advertisement of New, and the last one of whoever stopped first
	Late     int        // how many advertisements Old sent in that time
}

// String describes the overlap in a line.
func (o Overlap) String() string {
	return fmt.Sprintf("%s VRID %d: %s went on for %v and %d advertisements after %s became active",
		o.LAN, o.VRID, o.Old, o.To.Sub(o.From), o.Late, o.New)
}

// claim is a time in which one router was active without a doubt: from one of
// its advertisements to another, with no silence between them that could have
// been a spell as a backup.
type claim struct {
	source netip.Addr
	sent   []time.Time   // when it advertised, in order; never empty
	breath time.Duration // advertisements that are no further apart are one
}

// breathShare is the part of an interval within which two advertisements are
// one.
const breathShare = 10

// routerID tells apart the virtual routers of all LANs. The family counts: a
// VRID of IPv4 and one of IPv6 are unrelated (RFC 9568 section 1.2).
type routerID struct {
	lan  string
	vrid uint8
	ipv6 bool
}

// SimultaneousActives finds the times in which more than one router was
// active for a virtual router, in the order in which they began.
//
// When routers change over, packets may cross: one advertisement of the old
// active after the first one of the new is allowed. Two are not, if the new
// one goes on too, unless they are in one breath: a router that yields says so
// on all its links, also where it has just advertised. Frames must be in the order of time, as Capture returns
// them.
func SimultaneousActives(frames []Frame) []Overlap {
	var overlaps []Overlap
	for id, claims := range claimsByRouter(frames) {
		for i, a := range claims {
			for _, b := range claims[i+1:] {
				if o, found := overlap(a, b); found {
					o.LAN, o.VRID = id.lan, id.vrid
					overlaps = append(overlaps, o)
				}
			}
		}
	}
	slices.SortFunc(overlaps, func(a, b Overlap) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.LAN, b.LAN), cmp.Compare(a.VRID, b.VRID), a.Old.Compare(b.Old), a.New.Compare(b.New))
	})
	return overlaps
}

// claimsByRouter collects, for each virtual router, the claims to it in the
// order in which they began.
func claimsByRouter(frames []Frame) map[routerID][]claim {
	open := map[routerID]map[netip.Addr]claim{}
	done := map[routerID][]claim{}
	for _, f := range frames {
		if f.Kind != Advertisement {
			continue
		}
		id := routerID{f.LAN, f.VRID, f.Source.Is6()}
		if open[id] == nil {
			open[id] = map[netip.Addr]claim{}
		}
		current, found := open[id][f.Source]
		// A backup waits for at least three intervals, or has been told
		// that it may be short by priority 0.
		if found && (f.Priority == 0 || f.Time.Sub(current.sent[len(current.sent)-1]) > 2*f.Interval) {
			done[id] = append(done[id], current)
			delete(open[id], f.Source)
		}
		if f.Priority != 0 {
			c := open[id][f.Source]
			open[id][f.Source] = claim{f.Source, append(c.sent, f.Time), f.Interval / breathShare}
		}
	}
	for id, claims := range open {
		done[id] = slices.AppendSeq(done[id], maps.Values(claims))
		slices.SortFunc(done[id], func(a, b claim) int {
			return cmp.Or(a.sent[0].Compare(b.sent[0]), a.source.Compare(b.source))
		})
	}
	return done
}

// overlap compares two claims to the same virtual router, the older first.
func overlap(old, joined claim) (Overlap, bool) {
	from, to := joined.sent[0], joined.sent[len(joined.sent)-1]
	if last := old.sent[len(old.sent)-1]; last.Before(to) {
		to = last
	}
	late, before := 0, time.Time{}
	for _, sent := range old.sent {
		if sent.After(from) && !sent.After(to) {
			if before.IsZero() || sent.Sub(before) > old.breath {
				late++
			}
			before = sent
		}
	}
	const exchange = 1 // advertisements that may cross the new active's first
	if old.source == joined.source || late <= exchange {
		return Overlap{}, false
	}
	return Overlap{Old: old.source, New: joined.source, From: from, To: to, Late: late}, true
}
