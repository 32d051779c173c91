package lvs_test

import (
	"slices"
	"time"

	"bascule/lvs"
)

// adopt decides what a real server is at the start.
func (r *reference) adopt(now time.Time, m *referenceMember, have lvs.Table) {
	for _, k := range m.keys {
		d, held := have[k.Service].Destinations[k.Address]
		if !held {
			continue
		}
		if m.state == lvs.Out {
			m.state = lvs.Inhibited
		}
		m.quiet = m.quiet || !m.decided
		if d.Weight > 0 {
			if !m.decided {
				m.trusted, m.heaviest = true, max(m.heaviest, d.Weight)
			}
			m.risen = time.Time{}
			if !m.up() && m.failed.IsZero() {
				m.failed = now
			}
		}
	}
	m.decided = true
}

// resume goes on with a quorum that hysteresis has kept, if the kernel says so.
func (s *referenceServer) resume(have lvs.Table) {
	sum, members, sorry := 0, false, false
	for _, service := range s.config.Services {
		for address, d := range have[service.ServiceKey].Destinations {
			k := lvs.RealServerKey{Service: service.ServiceKey, Address: address}
			members = members || d.Weight > 0 && slices.ContainsFunc(s.members, func(m *referenceMember) bool { return slices.Contains(m.keys, k) })
			for _, c := range s.config.Sorry {
				sorry = sorry || d.Weight > 0 && slices.Contains(keysOf(s.config.Services, c.Address), k)
			}
		}
	}
	for _, m := range s.members {
		if m.up() && !m.drained() {
			sum += int(m.full())
		}
	}
	if q := need(s.config); members && !sorry && q.Weight > 0 && (sum >= int(q.Weight)-int(q.Hysteresis) || s.guessing()) {
		s.quorum = lvs.QuorumReached
	}
}

// guessing says whether there is one whose weight is known from the kernel
// alone, where it may have been rising.
func (s *referenceServer) guessing() bool {
	for _, m := range s.members {
		weighed := m.override != nil && m.override.Kind == lvs.Weigh
		if s.config.SlowStart > 0 && m.config.Checked && m.trusted && m.heaviest > 0 && !m.known && !m.ordered() && !weighed {
			return true
		}
	}
	return false
}

// adoptLeaving lets drain at the start what is not configured.
func (r *reference) adoptLeaving(now time.Time, s *referenceServer, have lvs.Table) {
	for _, service := range s.config.Services {
		for address, d := range have[service.ServiceKey].Destinations {
			k := lvs.RealServerKey{Service: service.ServiceKey, Address: address}
			known := slices.ContainsFunc(slices.Concat(s.members, s.leaving), func(m *referenceMember) bool { return slices.Contains(m.keys, k) })
			for _, sorry := range s.config.Sorry {
				known = known || slices.Contains(keysOf(s.config.Services, sorry.Address), k)
			}
			if known || s.config.DrainLimit == 0 {
				continue
			}
			m := &referenceMember{config: lvs.RealServerConfig{Address: address, Forwarding: d.Forwarding}, keys: []lvs.RealServerKey{k}, state: lvs.Inhibited}
			m.drain(now, s.config.DrainLimit > 0, s.config.DrainLimit)
			s.leaving = append(s.leaving, m)
		}
	}
}
