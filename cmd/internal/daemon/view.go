package daemon

import (
	"slices"
	"time"

	"bascule/cmd/internal/config"
	"bascule/cmd/internal/control"
	"bascule/vrrp"
)

// routerConfigs are the virtual routers of a configuration, for what the
// speaker does not tell of them.
type routerConfigs map[vrrp.RouterKey]vrrp.RouterConfig

// newRouterConfigs returns the virtual routers of a configuration.
func newRouterConfigs(node *config.Node) *routerConfigs {
	routers := make(routerConfigs)
	for _, g := range node.Groups {
		for _, r := range g.Routers {
			routers[r.RouterKey] = r
		}
	}
	return &routers
}

// viewGroups turns the speaker's snapshot into what control shows.
func (s service) viewGroups(groups []vrrp.GroupStatus) []control.Group {
	now, configs := time.Now(), *s.d.routers.Load()
	views := make([]control.Group, 0, len(groups))
	for _, g := range groups {
		v := control.Group{
			Name: g.Name, State: g.State.String(), Since: g.Since, Reason: g.Reason, Priority: int(g.Priority),
			Faults: append([]string{}, g.Faults...), Waiting: append([]string{}, g.Waiting...),
			Routers: make([]control.Router, 0, len(g.Routers)),
		}
		if at := g.StartsAt; g.State == vrrp.Initialize && now.Before(at) {
			v.StartAt = &at
		}
		for _, r := range g.Routers {
			v.Routers = append(v.Routers, viewRouter(r, configs[r.RouterKey]))
		}
		views = append(views, v)
	}
	return views
}

// viewRouter turns one router's status and its configuration into what
// control shows. No secret is in it.
func viewRouter(r vrrp.RouterStatus, config vrrp.RouterConfig) control.Router {
	v := control.Router{
		Name: r.Name, Interface: r.Interface, VRID: int(r.VRID), Family: r.Family.String(),
		Version: versionNumber(config.Version), Password: config.Password != "",
		Unicast: viewUnicast(config.Unicast), Authentication: viewAuthentication(config.Auth),
		State: r.State.String(), Addresses: make([]string, 0, len(r.Addresses)),
		ActivePriority: int(r.ActivePriority), Counters: viewCounters(r.Counters),
	}
	for _, p := range r.Addresses {
		v.Addresses = append(v.Addresses, p.String())
	}
	forms := r.Family == vrrp.IPv4 && config.Version == vrrp.Version3
	if forms {
		v.Checksum = config.Checksum.String()
	}
	if r.ActiveSource.IsValid() {
		v.ActiveSource = r.ActiveSource.String()
		if r.State == vrrp.Backup && forms {
			v.ActiveChecksum = r.ActiveChecksum.String()
		}
	}
	return v
}

// versionNumber is the number that the configuration gives a version.
func versionNumber(v vrrp.Version) int {
	if v == vrrp.Version2 {
		return 2
	}
	return 3
}

// viewUnicast turns the directors of a router into what control shows; nil is
// multicast.
func viewUnicast(u *vrrp.Unicast) *control.Unicast {
	if u == nil {
		return nil
	}
	v := &control.Unicast{Source: u.Source.String(), Peers: make([]control.UnicastPeer, 0, len(u.Peers))}
	for _, p := range u.Peers {
		v.Peers = append(v.Peers, control.UnicastPeer{Address: p.Address.String(), Routed: p.Routed})
	}
	return v
}

// viewAuthentication turns all but the secrets of an authentication into what
// control shows; nil is none.
func viewAuthentication(a *vrrp.Auth) *control.Authentication {
	if a == nil {
		return nil
	}
	v := &control.Authentication{Mode: a.Mode.String(), ActiveKey: int(a.Active), Keys: []int{}, Window: a.Window.String()}
	for _, key := range a.Keys {
		v.Keys = append(v.Keys, int(key.ID))
	}
	slices.Sort(v.Keys)
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
