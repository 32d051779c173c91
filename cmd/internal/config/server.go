package config

import (
	"net/netip"
	"strings"

	"bascule/checker"
	"bascule/lvs"
)

// serverNotYet are the keys of a virtual server that are not supported yet.
var serverNotYet = map[string]string{"addresses": "address", "fwmark": "address"}

// server reads one virtual server.
func (p *problems) server(name string, n *node) server {
	result := server{addressAt: n.child("address"), checks: map[netip.AddrPort]checker.Spec{}}
	result.config.Name = name
	s, ok := p.sectionNotYet(n, serverNotYet, "address", "protocol", "scheduler", "forwarding", "check", "real_server")
	if !ok {
		return result
	}
	config := &result.config
	config.Address, _ = required(s, "address", `the virtual address and port, such as "192.168.56.10:80"`, endpoint)
	if given := s.table["address"]; given != nil {
		result.addressAt = given.place
	}
	config.Protocol = optional(s, "protocol", lvs.TCP, protocol)
	config.Scheduler = optional(s, "scheduler", "wlc", choice(lvs.Schedulers()...))
	config.Forwarding = lvs.Masquerade
	optional(s, "forwarding", "", notYet(choice(lvs.Masquerade.String()), "direct", "tunnel"))
	p.realServers(s, &result)
	return result
}

// protocol reads the transport protocol of a service.
func protocol(p *problems, n *node) (lvs.Protocol, bool) {
	word, ok := notYet(choice(lvs.TCP.String(), lvs.UDP.String()), "sctp")(p, n)
	if word == lvs.UDP.String() {
		return lvs.UDP, ok
	}
	return lvs.TCP, ok
}

// endpoint reads an IPv4 address with a port.
func endpoint(p *problems, n *node) (netip.AddrPort, bool) {
	const example = `an IPv4 address and a port are wanted, such as "192.168.56.10:80"`
	written, ok := text("an IPv4 address and a port")(p, n)
	if !ok {
		return netip.AddrPort{}, false
	}
	value, err := netip.ParseAddrPort(written)
	addr := value.Addr()
	reason := ""
	switch bare, bareErr := netip.ParseAddr(strings.Trim(written, "[]")); {
	case bareErr == nil && bare.Is6(), err == nil && addr.Is6():
		reason = "is an IPv6 address: IPv6 is not supported yet"
	case bareErr == nil:
		reason = "has no port: " + example
	case err != nil:
		reason = "is no address with a port: " + example
	case value.Port() == 0:
		reason = "has port 0: 1 to 65535"
	case !usable(addr) && !addr.IsLoopback():
		reason = "is not the address of a host: " + example
	default:
		return value, true
	}
	p.add(n.place, "%s %s", quote(written), reason)
	return netip.AddrPort{}, false
}

// realServers reads the real servers of a virtual server and their checks.
func (p *problems) realServers(s section, result *server) {
	common := p.check(s, defaultCheck())
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
		rs, c, ok := p.realServer(element, common)
		if !ok {
			continue
		}
		if at, twice := first[rs.Address]; twice {
			p.add(element.table["address"].place, "%q is already a real server of %s at %s", rs.Address, result.config.Name, at)
			continue
		}
		first[rs.Address] = element.table["address"].place
		result.realAt = append(result.realAt, element.table["address"].place)
		if c.kind == "" {
			c.kind = checker.TypeTCP
			checkMissing = checkMissing || result.config.Protocol == lvs.UDP
		}
		result.add(rs, c)
	}
	if checkMissing && !s.isMisspelt("check") {
		at := s.child("check")
		if given := s.table["check"]; given != nil {
			at = given.child("type")
		}
		p.add(at, `missing: there is no default check for UDP; `+
			`type = "none" makes all real servers members, type = "tcp" or "http" asks the same port over TCP`)
	}
}

// add appends a real server with its check.
func (s *server) add(rs lvs.RealServerConfig, c check) {
	spec, checked := c.spec(rs.Address)
	rs.Checked = checked
	s.config.RealServers = append(s.config.RealServers, rs)
	if checked {
		s.checks[rs.Address] = spec
	}
}

// realServer reads one real server. Its own check changes what it says of the
// common one and keeps the rest.
func (p *problems) realServer(n *node, common check) (rs lvs.RealServerConfig, c check, ok bool) {
	s, ok := p.section(n, "address", "weight", "check")
	if !ok {
		return rs, c, false
	}
	rs.Weight = uint32(optional(s, "weight", 1, integer(0, 65535, "0 to 65535")))
	c = p.check(s, common)
	rs.Address, ok = required(s, "address", `the address and port, such as "192.168.200.11:80"`, endpoint)
	return rs, c, ok
}
