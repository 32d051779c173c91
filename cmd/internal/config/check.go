package config

import (
	"strings"

	"bascule/checker"
)

// check is what has been said so far about the check of a real server: a kind
// with its parameters, or a combination.
type check struct {
	kind   *kind // nil if nothing has been said, and of a combination
	pace   pace
	way    checkWay
	values values
	joint  *joint // nil unless it is a combination
	typeAt place  // where the kind was said
	broken bool   // something of it has been reported, so that what is missing may be there
}

// checkReader reads checks of a configuration with these directors.
type checkReader struct {
	*problems
	nodes []string
}

// defaultCheck is the check about which nothing has been said.
func defaultCheck() check { return check{pace: defaultPace()} }

// isSaid is true of a check that has a type or is a combination.
func (c check) isSaid() bool { return c.kind != nil || c.joint != nil }

// isNone is true of a check that makes a real server a member for good.
func (c check) isNone() bool { return c.kind == kindNone }

// of reads the check of a table that has one, over what was said before.
func (r checkReader) of(s section, before check) check {
	n := s.table["check"]
	if n == nil {
		return before
	}
	return r.check(n, before)
}

// check reads a check over what was said before. What is common to all kinds
// stays unless it is said anew, and so do parameters as long as the kind stays
// the same.
func (r checkReader) check(n *node, before check) check {
	if n.table == nil {
		r.wrongType(n, "a table")
		return before
	}
	c := before
	sure := r.subject(n, &c)
	before.broken = before.broken || !sure
	s := r.known(n, c)
	if sure && !r.isMisplaced(s, c) {
		c.pace = r.pace(s, c.pace)
		c.way = r.way(s, c.way)
	}
	switch {
	case !sure:
	case c.joint != nil:
		c.joint = r.parts(*c.joint, c)
	case c.kind != nil:
		r.parameters(s, &c)
	}
	return c
}

// subject reads what kind of check a table is for. It is not sure if that is
// wrong, and nothing can be said then about the other keys.
func (r checkReader) subject(n *node, c *check) (sure bool) {
	var given []*node
	for _, name := range []string{"type", "all", "any"} {
		if at := n.table[name]; at != nil {
			given = append(given, at)
		}
	}
	if len(given) == 0 {
		return true
	}
	if len(given) > 1 {
		r.add(given[1].place, "excludes %s at %s: one of them is wanted", given[0].key[strings.LastIndexByte(given[0].key, '.')+1:], given[0].place)
		return false
	}
	if given[0] != n.table["type"] {
		c.kind, c.values, c.broken = nil, values{}, false
		c.joint = &joint{any: n.table["any"] != nil, list: given[0]}
		return true
	}
	kind, ok := kindOf(r.problems, given[0])
	if ok && kind != c.kind {
		c.kind, c.values, c.joint, c.broken = kind, values{}, nil, false
		c.typeAt = given[0].place
	}
	return ok
}

// parameters reads the parameters of the kind, and reports what is wrong with
// them together.
func (r checkReader) parameters(s section, c *check) {
	before := len(r.list)
	c.values = c.values.over(r.problems, s, c.kind)
	for _, k := range c.kind.keys {
		given := s.table[k.name] != nil || s.table[k.name+"_file"] != nil || c.values.has(k.name) || c.values.has(k.name+"_file")
		if k.missing != "" && !given && !c.broken {
			s.missing(k.name, "%s", k.missing)
		}
	}
	c.broken = c.broken || len(r.list) > before || len(s.misread) > 0
	r.inClear(s, *c)
	if c.kind.build != nil {
		r.validate(s, *c)
	}
}

// probe is the check of a kind, with the secrets that have been read from
// files, nil if they are yet to be.
func (c check) probe(read secrets) checker.Probe {
	v := c.values
	v.read = read
	return c.kind.build(v)
}
