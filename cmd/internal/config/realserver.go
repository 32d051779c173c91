package config

import (
	"net/netip"
	"slices"
	"strings"

	"bascule/checker"
	"bascule/lvs"
)

// way is how packets reach real servers.
type way struct {
	forwarding lvs.Forwarding
	tunnel     lvs.Encapsulation
}

// way reads how packets reach the real servers of a table, over what was said
// before.
func (p *problems) way(s section, before way) way {
	w := before
	methods := []lvs.Forwarding{lvs.Masquerade, lvs.Direct, lvs.Tunnel}
	word := optional(s, "forwarding", w.forwarding.String(), choice(namesOf(methods)...))
	for _, method := range methods {
		if method.String() == word {
			w.forwarding = method
		}
	}
	if n := s.table["tunnel"]; n != nil {
		if w.forwarding != lvs.Tunnel {
			p.add(n.place, `has a meaning for forwarding = "tunnel" only, not %q`, w.forwarding)
		}
		w.tunnel = p.tunnel(n)
	}
	if w.forwarding != lvs.Tunnel {
		w.tunnel = lvs.Encapsulation{}
	}
	return w
}

// tunnel reads how packets are wrapped.
func (p *problems) tunnel(n *node) lvs.Encapsulation {
	var e lvs.Encapsulation
	s, ok := p.section(n, "type", "port", "checksum")
	if !ok {
		return e
	}
	types := []lvs.TunnelType{lvs.IPIP, lvs.GUE, lvs.GRE}
	word := optional(s, "type", e.Type.String(), choice(namesOf(types)...))
	for _, t := range types {
		if t.String() == word {
			e.Type = t
		}
	}
	if e.Type == lvs.GUE {
		port, _ := required(s, "port", "the UDP port of GUE, 1 to 65535", integer(1, 65535, "1 to 65535"))
		e.Port = uint16(port)
	} else if given := s.table["port"]; given != nil {
		p.add(given.place, `has a meaning for type "gue" only, not %q`, e.Type)
	}
	sums := []lvs.TunnelChecksum{lvs.NoChecksum, lvs.Checksum, lvs.RemoteChecksum}
	word = optional(s, "checksum", e.Checksum.String(), choice(namesOf(sums)...))
	for _, c := range sums {
		if c.String() == word {
			e.Checksum = c
		}
	}
	if given := s.table["checksum"]; given != nil && (e.Type == lvs.IPIP && e.Checksum != lvs.NoChecksum || e.Type == lvs.GRE && e.Checksum == lvs.RemoteChecksum) {
		p.add(given.place, "%q is not for type %q: gue has all, gre %q and %q, ipip %q", e.Checksum, e.Type, lvs.NoChecksum, lvs.Checksum, lvs.NoChecksum)
	}
	return e
}

// namesOf returns the words of values.
func namesOf[T interface{ String() string }](values []T) []string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.String()
	}
	return names
}

// realServers reads the real servers of a virtual server and their checks.
func (p *problems) realServers(s section, result *server, way way, checks checkReader) {
	common := checks.of(s, defaultCheck())
	n := s.table["real_server"]
	if n == nil {
		if !s.isMisspelt("real_server") {
			p.add(s.place, "has no real servers: at least one table [[%s]] is wanted", joinKey(s.key, "real_server"))
		}
		return
	}
	first := map[netip.AddrPort]place{}
	checkMissing := false
	for _, element := range p.elements(n, "an array of tables") {
		rs, c, ok := p.realServer(element, common, way, checks)
		if !ok {
			continue
		}
		at := element.table["address"].place
		if before, twice := first[rs.Address]; twice {
			p.add(at, "%q is already a real server of %s at %s", showHost(rs.Address), result.config.Name, before)
			continue
		}
		first[rs.Address] = at
		result.realAt = append(result.realAt, at)
		if !c.isSaid() {
			c.kind = kindTCP
			checkMissing = checkMissing || !result.isTCP()
		}
		p.addRealServer(result, rs, c, at)
	}
	if checkMissing && !s.isMisspelt("check") {
		at := s.child("check")
		if given := s.table["check"]; given != nil {
			at = given.child("type")
		}
		p.add(at, `missing: there is a default check for TCP only; `+
			`type = "none" makes all real servers members, type = "tcp" or "http" asks the same port over TCP, "dns", "sip" or "udp" over UDP`)
	}
}

// isTCP says whether connections of TCP are what the services are for. A
// firewall mark is of any protocol, and TCP is a guess that is right mostly.
func (s *server) isTCP() bool {
	services := s.config.Services
	return len(services) == 0 || services[0].Protocol == lvs.TCP || services[0].Mark != 0
}

