package lvs

import (
	"maps"
	"slices"
)

// Model holds the configured virtual servers, the latest fact about each real
// server, and which services of the kernel are ours. What it wants the kernel
// to hold depends on these alone, not on the order in which they came.
//
// Its zero value has no virtual servers. It belongs to one goroutine.
type Model struct {
	servers   []*virtualServer
	index     map[RealServerKey]*realServer // the real servers of servers
	wanted    map[ServiceKey]struct{}       // the services of servers
	owned     map[ServiceKey]struct{}       // the kernel may hold these because of us; includes wanted
	adopted   bool                          // whether Adopt has been called
	withdrawn bool
}

// Configure replaces the configured virtual servers; their keys must be
// distinct. Facts are kept by identity. Services that a predecessor has
// programmed are owned: those that are not configured are to be deleted, like
// those that were configured until now.
func (m *Model) Configure(servers []VirtualServerConfig, owned []ServiceKey) {
	known := m.index
	m.servers = make([]*virtualServer, 0, len(servers))
	m.index = make(map[RealServerKey]*realServer)
	m.wanted = make(map[ServiceKey]struct{}, len(servers))
	if m.owned == nil {
		m.owned = make(map[ServiceKey]struct{})
	}
	for _, key := range owned {
		m.owned[key] = struct{}{}
	}
	for _, config := range servers {
		vs := newVirtualServer(config, known)
		m.servers = append(m.servers, vs)
		m.wanted[config.ServiceKey] = struct{}{}
		m.owned[config.ServiceKey] = struct{}{}
		for _, rs := range vs.realServers {
			m.index[RealServerKey{config.ServiceKey, rs.config.Address}] = rs
			if m.adopted && rs.adoption == undecided {
				rs.adoption = newcomer
			}
		}
	}
}

// Observe records the latest fact about a real server. It returns whether
// that changes its membership, and whether the fact was taken at all: one
// about a real server that is not configured, or not checked, is dropped.
func (m *Model) Observe(key RealServerKey, fact Fact) (changed, taken bool) {
	rs := m.index[key]
	if rs == nil || !rs.config.Checked {
		return false, false
	}
	before := rs.member()
	rs.known, rs.fact = true, fact
	return rs.member() != before, true
}

// Adopt tells what the kernel holds. At the first call, real servers that it
// holds already are members until a check says otherwise: a restart interrupts
// nothing. This is decided once, so that it is remembered if the kernel loses
// them, and so that later nothing makes a member but a check: neither somebody
// who adds a destination, nor a destination that could not be deleted before
// its real server came back into the configuration. Adopt returns whether it
// was the first call.
func (m *Model) Adopt(have Table) bool {
	if m.adopted {
		return false
	}
	m.adopted = true
	for key, rs := range m.index {
		if rs.adoption != undecided {
			continue
		}
		rs.adoption = newcomer
		if _, held := have[key.Service].Destinations[key.Address]; held {
			rs.adoption = takenOver
		}
	}
	return true
}

// Wanted returns what the kernel should hold of our services. It is meant to
// be compared after Adopt has been told what the kernel holds.
func (m *Model) Wanted() Table {
	table := make(Table, len(m.servers))
	if m.withdrawn {
		return table
	}
	for _, vs := range m.servers {
		table[vs.config.ServiceKey] = vs.entry()
	}
	return table
}

// Ours says whether a service is configured, or owned because it has been or
// because a predecessor left it.
func (m *Model) Ours(key ServiceKey) bool {
	_, owned := m.owned[key]
	return owned
}

// Owned returns the keys for which Ours is true, in their order. A successor
// that is told them can delete what it does not want of them.
func (m *Model) Owned() []ServiceKey {
	return slices.SortedFunc(maps.Keys(m.owned), ServiceKey.Compare)
}

// Empty says whether Ours is true for no service, so that there is nothing to
// do in the kernel.
func (m *Model) Empty() bool {
	return len(m.owned) == 0
}

// Settle tells what the kernel holds now: services that are not wanted and
// that it does not hold either are no longer ours.
func (m *Model) Settle(have Table) {
	for key := range m.owned {
		_, wanted := m.wanted[key]
		_, held := have[key]
		if !held && (!wanted || m.withdrawn) {
			delete(m.owned, key)
		}
	}
}

// Withdraw makes the model want none of its services for the rest of its
// life.
func (m *Model) Withdraw() {
	m.withdrawn = true
}

// Status returns everything that is configured, in that order.
func (m *Model) Status() []VirtualServerStatus {
	statuses := make([]VirtualServerStatus, 0, len(m.servers))
	for _, vs := range m.servers {
		statuses = append(statuses, vs.status(m.withdrawn))
	}
	return statuses
}
