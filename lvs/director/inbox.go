package director

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"bascule/lvs"
)

// mail is what the loop has been told and has not taken yet. Its size is
// bounded by the number of real servers, however long the loop is busy, but
// for decisions of the administrator.
type mail struct {
	configured bool
	servers    []lvs.VirtualServerConfig // the latest ones
	owned      []lvs.ServiceKey          // all that were named
	settings   *lvs.Settings             // the latest; nil if there are no new ones
	followed   bool
	daemons    map[lvs.SyncRole]lvs.SyncDaemon // the latest
	inherited  []lvs.SyncDaemon
	stored     []lvs.StoredOverride
	facts      map[lvs.RealServerKey]report // the latest of each key
	reported   uint64                       // how many facts have come
	overrides  []override                   // in their order
	zeroes     []zero
	taken      []chan<- struct{} // closed when the snapshot has what came before
	clear      []chan<- struct{} // closed when nothing is left
}

// report is a fact with its place among all that have come: two keys can be
// of the same real server.
type report struct {
	place uint64
	fact  lvs.Fact
}

// inOrder calls a function with the facts in the order in which they came.
func (m *mail) inOrder(visit func(lvs.RealServerKey, lvs.Fact)) {
	type about struct {
		key lvs.RealServerKey
		report
	}
	list := make([]about, 0, len(m.facts))
	for key, r := range m.facts {
		list = append(list, about{key, r})
	}
	slices.SortFunc(list, func(a, b about) int { return cmp.Compare(a.place, b.place) })
	for _, a := range list {
		visit(a.key, a.fact)
	}
}

// override is a decision of the administrator.
type override struct {
	virtualServer string
	realServer    netip.AddrPort
	override      lvs.Override
	answer        chan<- error // holds one
}

// inbox is where callers leave what they tell the loop.
type inbox struct {
	wake chan struct{} // holds a token while there is mail
	mu   sync.Mutex
	mail mail
}

// put changes the mail and wakes the loop.
func (i *inbox) put(change func(*mail)) {
	i.mu.Lock()
	change(&i.mail)
	i.mu.Unlock()
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (i *inbox) take() mail {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.mail
	i.mail = mail{}
	return taken
}

// configure leaves a configuration in place of one not taken yet. The keys
// that were owned with that one stay: they are to be swept all the same.
func (i *inbox) configure(servers []lvs.VirtualServerConfig, owned []lvs.ServiceKey) {
	servers = cloneConfigs(servers)
	i.put(func(m *mail) {
		m.configured = true
		m.servers = servers
		m.owned = append(m.owned, owned...)
	})
}

// reconfigure leaves a configuration and its settings.
func (i *inbox) reconfigure(settings lvs.Settings, servers []lvs.VirtualServerConfig) {
	servers = cloneConfigs(servers)
	i.put(func(m *mail) {
		m.configured, m.servers, m.settings = true, servers, &settings
	})
}

// cloneConfigs returns a copy that shares nothing that its user may change.
func cloneConfigs(servers []lvs.VirtualServerConfig) []lvs.VirtualServerConfig {
	servers = slices.Clone(servers)
	for n := range servers {
		servers[n] = servers[n].Clone()
	}
	return servers
}

// adjust leaves settings in place of older ones.
func (i *inbox) adjust(settings lvs.Settings) {
	i.put(func(m *mail) { m.settings = &settings })
}

// follow leaves the wanted sync daemons in place of older ones.
func (i *inbox) follow(daemons map[lvs.SyncRole]lvs.SyncDaemon) {
	daemons = maps.Clone(daemons)
	i.put(func(m *mail) { m.followed, m.daemons = true, daemons })
}

// inherit leaves the sync daemons of a predecessor.
func (i *inbox) inherit(daemons []lvs.SyncDaemon) {
	daemons = slices.Clone(daemons)
	i.put(func(m *mail) { m.inherited = daemons })
}

// setOverrides leaves decisions that were stored.
func (i *inbox) setOverrides(stored []lvs.StoredOverride) {
	i.put(func(m *mail) { m.stored = append(m.stored, stored...) })
}

// zero leaves a request to zero counters.
func (i *inbox) zero(z zero) {
	i.put(func(m *mail) { m.zeroes = append(m.zeroes, z) })
}

// override leaves a decision.
func (i *inbox) override(o override) {
	i.put(func(m *mail) { m.overrides = append(m.overrides, o) })
}

// report leaves a fact in place of an older one about the same real server.
func (i *inbox) report(key lvs.RealServerKey, fact lvs.Fact) {
	i.put(func(m *mail) {
		if m.facts == nil {
			m.facts = make(map[lvs.RealServerKey]report)
		}
		m.reported++
		m.facts[key] = report{m.reported, fact}
	})
}

// announce leaves a request to be told when what came before is in the
// snapshot.
func (i *inbox) announce(reply chan<- struct{}) {
	i.put(func(m *mail) { m.taken = append(m.taken, reply) })
}

// clear leaves a request to clear the table.
func (i *inbox) clear(reply chan<- struct{}) {
	i.put(func(m *mail) { m.clear = append(m.clear, reply) })
}
