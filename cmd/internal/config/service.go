package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bascule/lvs"
)

// maxServices bounds the services of one virtual server, so that a typing
// error in a range is noticed and not programmed.
const maxServices = 4096

// maxPersistence is more than anybody waits for a client.
const maxPersistence = 31 * 24 * time.Hour

// endpointExample says how the address of a service is written.
const endpointExample = `an address and a port are wanted, such as "192.168.56.10:80" or "[2001:db8:56::10]:80"`

// services reads what clients come to: one address, several, or a firewall
// mark.
func (p *problems) services(s section, result *server) {
	var keys []lvs.ServiceKey
	protocol := optional(s, "protocol", lvs.TCP, protocol)
	switch at := p.oneOfKeys(s, "address", "addresses", "fwmark"); at {
	case "address", "addresses":
		keys = p.addressKeys(s.table[at], protocol)
		p.onlyFor(s, `"fwmark"`, "family", "match")
	case "fwmark":
		keys = p.markKeys(s, result)
		if given := s.table["protocol"]; given != nil {
			p.add(given.place, "has no meaning together with fwmark, which is of any protocol")
		}
	}
	template := lvs.Service{Scheduler: optional(s, "scheduler", "wlc", choice(lvs.Schedulers()...))}
	template.Flags = p.schedulerFlags(s, template.Scheduler)
	if optional(s, "one_packet", false, boolean) {
		template.Flags |= lvs.OnePacket
		if s.table["fwmark"] == nil && protocol != lvs.UDP {
			p.add(s.table["one_packet"].place, `has a meaning for protocol "udp" only, not %q`, protocol)
		}
	}
	persistent := p.persistence(s, protocol)
	for _, key := range keys {
		service := template
		service.ServiceKey = key
		service.Persistence = persistent.of(key)
		result.config.Services = append(result.config.Services, service)
	}
	p.portless(result, persistent)
}

