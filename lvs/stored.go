package lvs

import "net/netip"

// StoredOverride is an override with the name of its virtual server and one of
// the keys of its real server, in the form in which it survives a restart.
type StoredOverride struct {
	VirtualServer string
	Key           RealServerKey
	Override      Override
}

// LostOverride is a decision about a real server that is not configured any
// more.
type LostOverride struct {
	VirtualServer string
	RealServer    netip.AddrPort
	Override      Override
}

// SetOverrides puts decisions back into force that a predecessor stored, each
// about the real server that has its virtual server's name and its address, or
// else its key. Those that nobody can have taken are dropped.
func (m *Model) SetOverrides(stored []StoredOverride) {
	found := make(map[LostOverride]bool)
	for _, s := range stored {
		if s.Override.Kind == Enable || s.Override.check() != nil {
			continue
		}
		v, rs := m.owner(s)
		if rs == nil {
			continue
		}
		found[s.lost(0)] = true
		rs.override = &s.Override
		v.touch()
	}
	for _, s := range stored {
		// One that is stored under several keys is found, or lost, once.
		if lost := s.lost(0); s.Override.Kind != Enable && !found[lost] {
			found[lost] = true
			m.lost = append(m.lost, s.lost(s.Key.Address.Port()))
		}
	}
}

// lost returns the override as one that is lost, of a real server with a port.
func (s *StoredOverride) lost(port uint16) LostOverride {
	return LostOverride{s.VirtualServer, netip.AddrPortFrom(s.Key.Address.Addr(), port), s.Override}
}

// owner returns the virtual server and the real server that a stored override
// is about, or nil.
func (m *Model) owner(s StoredOverride) (*virtualServer, *realServer) {
	for _, v := range m.servers {
		if v.config.Name == s.VirtualServer {
			if rs := v.at(s.Key.Address); rs != nil {
				return v, rs
			}
		}
	}
	return m.find(s.Key)
}

// at returns the configured real server of an address, which may have the port
// of a service where the configuration says none, or the other way round; nil
// if there is none.
func (v *virtualServer) at(address netip.AddrPort) *realServer {
	if rs := v.byAddress[address]; rs != nil {
		return rs
	}
	for _, service := range v.config.Services {
		if rs := v.find(service.Key(address)); rs != nil {
			return rs
		}
	}
	return nil
}

// Overrides returns the decisions that are in force, under each key of the
// real server, so that a successor finds it under any that it still has.
func (m *Model) Overrides() (stored []StoredOverride) {
	for _, v := range m.servers {
		for _, rs := range v.realServers {
			if rs.override == nil {
				continue
			}
			for _, service := range v.config.Services {
				stored = append(stored, StoredOverride{v.config.Name, service.Key(rs.config.Address), *rs.override})
			}
		}
	}
	return stored
}

// followNames gives the real servers of a virtual server the decisions about
// those that one of its name has had until now: whoever decides names both.
func (v *virtualServer) followNames(namesake *virtualServer) {
	if namesake == nil {
		return
	}
	for _, rs := range v.realServers {
		if old := namesake.at(rs.config.Address); old != nil {
			rs.override = old.override
		}
	}
}

// loseOverrides records the decisions that a reload leaves nothing of.
func (m *Model) loseOverrides(old []*virtualServer) {
	inForce := make(map[*Override]bool)
	for _, v := range m.servers {
		for _, rs := range v.realServers {
			if rs.override != nil {
				inForce[rs.override] = true
			}
		}
	}
	for _, v := range old {
		for _, rs := range v.realServers {
			if rs.override != nil && !inForce[rs.override] {
				m.lost = append(m.lost, LostOverride{v.config.Name, rs.config.Address, *rs.override})
			}
		}
	}
}

// LostOverrides returns the decisions that have been lost since the last call.
func (m *Model) LostOverrides() (lost []LostOverride) {
	lost, m.lost = m.lost, nil
	return lost
}
