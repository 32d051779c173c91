package lvs

import (
	"maps"
	"slices"
	"time"
)

// Model holds the configured virtual servers, the latest fact about each real
// server, what the administrator has decided, and which parts of the kernel's
// state are ours. What it wants the kernel to hold depends on these and their
// times, not on the order of what came at one time.
//
// It is told what happens at a time, derives what follows from it in Advance,
// and by itself changes at Deadline at the earliest. Times never go back.
//
// Its zero value has no virtual servers. It belongs to one goroutine.
type Model struct {
	servers  []*virtualServer
	services map[ServiceKey]*virtualServer // servers by what they serve
	owned    map[ServiceKey]struct{}       // the kernel may hold these because of us; includes the keys of services
	listed   []ServiceKey                  // owned in its order; nil if out of date
	missed   map[ServiceKey]int            // of owned, those that the latest readings of the kernel did not have, and how many
	settings Settings
	follow   map[SyncRole]SyncDaemon // the sync daemons that are wanted; nil if synchronization is not ours
	roles    map[SyncRole]struct{}   // roles that the kernel may have because of us
	left     []SyncDaemon            // those that a predecessor may have left; nil once the kernel's state has been learnt

	table    Table
	relisted map[ServiceKey]struct{} // entries of table that have been made since Relisted was called
	statuses []VirtualServerStatus   // nil if out of date
	gone     []Change                // about what is no longer among servers
	lost     []LostOverride          // decisions about what is no longer configured

	adopted   bool // whether the kernel's state has been learnt
	withdrawn bool
}

// Settings are about the kernel's IPVS as a whole.
type Settings struct {
	Timeouts  Timeouts
	Exclusive bool // everything in the table is ours
}

// Configure replaces the configured virtual servers; no two may have a service
// in common. What is known is kept by what the kernel identifies: a real
// server is the same if one of its services and its address there are. What
// the administrator has decided follows the names, too.
// Services that a predecessor has programmed are owned: those that are not
// configured are to be deleted, like those that were configured until now.
func (m *Model) Configure(now time.Time, servers []VirtualServerConfig, owned []ServiceKey) {
	before := m.services
	if m.table == nil {
		m.table = make(Table)
	}
	for _, key := range owned {
		m.own(key)
	}
	old, namesakes := m.servers, byName(m.servers)
	m.servers = make([]*virtualServer, 0, len(servers))
	m.services = make(map[ServiceKey]*virtualServer, len(servers))
	for _, config := range servers {
		v := unchanged(config, before)
		if v == nil {
			v = newVirtualServer(now, config, before)
			v.followNames(namesakes[config.Name])
			m.enrol(v)
		}
		m.servers = append(m.servers, v)
		for _, service := range v.config.Services {
			m.services[service.ServiceKey] = v
			m.own(service.ServiceKey)
		}
	}
	m.dismiss(old)
	m.loseOverrides(old)
	maps.DeleteFunc(m.table, func(key ServiceKey, _ Entry) bool { return m.services[key] == nil })
	m.statuses = nil
}

// byName returns virtual servers by their names.
func byName(servers []*virtualServer) map[string]*virtualServer {
	names := make(map[string]*virtualServer, len(servers))
	for _, v := range servers {
		names[v.config.Name] = v
	}
	return names
}

// unchanged returns the virtual server of before that has this configuration
// already, or nil.
func unchanged(config VirtualServerConfig, before map[ServiceKey]*virtualServer) *virtualServer {
	if len(config.Services) == 0 {
		return nil
	}
	v := before[config.Services[0].ServiceKey]
	if v == nil || !v.config.equal(config) {
		return nil
	}
	v.kept = true
	return v
}

// enrol gives real servers that are new after the start their part.
func (m *Model) enrol(v *virtualServer) {
	for _, rs := range v.realServers {
		if m.adopted && rs.adoption == undecided {
			rs.adoption = newcomer
		}
	}
}

