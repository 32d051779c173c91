package config

import (
	"math"
	"slices"
	"strings"
	"time"

	"bascule/vrrp"
)

// maxDelay is more than anybody waits, keepalived's 1000 s included.
const maxDelay = time.Hour

// priorityRule says what priorities there are.
const priorityRule = "1 to 254, or 255 for the owner of the addresses"

// group is the configuration of a group on all directors.
type group struct {
	name       string
	priority   map[string]int64 // by node
	interval   time.Duration
	preempt    map[string]vrrp.Preempt // by node
	preemptAt  place
	startDelay map[string]time.Duration // by node
	auth       *authentication          // nil: advertisements are not signed
	routers    []router
}

// group reads one group.
func (p *problems) group(name string, n *node, nodes []string) group {
	g := group{name: name}
	s, ok := p.section(n, "priority", "advertisement_interval", "preempt", "start_delay", "authentication", "router")
	if !ok {
		return g
	}
	g.priority = perNode(s, "priority", "1 to 254", nodes, integer(1, vrrp.Owner, priorityRule))
	p.oneOwner(s, g.priority, nodes)
	g.preempt = optionalPerNode(s, "preempt", vrrp.Preempt{Enabled: true}, nodes, preempt)
	g.preemptAt = s.at("preempt")
	g.startDelay = optionalPerNode(s, "start_delay", 0, nodes, duration(0, maxDelay))
	p.named(s, "router", func(name string, n *node) {
		g.routers = append(g.routers, p.router(name, n, nodes))
	})
	router := s.table["router"]
	if router == nil && !s.isMisspelt("router") || router != nil && router.table != nil && len(router.names) == 0 {
		p.add(n.place, "has no virtual routers: at least one table [%s.NAME] is wanted", joinKey(n.key, "router"))
	}
	g.interval = optional(s, "advertisement_interval", time.Second, intervalFor(g.routers))
	g.auth = p.authentication(s, g.interval)
	p.unsignable(g)
	return g
}

// oneOwner reports several directors with the priority of the owner: each
// would have the addresses as its own.
func (p *problems) oneOwner(s section, priority map[string]int64, nodes []string) {
	var owners []string
	for _, name := range nodes {
		if priority[name] == vrrp.Owner {
			owners = append(owners, name)
		}
	}
	if len(owners) > 1 {
		p.add(s.table["priority"].place, "255 is the priority of the owner of the addresses, and given to %s: one director at most can own them",
			strings.Join(quoteAll(owners), ", "))
	}
}

// intervalFor returns what reads the advertisement interval of a group with
// these virtual routers: whole seconds if one of them speaks version 2, up to
// the 255 that its field holds if all do.
func intervalFor(routers []router) reader[time.Duration] {
	two := slices.IndexFunc(routers, func(r router) bool { return r.version == vrrp.Version2 })
	if two < 0 {
		return advertisementInterval
	}
	most, reason := maxInterval2, ""
	if slices.ContainsFunc(routers, func(r router) bool { return r.version == vrrp.Version3 }) {
		most, reason = vrrp.MaxInterval.Truncate(time.Second), ", which is the most of version 3"
	}
	at := routers[two].versionAt
	return func(p *problems, n *node) (time.Duration, bool) {
		value, ok := duration(math.MinInt64, math.MaxInt64)(p, n)
		if ok && (value < time.Second || value > most || value%time.Second != 0) {
			p.add(n.place, "%s is not possible with version 2, which %s at %s asks for: whole seconds are wanted, 1s to %ds%s",
				quote(n.scalar.(string)), at.key, at, most/time.Second, reason)
			return 0, false
		}
		return value, ok
	}
}

// maxInterval2 is the longest interval of version 2: its field is a byte
// (RFC 3768 section 5.3.7).
const maxInterval2 = 255 * time.Second

// advertisementInterval reads an interval that an advertisement of version 3
// can carry.
func advertisementInterval(p *problems, n *node) (time.Duration, bool) {
	value, ok := duration(vrrp.MinInterval, vrrp.MaxInterval)(p, n)
	if ok && value%vrrp.MinInterval != 0 {
		p.add(n.place, "%s is not a multiple of %s: VRRP counts in hundredths of a second", quote(n.scalar.(string)), vrrp.MinInterval)
		return 0, false
	}
	return value, ok
}

// preempt reads true, false, or how long to wait first.
func preempt(p *problems, n *node) (vrrp.Preempt, bool) {
	switch n.scalar.(type) {
	case bool:
		enabled, ok := boolean(p, n)
		return vrrp.Preempt{Enabled: enabled}, ok
	case string:
		delay, ok := duration(0, maxDelay)(p, n)
		return vrrp.Preempt{Enabled: true, Delay: delay}, ok
	}
	p.wrongType(n, `true, false, or a delay such as "30s"`)
	return vrrp.Preempt{}, false
}

// forNode is the group as one director sees it. Keys are not in it yet.
func (g group) forNode(name string) vrrp.GroupConfig {
	config := vrrp.GroupConfig{
		Name: g.name, Priority: uint8(g.priority[name]),
		AdvertisementInterval: g.interval, Preempt: g.preempt[name], StartDelay: g.startDelay[name],
	}
	auth := g.auth.value()
	for _, r := range g.routers {
		router := r.forNode(name)
		router.Auth = auth
		config.Routers = append(config.Routers, router)
	}
	return config
}
