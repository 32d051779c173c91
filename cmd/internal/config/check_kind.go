package config

import (
	"maps"
	"slices"

	"bascule/checker"
)

// kind is a kind of check.
type kind struct {
	name     string
	keys     []key
	aliases  map[string]string // key by the name that Validate has for it, where they differ
	build    func(v values) checker.Probe
	portless bool     // it asks for no port, but can be told one
	without  []string // common keys that have no meaning for it
}

// key is a parameter of a kind of check.
type key struct {
	name    string
	read    reader[any]
	missing string // what is wanted if it is not given; "": nothing
}

// kindNone is the check of real servers that are always members.
var kindNone = &kind{name: "none"}

// kinds are all kinds of check.
var kinds = slices.Concat(
	[]*kind{kindTCP}, kindsHTTP, []*kind{kindTLS, kindGRPC}, kindsNetwork, kindsLocal,
	[]*kind{kindExpect}, kindsMail, kindsData, kindsOther, []*kind{kindNone},
)

// kindTCP is the kind that is meant if none is given.
var kindTCP = &kind{name: "tcp", build: func(values) checker.Probe { return checker.TCP{} }}

// kindsByKey are the names of the kinds that have a key; none for the keys of
// all kinds.
var kindsByKey = func() map[string][]string {
	owners := map[string][]string{}
	for _, name := range commonKeys {
		owners[name] = nil
	}
	for _, k := range kinds {
		for _, name := range k.names() {
			owners[name] = append(owners[name], k.name)
		}
	}
	return owners
}()

// names are the keys of a kind.
func (k *kind) names() []string {
	names := make([]string, len(k.keys))
	for i := range k.keys {
		names[i] = k.keys[i].name
	}
	return names
}

// as is a reader of any value.
func as[T any](read reader[T]) reader[any] {
	return func(p *problems, n *node) (any, bool) { return read(p, n) }
}

// words is a key that is a text.
func words(name, wanted string) key { return key{name: name, read: as(text(wanted))} }

// yesNo is a key that is true or false.
func yesNo(name string) key { return key{name: name, read: as(boolean)} }

// oneWord is a key that is one of some words.
func oneWord(name string, allowed ...string) key {
	return key{name: name, read: as(choice(allowed...))}
}

// required is the same key, without which the check is not complete.
func (k key) required(missing string) key {
	k.missing = missing
	return k
}

// values are the parameters that have been given.
type values struct {
	given map[string]given
	read  secrets // nil: yet to be read
}

// given is a value and where it is from.
type given struct {
	value any
	at    place
}

// rivals are keys that are two ways to say the same.
var rivals = [][2]string{
	{"password", "password_file"}, {"secret", "secret_file"}, {"payload", "payload_hex"}, {"reply", "reply_hex"},
}

// over reads the parameters of a kind over those that were given before.
func (v values) over(p *problems, s section, k *kind) values {
	fresh := values{given: maps.Clone(v.given)}
	if fresh.given == nil {
		fresh.given = map[string]given{}
	}
	for _, pair := range rivals {
		first, second := s.table[pair[0]], s.table[pair[1]]
		switch {
		case !slices.Contains(k.names(), pair[0]):
		case first != nil && second != nil:
			p.add(second.place, "excludes %s at %s: one of them is wanted", pair[0], first.place)
		case first != nil:
			delete(fresh.given, pair[1])
		case second != nil:
			delete(fresh.given, pair[0])
		}
	}
	for _, key := range k.keys {
		n := s.table[key.name]
		if n == nil {
			continue
		}
		if value, ok := key.read(p, n); ok {
			fresh.given[key.name] = given{value, n.place}
		} else {
			delete(fresh.given, key.name)
		}
	}
	return fresh
}

// has is true of a key that has been given.
func (v values) has(key string) bool {
	_, ok := v.given[key]
	return ok
}

// value is what has been given for a key, or otherwise.
func value[T any](v values, key string, otherwise T) T {
	if g, ok := v.given[key]; ok {
		return g.value.(T)
	}
	return otherwise
}

// text is the text that has been given for a key, or "".
func (v values) text(key string) string { return value(v, key, "") }

// flag is true if that has been given for a key.
func (v values) flag(key string) bool { return value(v, key, false) }