// dismiss records what a reload leaves nothing of.
func (m *Model) dismiss(old []*virtualServer) {
	for _, v := range old {
		if v.kept {
			v.kept = false
			continue
		}
		for _, rs := range slices.Concat(v.realServers, v.leaving) {
			if !rs.kept && rs.told != Out {
				m.gone = append(m.gone, v.farewell(rs, "not configured any more"))
			}
		}
	}
}

// Adjust replaces the settings.
func (m *Model) Adjust(settings Settings) { m.settings = settings }

// find returns the virtual server and the real server that a key names, or
// nil.
func (m *Model) find(key RealServerKey) (*virtualServer, *realServer) {
	v := m.services[key.Service]
	if v == nil {
		return nil, nil
	}
	return v, v.find(key)
}

// Observe records the latest fact about a real server. It returns whether
// that may change something in the kernel, and whether the fact was taken at
// all: one about a real server that is not configured, or not checked, is
// dropped.
func (m *Model) Observe(now time.Time, key RealServerKey, fact Fact) (changed, taken bool) {
	v, rs := m.find(key)
	if rs == nil || !rs.config.Checked {
		return false, false
	}
	if rs.known && rs.fact == fact {
		return false, true
	}
	passed, drained, full, knew := rs.passes(), rs.drained(), rs.full(), rs.known
	rs.observe(now, fact, v.config.SlowStart)
	v.touch()
	first := !knew && (v.config.AllDown == AllDownAll || rs.adoption == quiet)
	return rs.passes() != passed || rs.drained() != drained || rs.full() != full || first, true
}

// Advance derives what follows, at this time, from what the model has been
// told and from the time that has passed.
func (m *Model) Advance(now time.Time) {
	for _, v := range m.servers {
		if !v.dirty && (v.deadline.IsZero() || now.Before(v.deadline)) {
			continue
		}
		v.settle(now)
		m.statuses = nil
		v.leaving = slices.DeleteFunc(v.leaving, func(rs *realServer) bool {
			if rs.state == Out && rs.told != Out {
				m.gone = append(m.gone, v.farewell(rs, "drained, not configured any more"))
			}
			return rs.state == Out
		})
	}
}

// Deadline returns when the model changes by itself, so that Advance is to be
// called; zero is never.
func (m *Model) Deadline() (deadline time.Time) {
	for _, v := range m.servers {
		deadline = earliest(deadline, v.deadline)
	}
	return deadline
}

// Wanted returns what the kernel should hold of what is ours, as of the latest
// Advance; it is meant for the time after Learn. It is valid until the next
// call of a method, and the caller must not change it.
func (m *Model) Wanted() State {
	if m.withdrawn {
		return State{}
	}
	if m.relisted == nil {
		m.relisted = make(map[ServiceKey]struct{})
	}
	for _, v := range m.servers {
		if !v.unlisted {
			continue
		}
		v.unlisted = false
		for _, service := range v.config.Services {
			m.table[service.ServiceKey] = v.entry(service)
			m.relisted[service.ServiceKey] = struct{}{}
		}
	}
	return State{Table: m.table, Daemons: m.follow, Timeouts: m.settings.Timeouts}
}

// Draining returns the services with real servers that drain, as of the latest
// Advance: how long they do depends on what Learn is told of them.
func (m *Model) Draining() (keys []ServiceKey) {
	for _, v := range m.servers {
		if v.drains() {
			for _, service := range v.config.Services {
				keys = append(keys, service.ServiceKey)
			}
		}
	}
	return keys
}

// drains says whether there is a real server that drains.
func (v *virtualServer) drains() bool {
	draining := func(rs *realServer) bool { return rs.state == Draining }
	return slices.ContainsFunc(v.realServers, draining) || slices.ContainsFunc(v.leaving, draining)
}

// Relisted returns the services whose destinations may be wanted otherwise than
// when it was called last, as of the latest call of Wanted. It is the caller's.
func (m *Model) Relisted() map[ServiceKey]struct{} {
	relisted := m.relisted
	m.relisted = nil
	return relisted
}

// Withdraw makes the model want nothing for the rest of its life.
func (m *Model) Withdraw() {
	m.withdrawn, m.statuses = true, nil
	for _, v := range m.servers {
		v.changed, v.unshown = true, true
	}
}
