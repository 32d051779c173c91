// Package config turns TOML files into what the rest of the program is made
// of: values of packages vrrp, lvs and checker. Everything about the text
// (keys, defaults, what is allowed, the line of a mistake) stays in here.
package config

import (
	"net/netip"
	"reflect"
	"slices"

	"bascule/checker"
	"bascule/lvs"
	"bascule/vrrp"
	"bascule/vrrp/link"
)

// Configuration is what valid files say, for all directors.
type Configuration struct {
	nodes        []string
	announcement link.Schedule
	groups       []group
	servers      []server
	ipvs         ipvs
	sync         *connectionSync // nil: connections are not synchronized
	warned       Errors
}

// Node is the part of a configuration that one director needs.
type Node struct {
	Name           string
	Announcement   link.Schedule
	Groups         []vrrp.GroupConfig // in the order of the files; without keys before ReadKeys
	VirtualServers []VirtualServer    // in the order of the files
	KeyFiles       []KeyFile          // of the groups that sign, in their order
	Exclusive      bool               // everything in the kernel's IPVS table is ours
	Timeouts       lvs.Timeouts       // those that are wanted
	Sync           *Sync              // nil: connections are not synchronized
	Secrets        *Secrets           // that checks need, nil: none; before ReadKeys the checks have stand-ins
}

// Equal reports whether two parts, after ReadKeys, ask for the same, wherever
// in the files it was said.
func (n *Node) Equal(other *Node) bool {
	return n.Name == other.Name && n.Announcement == other.Announcement &&
		reflect.DeepEqual(n.Groups, other.Groups) && reflect.DeepEqual(n.VirtualServers, other.VirtualServers) &&
		n.Exclusive == other.Exclusive && n.Timeouts == other.Timeouts && reflect.DeepEqual(n.Sync, other.Sync)
}

// VirtualServer is a virtual server and the checks of its real servers.
type VirtualServer struct {
	lvs.VirtualServerConfig
	Match  []lvs.Match                          // packets that get its firewall mark from us
	Checks map[netip.AddrPort]checker.Condition // by real server; those without a check are missing
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
	c.warned = c.warnings(files)
	return c, nil
}

// configuration reads the top level.
func (p *problems) configuration(root *node) *Configuration {
	c := &Configuration{announcement: link.DefaultSchedule()}
	top, ok := p.section(root, "nodes", "announcement", "group", "virtual_server", "ipvs", "connection_sync")
	if !ok {
		return c
	}
	c.nodes = p.nodes(top)
	c.announcement = p.announcement(top)
	p.named(top, "group", func(name string, n *node) {
		c.groups = append(c.groups, p.group(name, n, c.nodes))
	})
	p.named(top, "virtual_server", func(name string, n *node) {
		c.servers = append(c.servers, p.server(name, n, c.nodes))
	})
	c.ipvs = p.ipvs(top)
	c.sync = p.connectionSync(top, c.nodes)
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

// Warnings returns what is valid but may not be what is wanted, by file and
// line.
func (c *Configuration) Warnings() []Error { return slices.Clone(c.warned) }

// ForNode returns what the named director has to do. The error says which
// names there are. Without any nodes in the configuration (which then is
// empty) every name will do.
func (c *Configuration) ForNode(name string) (*Node, error) {
	if len(c.nodes) > 0 && !slices.Contains(c.nodes, name) {
		return nil, unknownNode(name, c.nodes)
	}
	node := &Node{Name: name, Announcement: c.announcement, Exclusive: c.ipvs.exclusive, Timeouts: c.ipvs.timeouts, Sync: c.sync.forNode(name)}
	for _, g := range c.groups {
		node.Groups = append(node.Groups, g.forNode(name))
		if g.auth != nil {
			node.KeyFiles = append(node.KeyFiles, KeyFile{Group: g.name, Path: g.auth.file, at: g.auth.fileAt})
		}
	}
	for _, s := range c.servers {
		node.VirtualServers = append(node.VirtualServers, s.virtualServer(name))
	}
	node.Secrets = c.secrets()
	return node, nil
}
