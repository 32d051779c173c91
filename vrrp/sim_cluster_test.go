package vrrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// cluster is the configuration that the directors of a simulation share, and
// the hosts that it is for.
type cluster struct {
	segments []string
	hostPart [][]byte // of the addresses: by segment, by director; their orders differ
	groups   []*shared
	version  int // rises with every change
	serial   int // of names
	vrid     uint8
	pace     time.Duration // what the intervals are like
	stepped  bool          // clocks may be put forward and back
}

// shared is a group as all directors know it: alone the priority differs.
type shared struct {
	GroupConfig
	priorities []uint8 // by director
}

// paces are what the intervals of a cluster are multiples of. What takes a
// hundred times as long for one group as for another costs a hundred times as
// many events.
var paces = []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second}

// oneOf returns one of the values.
func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// newCluster throws the hosts, segments and groups.
func newCluster(r *rand.Rand) *cluster {
	c := &cluster{pace: oneOf(r, paces...), stepped: r.IntN(2) == 0}
	nodes := oneOf(r, 2, 2, 3, 3, 4, 5)
	for i := range 1 + r.IntN(3) {
		c.segments = append(c.segments, string(rune('a'+i)))
		var parts []byte
		for _, n := range r.Perm(nodes) {
			parts = append(parts, byte(11+n))
		}
		c.hostPart = append(c.hostPart, parts)
	}
	for range 1 + r.IntN(3) {
		c.addGroup(r, nodes)
	}
	return c
}

// addGroup adds a group.
func (c *cluster) addGroup(r *rand.Rand, nodes int) {
	c.serial++
	g := &shared{GroupConfig: GroupConfig{
		Name:                  fmt.Sprintf("g%d", c.serial),
		AdvertisementInterval: c.pace * time.Duration(oneOf(r, 1, 1, 1, 2, 3)),
	}}
	// While a slow group settles, a fast one has a lot to say: not too often.
	if rare := oneAt(int(c.pace/(50*time.Millisecond)), 60, 12); r.IntN(rare) == 0 {
		g.AdvertisementInterval = time.Second
	}
	g.Preempt = c.preempt(r, g.AdvertisementInterval)
	g.StartDelay = g.AdvertisementInterval * time.Duration(oneOf(r, 0, 0, 0, 1, 5, 15))
	g.priorities = priorities(r, nodes)
	for range oneOf(r, 1, 1, 2, 2, 3, 4) {
		c.addRouter(r, g)
	}
	c.groups = append(c.groups, g)
}

// preempt throws whether and when a group preempts.
func (c *cluster) preempt(r *rand.Rand, interval time.Duration) Preempt {
	delay := interval * time.Duration(oneOf(r, 0, 0, 0, 2, 10))
	return Preempt{Enabled: r.IntN(3) > 0, Delay: delay}
}

// priorities throws one for each director: all different, alike, or close
// together, and now and then an owner, or two.
func priorities(r *rand.Rand, nodes int) []uint8 {
	list := make([]uint8, nodes)
	style := r.IntN(3)
	for i, at := range r.Perm(nodes) {
		list[i] = [...]uint8{uint8(50 + 40*at), 100, oneOf[uint8](r, 1, 100, 101, 254)}[style]
	}
	for range oneOf(r, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2) {
		list[r.IntN(nodes)] = Owner
	}
	return list
}

// addRouter adds a router to a group.
func (c *cluster) addRouter(r *rand.Rand, g *shared) {
	c.vrid++
	segment := r.IntN(len(c.segments))
	rc := RouterConfig{
		RouterKey: RouterKey{Interface: c.segments[segment], Family: oneOf(r, IPv4, IPv4, IPv6), VRID: c.vrid},
		Name:      fmt.Sprintf("r%d", c.vrid),
		Checksum:  oneOf(r, ChecksumPseudoHeader, ChecksumMessage),
	}
	for i := range r.IntN(3) {
		rc.Addresses = append(rc.Addresses, c.virtual(segment, rc.RouterKey, i))
	}
	if r.IntN(4) == 0 {
		rc.Unicast = &Unicast{} // completed for each director
	}
	switch {
	case rc.Family == IPv4 && g.AdvertisementInterval%time.Second == 0 && r.IntN(2) == 0:
		rc.Version, rc.Password = Version2, oneOf(r, "", "bascule")
	case r.IntN(4) == 0, c.stepped && r.IntN(3) == 0: // clocks matter to nobody else
		rc.Auth = c.auth(r, g.AdvertisementInterval)
	}
	g.Routers = append(slices.Clone(g.Routers), rc)
}

