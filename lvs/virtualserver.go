package lvs

import (
	"net/netip"
	"slices"
	"time"
)

// virtualServer is a configured virtual server with its real servers.
type virtualServer struct {
	config      VirtualServerConfig
	realServers []*realServer // in the order of the configuration
	leaving     []*realServer // those that are not configured any more, until their connections end
	byAddress   map[netip.AddrPort]*realServer
	quorum      quorum
	told        QuorumState // as Model.Changes has told it
	sorry       bool        // whether the sorry servers have taken over
	staying     AllDown     // the policy by which there are members whose checks put them out
	deadline    time.Time   // when it changes by itself; zero is never
	dirty       bool        // whether something has changed since it was settled
	changed     bool        // whether there may be something for Model.Changes
	unlisted    bool        // whether the table is out of date
	unshown     bool        // whether status is out of date
	kept        bool        // whether a reload has left it as it is
	status      VirtualServerStatus
}

// find returns the configured real server that a service has at an address,
// or nil.
func (v *virtualServer) find(key RealServerKey) *realServer {
	if rs := v.byAddress[key.Address]; rs != nil {
		return rs
	}
	if key.Address.Port() != key.Service.Address.Port() {
		return nil
	}
	return v.byAddress[netip.AddrPortFrom(key.Address.Addr(), 0)]
}

// findAny is find among those that are leaving, too.
func (v *virtualServer) findAny(key RealServerKey) *realServer {
	if rs := v.find(key); rs != nil {
		return rs
	}
	for _, rs := range v.leaving {
		if slices.Contains(rs.only, key.Service) && key.Service.destination(rs.config.Address) == key.Address {
			return rs
		}
	}
	return nil
}

// serves says whether the virtual server has a service.
func (v *virtualServer) serves(key ServiceKey) bool {
	return slices.ContainsFunc(v.config.Services, func(s Service) bool { return s.ServiceKey == key })
}

// everyone returns the real servers that are configured, and those that are
// leaving.
func (v *virtualServer) everyone() [2][]*realServer {
	return [...][]*realServer{v.realServers, v.leaving}
}

// touch records that something has changed, so that settle is called for.
func (v *virtualServer) touch() { v.dirty = true }

// settle derives what is to become of all real servers from what is known of
// them. It is the only place where state changes.
func (v *virtualServer) settle(now time.Time) {
	v.dirty, v.changed, v.unlisted, v.unshown = false, true, true, true
	sum := v.healthy()
	v.quorum.update(now, sum, v.understated())
	v.sorry = len(v.config.Sorry) > 0 && v.quorum.state.missing()
	stays := v.stays(sum > 0)
	v.staying = AllDownNone
	for _, rs := range v.realServers {
		why, in := stays(rs)
		switch {
		case rs.drained():
			rs.leave(now, rs.drainedBy(), v.config.DrainLimit)
		case rs.holds() && v.config.OnFailure == RemoveOnFailure && !in:
			rs.leave(now, byCheck, 0)
		case v.sorry:
			rs.fail(now, byQuorum, v.config.OnFailure)
		case rs.passes():
			rs.join(now, byCheck)
		case in:
			rs.join(now, why)
			v.staying = v.config.AllDown
		default:
			rs.fail(now, byCheck, v.config.OnFailure)
		}
	}
	for _, rs := range v.leaving {
		rs.leave(now, byConfiguration, v.config.DrainLimit)
	}
	v.deadline = v.next(now)
}

// stays returns a function that says whether a real server that its check puts
// out is a member all the same, and why: that is so if none may be a member
// by itself and take connections, and depends on the policy.
func (v *virtualServer) stays(healthy bool) func(*realServer) (why cause, in bool) {
	policy, last := v.config.AllDown, v.failedLast()
	return func(rs *realServer) (why cause, in bool) {
		switch {
		case healthy:
		case policy == AllDownLast:
			return byLast, rs.full() > 0 && !last.IsZero() && rs.failed.Equal(last)
		case policy == AllDownAll:
			return byAll, rs.known
		}
		return byCheck, false
	}
}

// healthy adds up the weights of the healthy real servers that may be members.
// One of weight 0 takes no connections, and is none that is left.
func (v *virtualServer) healthy() (sum uint64) {
	for _, rs := range v.realServers {
		if rs.counts() {
			sum += uint64(rs.full())
		}
	}
	return sum
}

// understated says whether healthy may be too little, until all that was found
// at the start has been checked.
func (v *virtualServer) understated() bool {
	return v.config.SlowStart > 0 && slices.ContainsFunc(v.realServers, (*realServer).understated)
}

// failedLast returns when the real servers failed that failed last, of those
// that could help; zero if there is none.
func (v *virtualServer) failedLast() (last time.Time) {
	for _, rs := range v.realServers {
		if !rs.drained() && rs.full() > 0 && rs.failed.After(last) {
			last = rs.failed
		}
	}
	return last
}

// next returns when the virtual server changes by itself; zero is never.
func (v *virtualServer) next(now time.Time) (next time.Time) {
	for _, rs := range v.realServers {
		switch {
		case rs.state == Draining:
			next = earliest(next, rs.until)
		case rs.state == Member && rs.ramp != nil:
			next = earliest(next, rs.ramp.next(now, rs.full()))
		}
	}
	for _, rs := range v.leaving {
		next = earliest(next, rs.until)
	}
	return next
}

// entry returns what the kernel should hold for one service.
func (v *virtualServer) entry(service Service) Entry {
	destinations := make(map[netip.AddrPort]Destination, len(v.realServers))
	put := func(rs RealServerConfig, weight uint32) {
		address := service.destination(rs.Address)
		destinations[address] = Destination{
			Address: address, Forwarding: rs.Forwarding, Tunnel: rs.Tunnel, Weight: weight, Upper: rs.Upper, Lower: rs.Lower,
		}
	}
	for _, rs := range v.leaving {
		if rs.state != Out && slices.Contains(rs.only, service.ServiceKey) {
			put(rs.config, 0)
		}
	}
	for _, rs := range v.realServers {
		if rs.state != Out {
			put(rs.config, rs.weight)
		}
	}
	if v.sorry {
		for _, sorry := range v.config.Sorry {
			put(sorry, sorry.Weight)
		}
	}
	return Entry{Service: service, Destinations: destinations}
}
