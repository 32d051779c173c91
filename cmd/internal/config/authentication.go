package config

import (
	"path/filepath"
	"time"

	"bascule/vrrp"
)

// minWindow is the shortest default of the window. It is keepalived's.
const minWindow = 5 * time.Second

// authentication is how a group signs its advertisements.
type authentication struct {
	at     place
	file   string
	fileAt place
	active int64
	mode   vrrp.AuthMode
	window time.Duration
}

// authentication reads the key of a group, nil if it is not there.
func (p *problems) authentication(of section, interval time.Duration) *authentication {
	n := of.table["authentication"]
	if n == nil {
		return nil
	}
	s, ok := p.section(n, "key_file", "active_key", "mode", "window")
	if !ok {
		return nil
	}
	a := &authentication{at: n.place, fileAt: n.child("key_file")}
	a.file, _ = required(s, "key_file", `the path of the file with the keys, such as "/etc/bascule/web.keys"`, keyPath)
	if given := s.table["key_file"]; given != nil {
		a.fileAt = given.place
	}
	a.active, _ = required(s, "active_key", "the identifier of the key that signs, 1 to 255", integer(1, 255, "1 to 255"))
	a.mode = optional(s, "mode", vrrp.AuthEnforce, authMode)
	a.window = optional(s, "window", max(3*interval, minWindow), duration(0, maxDelay))
	return a
}

// keyPath reads the path of a key file. The daemon runs in the root directory,
// "bascule check" anywhere: a relative path would mean two files.
func keyPath(p *problems, n *node) (string, bool) {
	path, ok := text("the path of a file")(p, n)
	if ok && !filepath.IsAbs(path) {
		p.add(n.place, `%s is no absolute path: one such as "/etc/bascule/web.keys" is wanted`, quote(path))
		return "", false
	}
	return path, ok
}

// authMode reads what is signed and what is demanded.
func authMode(p *problems, n *node) (vrrp.AuthMode, bool) {
	modes := []vrrp.AuthMode{vrrp.AuthReceiveOnly, vrrp.AuthPermissive, vrrp.AuthEnforce}
	word, ok := choice(modes[0].String(), modes[1].String(), modes[2].String())(p, n)
	for _, m := range modes {
		if word == m.String() {
			return m, ok
		}
	}
	return vrrp.AuthEnforce, false
}

// unsignable reports virtual routers of a signed group that cannot sign.
func (p *problems) unsignable(g group) {
	for _, r := range g.routers {
		if g.auth != nil && r.version == vrrp.Version2 {
			p.add(r.versionAt, "2 has no signatures, which %s at %s asks for: version 3, or a group without authentication, is wanted",
				g.auth.at.key, g.auth.at)
		}
	}
}

// value is the authentication without its keys, nil if there is none.
func (a *authentication) value() *vrrp.Auth {
	if a == nil {
		return nil
	}
	return &vrrp.Auth{Active: uint8(a.active), Mode: a.mode, Window: a.window}
}
