package checker

import (
	"slices"
	"strings"
)

// Condition says which checks decide on one real server, and how: one check,
// all of several conditions, or any of them. It is a value without a loop of
// its own: what is known of the checks goes in, what is known of the real
// server comes out. The zero value is All of nothing, which holds.
type Condition struct {
	spec  *Spec // of a leaf
	any   bool  // one of parts is enough
	parts []Condition
}

// Leaf returns the condition that is one check.
func Leaf(spec Spec) Condition { return Condition{spec: &spec} }

// All returns the condition that holds when each of parts does.
func All(parts ...Condition) Condition { return Condition{parts: slices.Clone(parts)} }

// Any returns the condition that holds when one of parts does. Any of nothing
// does not hold.
func Any(parts ...Condition) Condition { return Condition{any: true, parts: slices.Clone(parts)} }

// Specs returns the checks that decide, each one once.
func (c Condition) Specs() []Spec {
	if c.spec != nil {
		return []Spec{*c.spec}
	}
	var specs []Spec
	for _, part := range c.parts {
		for _, spec := range part.Specs() {
			if !slices.Contains(specs, spec) {
				specs = append(specs, spec)
			}
		}
	}
	return specs
}

// Known returns what is known of the real server, when known says it of each
// check.
//
// All is as good as the worst of its parts, Any as good as the best; unknown
// is between unhealthy and healthy. Advice is that of the parts that are as
// good as the whole: the lowest weight, and Drain if one says so. The reasons
// are those of the parts that make All no better, and for Any those of all
// parts. If there are several checks, each reason is named by its check.
func (c Condition) Known(known func(Spec) Known) Known {
	v := c.evaluate(known, len(c.Specs()) > 1)
	slices.Sort(v.reasons)
	return Known{State: v.state, Reason: strings.Join(slices.Compact(v.reasons), "; "), Advice: v.advice}
}

// verdict is what a part of a condition has found.
type verdict struct {
	state   State
	advice  Advice
	reasons []string
}

// evaluate returns the verdict of a condition; its reasons have the names of
// their checks if named is true.
func (c Condition) evaluate(known func(Spec) Known, named bool) verdict {
	if c.spec != nil {
		return c.leaf(known(*c.spec), named)
	}
	if len(c.parts) == 0 && c.any {
		return verdict{state: Unhealthy, reasons: []string{"any of no checks"}}
	}
	whole := verdict{state: Healthy}
	for i, part := range c.parts {
		v := part.evaluate(known, named)
		switch better := goodness(v.state) - goodness(whole.state); {
		case i == 0, better > 0 && c.any:
			v.reasons = append(v.reasons, whole.reasons...)
			whole = v
		case better < 0 && !c.any:
			whole = v
		case better == 0:
			whole.advice = whole.advice.and(v.advice)
			whole.reasons = append(whole.reasons, v.reasons...)
		case c.any:
			whole.reasons = append(whole.reasons, v.reasons...)
		}
	}
	if whole.state == Healthy {
		whole.reasons = nil
	}
	return whole
}

// leaf returns the verdict of one check.
func (c Condition) leaf(k Known, named bool) verdict {
	v := verdict{state: k.State, advice: k.Advice}
	switch {
	case k.Reason == "":
	case named:
		v.reasons = []string{c.spec.Name() + ": " + k.Reason}
	default:
		v.reasons = []string{k.Reason}
	}
	return v
}

// goodness puts the states in order: unhealthy, unknown, healthy.
func goodness(s State) int {
	switch s {
	case Healthy:
		return 1
	case Unhealthy:
		return -1
	}
	return 0
}
