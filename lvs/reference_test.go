package lvs_test

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"bascule/lvs"
)

// reference is a second implementation of the model, for random histories: it
// derives everything anew at every step, and keeps nothing that it could
// derive.
type reference struct {
	servers []*referenceServer
	adopted bool
}

// referenceServer is a virtual server of a reference.
type referenceServer struct {
	config  lvs.VirtualServerConfig
	members []*referenceMember
	leaving []*referenceMember
	quorum  lvs.QuorumState
}

// referenceMember is a real server of a reference.
type referenceMember struct {
	config   lvs.RealServerConfig
	keys     []lvs.RealServerKey
	trusted  bool   // a member until there is a fact
	heaviest uint32 // its weight until then, unless the configured one is more
	quiet    bool   // not cut off until there is a fact
	decided  bool   // whether trusted is decided
	known    bool
	good     bool
	advice   lvs.Advice
	failed   time.Time
	rise     time.Time // its weight rises from then
	risen    time.Time // to then
	override *lvs.Override
	state    lvs.RealServerState
	began    time.Time // its draining
	patient  bool      // it drains without a limit, because nobody but its check wants it to
	missed   int       // readings without it since it began
	weight   uint32
}

// up says whether the check lets the real server be a member.
func (m *referenceMember) up() bool {
	if m.config.Checked && m.known {
		return m.good
	}
	return !m.config.Checked || m.trusted
}

// drained says whether the administrator drains it, or its check.
func (m *referenceMember) drained() bool { return m.ordered() || m.advised().Drain }

// ordered says whether the administrator drains it.
func (m *referenceMember) ordered() bool {
	return m.override != nil && m.override.Kind == lvs.Drain
}

// advised returns what its check advises now.
func (m *referenceMember) advised() lvs.Advice {
	if m.config.Checked && m.known && m.good {
		return m.advice
	}
	return lvs.Advice{}
}

// full returns its weight when it has risen: the administrator's, or the lowest
// that is asked for, or the configured one.
func (m *referenceMember) full() uint32 {
	if m.override != nil && m.override.Kind == lvs.Weigh {
		return m.override.Weight
	}
	if m.trusted && !m.known && m.config.Checked {
		return max(m.config.Weight, m.heaviest)
	}
	var asked []uint32
	if a := m.advised().Weight; a.Set {
		asked = append(asked, a.Value)
	}
	if a := m.advised().Percent; a.Set {
		asked = append(asked, uint32(math.Ceil(float64(m.config.Weight)*float64(a.Value)/100)))
	}
	if asked == nil {
		return m.config.Weight
	}
	return min(slices.Min(asked), lvs.MaxWeight)
}

// rising returns its weight, by counting the steps that are behind.
func (m *referenceMember) rising(now time.Time) uint32 {
	full := m.full()
	if !now.Before(m.risen) || full <= 1 {
		return full
	}
	of := min(10, full-1)
	weight := full / (of + 1)
	for step := uint32(1); step < of; step++ {
		if !now.Before(m.rise.Add(m.risen.Sub(m.rise) * time.Duration(step) / time.Duration(of))) {
			weight = full * (step + 1) / (of + 1)
		}
	}
	return weight
}

// keysOf returns the keys of a real server in some services.
func keysOf(services []lvs.Service, address netip.AddrPort) (keys []lvs.RealServerKey) {
	for _, s := range services {
		k := lvs.RealServerKey{Service: s.ServiceKey, Address: address}
		if address.Port() == 0 {
			k.Address = netip.AddrPortFrom(address.Addr(), s.Address.Port())
		}
		keys = append(keys, k)
	}
	return keys
}

// find returns the configured real server of a key, or nil.
func (r *reference) find(key lvs.RealServerKey) *referenceMember {
	for _, s := range r.servers {
		for _, m := range s.members {
			if slices.Contains(m.keys, key) {
				return m
			}
		}
	}
	return nil
}

// configure replaces the configuration.
func (r *reference) configure(now time.Time, config []lvs.VirtualServerConfig) {
	old := r.servers
	r.servers = nil
	for _, c := range config {
		s := &referenceServer{config: c}
		r.servers = append(r.servers, s)
		for _, service := range slices.Backward(c.Services) {
			for _, o := range old {
				if slices.ContainsFunc(o.config.Services, func(other lvs.Service) bool { return other.ServiceKey == service.ServiceKey }) {
					s.quorum = o.quorum
					if need(o.config) != need(c) && o.quorum == lvs.QuorumLost {
						s.quorum = lvs.QuorumAwaited
					}
				}
			}
		}
		for _, rc := range c.RealServers {
			m := &referenceMember{config: rc, keys: keysOf(c.Services, rc.Address)}
			for _, k := range slices.Backward(m.keys) {
				for _, o := range old {
					for _, was := range slices.Concat(o.leaving, o.members) {
						if slices.Contains(was.keys, k) {
							m = was.under(rc, m.keys, c.SlowStart)
						}
					}
				}
			}
			for _, o := range old {
				for _, was := range o.members {
					if o.config.Name == c.Name && o.same(was, rc.Address) {
						m.override = was.override
					}
				}
			}
			m.decided = m.decided || r.adopted
			s.members = append(s.members, m)
		}
	}
	for _, s := range r.servers {
		for _, o := range old {
			for _, was := range slices.Concat(o.members, o.leaving) {
				r.leave(now, s, was)
			}
		}
	}
}

