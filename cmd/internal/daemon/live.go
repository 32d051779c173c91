package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bascule/cmd/internal/config"
	"bascule/vrrp"
)

// CheckLive checks what only the machine of a director can tell: that there
// are its interfaces and its own addresses for unicast, that the files of keys
// and passwords can be read and keep secrets, and that its checks can be made.
// The error lists all that is wrong.
func CheckLive(node *config.Node) error {
	return errors.Join(node.ReadKeys(os.Geteuid()), checkMachine(node, &config.Node{}), checkSync(node), checkProbes(node))
}

// checkProbes makes sure that this machine has what its checks need. A reload
// does not ask: a check that cannot be made has no verdict, which changes no
// membership and is shown.
func checkProbes(node *config.Node) error {
	var errs []error
	known := make(map[string]bool) // many checks lack the same
	for _, vs := range node.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, spec := range vs.Checks[rs.Address].Specs() {
				err := spec.Live()
				if err == nil || known[err.Error()] {
					continue
				}
				known[err.Error()] = true
				errs = append(errs, fmt.Errorf("virtual_server.%s: check %s: %v", vs.Name, spec.Name(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// checkSync makes sure that this machine has the interface on which
// connections are synchronized. A reload does not ask: groups run without it,
// and the director starts the synchronization when the interface is there.
func checkSync(node *config.Node) error {
	if node.Sync == nil {
		return nil
	}
	if key, missing := (need{iface: node.Sync.Daemon.Interface}).missing(node.Name); missing != "" {
		return fmt.Errorf("connection_sync.%s: %s", key, missing)
	}
	return nil
}

// need is something of this machine without which a virtual router would have
// a fault: an interface, IPv6 on it, or an address on it.
type need struct {
	iface  string
	family vrrp.Family // 0: the interface itself
	source netip.Addr  // invalid: any
}

// needs returns what a virtual router needs, the interface first.
func needs(r vrrp.RouterConfig) []need {
	list := []need{{iface: r.Interface}}
	if r.Family == vrrp.IPv6 {
		list = append(list, need{iface: r.Interface, family: vrrp.IPv6})
	}
	if r.Unicast != nil {
		list = append(list, need{iface: r.Interface, family: r.Family, source: r.Unicast.Source})
	}
	return list
}

// checkMachine makes sure that this machine has what a configuration needs and
// the one before did not: a mistyped name would take a group that is running
// down. What both need may be missing at the moment.
func checkMachine(after, before *config.Node) error {
	known := make(map[need]bool)
	for _, g := range before.Groups {
		for _, r := range g.Routers {
			for _, n := range needs(r) {
				known[n] = true
			}
		}
	}
	var errs []error
	for _, g := range after.Groups {
		for _, r := range g.Routers {
			for _, n := range needs(r) {
				if known[n] {
					continue
				}
				if key, missing := n.missing(after.Name); missing != "" {
					errs = append(errs, fmt.Errorf("group.%s.router.%s.%s: %s", g.Name, r.Name, key, missing))
					break
				}
			}
		}
	}
	return errors.Join(errs...)
}

// missing says what is missing on this machine, which is the given node, and
// the key that asks for it; "" if nothing is.
func (n need) missing(node string) (key, words string) {
	switch {
	case n.family == 0:
		if _, err := net.InterfaceByName(n.iface); err != nil {
			return "interface", fmt.Sprintf("%q: no such interface on this machine", n.iface)
		}
	case n.source.IsValid():
		there := interfaceAddresses(n.iface)
		if !slices.ContainsFunc(there, func(p netip.Prefix) bool { return p.Addr() == n.source }) {
			return "unicast." + node, fmt.Sprintf("%q is not on interface %s of this machine, which has %s", n.source, n.iface, listAddresses(there))
		}
	default:
		name := filepath.Join("/proc/sys/net/ipv6/conf", n.iface, "disable_ipv6")
		if value, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(value)) != "0" {
			return "addresses", fmt.Sprintf("IPv6 is disabled on interface %s of this machine (net.ipv6.conf.%[1]s.disable_ipv6)", n.iface)
		}
	}
	return "", ""
}

// listAddresses writes addresses for people.
func listAddresses(prefixes []netip.Prefix) string {
	if len(prefixes) == 0 {
		return "none"
	}
	words := make([]string, len(prefixes))
	for i, p := range prefixes {
		words[i] = p.Addr().String()
	}
	return strings.Join(words, ", ")
}

// interfaceAddresses returns the addresses that are on an interface now; none
// if it cannot be told.
func interfaceAddresses(name string) []netip.Prefix {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	addresses, err := link.Addrs()
	if err != nil {
		return nil
	}
	var list []netip.Prefix
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p)
		}
	}
	return list
}
