package lvs

import "net/netip"

// Change tells what has become of a real server, or of a virtual server's
// quorum.
type Change struct {
	VirtualServer string
	RealServer    netip.AddrPort  // as configured; invalid if the change is of the quorum
	State         RealServerState // of the real server
	Quorum        QuorumState     // of the virtual server
	Reason        string
}

// Changes returns what has changed since the last call, as of the latest
// Advance. What has changed back meanwhile is left out.
func (m *Model) Changes() []Change {
	changes := m.gone
	m.gone = nil
	for _, v := range m.servers {
		if v.changed {
			v.changed = false
			changes = v.appendChanges(changes, m.withdrawn)
		}
	}
	return changes
}

// appendChanges appends what has changed of one virtual server.
func (v *virtualServer) appendChanges(changes []Change, withdrawn bool) []Change {
	state := v.quorum.state
	if v.told != state && !withdrawn {
		if state == QuorumLost || v.told == QuorumLost || state == QuorumReached {
			changes = append(changes, Change{VirtualServer: v.config.Name, Quorum: state, Reason: v.quorumReason()})
		}
		v.told = state
	}
	for _, servers := range v.everyone() {
		for _, rs := range servers {
			shown := v.realServerStatus(rs, withdrawn)
			if rs.told != shown.State {
				rs.told = shown.State
				changes = append(changes, Change{v.config.Name, shown.Address, shown.State, state, shown.Reason})
			}
		}
	}
	return changes
}

// farewell is the last change of a real server that was not out.
func (v *virtualServer) farewell(rs *realServer, reason string) Change {
	return Change{v.config.Name, rs.config.Address, Out, v.quorum.state, reason}
}
