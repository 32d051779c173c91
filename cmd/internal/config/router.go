package config

import (
	"net/netip"
	"strings"

	"bascule/vrrp"
)

// router is the configuration of a virtual router on all directors.
type router struct {
	name       string
	vridAt     place
	interfaces map[string]string // by node
	vrid       int64             // 0 if invalid
	addresses  []address
	version    vrrp.Version
	versionAt  place // if it was given
	checksum   vrrp.ChecksumForm
	password   string
	unicast    *unicast // nil: multicast
}

// router reads one virtual router of a group.
func (p *problems) router(name string, n *node, nodes []string) router {
	r := router{name: name, vridAt: n.child("vrid")}
	s, ok := p.section(n, "interface", "vrid", "addresses", "version", "checksum", "password",
		"unicast", "unicast_peers", "unicast_routed")
	if !ok {
		return r
	}
	r.interfaces = perNode(s, "interface", "the name of the interface that carries the advertisements", nodes, interfaceName)
	r.vrid, _ = required(s, "vrid", "1 to 255", integer(1, 255, "1 to 255"))
	if given := s.table["vrid"]; given != nil {
		r.vridAt = given.place
	}
	r.addresses, _ = required(s, "addresses", `the virtual addresses, such as ["192.168.56.10/24"]`, addresses)
	r.version = optional(s, "version", vrrp.Version3, version)
	if given := s.table["version"]; given != nil {
		r.versionAt = given.place
	}
	r.checksum = optional(s, "checksum", vrrp.ChecksumPseudoHeader, checksum)
	r.password = optional(s, "password", "", password)
	r.unicast = p.unicast(s, nodes)
	p.routerContradictions(s, r)
	return r
}

// routerContradictions reports keys of a virtual router that exclude each
// other.
func (p *problems) routerContradictions(s section, r router) {
	two, family := r.version == vrrp.Version2, r.family()
	if two && family == vrrp.IPv6 {
		p.add(r.versionAt, "2 is for IPv4 only, and the addresses are of IPv6")
	}
	if n := s.table["checksum"]; n != nil && (two || family == vrrp.IPv6) {
		p.add(n.place, "has a meaning for version 3 over IPv4 only: elsewhere there is one form")
	}
	if n := s.table["password"]; n != nil && !two {
		p.add(n.place, "has a meaning for version 2 only: version 3 has no passwords, and the authentication of the group instead")
	}
	for _, a := range r.unicast.all() {
		if len(r.addresses) > 0 && vrrp.FamilyOf(a.addr) != family {
			p.add(a.at, "%q is an %s address, and the virtual addresses are of %s", a.addr, familyName(vrrp.FamilyOf(a.addr)), familyName(family))
		}
	}
}

// family is that of the virtual addresses.
func (r router) family() vrrp.Family {
	if len(r.addresses) == 0 {
		return vrrp.IPv4
	}
	return vrrp.FamilyOf(r.addresses[0].prefix.Addr())
}

// prefixes are the virtual addresses without their places.
func (r router) prefixes() []netip.Prefix {
	var prefixes []netip.Prefix
	for _, a := range r.addresses {
		prefixes = append(prefixes, a.prefix)
	}
	return prefixes
}

// forNode is the router as one director sees it.
func (r router) forNode(name string) vrrp.RouterConfig {
	return vrrp.RouterConfig{
		RouterKey: vrrp.RouterKey{Interface: r.interfaces[name], Family: r.family(), VRID: uint8(r.vrid)},
		Name:      r.name, Addresses: r.prefixes(), Version: r.version, Checksum: r.checksum,
		Password: r.password, Unicast: r.unicast.forNode(name),
	}
}

// interfaceName reads a name that the kernel accepts for a link.
func interfaceName(p *problems, n *node) (string, bool) {
	name, ok := text("the name of an interface")(p, n)
	if !ok {
		return "", false
	}
	bad := func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r == 0x7f }
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsFunc(name, bad) {
		p.add(n.place, `%s is no name of an interface: 1 to 15 characters without spaces, "/" and ":"`, quote(name))
		return "", false
	}
	return name, true
}

// version reads the version of VRRP.
func version(p *problems, n *node) (vrrp.Version, bool) {
	number, ok := integer(2, 3, "2 or 3")(p, n)
	if number == 2 {
		return vrrp.Version2, ok
	}
	return vrrp.Version3, ok
}

// checksum reads what the checksum of IPv4 advertisements covers.
func checksum(p *problems, n *node) (vrrp.ChecksumForm, bool) {
	forms := []vrrp.ChecksumForm{vrrp.ChecksumPseudoHeader, vrrp.ChecksumMessage}
	word, ok := choice(forms[0].String(), forms[1].String())(p, n)
	if word == vrrp.ChecksumMessage.String() {
		return vrrp.ChecksumMessage, ok
	}
	return vrrp.ChecksumPseudoHeader, ok
}

// password reads a password of version 2. What is wrong with it is said
// without repeating it.
func password(p *problems, n *node) (string, bool) {
	value, ok := n.scalar.(string)
	other := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case !ok:
		p.add(n.place, "is no string: 1 to %d characters of ASCII are wanted, between quotes", vrrp.MaxPassword)
	case value == "" || strings.ContainsFunc(value, other):
		p.add(n.place, "has to consist of 1 to %d printable characters of ASCII, without spaces", vrrp.MaxPassword)
	case len(value) > vrrp.MaxPassword:
		p.add(n.place, "has %d characters: version 2 carries at most %d. Others cut a longer one off silently, so their password is its beginning",
			len(value), vrrp.MaxPassword)
	default:
		return value, true
	}
	return "", false
}