// same says whether a real server is the one with an address, which may have
// the port of a service instead of none.
func (s *referenceServer) same(m *referenceMember, address netip.AddrPort) bool {
	return m.config.Address == address || slices.ContainsFunc(keysOf(s.config.Services, address), func(k lvs.RealServerKey) bool {
		return slices.Contains(m.keys, k)
	})
}

// stored returns the real server that a stored decision is about, or nil.
func (r *reference) stored(o lvs.StoredOverride) *referenceMember {
	for _, s := range r.servers {
		for _, m := range s.members {
			if s.config.Name == o.VirtualServer && s.same(m, o.Key.Address) {
				return m
			}
		}
	}
	return r.find(o.Key)
}

// leave lets a real server drain in a virtual server that has its services
// and not itself.
func (r *reference) leave(now time.Time, s *referenceServer, was *referenceMember) {
	var keys []lvs.RealServerKey
	for _, k := range was.keys {
		if slices.ContainsFunc(s.config.Services, func(o lvs.Service) bool { return o.ServiceKey == k.Service }) && r.find(k) == nil {
			keys = append(keys, k)
		}
	}
	if was.state == lvs.Out || keys == nil || s.config.DrainLimit == 0 {
		return
	}
	m := was.under(was.config, keys, s.config.SlowStart)
	m.override = nil
	m.drain(now, s.config.DrainLimit > 0, s.config.DrainLimit)
	s.leaving = append(s.leaving, m)
}

// under returns the real server under a new configuration.
func (m *referenceMember) under(config lvs.RealServerConfig, keys []lvs.RealServerKey, slow time.Duration) *referenceMember {
	next := *m
	next.config, next.keys = config, keys
	if config.Checked != m.config.Checked {
		next.known, next.failed, next.quiet = false, time.Time{}, false
		next.trusted, next.decided = config.Checked, config.Checked
	}
	if config.Weight != m.config.Weight || config.Checked != m.config.Checked {
		next.heaviest = 0
	}
	if end := next.rise.Add(slow); end.Before(next.risen) {
		next.risen = end
	}
	return &next
}

// need returns the quorum that a configuration amounts to.
func need(c lvs.VirtualServerConfig) lvs.Quorum {
	if len(c.Sorry) > 0 && c.Quorum.Weight == 0 {
		return lvs.Quorum{Weight: 1}
	}
	return c.Quorum
}

// observe takes a fact.
func (r *reference) observe(now time.Time, key lvs.RealServerKey, fact lvs.Fact) (taken bool) {
	m := r.find(key)
	if m == nil || !m.config.Checked {
		return false
	}
	was, drained, healthy := m.up(), m.drained(), fact.Healthy
	m.known, m.good, m.advice = true, healthy, fact.Advice
	if was && !healthy {
		m.failed = now
	}
	if was != healthy {
		m.rise, m.risen = now, now
	}
	if healthy && (!was || drained && !m.drained()) {
		m.rise = now
		for _, s := range r.servers {
			if slices.Contains(s.members, m) {
				m.risen = now.Add(s.config.SlowStart)
			}
		}
	}
	return true
}

// decide takes a decision of the administrator, nil if it ends one.
func (r *reference) decide(now time.Time, m *referenceMember, o *lvs.Override) {
	was := m.drained()
	m.override = o
	if !was || m.drained() || !m.up() {
		return
	}
	for _, s := range r.servers {
		if slices.Contains(s.members, m) {
			m.rise, m.risen = now, now.Add(s.config.SlowStart)
		}
	}
}

// learn takes what the kernel holds.
func (r *reference) learn(now time.Time, have lvs.Table, busy map[lvs.RealServerKey]bool) {
	for _, s := range r.servers {
		if !r.adopted {
			for _, m := range s.members {
				r.adopt(now, m, have)
			}
			r.adoptLeaving(now, s, have)
			s.resume(have)
		}
		for _, m := range slices.Concat(s.members, s.leaving) {
			if m.state == lvs.Draining && m.ended(have, busy) {
				m.state = lvs.Out
			}
		}
	}
	r.adopted = true
}

