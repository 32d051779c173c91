package config

import (
	"net/netip"

	"bascule/checker"
)

// joint is a combination of checks.
type joint struct {
	any   bool    // one of them is enough
	list  *node   // of the parts
	parts []check // what the list says
}

// maxParts bounds the checks of one real server.
const maxParts = 64

// parts reads the parts of a combination, which have the pace and the way of
// what is around them unless they say otherwise.
func (r checkReader) parts(j joint, around check) *joint {
	outer := check{pace: around.pace, way: around.way}
	fresh := &joint{any: j.any, list: j.list}
	for _, n := range r.elements(j.list, "an array of checks, which are tables,") {
		if n.table == nil {
			r.wrongType(n, "a table")
			continue
		}
		part := r.check(n, outer)
		switch {
		case part.isNone():
			r.add(n.table["type"].place, `"none" is no part of a combination: it would decide nothing`)
		case !part.isSaid() && n.table["type"] == nil && n.table["all"] == nil && n.table["any"] == nil:
			r.add(n.child("type"), "missing: the type of this part, or all or any of further parts")
		case part.isSaid():
			fresh.parts = append(fresh.parts, part)
		}
	}
	if count := (check{joint: fresh}).leaves(); count > maxParts {
		r.add(j.list.place, "has %d checks: at most %d for one real server", count, maxParts)
		fresh.parts = nil
	}
	return fresh
}

// leaves is how many checks decide.
func (c check) leaves() int {
	if c.joint == nil {
		return 1
	}
	count := 0
	for _, part := range c.joint.parts {
		count += part.leaves()
	}
	return count
}

// each calls f for each check that decides.
func (c check) each(f func(leaf check)) {
	switch {
	case c.joint != nil:
		for _, part := range c.joint.parts {
			part.each(f)
		}
	case c.kind != nil && !c.isNone():
		f(c)
	}
}

// condition is what a check means for a real server on a director.
func (c check) condition(real netip.AddrPort, node string, read secrets) checker.Condition {
	if c.joint == nil {
		return checker.Leaf(c.spec(real, node, read))
	}
	parts := make([]checker.Condition, len(c.joint.parts))
	for i, part := range c.joint.parts {
		parts[i] = part.condition(real, node, read)
	}
	if c.joint.any {
		return checker.Any(parts...)
	}
	return checker.All(parts...)
}

// spec is one check of a real server on a director.
func (c check) spec(real netip.AddrPort, node string, read secrets) checker.Spec {
	return checker.Spec{
		Probe: c.probe(read), Target: c.way.target(c.kind, real), Via: c.way.via(c.kind, node),
		Interval: c.pace.interval, Quick: c.pace.quick, Timeout: c.pace.or(c.pace.timeout),
		Delay: c.pace.delay, Jitter: c.pace.or(c.pace.jitter), Rise: int(c.pace.rise), Fall: int(c.pace.fall),
	}
}
