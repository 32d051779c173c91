package daemon

import (
	"bascule/cmd/internal/control"
	"bascule/lvs"
	"bascule/vrrp"
)

// viewGroups turns the speaker's snapshot into what control shows.
func viewGroups(groups []vrrp.GroupStatus) []control.Group {
	views := make([]control.Group, 0, len(groups))
	for _, g := range groups {
		v := control.Group{
			Name: g.Name, State: g.State.String(), Since: g.Since, Reason: g.Reason,
			Priority: int(g.Priority), Faults: append([]string{}, g.Faults...),
			Routers: make([]control.Router, 0, len(g.Routers)),
		}
		for _, r := range g.Routers {
			v.Routers = append(v.Routers, viewRouter(r))
		}
		views = append(views, v)
	}
	return views
}

// viewRouter turns one router's status into what control shows.
func viewRouter(r vrrp.RouterStatus) control.Router {
	v := control.Router{
		Name: r.Name, Interface: r.Interface, VRID: int(r.VRID), Family: r.Family.String(),
		State: r.State.String(), Addresses: make([]string, 0, len(r.Addresses)),
		ActivePriority: int(r.ActivePriority), Counters: viewCounters(r.Counters),
	}
	for _, p := range r.Addresses {
		v.Addresses = append(v.Addresses, p.String())
	}
	if r.ActiveSource.IsValid() {
		v.ActiveSource = r.ActiveSource.String()
		if r.State == vrrp.Backup && r.Family == vrrp.IPv4 {
			v.ActiveChecksum = r.ActiveChecksum.String()
		}
	}
	return v
}

// viewCounters turns counters into what control shows.
func viewCounters(c vrrp.Counters) control.Counters {
	return control.Counters{
		Sent: c.Sent, SentPriorityZero: c.SentPriorityZero,
		Received: c.Received, ReceivedPriorityZero: c.ReceivedPriorityZero,
		BecameActive: c.BecameActive, Dropped: viewDrops(c.Dropped),
	}
}

// viewDrops turns the counters that are not zero into what control shows.
func viewDrops(drops vrrp.Drops) map[string]uint64 {
	v := make(map[string]uint64)
	for reason, n := range drops {
		if n > 0 {
			v[vrrp.DropReason(reason).String()] = n
		}
	}
	return v
}

// viewVirtualServers turns the director's snapshot into what control shows.
func viewVirtualServers(servers []lvs.VirtualServerStatus) []control.VirtualServer {
	views := make([]control.VirtualServer, 0, len(servers))
	for _, vs := range servers {
		v := control.VirtualServer{
			Name: vs.Name, Address: vs.Service.Address.String(), Protocol: vs.Service.Protocol.String(),
			Scheduler: vs.Service.Scheduler, Forwarding: vs.Forwarding.String(),
			RealServers: make([]control.RealServer, 0, len(vs.RealServers)),
		}
		for _, rs := range vs.RealServers {
			v.RealServers = append(v.RealServers, control.RealServer{
				Address: rs.Address.String(), Weight: int(rs.Weight), Member: rs.Member,
				Healthy: rs.Health == lvs.Healthy || rs.Health == lvs.Unchecked, Health: rs.Health.String(), Reason: rs.Reason,
			})
		}
		views = append(views, v)
	}
	return views
}

// routerProblems lists what stands out about virtual routers, each with the
// place where it was seen.
func routerProblems(groups []vrrp.GroupStatus) []string {
	var problems []string
	for _, g := range groups {
		for _, f := range g.Faults {
			problems = append(problems, g.Name+"."+f)
		}
		for _, r := range g.Routers {
			for _, p := range r.Problems {
				problems = append(problems, g.Name+"."+r.Name+": "+p)
			}
		}
	}
	return problems
}
