package config

import (
	"maps"
	"strings"
	"unicode"
)

// validate reports what the checker has to say about the parameters of a
// check. It says one thing at a time: a parameter that is reported is left out,
// and the others are looked at once more.
func (r checkReader) validate(s section, c check) {
	c.values.given = maps.Clone(c.values.given)
	relations := !c.broken
	for range len(c.values.given) + 1 {
		err := c.probe(nil).Validate()
		if err == nil {
			return
		}
		key, message := c.kind.blame(c.values, s, err.Error())
		// What is said of a parameter without its value is about others that are
		// missing, which they may not be.
		if relations || isAboutValue(message) && c.values.has(key) {
			r.add(c.values.at(s, key), "%s", oneLine(message))
			relations = false
		}
		if !c.values.has(key) {
			return
		}
		delete(c.values.given, key)
	}
}

// isAboutValue is true of a message that begins with the value of a parameter.
func isAboutValue(message string) bool {
	return strings.HasPrefix(message, `"`) || message != "" && unicode.IsDigit(rune(message[0]))
}

// at is where a key was given, or should be.
func (v values) at(s section, key string) place {
	if g, ok := v.given[key]; ok {
		return g.at
	}
	return s.at(key)
}

// blame finds the key that a message of Validate is about, and what the message
// says about it. It begins with the name of a parameter. If another one that it
// names is given in this table, and that one is not, it is about both.
func (k *kind) blame(v values, s section, message string) (key, about string) {
	message = strings.TrimPrefix(message, "tls: ")
	end := strings.IndexAny(message, " :,")
	if end < 0 {
		return message, message
	}
	key = k.keyOf(v, message[:end])
	about = strings.TrimPrefix(strings.TrimPrefix(message[end:], ":"), " ")
	if several := strings.HasPrefix(message[end:], ",") || strings.HasPrefix(message[end:], " and "); !several && s.table[key] != nil {
		return key, about
	}
	for _, word := range strings.FieldsFunc(message, func(r rune) bool { return r == ' ' || r == ',' || r == ':' }) {
		if other := k.keyOf(v, word); v.has(other) && s.table[other] != nil {
			return other, message
		}
	}
	return key, about
}

// keyOf is the key of a parameter: its name, unless the configuration has
// another one for it. Of several ways to give it, it is the one that was taken.
func (k *kind) keyOf(v values, parameter string) string {
	name := parameter
	if alias := k.aliases[parameter]; alias != "" {
		name = alias
	}
	for _, other := range []string{name, name + "_file", name + "_hex"} {
		if v.has(other) {
			return other
		}
	}
	return name
}
