package config

import (
	"net/netip"
	"strconv"
	"strings"

	"bascule/lvs"
)

// matchRule says how packets of a firewall mark are written.
const matchRule = `a protocol, an address or a range, and a port or a range are wanted, such as ` +
	`"tcp 192.168.56.10:80", "udp 192.168.56.10-19:5060-5070" or "tcp [2001:db8:56::10]:443"`

// matches reads which packets get the mark of a virtual server, and where that
// is said.
func (p *problems) matches(s section, family string) (list []lvs.Match, at []place) {
	n := s.table["match"]
	if n == nil {
		return nil, nil
	}
	for _, element := range p.elements(n, "an array of packets such as \"tcp 192.168.56.10:80\"") {
		written, ok := text(`packets, such as "tcp 192.168.56.10:80"`)(p, element)
		if !ok {
			continue
		}
		m, ok := parseMatch(written)
		switch {
		case !ok:
			p.add(element.place, "%s does not say which packets: %s", quote(written), matchRule)
		case m.First.Is6() != (family == "ipv6"):
			p.add(element.place, "%s is of another family than the virtual server: family is %q", quote(written), family)
		default:
			list, at = append(list, m), append(at, element.place)
		}
	}
	return list, at
}

// parseMatch reads "tcp 192.168.56.10-19:80-90".
func parseMatch(written string) (m lvs.Match, ok bool) {
	name, rest, ok := strings.Cut(written, " ")
	if !ok {
		return m, false
	}
	for _, known := range lvs.Protocols() {
		if known.String() == name {
			m.Protocol = known
		}
	}
	colon := strings.LastIndexByte(rest, ':')
	if m.Protocol == 0 || colon < 0 {
		return m, false
	}
	hosts, ports := rest[:colon], rest[colon+1:]
	if inner, bracketed := strings.CutPrefix(hosts, "["); bracketed {
		if hosts, ok = strings.CutSuffix(inner, "]"); !ok {
			return m, false
		}
	} else if strings.Contains(hosts, ":") {
		return m, false
	}
	m.First, m.Last, ok = hostRange(hosts)
	if !ok {
		return m, false
	}
	m.FirstPort, m.LastPort, ok = portRange(ports)
	return m, ok
}

// hostRange reads "192.168.56.10", "192.168.56.10-19" or both addresses.
func hostRange(written string) (first, last netip.Addr, ok bool) {
	from, to, isRange := strings.Cut(written, "-")
	first, err := netip.ParseAddr(from)
	if err != nil || first.Zone() != "" || !usable(first) {
		return first, last, false
	}
	if !isRange {
		return first, first, true
	}
	if number, err := strconv.ParseUint(to, 10, 8); err == nil && first.Is4() {
		b := first.As4()
		b[3] = byte(number)
		last = netip.AddrFrom4(b)
	} else if last, err = netip.ParseAddr(to); err != nil {
		return first, last, false
	}
	return first, last, last.Zone() == "" && last.Is4() == first.Is4() && usable(last) && !last.Less(first)
}

// portRange reads "80" or "5060-5070".
func portRange(written string) (first, last uint16, ok bool) {
	from, to, isRange := strings.Cut(written, "-")
	if !isRange {
		to = from
	}
	low, lowErr := strconv.ParseUint(from, 10, 16)
	high, highErr := strconv.ParseUint(to, 10, 16)
	return uint16(low), uint16(high), lowErr == nil && highErr == nil && low >= 1 && low <= high
}