// auth throws how advertisements are signed. Where clocks are stepped, they
// are compared too: otherwise a director that once signed with a time to come,
// and has started anew, could not be told from a recording.
func (c *cluster) auth(r *rand.Rand, interval time.Duration) *Auth {
	a := &Auth{
		Keys:   []Key{{ID: 1, Secret: []byte("sixteen bytes, 1")}, {ID: 2, Secret: []byte("sixteen bytes, 2")}},
		Active: uint8(1 + r.IntN(2)),
		Mode:   oneOf(r, AuthEnforce, AuthEnforce, AuthEnforce, AuthPermissive, AuthReceiveOnly),
		Window: oneOf(r, 3*interval+200*time.Millisecond, 10*interval+time.Second),
	}
	if !c.stepped && r.IntN(2) == 0 {
		a.Window = 0
	}
	return a
}

// virtual returns a virtual address.
func (c *cluster) virtual(segment int, key RouterKey, i int) netip.Prefix {
	if key.Family == IPv6 {
		net := oneAt(i, "fe80:", "2001:db8:")
		return netip.MustParsePrefix(fmt.Sprintf("%s:%d:%d:%d/64", net, segment+1, key.VRID, i))
	}
	return netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.%d/24", segment+1, 100+i, key.VRID))
}

// oneAt returns the i-th value, or the last.
func oneAt[T any](i int, values ...T) T { return values[min(i, len(values)-1)] }

// home returns the addresses of a director on a segment, those to send
// multicast from first.
func (c *cluster) home(segment, node int, family Family) []netip.Addr {
	part := c.hostPart[segment][node]
	if family == IPv6 {
		return []netip.Addr{
			netip.MustParseAddr(fmt.Sprintf("fe80::%x:%x", segment+1, part)),
			netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:%x", segment+1, part)),
		}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{10, byte(segment + 1), 0, part})}
}

// away returns the address of IPv4 that a director has for a while instead.
func (c *cluster) away(segment, node int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(segment + 1), 1, c.hostPart[segment][node]})
}

// segment returns the number of an interface's segment.
func (c *cluster) segment(iface string) int { return int(iface[0] - 'a') }

// of returns the configuration as one director reads it.
func (c *cluster) of(node int) []GroupConfig {
	var configs []GroupConfig
	for _, g := range c.groups {
		cfg := g.GroupConfig
		cfg.Priority = g.priorities[node]
		cfg.Routers = slices.Clone(cfg.Routers)
		for i := range cfg.Routers {
			if rc := &cfg.Routers[i]; rc.Unicast != nil {
				rc.Unicast = c.unicast(node, rc.RouterKey)
			}
		}
		configs = append(configs, cfg)
	}
	return configs
}

// unicast returns the peers of one director.
func (c *cluster) unicast(node int, key RouterKey) *Unicast {
	u := &Unicast{}
	segment := c.segment(key.Interface)
	for i := range c.hostPart[segment] {
		// The last address: of IPv6 the one that is not link-local.
		list := c.home(segment, i, key.Family)
		if addr := list[len(list)-1]; i == node {
			u.Source = addr
		} else {
			u.Peers = append(u.Peers, Peer{Address: addr})
		}
	}
	return u
}

// wholeSeconds reports whether a group has a member that needs such an
// interval.
func (g *shared) wholeSeconds() bool {
	return slices.ContainsFunc(g.Routers, func(rc RouterConfig) bool { return rc.Version == Version2 })
}
