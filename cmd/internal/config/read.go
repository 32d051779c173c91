package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader turns a node into a value, or reports what is wrong with it.
type reader[T any] func(p *problems, n *node) (value T, ok bool)

// section is a table of which the known keys are read.
type section struct {
	*node
	p       *problems
	misread []string // known keys that an unknown one seems to stand for
}

// section takes a node as a table. Keys that are not known are reported.
func (p *problems) section(n *node, known ...string) (section, bool) {
	if n.table == nil {
		p.wrongType(n, "a table")
		return section{}, false
	}
	return p.sectionShowing(n, known, known), true
}

// sectionShowing is section for a table in which more keys are known than are
// listed for whoever looks for one.
func (p *problems) sectionShowing(n *node, shown, known []string) section {
	s := section{node: n, p: p}
	for _, name := range n.names {
		if slices.Contains(known, name) {
			continue
		}
		meant := nearest(name, known)
		hint := didYouMean(name, known)
		if meant == "" {
			hint = ": known here are " + strings.Join(shown, ", ")
		}
		s.misread = append(s.misread, meant)
		p.add(n.table[name].place, "unknown key%s", hint)
	}
	return s
}

// at is where a key is given, or should be.
func (s section) at(key string) place {
	if n := s.table[key]; n != nil {
		return n.place
	}
	return s.place.child(key)
}

// missing reports that a key without a default is not there, unless it seems
// to be there misspelt, which has been reported.
func (s section) missing(key, format string, args ...any) {
	if !s.isMisspelt(key) {
		s.p.add(s.place.child(key), "missing: "+format, args...)
	}
}

// isMisspelt is true of a key that seems to be there under another name, or
// whose place is taken, so that its absence is no second mistake.
func (s section) isMisspelt(key string) bool { return slices.Contains(s.misread, key) }

// named calls read for each table in the table of a key, with its name.
func (p *problems) named(s section, key string, read func(name string, n *node)) {
	n := s.table[key]
	if n == nil {
		return
	}
	if n.table == nil {
		p.wrongType(n, "a table of tables")
		return
	}
	for _, name := range n.names {
		if !validName(name) {
			p.add(n.table[name].place, "%s is no name: %s", quote(name), nameRule)
			continue
		}
		read(name, n.table[name])
	}
}

// optional reads the value of a key, or returns the default. It returns the
// default too where it has reported a mistake.
func optional[T any](s section, key string, otherwise T, read reader[T]) T {
	if n := s.table[key]; n != nil {
		if value, ok := read(s.p, n); ok {
			return value
		}
	}
	return otherwise
}

// required reads the value of a key that has no default. What is allowed goes
// into the report that it is missing.
func required[T any](s section, key, allowed string, read reader[T]) (value T, ok bool) {
	n := s.table[key]
	if n == nil {
		s.missing(key, "%s", allowed)
		return value, false
	}
	return read(s.p, n)
}

// perNode reads the value of a required key, which is either one for all
// directors or a table with one for each.
func perNode[T any](s section, key, allowed string, nodes []string, read reader[T]) map[string]T {
	n := s.table[key]
	if n == nil {
		s.missing(key, "%s, or a table with one for each node", allowed)
		return nil
	}
	return byNode(s.p, n, nodes, read)
}

// optionalPerNode is perNode for a key with a default, which is the same for
// all directors.
func optionalPerNode[T any](s section, key string, otherwise T, nodes []string, read reader[T]) map[string]T {
	if n := s.table[key]; n != nil {
		return byNode(s.p, n, nodes, read)
	}
	return forAll(nodes, otherwise)
}

// byNode reads a value for all directors, or a table with one for each.
func byNode[T any](p *problems, n *node, nodes []string, read reader[T]) map[string]T {
	if n.table == nil {
		if value, ok := read(p, n); ok {
			return forAll(nodes, value)
		}
		return nil
	}
	if len(nodes) > 0 {
		p.checkNodes(n, nodes)
	}
	values := map[string]T{}
	for _, name := range n.names {
		if value, ok := read(p, n.table[name]); ok {
			values[name] = value
		}
	}
	return values
}

