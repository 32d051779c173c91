package config

import (
	"net/netip"

	"bascule/vrrp"
)

// ethernetMTU is how long an IP packet on Ethernet can be.
const ethernetMTU = 1500

// Lengths of the headers before an advertisement.
const (
	headerIPv4 = 20
	headerIPv6 = 40
)

// warnings returns what is valid but may not be what is wanted.
func (c *Configuration) warnings(files []File) Errors {
	p := newProblems(files)
	for _, g := range c.groups {
		p.warnOfHidden(g)
		for _, r := range g.routers {
			p.warnOfFirst(r)
			p.warnOfLength(g, r)
		}
	}
	p.warnOfBalancing(c)
	p.warnOfChecks(c)
	p.warnOfSync(c)
	return p.sorted()
}

// warnOfFirst tells of a first IPv6 address that peers may not accept.
// keepalived does unless it is told to be strict, and so this is no error.
func (p *problems) warnOfFirst(r router) {
	if a := r.addresses[0]; a.prefix.Addr().Is6() && !a.prefix.Addr().IsLinkLocalUnicast() {
		p.add(a.at, "%q comes first, where RFC 9568 section 5.2.9 wants a link-local address such as \"fe80::10/64\": strict peers accept no other",
			a.prefix)
	}
}

// warnOfLength tells of more addresses than fit into one packet. The kernel
// cuts such an advertisement into fragments, and one that is lost loses all of
// it. It is no error, for the network may carry longer packets.
func (p *problems) warnOfLength(g group, r router) {
	encoding := vrrp.Encoding{Version: r.version}
	if g.auth != nil && g.auth.mode != vrrp.AuthReceiveOnly {
		encoding.Key = &vrrp.Key{}
	}
	source, header := netip.IPv4Unspecified(), headerIPv4
	if r.family() == vrrp.IPv6 {
		source, header = netip.IPv6Unspecified(), headerIPv6
	}
	empty := header + len(vrrp.Advertisement{}.Append(nil, source, source, encoding))
	fit := (ethernetMTU - empty) / len(source.AsSlice())
	if len(r.addresses) > fit {
		p.add(r.addresses[fit].at, "%q is more than fits into an advertisement on Ethernet, which carries packets of %d bytes: of these %d addresses, %d do; more need a further virtual router",
			r.addresses[fit].prefix, ethernetMTU, len(r.addresses), fit)
	}
}

// warnOfHidden tells of a key file that the daemon does not see although the
// administrator does. It may run otherwise than by its unit, and so this is no
// error.
func (p *problems) warnOfHidden(g group) {
	if g.auth == nil {
		return
	}
	if hint := hiddenFromUnit(g.auth.file); hint != "" {
		p.add(g.auth.fileAt, "%q: %s", g.auth.file, hint)
	}
}
