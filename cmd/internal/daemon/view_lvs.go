package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bascule/cmd/internal/control"
	"bascule/lvs"
	"bascule/lvs/director"
)

// viewVirtualServers turns the director's snapshot into what control shows.
func viewVirtualServers(status *director.Status) []control.VirtualServer {
	views := make([]control.VirtualServer, 0, len(status.VirtualServers))
	for _, vs := range status.VirtualServers {
		views = append(views, viewVirtualServer(vs, status.Usage))
	}
	return views
}

// viewVirtualServer turns one virtual server into what control shows.
func viewVirtualServer(vs lvs.VirtualServerStatus, usage lvs.UsageTable) control.VirtualServer {
	first := vs.Services[0]
	v := control.VirtualServer{
		Name: vs.Name, Services: make([]string, 0, len(vs.Services)), Scheduler: first.Scheduler,
		Forwarding:  forwardings(vs.RealServers),
		RealServers: make([]control.RealServer, 0, len(vs.RealServers)), Sorry: make([]control.RealServer, 0, len(vs.Sorry)),
	}
	if first.Mark == 0 {
		v.Address, v.Protocol = first.Address.String(), first.Protocol.String()
	}
	if p := first.Persistence; p.Timeout > 0 {
		v.Persistence = p.Timeout.String()
	}
	for _, s := range vs.Services {
		v.Services = append(v.Services, s.ServiceKey.String())
	}
	if q := vs.Quorum; q.State != lvs.QuorumUnneeded {
		v.Quorum = &control.Quorum{
			State: q.State.String(), Since: q.Since, Weight: q.Weight,
			Needed: q.Needed.Weight, Hysteresis: q.Needed.Hysteresis, Reason: q.Reason,
		}
	}
	for _, rs := range vs.RealServers {
		v.RealServers = append(v.RealServers, viewRealServer(rs, vs.Usage(rs, usage)))
	}
	for _, rs := range vs.Sorry {
		v.Sorry = append(v.Sorry, viewRealServer(rs, vs.Usage(rs, usage)))
	}
	return v
}

// viewRealServer turns one real server, and what it does in all services, into
// what control shows.
func viewRealServer(rs lvs.RealServerStatus, u lvs.Usage) control.RealServer {
	v := control.RealServer{
		Address: viewHost(rs.Address), Weight: int(rs.Configured), Member: rs.State == lvs.Member,
		Healthy: rs.Health == lvs.Healthy || rs.Health == lvs.Unchecked, Health: rs.Health.String(), Reason: rs.Reason,
		State: rs.State.String(), Since: rs.Since, EffectiveWeight: int(rs.Weight), WeightReason: rs.Weighing, Leaving: rs.Leaving,
		Forwarding: rs.Forwarding.String(),
		Connections: control.Connections{
			Active: uint64(u.Active), Inactive: uint64(u.Inactive), Persistent: uint64(u.Persistent), Total: u.Connections,
		},
		Traffic: control.Traffic{PacketsIn: u.PacketsIn, PacketsOut: u.PacketsOut, BytesIn: u.BytesIn, BytesOut: u.BytesOut},
	}
	if !rs.Until.IsZero() {
		v.Until = &rs.Until
	}
	if o := rs.Override; o.Kind != lvs.Enable {
		v.Override = &control.Override{Action: o.Kind.String(), Weight: o.Weight, Reason: o.Reason, Since: o.Since}
	}
	return v
}

// viewHost writes the address of a real server as it is configured: without a
// port if that is the service's.
func viewHost(address netip.AddrPort) string {
	if address.Port() == 0 {
		return address.Addr().String()
	}
	return address.String()
}

// forwardings names the forwarding methods of real servers, in their order.
func forwardings(servers []lvs.RealServerStatus) string {
	var names []string
	for _, rs := range servers {
		if name := rs.Forwarding.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// serverProblems lists virtual servers that do not have what they need.
func serverProblems(status *director.Status, now time.Time) []string {
	var problems []string
	for _, vs := range status.VirtualServers {
		add := func(words string) { problems = append(problems, vs.Name+": "+words) }
		if q := vs.Quorum; q.State == lvs.QuorumLost || q.State == lvs.QuorumAwaited {
			add(fmt.Sprintf("quorum %v for %s: %s", q.State, control.Age(now.Sub(q.Since)), q.Reason))
		}
		switch vs.Staying {
		case lvs.AllDownLast:
			add("all real servers are down, and those that failed last stay (all_down)")
		case lvs.AllDownAll:
			add("all real servers are down, and all stay (all_down)")
		}
		if !vs.TakesConnections() {
			add("nobody takes connections")
		}
	}
	return problems
}

// viewSyncDaemons lists the sync daemons that run, and those that are wanted
// and do not, in the order of their roles.
func viewSyncDaemons(status *director.Status) []control.SyncDaemon {
	views := []control.SyncDaemon{}
	for _, role := range []lvs.SyncRole{lvs.SyncSender, lvs.SyncReceiver} {
		wanted, want := status.WantedDaemons[role]
		running, runs := status.Daemons[role]
		good := want && runs && wanted.In(running)
		view := func(d lvs.SyncDaemon, runs, want bool) {
			views = append(views, control.SyncDaemon{
				Role: role.String(), Interface: d.Interface, ID: int(d.ID), Running: runs, Wanted: want,
			})
		}
		if runs {
			view(running, true, good)
		}
		if want && !good {
			view(wanted, false, true)
		}
	}
	return views
}

// viewTimeouts compares the kernel's timeouts with the wanted ones, nil if they
// are not known.
func viewTimeouts(status *director.Status) *control.Timeouts {
	found, wanted := status.Timeouts, status.WantedTimeouts
	if found == (lvs.Timeouts{}) {
		return nil
	}
	view := func(found, wanted time.Duration) control.Timeout {
		v := control.Timeout{Found: found.String()}
		if wanted != 0 {
			v.Wanted = wanted.String()
		}
		return v
	}
	return &control.Timeouts{TCP: view(found.TCP, wanted.TCP), TCPFin: view(found.TCPFin, wanted.TCPFin), UDP: view(found.UDP, wanted.UDP)}
}
