package lvs

import (
	"net/netip"
	"slices"
	"time"
)

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

// RealServerState is where a real server is wanted to be.
type RealServerState uint8

// The states of a real server.
const (
	Out       RealServerState = iota // not in the kernel's table
	Member                           // in it with its weight
	Inhibited                        // in it with weight 0, because its check or the quorum has put it out
	Draining                         // in it with weight 0, until its connections end
)

// String returns the word that status and logs use.
func (s RealServerState) String() string {
	switch s {
	case Out:
		return "out"
	case Member:
		return "member"
	case Inhibited:
		return "inhibited"
	case Draining:
		return "draining"
	}
	return "invalid state"
}

// VirtualServerStatus is what a Model knows of one virtual server.
type VirtualServerStatus struct {
	Name        string
	Services    []Service
	RealServers []RealServerStatus // all that are configured, in that order, and then those that are leaving
	Sorry       []RealServerStatus // all that are configured, in that order
	Quorum      QuorumStatus
	Staying     AllDown // the policy by which there are members although all are down; AllDownNone if it is not in force
}

// TakesConnections says whether any real server or sorry server takes new
// connections.
func (v VirtualServerStatus) TakesConnections() bool {
	takes := func(rs RealServerStatus) bool { return rs.State == Member && rs.Weight > 0 }
	return slices.ContainsFunc(v.RealServers, takes) || slices.ContainsFunc(v.Sorry, takes)
}

// QuorumStatus is what a Model knows of a virtual server's quorum.
type QuorumStatus struct {
	State  QuorumState
	Since  time.Time
	Weight uint64 // sum of the weights that healthy real servers have as members, or will have when they have started
	Needed Quorum
	Reason string // empty if none is needed
}

// RealServerStatus is what a Model knows of one real server.
type RealServerStatus struct {
	Address    netip.AddrPort // as configured
	Forwarding Forwarding
	State      RealServerState
	Since      time.Time // when State became what it is
	Reason     string    // why it is so; may be empty if it is healthy
	Health     Health
	Configured uint32    // the weight that is configured
	Weight     uint32    // the weight that is wanted in the kernel now
	Weighing   string    // why that of a member is not the configured one; "" if it is
	Until      time.Time // when its weight has risen to the full one, or its draining ends at the latest; zero: neither
	Override   Override  // of the administrator; its zero value is none
	Leaving    bool      // not configured any more
}

// Usage adds up what a real server does in all services.
func (v VirtualServerStatus) Usage(rs RealServerStatus, of UsageTable) (sum Usage) {
	for _, service := range v.Services {
		usage, _ := of.Of(service.Key(rs.Address))
		sum = sum.add(usage)
	}
	return sum
}

// add returns the sum of two usages.
func (u Usage) add(o Usage) Usage {
	return Usage{
		Active: u.Active + o.Active, Inactive: u.Inactive + o.Inactive, Persistent: u.Persistent + o.Persistent,
		Connections: u.Connections + o.Connections,
		PacketsIn:   u.PacketsIn + o.PacketsIn, PacketsOut: u.PacketsOut + o.PacketsOut,
		BytesIn: u.BytesIn + o.BytesIn, BytesOut: u.BytesOut + o.BytesOut,
	}
}

// Status returns everything that is configured, in that order, as of the
// latest Advance. The caller must not change it; the model does not either.
func (m *Model) Status() []VirtualServerStatus {
	if m.statuses != nil {
		return m.statuses
	}
	m.statuses = make([]VirtualServerStatus, 0, len(m.servers))
	for _, v := range m.servers {
		if v.unshown || v.status.Services == nil {
			v.unshown, v.status = false, v.show(m.withdrawn)
		}
		m.statuses = append(m.statuses, v.status)
	}
	return m.statuses
}

// show returns the virtual server's status. A withdrawn one has no members.
func (v *virtualServer) show(withdrawn bool) VirtualServerStatus {
	status := VirtualServerStatus{
		Name:        v.config.Name,
		Services:    v.config.Services,
		RealServers: make([]RealServerStatus, 0, len(v.realServers)+len(v.leaving)),
		Quorum:      QuorumStatus{v.quorum.state, v.quorum.since, v.quorum.sum, v.quorum.need, v.quorumReason()},
	}
	if !withdrawn {
		status.Staying = v.staying
	}
	for _, servers := range v.everyone() {
		for _, rs := range servers {
			status.RealServers = append(status.RealServers, v.realServerStatus(rs, withdrawn))
		}
	}
	for _, config := range v.config.Sorry {
		status.Sorry = append(status.Sorry, v.sorryStatus(config, withdrawn))
	}
	return status
}

// realServerStatus returns the status of one real server.
func (v *virtualServer) realServerStatus(rs *realServer, withdrawn bool) RealServerStatus {
	status := RealServerStatus{
		Address: rs.config.Address, Forwarding: rs.config.Forwarding,
		State: rs.state, Since: rs.since, Reason: rs.reason(), Health: rs.health(),
		Configured: rs.config.Weight, Weight: rs.weight, Weighing: rs.weighing(), Until: rs.until, Leaving: rs.only != nil,
	}
	if rs.override != nil {
		status.Override = *rs.override
	}
	if rs.state == Member && rs.ramp != nil {
		status.Until = rs.ramp.end
	}
	if withdrawn {
		status.State, status.Weight, status.Until = Out, 0, time.Time{}
		status.Weighing, status.Reason = "", "virtual server withdrawn"
	}
	return status
}

// sorryStatus returns the status of one sorry server.
func (v *virtualServer) sorryStatus(config RealServerConfig, withdrawn bool) RealServerStatus {
	status := RealServerStatus{
		Address: config.Address, Forwarding: config.Forwarding, Health: Unchecked, Configured: config.Weight,
		Since: v.quorum.since, Reason: "there are enough healthy real servers",
	}
	switch {
	case withdrawn:
		status.Reason = "virtual server withdrawn"
	case v.sorry:
		status.State, status.Weight, status.Reason = Member, config.Weight, "the quorum is missing"
	}
	return status
}

// quorumReason says in words what the state of the quorum is and means.
func (v *virtualServer) quorumReason() string {
	reason := v.quorum.reason()
	switch {
	case !v.quorum.state.missing():
	case v.sorry:
		reason += ": the sorry servers have taken over"
	default:
		reason += ": no sorry server, the remaining members stay"
	}
	return reason
}
