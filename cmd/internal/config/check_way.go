package config

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"bascule/checker"
)

// checkWay is where probes go, and which way.
type checkWay struct {
	address   netip.Addr            // invalid: that of the real server
	port      int64                 // 0: that of the real server
	sources   map[string]netip.Addr // by node; nil: whichever the routes say
	sourceAt  place
	devices   map[string]string // by node; nil: whichever the routes say
	mark      int64
	namespace string
}

// wayKeys are the keys of a way.
var wayKeys = []string{"address", "port", "source", "device", "mark", "namespace"}

// way reads a way over what was said before.
func (r checkReader) way(s section, before checkWay) checkWay {
	w := before
	w.address = optional(s, "address", w.address, probedAddress("to probe"))
	w.port = optional(s, "port", w.port, integer(1, 65535, "1 to 65535"))
	if n := s.table["source"]; n != nil {
		w.sources, w.sourceAt = byNode(r.problems, n, r.nodes, probedAddress("to probe from")), n.place
	}
	if n := s.table["device"]; n != nil {
		w.devices = byNode(r.problems, n, r.nodes, interfaceName)
	}
	w.mark = optional(s, "mark", w.mark, integer(0, 1<<32-1, "1 to 4294967295, or 0 for none"))
	w.namespace = optional(s, "namespace", w.namespace, namespace)
	return w
}

// probedAddress reads the address of a host, which may be this one.
func probedAddress(purpose string) reader[netip.Addr] {
	return func(p *problems, n *node) (netip.Addr, bool) {
		const example = `such as "192.168.200.11" or "2001:db8:200::11"`
		written, ok := text("an address")(p, n)
		if !ok {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(written)
		_, portErr := netip.ParseAddrPort(written)
		switch {
		case portErr == nil:
			p.add(n.place, "%s has a port: an address %s is wanted, %s", quote(written), purpose, example)
		case err != nil || addr.Zone() != "" || !usable(addr) && !addr.IsLoopback():
			p.add(n.place, "%s is no address %s: one of a host, without a zone, is wanted, %s", quote(written), purpose, example)
		default:
			return addr, true
		}
		return netip.Addr{}, false
	}
}

// namespace reads the name or the path of a network namespace.
func namespace(p *problems, n *node) (string, bool) {
	name, ok := text("the name of a network namespace")(p, n)
	if !ok {
		return "", false
	}
	bad := name == "." || name == ".." || strings.ContainsAny(name, "/")
	if strings.ContainsRune(name, 0) || name == "" || bad && !path.IsAbs(name) {
		p.add(n.place, `%s is no network namespace: a name of "ip netns", or an absolute path such as "/proc/1/ns/net", is wanted`, quote(name))
		return "", false
	}
	return name, true
}

// target is what a check of a kind probes.
func (w checkWay) target(k *kind, real netip.AddrPort) netip.AddrPort {
	addr, port := real.Addr(), real.Port()
	if w.address.IsValid() {
		addr = w.address
	}
	switch {
	case slices.Contains(k.without, "port"):
		port = 0
	case w.port != 0:
		port = uint16(w.port)
	case k.portless:
		port = 0
	}
	return netip.AddrPortFrom(addr, port)
}

// via is the way of a check of a kind on a director. Whatever has no meaning
// for it is left out, so that checks that are the same are shared.
func (w checkWay) via(k *kind, node string) checker.Via {
	via := checker.Via{Source: w.sources[node], Device: w.devices[node], Mark: uint32(w.mark), Namespace: w.namespace}
	for _, key := range k.without {
		switch key {
		case "source":
			via.Source = netip.Addr{}
		case "device":
			via.Device = ""
		case "mark":
			via.Mark = 0
		case "namespace":
			via.Namespace = ""
		}
	}
	return via
}