// forAll gives every director the same value.
func forAll[T any](nodes []string, value T) map[string]T {
	values := map[string]T{}
	for _, name := range nodes {
		values[name] = value
	}
	return values
}

// checkNodes reports where a table by node differs from the list of nodes.
func (p *problems) checkNodes(n *node, nodes []string) {
	for _, name := range n.names {
		if !slices.Contains(nodes, name) {
			p.add(n.table[name].place, "%s", unknownNode(name, nodes))
		}
	}
	for _, name := range nodes {
		if n.table[name] == nil {
			p.add(n.place, "missing for node %q", name)
		}
	}
}

// elements takes a node as an array that is not empty.
func (p *problems) elements(n *node, wanted string) []*node {
	switch {
	case !n.isList:
		p.wrongType(n, wanted)
	case len(n.array) == 0:
		p.add(n.place, "is empty: %s is wanted", wanted)
	}
	return n.array
}

// text reads a string.
func text(wanted string) reader[string] {
	return func(p *problems, n *node) (string, bool) {
		value, ok := n.scalar.(string)
		if !ok {
			p.wrongType(n, "a string with "+wanted)
		}
		return value, ok
	}
}

// boolean reads true or false.
func boolean(p *problems, n *node) (value, ok bool) {
	value, ok = n.scalar.(bool)
	if !ok {
		p.wrongType(n, "true or false")
	}
	return value, ok
}

// integer reads a number from low to high. What is allowed is in words.
func integer(low, high int64, allowed string) reader[int64] {
	return func(p *problems, n *node) (int64, bool) {
		value, ok := n.scalar.(int64)
		switch {
		case !ok:
			p.wrongType(n, "an integer ("+allowed+")")
		case value < low || value > high:
			p.add(n.place, "%d is out of range: %s", value, allowed)
			return 0, false
		}
		return value, ok
	}
}

// durationRule says how durations are written.
const durationRule = `a string such as "1s" or "250ms"`

// duration reads a string with a unit, from low to high.
func duration(low, high time.Duration) reader[time.Duration] {
	return func(p *problems, n *node) (time.Duration, bool) {
		written, ok := n.scalar.(string)
		if !ok {
			p.wrongType(n, durationRule)
			return 0, false
		}
		value, err := time.ParseDuration(written)
		switch {
		case err != nil:
			p.add(n.place, "%s is no duration: %s is wanted", quote(written), durationRule)
			return 0, false
		case value < low || value > high:
			p.add(n.place, "%s is out of range: %s to %s", quote(written), short(low), short(high))
			return 0, false
		}
		return value, true
	}
}

// choice reads one of several words.
func choice(allowed ...string) reader[string] {
	return func(p *problems, n *node) (string, bool) {
		value, ok := n.scalar.(string)
		switch {
		case !ok:
			p.wrongType(n, oneOf(allowed))
		case !slices.Contains(allowed, value):
			p.add(n.place, "%s is unknown: %s is wanted", quote(value), oneOf(allowed))
			return "", false
		}
		return value, ok
	}
}

// wrongType reports what was given and what is wanted.
func (p *problems) wrongType(n *node, wanted string) {
	p.add(n.place, "%s: %s is wanted", n.given(), wanted)
}

// given says what a node is.
func (n *node) given() string {
	switch value := n.scalar.(type) {
	case string:
		return quote(value) + " is a string"
	case int64:
		return fmt.Sprintf("%d is an integer", value)
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 64) + " is a floating-point number"
	case bool:
		return fmt.Sprintf("%t is a boolean", value)
	case nil:
		if n.isList {
			return "an array is given"
		}
		return "a table is given"
	}
	return "a date or time is given"
}

// short writes a duration without units that are zero.
func short(d time.Duration) string {
	written := d.String()
	if trimmed, ok := strings.CutSuffix(written, "m0s"); ok {
		written = trimmed + "m"
	}
	if trimmed, ok := strings.CutSuffix(written, "h0m"); ok {
		written = trimmed + "h"
	}
	return written
}
