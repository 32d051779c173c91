package checker

import (
	"slices"
	"strings"
)

// Advice is what a probe learns of a target that works, besides that: how much
// work it wants, and what will make it fail one day.
type Advice struct {
	Weight  Weight
	Also    Weight // in per cent, if a combination of checks has weights of both kinds: the lower one counts
	Drain   bool   // no new connections; those that it has go on
	Warning string // what an administrator is to see to, such as "certificate expires 2026-01-02"; "" for nothing
}

// Weight is a weight that a target asks for. The zero value asks for none.
type Weight struct {
	Set     bool
	Value   int  // 0 or more
	Percent bool // Value is per cent of the configured weight
}

// Of returns the weight of a real server with a configured weight, at most what
// IPVS is given. Drain is not part of it.
func (a Advice) Of(configured int) int {
	weight := a.Weight.of(configured)
	if a.Also.Set {
		weight = min(weight, a.Also.of(configured))
	}
	return weight
}

// of returns the weight asked for. Per cent are rounded up, so that nothing
// but 0 % ends in 0.
func (w Weight) of(configured int) int {
	switch {
	case !w.Set:
		return configured
	case w.Percent:
		return min((configured*w.Value+99)/100, maxWeight)
	}
	return w.Value
}

// and is the advice of two checks of one real server: the lowest weight of
// each kind, Drain if one says so, and the warnings of both.
func (a Advice) and(b Advice) Advice {
	if a == b {
		return a
	}
	absolute, percent := Weight{}, Weight{Percent: true}
	for _, w := range []Weight{a.Weight, a.Also, b.Weight, b.Also} {
		lowest := &absolute
		if w.Percent {
			lowest = &percent
		}
		if w.Set && (!lowest.Set || w.Value < lowest.Value) {
			*lowest = w
		}
	}
	both := Advice{Weight: absolute, Drain: a.Drain || b.Drain, Warning: join(a.Warning, b.Warning)}
	switch {
	case !percent.Set:
	case !absolute.Set:
		both.Weight = percent
	default:
		both.Also = percent
	}
	return both
}

// join returns both texts, each once and in an order of their own.
func join(a, b string) string {
	texts := slices.DeleteFunc([]string{a, b}, func(s string) bool { return s == "" })
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "; ")
}
