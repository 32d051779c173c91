package lvs

import (
	"maps"
	"slices"
	"time"
)

// Learn tells what the kernel holds. At the first call, real servers that it
// holds already are members until a check says otherwise, and those that it
// holds with weight 0 keep their connections: a restart interrupts nothing.
// This is decided once, so that it is remembered if the kernel loses
// them, and so that later nothing makes a member but a check: neither somebody
// who adds a destination, nor a destination that could not be deleted before
// its real server came back into the configuration. At every call, real
// servers that drain and have no connections any more have drained. Learn
// returns whether it was the first call.
func (m *Model) Learn(now time.Time, reading Reading) bool {
	first := !m.adopted
	m.adopted = true
	for _, v := range m.servers {
		if first {
			v.adopt(now, reading.Table)
		}
		v.release(now, reading)
	}
	if m.settings.Exclusive {
		for key := range reading.Table {
			m.own(key)
		}
	}
	for role, d := range reading.Daemons {
		if m.follow != nil || slices.ContainsFunc(m.left, func(left SyncDaemon) bool { return left.In(d) }) {
			m.ownRole(role)
		}
	}
	m.left = nil
	if reading.Usage != nil { // else the table was not read, but remembered
		m.miss(reading.Table)
	}
	return first
}

// miss counts the readings without a service of ours.
func (m *Model) miss(have Table) {
	for key := range m.owned {
		switch _, held := have[key]; {
		case held:
			delete(m.missed, key)
		case m.missed == nil:
			m.missed = map[ServiceKey]int{key: 1}
		default:
			m.missed[key]++
		}
	}
}

// adopt tells a virtual server what the kernel held at the start. If real
// servers were members, and no sorry server was, the quorum had been reached.
func (v *virtualServer) adopt(now time.Time, have Table) {
	members := false
	for _, rs := range v.realServers {
		held := v.held(rs.config, have)
		rs.adopt(now, held)
		members = members || slices.ContainsFunc(held, takesConnections)
	}
	apologizing := slices.ContainsFunc(v.config.Sorry, func(sorry RealServerConfig) bool {
		return slices.ContainsFunc(v.held(sorry, have), takesConnections)
	})
	if members && !apologizing {
		v.quorum.resume(v.healthy(), v.understated())
	}
	if v.config.DrainLimit > 0 {
		for _, service := range v.config.Services {
			v.adoptLeaving(now, have[service.ServiceKey])
		}
	}
	v.touch()
}

// held returns what the kernel holds of a real server.
func (v *virtualServer) held(rs RealServerConfig, have Table) (held []Destination) {
	for _, service := range v.config.Services {
		if d, found := have[service.ServiceKey].Destinations[service.destination(rs.Address)]; found {
			held = append(held, d)
		}
	}
	return held
}

// takesConnections says whether a destination takes new connections.
func takesConnections(d Destination) bool { return d.Weight > 0 }

// adoptLeaving lets destinations of a service drain that a predecessor had
// configured and that are not configured now.
func (v *virtualServer) adoptLeaving(now time.Time, have Entry) {
	key := have.Service.ServiceKey
	for _, address := range sortedAddresses(have.Destinations) {
		if v.findAny(RealServerKey{key, address}) != nil || v.isSorry(RealServerKey{key, address}) {
			continue
		}
		d := have.Destinations[address]
		rs := &realServer{
			config: RealServerConfig{Address: address, Forwarding: d.Forwarding, Tunnel: d.Tunnel, Upper: d.Upper, Lower: d.Lower},
			only:   []ServiceKey{key}, state: Inhibited,
		}
		rs.leave(now, byConfiguration, v.config.DrainLimit)
		v.leaving = append(v.leaving, rs)
	}
}

// isSorry says whether a sorry server is meant.
func (v *virtualServer) isSorry(key RealServerKey) bool {
	return slices.ContainsFunc(v.config.Sorry, func(rs RealServerConfig) bool {
		return key.Service.destination(rs.Address) == key.Address
	})
}

// release ends the draining of real servers that have no connections any
// more.
func (v *virtualServer) release(now time.Time, reading Reading) {
	for _, servers := range v.everyone() {
		for _, rs := range servers {
			if rs.state == Draining && v.idle(rs, reading) {
				rs.enter(now, Out)
				v.touch()
			}
		}
	}
}