// addRealServer appends a real server with its check.
func (p *problems) addRealServer(s *server, rs lvs.RealServerConfig, c check, at place) {
	rs.Checked = !c.isNone()
	s.config.RealServers = append(s.config.RealServers, rs)
	if !rs.Checked {
		return
	}
	s.checks[rs.Address] = c
	real, portless := s.probed(rs.Address), false
	c.each(func(leaf check) {
		target := leaf.way.target(leaf.kind, real)
		portless = portless || target.Port() == 0 && checker.NeedsPort(leaf.probe(nil))
		p.otherFamily(leaf, target.Addr())
	})
	if portless && len(s.config.Services) > 0 {
		p.add(at, `has no port, and its check needs one: give the check a port, or type = "none"`)
	}
}

// otherFamily reports a source from which a target cannot be probed.
func (p *problems) otherFamily(leaf check, target netip.Addr) {
	if slices.Contains(leaf.kind.without, "source") {
		return
	}
	for _, source := range leaf.way.sources {
		if source.Is4() != target.Is4() {
			p.add(leaf.way.sourceAt, "is not of the family of %s, which is probed from it: both IPv4 or both IPv6", target)
			return
		}
	}
}

// probed is what the check of a real server probes, unless that has a target
// of its own: the port of the real server, or of all services.
func (s server) probed(real netip.AddrPort) netip.AddrPort {
	if real.Port() != 0 {
		return real
	}
	return netip.AddrPortFrom(real.Addr(), s.commonPort())
}

// commonPort is the port of all services, 0 if they have none in common.
func (s server) commonPort() uint16 {
	var port uint16
	for i, service := range s.config.Services {
		if i > 0 && service.Address.Port() != port {
			return 0
		}
		port = service.Address.Port()
	}
	return port
}

// realServer reads one real server. Its own check changes what it says of the
// common one and keeps the rest.
func (p *problems) realServer(n *node, common check, before way, checks checkReader) (rs lvs.RealServerConfig, c check, ok bool) {
	s, ok := p.section(n, "address", "weight", "forwarding", "tunnel", "upper_threshold", "lower_threshold", "check")
	if !ok {
		return rs, c, false
	}
	rs.Weight = uint32(optional(s, "weight", 1, integer(0, lvs.MaxWeight, "0 to 65535")))
	w := p.way(s, before)
	rs.Forwarding, rs.Tunnel = w.forwarding, w.tunnel
	p.thresholds(s, &rs)
	c = checks.of(s, common)
	rs.Address, ok = required(s, "address", `the address, with a port unless that is the service's, such as "192.168.200.11:80"`, host)
	return rs, c, ok
}

// thresholds reads how many connections a real server takes.
func (p *problems) thresholds(s section, rs *lvs.RealServerConfig) {
	const most, allowed = 1<<31 - 1, "0 to 2147483647"
	rs.Upper = uint32(optional(s, "upper_threshold", 0, integer(0, most, allowed)))
	rs.Lower = uint32(optional(s, "lower_threshold", 0, integer(0, most, allowed)))
	if n := s.table["lower_threshold"]; n != nil && rs.Lower > rs.Upper {
		p.add(n.place, "%d is more than the upper_threshold, which is %d", rs.Lower, rs.Upper)
	}
}

// host reads the address of a real server, with a port or without.
func host(p *problems, n *node) (netip.AddrPort, bool) {
	const example = `an address is wanted, with a port unless that is the service's, such as "192.168.200.11:80", "192.168.200.11" or "[2001:db8:200::11]:80"`
	written, ok := text("an address and a port")(p, n)
	if !ok {
		return netip.AddrPort{}, false
	}
	value, err := netip.ParseAddrPort(written)
	bare, bareErr := netip.ParseAddr(strings.Trim(written, "[]"))
	reason := ""
	switch {
	case bareErr == nil:
		value = netip.AddrPortFrom(bare, 0)
	case err != nil:
		reason = "is no address: " + example
	case value.Port() == 0:
		reason = "has port 0: 1 to 65535, or none for the service's"
	}
	switch addr := value.Addr(); {
	case reason != "":
	case addr.Zone() != "":
		reason = "has a zone, and a real server is reached by the routes: " + example
	case addr.Is6() && addr.IsLinkLocalUnicast():
		reason = "is a link-local address, which IPVS does not forward to: " + example
	case !usable(addr) && !addr.IsLoopback():
		reason = "is not the address of a host: " + example
	default:
		return value, true
	}
	p.add(n.place, "%s %s", quote(written), reason)
	return netip.AddrPort{}, false
}

// showHost writes the address of a real server as it was given.
func showHost(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