// oneOfKeys returns which of several keys is given, "" if none is or several
// are, which is reported.
func (p *problems) oneOfKeys(s section, keys ...string) string {
	var given []string
	for _, key := range keys {
		if s.table[key] != nil {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 1:
		return given[0]
	case len(given) > 1:
		p.add(s.table[given[1]].place, "excludes %s at %s: one of them is wanted", given[0], s.table[given[0]].place)
	case !slices.ContainsFunc(keys, s.isMisspelt):
		p.add(s.child(keys[0]), `missing: the virtual address and port, such as "192.168.56.10:80", or a list of them in addresses, or a firewall mark in fwmark`)
	}
	return ""
}

// onlyFor reports keys that have a meaning together with another one only.
func (p *problems) onlyFor(s section, other string, keys ...string) {
	for _, key := range keys {
		if n := s.table[key]; n != nil {
			p.add(n.place, "has a meaning together with %s only", other)
		}
	}
}

// addressKeys reads one or several addresses with their ports.
func (p *problems) addressKeys(n *node, protocol lvs.Protocol) []lvs.ServiceKey {
	nodes := []*node{n}
	if n.key[strings.LastIndexByte(n.key, '.')+1:] == "addresses" {
		nodes = p.elements(n, `an array of addresses with ports, such as "192.168.56.10:80" or "192.168.56.10-19:80",`)
	}
	var keys []lvs.ServiceKey
	for _, element := range nodes {
		for _, address := range p.endpoints(element) {
			keys = append(keys, lvs.ServiceKey{Protocol: protocol, Address: address})
		}
	}
	if len(keys) > maxServices {
		p.add(n.place, "makes %d services: at most %d are allowed", len(keys), maxServices)
		return nil
	}
	return keys
}

// endpoints reads an address with a port, or a range of addresses with one.
func (p *problems) endpoints(n *node) []netip.AddrPort {
	written, ok := text("an address and a port")(p, n)
	if !ok {
		return nil
	}
	first, last, isRange := strings.Cut(written, "-")
	if !isRange {
		if address, ok := endpoint(p, n); ok {
			return []netip.AddrPort{address}
		}
		return nil
	}
	list, reason := addressRange(first, last)
	if reason != "" {
		p.add(n.place, "%s %s", quote(written), reason)
	}
	return list
}

// addressRange returns the addresses of "192.168.56.10" to "19:80", or to
// "192.168.56.19:80"; of IPv6 the whole is in brackets, which are cut off the
// ends here.
func addressRange(first, last string) (list []netip.AddrPort, reason string) {
	const example = `is no range of addresses: such as "192.168.56.10-19:80" or "[2001:db8::10-2001:db8::1f]:80"`
	from, err := netip.ParseAddr(strings.TrimPrefix(first, "["))
	colon := strings.LastIndexByte(last, ':')
	if err != nil || colon < 0 || from.Zone() != "" {
		return nil, example
	}
	port, err := strconv.ParseUint(last[colon+1:], 10, 16)
	if err != nil {
		return nil, example
	}
	end := strings.TrimSuffix(last[:colon], "]")
	if number, err := strconv.ParseUint(end, 10, 8); err == nil && from.Is4() {
		b := from.As4()
		b[3] = byte(number)
		end = netip.AddrFrom4(b).String()
	}
	to, err := netip.ParseAddr(end)
	switch {
	case err != nil || to.Is4() != from.Is4() || to.Zone() != "":
		return nil, example
	case to.Less(from):
		return nil, "is an empty range: the lower address comes first"
	case !usable(from) || !usable(to):
		return nil, "has addresses of no host: " + endpointExample
	}
	for addr := from; addr.Compare(to) <= 0; addr = addr.Next() {
		if len(list) == maxServices {
			return nil, fmt.Sprintf("is a range of more than %d addresses", maxServices)
		}
		list = append(list, netip.AddrPortFrom(addr, uint16(port)))
	}
	return list, ""
}

// endpoint reads an address with a port, of which 0 stands for all.
func endpoint(p *problems, n *node) (netip.AddrPort, bool) {
	written, ok := text("an address and a port")(p, n)
	if !ok {
		return netip.AddrPort{}, false
	}
	value, err := netip.ParseAddrPort(written)
	addr := value.Addr()
	reason := ""
	switch _, bareErr := netip.ParseAddr(strings.Trim(written, "[]")); {
	case bareErr == nil:
		reason = "has no port: " + endpointExample
	case err != nil:
		reason = "is no address with a port: " + endpointExample
	case addr.Zone() != "":
		reason = "has a zone, and a service has none: " + endpointExample
	case !usable(addr) && !addr.IsLoopback():
		reason = "is not the address of a host: " + endpointExample
	default:
		return value, true
	}
	p.add(n.place, "%s %s", quote(written), reason)
	return netip.AddrPort{}, false
}

// markKeys reads a firewall mark and the family of its packets.
func (p *problems) markKeys(s section, result *server) []lvs.ServiceKey {
	const most = 1<<32 - 1
	mark := optional(s, "fwmark", 0, integer(1, most, "1 to 4294967295"))
	family := optional(s, "family", "ipv4", choice("ipv4", "ipv6"))
	result.match, result.matchAt = p.matches(s, family)
	if mark == 0 {
		return nil
	}
	return []lvs.ServiceKey{lvs.MarkKey(uint32(mark), family == "ipv6")}
}

// protocol reads the transport protocol of a service.
func protocol(p *problems, n *node) (lvs.Protocol, bool) {
	var names []string
	for _, known := range lvs.Protocols() {
		names = append(names, known.String())
	}
	word, ok := choice(names...)(p, n)
	if i := slices.Index(names, word); i >= 0 {
		return lvs.Protocols()[i], ok
	}
	return lvs.TCP, ok
}

// schedulerFlags reads the flags of a scheduler, by ipvsadm's words.
func (p *problems) schedulerFlags(s section, scheduler string) lvs.ServiceFlags {
	n := s.table["scheduler_flags"]
	if n == nil {
		return 0
	}
	known := map[string]lvs.ServiceFlags{}
	var words []string
	for _, name := range []string{"sh", "mh"} {
		if name == scheduler {
			words = []string{name + "-fallback", name + "-port"}
			known[words[0]], known[words[1]] = lvs.SchedulerFlag1, lvs.SchedulerFlag2
		}
	}
	if len(words) == 0 {
		p.add(n.place, `has a meaning for the schedulers "sh" and "mh" only, not %q`, scheduler)
		return 0
	}
	var flags lvs.ServiceFlags
	for _, element := range p.elements(n, "an array of "+oneOf(words)) {
		if word, ok := choice(words...)(p, element); ok {
			flags |= known[word]
		}
	}
	return flags
}

// persistence is what is said of clients that come again.
type persistence struct {
	given              bool
	timeout            time.Duration
	prefix, prefixIPv6 int64
	engine             string
}

// persistence reads for how long clients stay with their real server.
func (p *problems) persistence(s section, protocol lvs.Protocol) persistence {
	n := s.table["persistence"]
	if n == nil {
		return persistence{}
	}
	result := persistence{given: true, prefix: 32, prefixIPv6: 128}
	if n.table == nil {
		result.timeout, _ = wholeSeconds(time.Second, maxPersistence)(p, n)
		return result
	}
	t, _ := p.section(n, "timeout", "prefix", "prefix_ipv6", "engine")
	result.timeout, _ = required(t, "timeout", `how long, such as "300s"`, wholeSeconds(time.Second, maxPersistence))
	result.prefix = optional(t, "prefix", 32, integer(1, 32, "1 to 32"))
	result.prefixIPv6 = optional(t, "prefix_ipv6", 128, integer(1, 128, "1 to 128"))
	result.engine = optional(t, "engine", "", choice("sip"))
	if result.engine != "" && protocol != lvs.UDP && s.table["fwmark"] == nil {
		p.add(t.table["engine"].place, `"sip" is for protocol "udp" only, not %q`, protocol)
	}
	return result
}

// of returns the persistence of one service.
func (c persistence) of(key lvs.ServiceKey) lvs.Persistence {
	if c.timeout == 0 {
		return lvs.Persistence{}
	}
	prefix := c.prefix
	if key.IPv6() {
		prefix = c.prefixIPv6
	}
	return lvs.Persistence{Timeout: c.timeout, Prefix: uint8(prefix), Engine: c.engine}
}

// portless reports services of all ports whose clients would be spread over
// real servers port by port.
func (p *problems) portless(result *server, persistent persistence) {
	portless := slices.ContainsFunc(result.config.Services, func(service lvs.Service) bool {
		return service.Mark == 0 && service.Address.Port() == 0
	})
	if portless && !persistent.given {
		p.add(result.addressAt, "has port 0, which is all ports, and needs persistence: ports are 1 to 65535")
	}
}

// wholeSeconds reads a duration of whole seconds, from low to high.
func wholeSeconds(low, high time.Duration) reader[time.Duration] {
	return func(p *problems, n *node) (time.Duration, bool) {
		value, ok := duration(low, high)(p, n)
		if ok && value%time.Second != 0 {
			p.add(n.place, "%s is not whole seconds, in which the kernel counts", quote(n.scalar.(string)))
			return 0, false
		}
		return value, ok
	}
}
