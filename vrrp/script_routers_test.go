package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nodeAddress is the address of one director in unicast mode.
type nodeAddress struct {
	node    string
	address netip.Addr
	routed  bool
}

// setRouter adds a router to a group, or changes it.
func (w *world) setRouter(args []string) error {
	g, err := w.group(args[0])
	if err != nil {
		return err
	}
	vrid, err := strconv.ParseUint(args[3], 10, 8)
	if err != nil || vrid == 0 {
		return fmt.Errorf("%q is not a VRID of 1 to 255", args[3])
	}
	rc := RouterConfig{Name: args[1]}
	i := slices.IndexFunc(g.Routers, func(r RouterConfig) bool { return r.Name == rc.Name })
	if i >= 0 {
		rc = g.Routers[i]
	}
	if rc.Addresses, err = readPrefixes(args[4:]); err != nil {
		return err
	}
	rc.RouterKey = RouterKey{Interface: args[2], Family: IPv4, VRID: uint8(vrid)}
	if len(rc.Addresses) > 0 {
		rc.Family = FamilyOf(rc.Addresses[0].Addr())
	}
	g.Routers = slices.Clone(g.Routers)
	if i < 0 {
		g.Routers = append(g.Routers, rc)
	} else {
		g.Routers[i] = rc
	}
	return nil
}

// readPrefixes reads virtual addresses of one family.
func readPrefixes(words []string) (list []netip.Prefix, err error) {
	for _, s := range words {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		if FamilyOf(p.Addr()) != FamilyOf(append(list, p)[0].Addr()) {
			return nil, fmt.Errorf("%q is of another family than %v", s, list[0])
		}
		list = append(list, p)
	}
	return list, nil
}

// settings are what a router can be set to, by their names.
func settings() map[string]func(rc *RouterConfig, value string) error {
	auth := func(set func(a *Auth, value string) error) func(*RouterConfig, string) error {
		return func(rc *RouterConfig, value string) error {
			a := Auth{}
			if rc.Auth != nil {
				a = *rc.Auth
			}
			err := set(&a, value)
			rc.Auth = &a
			return err
		}
	}
	return map[string]func(rc *RouterConfig, value string) error{
		"version":  (*RouterConfig).setVersion,
		"password": (*RouterConfig).setPassword,
		"keys":     auth((*Auth).setKeys),
		"mode":     auth((*Auth).setMode),
		"window": auth(func(a *Auth, value string) (err error) {
			a.Window, err = time.ParseDuration(value)
			return err
		}),
	}
}

// set changes settings of a router.
func (w *world) set(args []string) error {
	g, err := w.group(args[0])
	if err != nil {
		return err
	}
	i := slices.IndexFunc(g.Routers, func(r RouterConfig) bool { return r.Name == args[1] })
	if i < 0 {
		return fmt.Errorf("no router %q in group %q", args[1], args[0])
	}
	g.Routers = slices.Clone(g.Routers)
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		switch change, ok := settings()[key]; {
		case key == "unicast":
			g.unicast[args[1]], err = readUnicast(value)
		case ok:
			err = change(&g.Routers[i], value)
		default:
			err = fmt.Errorf("unknown setting %q", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setVersion reads 2 or 3.
func (rc *RouterConfig) setVersion(value string) error {
	switch {
	case value == "3":
		rc.Version = Version3
	case value == "2" && rc.Family == IPv4:
		rc.Version = Version2
	default:
		return fmt.Errorf("%q is not a version of %v", value, rc.Family)
	}
	return nil
}

// setPassword takes over a password of version 2.
func (rc *RouterConfig) setPassword(value string) error {
	if len(value) > MaxPassword {
		return fmt.Errorf("password %q is longer than %d", value, MaxPassword)
	}
	rc.Password = value
	return nil
}

// setKeys reads ID:SECRET,..., of which the first signs.
func (a *Auth) setKeys(value string) error {
	a.Keys = nil
	for _, word := range strings.Split(value, ",") {
		k, err := readKey(word)
		if err != nil {
			return err
		}
		a.Keys = append(a.Keys, k)
	}
	a.Active = a.Keys[0].ID
	return nil
}

// readKey reads ID:SECRET.
func readKey(s string) (Key, error) {
	number, secret, ok := strings.Cut(s, ":")
	id, err := strconv.ParseUint(number, 10, 8)
	if err != nil || !ok {
		return Key{}, fmt.Errorf("%q is not ID:SECRET", s)
	}
	return Key{ID: uint8(id), Secret: []byte(secret)}, nil
}

// setMode reads the word of a mode.
func (a *Auth) setMode(value string) error {
	for _, m := range []AuthMode{AuthReceiveOnly, AuthPermissive, AuthEnforce} {
		if m.String() == value {
			a.Mode = m
			return nil
		}
	}
	return fmt.Errorf("%q is none of receive-only, permissive, enforce", value)
}

// readUnicast reads NODE:ADDRESS,...; a "*" behind the address marks a peer
// that is reached through routers. "none" is multicast.
func readUnicast(value string) (list []nodeAddress, err error) {
	if value == "none" {
		return nil, nil
	}
	for _, word := range strings.Split(value, ",") {
		name, address, _ := strings.Cut(word, ":")
		n := nodeAddress{node: name, routed: strings.HasSuffix(address, "*")}
		if n.address, err = netip.ParseAddr(strings.TrimSuffix(address, "*")); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// unicastOf returns the table as one node reads it: its own address is the
// source, and the others are peers.
func unicastOf(table []nodeAddress, name string) (*Unicast, error) {
	if len(table) == 0 {
		return nil, nil
	}
	u := &Unicast{}
	for _, n := range table {
		if n.node == name {
			u.Source = n.address
		} else {
			u.Peers = append(u.Peers, Peer{Address: n.address, Routed: n.routed})
		}
	}
	if !u.Source.IsValid() {
		return nil, fmt.Errorf("unicast gives it no address")
	}
	return u, nil
}

// remove takes a group or one of its routers out of the configuration.
func (w *world) remove(args []string) error {
	g, err := w.group(args[0])
	if err != nil {
		return err
	}
	if len(args) == 1 {
		w.groups = slices.DeleteFunc(w.groups, func(o *scriptGroup) bool { return o == g })
		return nil
	}
	before := len(g.Routers)
	g.Routers = slices.DeleteFunc(slices.Clone(g.Routers), func(r RouterConfig) bool { return r.Name == args[1] })
	if len(g.Routers) == before {
		return fmt.Errorf("no router %q in group %q", args[1], args[0])
	}
	return nil
}
