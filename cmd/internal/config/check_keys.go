package config

import (
	"fmt"
	"maps"
	"slices"
)

// kindOf reads the type of a check.
func kindOf(p *problems, n *node) (*kind, bool) {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	name, ok := n.scalar.(string)
	if !ok {
		p.wrongType(n, oneOf(names))
		return nil, false
	}
	if i := slices.Index(names, name); i >= 0 {
		return kinds[i], true
	}
	hint := didYouMean(name, names)
	if hint == "" {
		hint = ": " + oneOf(names) + " is wanted"
	}
	p.add(n.place, "%s is unknown%s", quote(name), hint)
	return nil, false
}

// commonKeys are the keys of every check.
var commonKeys = slices.Concat([]string{"type", "all", "any"}, paceKeys, wayKeys)

// known reports keys that no check has. Those of other kinds count as known:
// what is wrong with them can be said better.
func (r checkReader) known(n *node, c check) section {
	shown := commonKeys
	if c.kind != nil {
		shown = slices.Concat(commonKeys, c.kind.names())
	}
	return r.sectionShowing(n, shown, slices.Sorted(maps.Keys(kindsByKey)))
}

// isMisplaced reports keys that have no meaning for the check, and is true if
// it is none at all.
func (r checkReader) isMisplaced(s section, c check) bool {
	for _, name := range s.names {
		if why := misplaced(name, c); why != "" {
			r.add(s.table[name].place, "%s", why)
		}
	}
	return c.isNone()
}

// misplaced says why a key has no meaning for a check, "" if it has one.
func misplaced(name string, c check) string {
	owners := kindsByKey[name]
	only := fmt.Sprintf("has a meaning for a check of type %s only", oneOf(owners))
	switch {
	case c.isNone() && name != "type", c.kind != nil && slices.Contains(c.kind.without, name):
		return fmt.Sprintf("has no meaning for a check of type %q", c.kind.name)
	case len(owners) == 0, c.kind != nil && slices.Contains(owners, c.kind.name):
		return ""
	case c.joint != nil:
		return only + ", not for a combination: it belongs to one of the parts"
	case c.kind == nil:
		return only + ": type is missing"
	}
	return only + fmt.Sprintf(", not %q", c.kind.name)
}
