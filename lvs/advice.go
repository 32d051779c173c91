package lvs

import (
	"fmt"
	"strings"
	"time"
)

// Advice is what a real server that works asks for by its check. Its zero
// value is nothing.
type Advice struct {
	Weight  Asked // a weight
	Percent Asked // a part of the configured weight, in per cent, rounded up; the lower one counts if both are asked for
	Drain   bool  // no new connections; those that it has go on, without a limit
}

// Asked is a number that a real server asks for, or does not.
type Asked struct {
	Set   bool
	Value uint32
}

// of returns the weight of a real server with a configured weight, without
// regard to Drain.
func (a Advice) of(configured uint32) uint32 {
	weight := uint64(configured)
	if a.Weight.Set {
		weight = uint64(a.Weight.Value)
	}
	if a.Percent.Set {
		part := (uint64(configured)*uint64(a.Percent.Value) + 99) / 100
		if !a.Weight.Set || part < weight {
			weight = part
		}
	}
	return uint32(min(weight, MaxWeight))
}

// words says what is asked for, as far as it matters for a configured weight:
// "weight 50 % by its check"; "" if that is the configured weight.
func (a Advice) words(configured uint32) string {
	weight := a.of(configured)
	switch {
	case weight == configured:
		return ""
	case a.Percent.Set && weight == (Advice{Percent: a.Percent}).of(configured):
		return fmt.Sprintf("weight %d %% by its check", a.Percent.Value)
	}
	return fmt.Sprintf("weight %d by its check", weight)
}

// drainedBy returns who keeps the real server from new connections while its
// connections go on: the administrator, its check, or byCheck if nobody does.
func (r *realServer) drainedBy() cause {
	switch {
	case r.override != nil && r.override.Kind == Drain:
		return byOverride
	case r.fact.Advice.Drain:
		return byAdvice
	}
	return byCheck
}

// drained says whether the real server is kept from new connections so.
func (r *realServer) drained() bool { return r.drainedBy() != byCheck }

// holds says whether the real server had weight 0 in the kernel at the start,
// and its check has not said anything yet. Perhaps it has asked to drain.
func (r *realServer) holds() bool {
	return r.config.Checked && !r.known && r.adoption == quiet
}

// waits says whether a real server that leaves for a cause waits for its last
// connection, whatever limit is configured.
func (c cause) waits() bool { return c == byAdvice || c == byCheck }

// wait puts the real server out when its connections have ended.
func (r *realServer) wait(now time.Time) {
	r.until = time.Time{}
	if r.state != Out {
		r.enter(now, Draining)
	}
}

// weighing says why the weight of a member is not the configured one; "" if it
// is.
func (r *realServer) weighing() string {
	if r.state != Member || r.weight == r.config.Weight {
		return ""
	}
	var words []string
	switch advised := r.fact.Advice.words(r.config.Weight); {
	case r.override != nil && r.override.Kind == Weigh:
		words = append(words, r.override.String())
	case advised != "":
		words = append(words, advised)
	case !r.known && r.full() != r.config.Weight:
		words = append(words, "as found in the kernel")
	}
	if r.weight != r.full() {
		words = append(words, "slow start")
	}
	return strings.Join(words, ", ")
}
