package lvs

import (
	"net/netip"
	"slices"
)

// Fact is the latest that a health check says about a real server.
type Fact struct {
	Healthy bool
	Reason  string // why, in the words of the check: "connection refused"
}

// adoption is what a real server was when it came into the configuration, or
// when its check did: it decides on membership until there is a fact.
type adoption uint8

// The states of adoption.
const (
	undecided adoption = iota // the kernel's table has not been read yet
	newcomer                  // no member: no traffic before its first good check
	takenOver                 // in the kernel when the process started: it stays until a check says otherwise
	retained                  // a member without a check: it stays until the check says otherwise
)

// realServer is a configured real server with what is known about it.
type realServer struct {
	config   RealServerConfig
	adoption adoption
	known    bool // whether fact has been observed
	fact     Fact // the latest one
}

// member says whether the real server is to be in the kernel's table.
func (r *realServer) member() bool {
	switch {
	case !r.config.Checked:
		return true
	case r.known:
		return r.fact.Healthy
	}
	return r.adoption == takenOver || r.adoption == retained
}

// health returns what is known of the real server's health.
func (r *realServer) health() Health {
	switch {
	case !r.config.Checked:
		return Unchecked
	case !r.known:
		return Unknown
	case r.fact.Healthy:
		return Healthy
	}
	return Unhealthy
}

// reason says why the real server is a member or is not.
func (r *realServer) reason() string {
	switch {
	case !r.config.Checked:
		return "no check configured"
	case r.known:
		return r.fact.Reason
	case r.adoption == takenOver:
		return "found in the kernel, no check result yet"
	case r.adoption == retained:
		return "not checked until now, no check result yet"
	}
	return "no check result yet"
}

// virtualServer is a configured virtual server with its real servers, in the
// order of the configuration.
type virtualServer struct {
	config      VirtualServerConfig
	realServers []*realServer
}

// newVirtualServer builds a virtual server. Real servers found in known keep
// what is known about them. One that was not checked and is now was a member,
// and stays one; with the end of checking what is known loses its meaning.
func newVirtualServer(config VirtualServerConfig, known map[RealServerKey]*realServer) *virtualServer {
	config.RealServers = slices.Clone(config.RealServers)
	vs := &virtualServer{config: config}
	for _, rc := range config.RealServers {
		rs := &realServer{config: rc}
		old := known[RealServerKey{config.ServiceKey, rc.Address}]
		switch {
		case old == nil:
		case old.config.Checked == rc.Checked:
			rs.adoption, rs.known, rs.fact = old.adoption, old.known, old.fact
		case rc.Checked:
			rs.adoption = retained
		}
		vs.realServers = append(vs.realServers, rs)
	}
	return vs
}

// entry returns what the kernel should hold for the virtual server.
func (v *virtualServer) entry() Entry {
	destinations := make(map[netip.AddrPort]Destination, len(v.realServers))
	for _, rs := range v.realServers {
		if rs.member() {
			destinations[rs.config.Address] = Destination{
				Address:    rs.config.Address,
				Forwarding: v.config.Forwarding,
				Weight:     rs.config.Weight,
			}
		}
	}
	return Entry{Service: v.config.Service, Destinations: destinations}
}