// ended says whether there is nothing to wait for of a real server that drains.
func (m *referenceMember) ended(have lvs.Table, busy map[lvs.RealServerKey]bool) bool {
	working, missing := 0, 0
	for _, k := range m.keys {
		switch d, held := have[k.Service].Destinations[k.Address]; {
		case !held:
			missing++
		case busy[k] || d.Weight > 0:
			working++
		}
	}
	if working == 0 && missing > 0 {
		m.missed++
	}
	return working == 0 && (missing == 0 || m.missed > 1)
}

// drain lets a real server leave, at once if it may not drain, and after the
// limit unless that is 0.
func (m *referenceMember) drain(now time.Time, may bool, limit time.Duration) {
	if m.state != lvs.Draining {
		m.missed = 0
	}
	if m.state != lvs.Draining || m.patient {
		m.began, m.patient = now, false
	}
	switch over := limit > 0 && now.Sub(m.began) >= limit; {
	case m.state == lvs.Out, !may, over:
		m.state = lvs.Out
	default:
		m.state = lvs.Draining
	}
}

// advance derives the present.
func (r *reference) advance(now time.Time) {
	for _, s := range r.servers {
		s.advance(now)
	}
}

// advance derives the present of one virtual server.
func (s *referenceServer) advance(now time.Time) {
	sum := 0
	var last time.Time
	for _, m := range s.members {
		if m.drained() {
			continue
		}
		if m.up() {
			sum += int(m.full())
		}
		if m.full() > 0 && m.failed.After(last) {
			last = m.failed
		}
	}
	s.vote(sum)
	for _, m := range s.members {
		in := m.up()
		if sum == 0 && m.known && !m.good && m.config.Checked {
			in = s.config.AllDown == lvs.AllDownAll ||
				s.config.AllDown == lvs.AllDownLast && m.full() > 0 && !m.failed.IsZero() && m.failed.Equal(last)
		}
		switch {
		case m.ordered():
			m.drain(now, true, s.config.DrainLimit)
		case m.drained(), m.config.Checked && !m.known && m.quiet && !m.trusted && s.config.OnFailure == lvs.RemoveOnFailure:
			if m.state != lvs.Draining {
				m.missed = 0
			}
			if m.state != lvs.Out {
				m.state, m.patient = lvs.Draining, true
			}
		case in && !s.sorry():
			m.state, m.weight = lvs.Member, m.rising(now)
		case s.config.OnFailure == lvs.InhibitOnFailure:
			m.state = lvs.Inhibited
		default:
			m.state = lvs.Out
		}
	}
	for _, m := range s.leaving {
		m.drain(now, s.config.DrainLimit > 0, s.config.DrainLimit)
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(m *referenceMember) bool { return m.state == lvs.Out })
}

// vote derives the quorum from the weight of healthy real servers.
func (s *referenceServer) vote(sum int) {
	q := need(s.config)
	low, high := int(q.Weight)-int(q.Hysteresis), int(q.Weight)
	if s.quorum == lvs.QuorumLost {
		high += int(q.Hysteresis)
	}
	switch {
	case q.Weight == 0:
		s.quorum = lvs.QuorumUnneeded
	case s.quorum == lvs.QuorumReached && (sum >= low || s.guessing()), sum >= high:
		s.quorum = lvs.QuorumReached
	case s.quorum == lvs.QuorumReached, s.quorum == lvs.QuorumLost:
		s.quorum = lvs.QuorumLost
	default:
		s.quorum = lvs.QuorumAwaited
	}
}

// sorry says whether the sorry servers have taken over.
func (s *referenceServer) sorry() bool {
	return len(s.config.Sorry) > 0 && (s.quorum == lvs.QuorumAwaited || s.quorum == lvs.QuorumLost)
}

// wanted returns what the kernel should hold.
func (r *reference) wanted() lvs.Table {
	want := table()
	for _, s := range r.servers {
		for _, service := range s.config.Services {
			want[service.ServiceKey] = lvs.Entry{Service: service, Destinations: map[netip.AddrPort]lvs.Destination{}}
		}
		for _, m := range slices.Concat(s.leaving, s.members) {
			for _, k := range m.keys {
				d := lvs.Destination{Address: k.Address, Forwarding: m.config.Forwarding}
				if m.state == lvs.Member {
					d.Weight = m.weight
				}
				if m.state != lvs.Out {
					want[k.Service].Destinations[k.Address] = d
				}
			}
		}
		for _, sorry := range s.config.Sorry {
			for _, k := range keysOf(s.config.Services, sorry.Address) {
				if s.sorry() {
					want[k.Service].Destinations[k.Address] = lvs.Destination{Address: k.Address, Forwarding: sorry.Forwarding, Weight: sorry.Weight}
				}
			}
		}
	}
	return want
}
