// Package config turns TOML files into what the rest of the program is made
// of: values of packages vrrp, lvs and checker. Everything about the text
// (keys, defaults, what is allowed, the line of a mistake) stays in here.
package config

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"bascule/checker"
	"bascule/lvs"
	"bascule/vrrp"
)

// Configuration is what valid files say, for all directors.
type Configuration struct {
	nodes   []string
	groups  []group
	servers []server
}

// Node is the part of a configuration that one director needs.
type Node struct {
	Name           string
	Groups         []vrrp.GroupConfig // in the order of the files
	VirtualServers []VirtualServer    // in the order of the files
}

// VirtualServer is a virtual server and the checks of its real servers.
type VirtualServer struct {
	lvs.VirtualServerConfig
	Checks map[netip.AddrPort]checker.Spec // by real server; those without a check are missing
}

// Parse reads the files as one configuration: tables that occur in several
// are joined, any other key that occurs twice is an error. A non-nil error is
// of type Errors and lists everything that is wrong.
func Parse(files []File) (*Configuration, error) {
	p := newProblems(files)
	root, ok := p.parse(files)
	if !ok {
		return nil, p.sorted()
	}
	c := p.configuration(root)
	p.contradictions(c)
	if len(p.list) > 0 {
		return nil, p.sorted()
	}
	return c, nil
}

// configuration reads the top level.
func (p *problems) configuration(root *node) *Configuration {
	c := &Configuration{}
	top, ok := p.section(root, "nodes", "group", "virtual_server")
	if !ok {
		return c
	}
	c.nodes = p.nodes(top)
	p.named(top, "group", func(name string, n *node) {
		c.groups = append(c.groups, p.group(name, n, c.nodes))
	})
	p.named(top, "virtual_server", func(name string, n *node) {
		c.servers = append(c.servers, p.server(name, n))
	})
	return c
}

// nodes reads the list of directors.
func (p *problems) nodes(top section) []string {
	n := top.table["nodes"]
	if n == nil {
		for _, key := range []string{"group", "virtual_server"} {
			if used := top.table[key]; used != nil && len(used.names) > 0 && !top.isMisspelt("nodes") {
				at := used.place
				at.key = "nodes"
				p.add(at, `missing: the host names of all directors, such as nodes = ["lb", "lb2"]`)
				break
			}
		}
		return nil
	}
	var names []string
	for _, element := range p.elements(n, "an array of host names") {
		name, ok := nodeName(p, element)
		switch {
		case !ok:
		case slices.Contains(names, name):
			p.add(element.place, "%q is given twice", name)
		default:
			names = append(names, name)
		}
	}
	return names
}

// nodeName reads the host name of a director.
func nodeName(p *problems, n *node) (string, bool) {
	name, ok := text("a host name")(p, n)
	if ok && !validName(name) {
		p.add(n.place, "%s is no host name: %s", quote(name), nameRule)
		return "", false
	}
	return name, ok
}

// Nodes returns the names of all directors in their order.
func (c *Configuration) Nodes() []string { return slices.Clone(c.nodes) }

// ForNode returns what the named director has to do. The error says which
// names there are. Without any nodes in the configuration (which then is
// empty) every name will do.
func (c *Configuration) ForNode(name string) (*Node, error) {
	if len(c.nodes) > 0 && !slices.Contains(c.nodes, name) {
		return nil, unknownNode(name, c.nodes)
	}
	node := &Node{Name: name}
	for _, g := range c.groups {
		node.Groups = append(node.Groups, g.forNode(name))
	}
	for _, s := range c.servers {
		node.VirtualServers = append(node.VirtualServers, s.virtualServer())
	}
	return node, nil
}

// forNode is the group as one director sees it.
func (g group) forNode(name string) vrrp.GroupConfig {
	config := vrrp.GroupConfig{
		Name: g.name, Priority: uint8(g.priority[name]),
		AdvertisementInterval: g.interval, Preempt: g.preempt[name],
	}
	for _, r := range g.routers {
		config.Routers = append(config.Routers, vrrp.RouterConfig{
			RouterKey: vrrp.RouterKey{Interface: r.interfaces[name], Family: vrrp.IPv4, VRID: uint8(r.vrid)},
			Name:      r.name, Addresses: r.prefixes(), Checksum: r.checksum,
		})
	}
	return config
}

// virtualServer is a copy that the caller may change.
func (s server) virtualServer() VirtualServer {
	copied := s.config
	copied.RealServers = slices.Clone(copied.RealServers)
	return VirtualServer{VirtualServerConfig: copied, Checks: maps.Clone(s.checks)}
}

// group is the configuration of a group on all directors.
type group struct {
	name     string
	priority map[string]int64 // by node
	interval time.Duration
	preempt  map[string]vrrp.Preempt // by node
	routers  []router
}

// router is the configuration of a virtual router on all directors.
type router struct {
	name       string
	vridAt     place
	interfaces map[string]string // by node
	vrid       int64             // 0 if invalid
	addresses  []address
	checksum   vrrp.ChecksumForm
}

// prefixes are the virtual addresses without their places.
func (r router) prefixes() []netip.Prefix {
	var prefixes []netip.Prefix
	for _, a := range r.addresses {
		prefixes = append(prefixes, a.prefix)
	}
	return prefixes
}

// address is a virtual address and where it was given.
type address struct {
	prefix netip.Prefix
	at     place
}

// server is the configuration of a virtual server.
type server struct {
	config    lvs.VirtualServerConfig
	checks    map[netip.AddrPort]checker.Spec
	addressAt place
	realAt    []place // of the address of each real server
}
