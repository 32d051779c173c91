package lvs

import (
	"fmt"
	"time"
)

// QuorumState says whether a virtual server has the weight that it needs.
type QuorumState uint8

// The states of a quorum.
const (
	QuorumUnneeded QuorumState = iota // none is configured
	QuorumAwaited                     // not reached since the beginning
	QuorumReached
	QuorumLost
)

// String returns the word that status and logs use.
func (q QuorumState) String() string {
	switch q {
	case QuorumUnneeded:
		return "unneeded"
	case QuorumAwaited:
		return "awaited"
	case QuorumReached:
		return "reached"
	case QuorumLost:
		return "lost"
	}
	return "invalid quorum state"
}

// missing says whether the healthy real servers are too few.
func (q QuorumState) missing() bool {
	return q == QuorumAwaited || q == QuorumLost
}

// quorum is the state of a virtual server's quorum.
type quorum struct {
	need  Quorum
	state QuorumState
	since time.Time
	sum   uint64 // of the weights of healthy real servers
	more  bool   // whether sum may be more than is known: then what is reached is not lost
}

// require changes what is needed. One that was lost may be reached as at the
// beginning then.
func (q *quorum) require(need Quorum) {
	if q.need != need && q.state == QuorumLost {
		q.state = QuorumAwaited
	}
	q.need = need
}

// resume goes on with a quorum that a predecessor had reached, unless so
// little is left that it is lost.
func (q *quorum) resume(sum uint64, more bool) {
	reached := quorum{need: q.need, state: QuorumReached, sum: sum, more: more}
	if reached.next() == QuorumReached {
		q.state = QuorumReached
	}
}

// update derives the state from the sum of weights.
func (q *quorum) update(now time.Time, sum uint64, more bool) {
	q.sum, q.more = sum, more
	before := q.state
	q.state = q.next()
	if q.state != before || q.since.IsZero() {
		q.since = now
	}
}

// next returns the state that follows on the present one.
func (q *quorum) next() QuorumState {
	weight, hysteresis := uint64(q.need.Weight), uint64(q.need.Hysteresis)
	switch {
	case weight == 0:
		return QuorumUnneeded
	case q.state == QuorumReached && q.sum+hysteresis < weight && !q.more:
		return QuorumLost
	case q.state == QuorumLost && q.sum < weight+hysteresis:
		return QuorumLost
	case q.state != QuorumReached && q.sum < weight:
		return QuorumAwaited
	}
	return QuorumReached
}

// reason says why the state is what it is.
func (q *quorum) reason() string {
	text := fmt.Sprintf("healthy real servers have weight %d", q.sum)
	if q.more {
		text += " or more"
	}
	switch q.state {
	case QuorumAwaited:
		return fmt.Sprintf("%s, %d is needed", text, q.need.Weight)
	case QuorumReached:
		return fmt.Sprintf("%s, lost below %d", text, q.need.Weight-q.need.Hysteresis)
	case QuorumLost:
		return fmt.Sprintf("%s, reached again from %d on", text, uint64(q.need.Weight)+uint64(q.need.Hysteresis))
	}
	return ""
}
