package daemon

import (
	"context"

	"bascule/cmd/internal/control"
)

// service answers the control socket. It reads snapshots only.
type service struct{ d *daemon }

var _ control.Service = service{}

// Status puts the snapshots of all parts together.
func (s service) Status() control.Status {
	vrrpStatus := s.d.speaker.Status()
	lvsStatus := s.d.director.Snapshot()
	problems := append([]string{}, routerProblems(vrrpStatus.Groups)...)
	problems = append(problems, vrrpStatus.Problems...)
	problems = append(problems, s.d.network.Problems()...)
	problems = append(problems, lvsStatus.Problems...)
	problems = append(problems, s.d.pool.Problems()...)
	if refused := s.d.refused.Load(); refused != nil {
		problems = append(problems, *refused)
	}
	return control.Status{
		Node: s.d.options.Node, Version: s.d.options.Version,
		Groups:         viewGroups(vrrpStatus.Groups),
		VirtualServers: viewVirtualServers(lvsStatus.VirtualServers),
		Problems:       problems,
		Dropped:        viewDrops(vrrpStatus.Dropped),
	}
}

// Reload asks the reloader.
func (s service) Reload(ctx context.Context) (control.ReloadResult, error) {
	changed, err := s.d.requestReload(ctx)
	return control.ReloadResult{Changed: changed}, err
}