// idle says whether the kernel held a real server without connections, and
// with weight 0 already, so that there cannot be new ones. One that a reading
// does not have is put back: others may have deleted it, or edited the table
// while it was read, and the kernel gives it its connections back. If the next
// reading does not have it either, that is not possible.
func (v *virtualServer) idle(rs *realServer, reading Reading) bool {
	missing := false
	for _, service := range v.config.Services {
		key := RealServerKey{service.ServiceKey, service.destination(rs.config.Address)}
		if rs.only != nil && !slices.Contains(rs.only, key.Service) {
			continue
		}
		destination, held := reading.Table[key.Service].Destinations[key.Address]
		if !held {
			missing = true
			continue
		}
		if usage, counted := reading.Usage.Of(key); destination.Weight > 0 || !counted || !usage.Idle() {
			return false
		}
	}
	if !missing || reading.Usage == nil { // nil: the table is remembered, with what could not be put back
		return true
	}
	rs.missed++
	return rs.missed >= gone
}

// Follow tells which roles this director has in the synchronization of
// connections, and with which daemon. Both roles are ours then, and one that
// is not among them is ended. With nil there is no synchronization: what was
// started for us ends, and what others have started is left alone.
func (m *Model) Follow(daemons map[SyncRole]SyncDaemon) {
	m.follow = maps.Clone(daemons)
	for role := range daemons {
		m.ownRole(role)
	}
}

// Inherit tells which sync daemons a predecessor may have left. Those that are
// found like that are ours, whatever their roles, and end unless they are
// wanted. It is for the time before Learn.
func (m *Model) Inherit(daemons []SyncDaemon) { m.left = slices.Clone(daemons) }

// Left returns what a predecessor may have left, until the kernel's state has
// been learnt. The caller must not change it.
func (m *Model) Left() []SyncDaemon { return m.left }

// ownRole makes the sync daemon of a role ours.
func (m *Model) ownRole(role SyncRole) {
	if m.roles == nil {
		m.roles = make(map[SyncRole]struct{})
	}
	m.roles[role] = struct{}{}
}

// own makes a service ours.
func (m *Model) own(key ServiceKey) {
	if m.owned == nil {
		m.owned = make(map[ServiceKey]struct{})
	}
	if _, already := m.owned[key]; !already {
		m.owned[key] = struct{}{}
		m.listed = nil
	}
}

// Ours says whether a service is configured, or owned because it has been,
// because a predecessor left it, or because everything that was there is.
func (m *Model) Ours(key ServiceKey) bool {
	_, owned := m.owned[key]
	return owned
}

// OursRole says whether the sync daemon of a role is ours.
func (m *Model) OursRole(role SyncRole) bool {
	_, owned := m.roles[role]
	return owned
}

// OwnedRoles returns the roles that are ours, in their order.
func (m *Model) OwnedRoles() []SyncRole { return slices.Sorted(maps.Keys(m.roles)) }

// Owned returns the keys of the services that are ours, in their order. A
// successor that is told them can delete what it does not want of them. The
// caller must not change it.
func (m *Model) Owned() []ServiceKey {
	if m.listed == nil && len(m.owned) > 0 {
		m.listed = slices.SortedFunc(maps.Keys(m.owned), ServiceKey.Compare)
	}
	return m.listed
}

// Empty says whether nothing in the kernel is ours, and nothing is wanted of
// it.
func (m *Model) Empty() bool {
	if len(m.owned) > 0 || len(m.roles) > 0 || len(m.left) > 0 {
		return false
	}
	return m.withdrawn || m.settings == Settings{} && m.follow == nil
}

// gone is how many readings without an object say that the kernel does not hold
// it: one can miss it when others edit the table meanwhile.
const gone = 2

// Settle tells what the kernel holds now: services and roles that are not
// wanted and that it does not hold either are no longer ours.
func (m *Model) Settle(have State) {
	m.left = nil
	for key := range m.owned {
		missed := m.missed[key]
		switch _, held := have.Table[key]; {
		case held:
			delete(m.missed, key)
		case m.unwanted(key) && (missed == 0 || missed >= gone): // 0: it was read, and has been deleted
			delete(m.owned, key)
			delete(m.missed, key)
			m.listed = nil
		}
	}
	for role := range m.roles {
		_, wanted := m.follow[role]
		_, held := have.Daemons[role]
		if !held && (!wanted || m.withdrawn) {
			delete(m.roles, role)
		}
	}
}

// unwanted says whether the kernel should not hold a service of ours.
func (m *Model) unwanted(key ServiceKey) bool { return m.services[key] == nil || m.withdrawn }

// Doubtful says whether it takes another reading of the kernel to know that a
// service is gone.
func (m *Model) Doubtful() bool {
	for key := range m.missed {
		if m.unwanted(key) {
			return true
		}
	}
	return false
}
