package director

import (
	"slices"
	"sync"

	"bascule/lvs"
)

// mail is what the loop has been told and has not taken yet. Its size is
// bounded by the number of real servers, however long the loop is busy.
type mail struct {
	configured bool
	servers    []lvs.VirtualServerConfig // the latest ones
	owned      []lvs.ServiceKey          // all that were named
	facts      map[lvs.RealServerKey]lvs.Fact
	clear      []chan<- struct{} // closed when nothing is left
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
	servers = slices.Clone(servers)
	for n := range servers {
		servers[n].RealServers = slices.Clone(servers[n].RealServers)
	}
	i.put(func(m *mail) {
		m.configured = true
		m.servers = servers
		m.owned = append(m.owned, owned...)
	})
}

// report leaves a fact in place of an older one about the same real server.
func (i *inbox) report(key lvs.RealServerKey, fact lvs.Fact) {
	i.put(func(m *mail) {
		if m.facts == nil {
			m.facts = make(map[lvs.RealServerKey]lvs.Fact)
		}
		m.facts[key] = fact
	})
}

// clear leaves a request to clear the table.
func (i *inbox) clear(reply chan<- struct{}) {
	i.put(func(m *mail) { m.clear = append(m.clear, reply) })
}
