package lvs

import "net/netip"

// Health is what is known of a real server's health.
type Health uint8

// The values of Health.
const (
	Unknown   Health = iota // it is checked, and no check has ended yet
	Healthy                 // the latest fact is good
	Unhealthy               // the latest fact is bad
	Unchecked               // no check is configured
)

// String returns the word that status and logs use.
func (h Health) String() string {
	switch h {
	case Unknown:
		return "unknown"
	case Healthy:
		return "healthy"
	case Unhealthy:
		return "unhealthy"
	case Unchecked:
		return "unchecked"
	}
	return "invalid health"
}

// VirtualServerStatus is what a Model knows of one virtual server.
type VirtualServerStatus struct {
	Name        string
	Service     Service
	Forwarding  Forwarding
	RealServers []RealServerStatus // all that are configured, in that order
}

// RealServerStatus is what a Model knows of one real server.
type RealServerStatus struct {
	Address netip.AddrPort
	Weight  uint32 // as configured
	Member  bool   // whether it is wanted in the kernel's table
	Health  Health
	Reason  string // why it is a member or is not; may be empty if it is healthy
}

// status returns the virtual server's status. A withdrawn one has no members.
func (v *virtualServer) status(withdrawn bool) VirtualServerStatus {
	status := VirtualServerStatus{
		Name:        v.config.Name,
		Service:     v.config.Service,
		Forwarding:  v.config.Forwarding,
		RealServers: make([]RealServerStatus, 0, len(v.realServers)),
	}
	for _, rs := range v.realServers {
		line := RealServerStatus{
			Address: rs.config.Address,
			Weight:  rs.config.Weight,
			Member:  rs.member(),
			Health:  rs.health(),
			Reason:  rs.reason(),
		}
		if withdrawn {
			line.Member, line.Reason = false, "virtual server withdrawn"
		}
		status.RealServers = append(status.RealServers, line)
	}
	return status
}
