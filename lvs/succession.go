package lvs

import (
	"net/netip"
	"slices"
	"time"
)

// newVirtualServer builds a virtual server. What is known of it and its real
// servers is kept by what the kernel identifies: before has the virtual
// servers until now, by service.
func newVirtualServer(now time.Time, config VirtualServerConfig, before map[ServiceKey]*virtualServer) *virtualServer {
	v := &virtualServer{config: config.Clone(), byAddress: make(map[netip.AddrPort]*realServer, len(config.RealServers))}
	predecessors := v.predecessors(before)
	if len(predecessors) > 0 {
		v.quorum, v.told = predecessors[0].quorum, predecessors[0].told
	}
	v.quorum.require(config.quorum())
	for _, rc := range v.config.RealServers {
		rs := &realServer{config: rc}
		if old := v.inherit(before, rc); old != nil {
			rs = old.successor(rc, config.SlowStart)
		}
		v.realServers = append(v.realServers, rs)
		v.byAddress[rc.Address] = rs
	}
	for _, p := range predecessors {
		v.takeLeaving(now, p)
	}
	v.touch()
	return v
}

// quorum returns the quorum that is needed: sorry servers are for the time
// without any healthy real server at least.
func (c VirtualServerConfig) quorum() Quorum {
	if c.Quorum.Weight == 0 && len(c.Sorry) > 0 {
		return Quorum{Weight: 1}
	}
	return c.Quorum
}

// predecessors returns the virtual servers that had one of the services.
func (v *virtualServer) predecessors(before map[ServiceKey]*virtualServer) (found []*virtualServer) {
	for _, service := range v.config.Services {
		if p := before[service.ServiceKey]; p != nil && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// inherit returns the real server until now that the kernel would take for
// this one in one of the services, or nil.
func (v *virtualServer) inherit(before map[ServiceKey]*virtualServer, config RealServerConfig) *realServer {
	for _, service := range v.config.Services {
		p := before[service.ServiceKey]
		if p == nil {
			continue
		}
		if rs := p.findAny(RealServerKey{service.ServiceKey, service.destination(config.Address)}); rs != nil {
			return rs
		}
	}
	return nil
}

// takeLeaving takes over from a predecessor the real servers that are in the
// kernel and not configured any more.
func (v *virtualServer) takeLeaving(now time.Time, predecessor *virtualServer) {
	for _, old := range slices.Concat(predecessor.realServers, predecessor.leaving) {
		if old.state == Out || v.config.DrainLimit <= 0 {
			continue
		}
		var only []ServiceKey
		for _, service := range v.config.Services {
			key := service.ServiceKey
			had := predecessor.serves(key) && (old.only == nil || slices.Contains(old.only, key))
			if had && v.find(RealServerKey{key, key.destination(old.config.Address)}) == nil {
				only = append(only, key)
			}
		}
		if only == nil {
			continue
		}
		rs := old.successor(old.config, v.config.SlowStart)
		rs.only, rs.override = only, nil
		rs.leave(now, byConfiguration, v.config.DrainLimit)
		v.leaving = append(v.leaving, rs)
	}
}

// equal says whether two configurations ask for the same.
func (c VirtualServerConfig) equal(other VirtualServerConfig) bool {
	return c.Name == other.Name && c.Quorum == other.Quorum && c.AllDown == other.AllDown && c.OnFailure == other.OnFailure &&
		c.SlowStart == other.SlowStart && c.DrainLimit == other.DrainLimit && slices.Equal(c.Services, other.Services) &&
		slices.Equal(c.RealServers, other.RealServers) && slices.Equal(c.Sorry, other.Sorry)
}
