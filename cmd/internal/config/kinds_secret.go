package config

import (
	"path/filepath"
	"strings"

	"bascule/checker"
)

const (
	// secretDirectory is where relative paths of secrets begin.
	secretDirectory = "/etc/bascule"
	// standIn is in the place of a secret that has not been read yet. Nothing
	// is wrong with it, whatever it is for.
	standIn = "secret"
)

// loginKeys are the keys of a user.
var loginKeys = []key{
	words("user", "the name of a user"),
	{name: "password", read: as(secretText("a password"))},
	{name: "password_file", read: as(secretPath)},
}

// secret is the secret of a key, given as a text or in a file.
func (v values) secret(key string) checker.Secret {
	path, inFile := v.given[key+"_file"]
	switch {
	case !inFile:
		return value(v, key, checker.Secret{})
	case v.read == nil:
		return checker.NewSecret(standIn)
	}
	return v.read[path.value.(string)]
}

// secretPath reads the path of a file with a secret, which is in
// /etc/bascule unless it is absolute.
func secretPath(p *problems, n *node) (string, bool) {
	path, ok := text("the path of a file")(p, n)
	switch {
	case !ok:
		return "", false
	case path == "" || strings.ContainsRune(path, 0):
		p.add(n.place, "%s is no path of a file: one such as \"/etc/bascule/mail.password\" is wanted", quote(path))
		return "", false
	case !filepath.IsAbs(path):
		path = filepath.Join(secretDirectory, path)
	}
	return path, true
}

// hidden reads a text that no message repeats.
func hidden(wanted string) reader[string] {
	return func(p *problems, n *node) (string, bool) {
		value, ok := n.scalar.(string)
		if !ok {
			p.add(n.place, "is no string: %s is wanted, between quotes", wanted)
		}
		return value, ok
	}
}

// secretText reads a secret that is given as a text.
func secretText(wanted string) reader[checker.Secret] {
	return func(p *problems, n *node) (checker.Secret, bool) {
		value, ok := hidden(wanted)(p, n)
		if ok && value == "" {
			p.add(n.place, "is empty: %s is wanted", wanted)
			return checker.Secret{}, false
		}
		return checker.NewSecret(value), ok
	}
}
