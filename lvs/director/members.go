package director

import (
	"net/netip"

	"bascule/lvs"
)

// logMembers logs the real servers that have become members, or are members
// no longer, since it was called last.
func (l *loop) logMembers() {
	if !l.unlogged {
		return
	}
	l.unlogged = false
	members := make(map[lvs.RealServerKey]string)
	for _, vs := range l.model.Status() {
		for _, rs := range vs.RealServers {
			key := lvs.RealServerKey{Service: vs.Service.ServiceKey, Address: rs.Address}
			_, was := l.members[key]
			delete(l.members, key)
			if rs.Member {
				members[key] = vs.Name
			}
			if rs.Member != was {
				l.logMember(vs.Name, rs.Address, rs.Member, rs.Reason)
			}
		}
	}
	for key, name := range l.members {
		l.logMember(name, key.Address, false, "not configured any more")
	}
	l.members = members
}

// logMember logs what has become of one real server.
func (l *loop) logMember(virtualServer string, address netip.AddrPort, member bool, reason string) {
	l.log.Info("real server", "virtual_server", virtualServer, "address", address, "member", member, "reason", reason)
}
