package daemon

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bascule/cmd/internal/control"
	"bascule/lvs"
)

// service answers the control socket. It reads snapshots only.
type service struct{ d *daemon }

var _ control.Service = service{}

// Status puts the snapshots of all parts together.
func (s service) Status() control.Status {
	vrrpStatus := s.d.speaker.Status()
	lvsStatus := s.d.director.Snapshot()
	problems := append([]string{}, routerProblems(vrrpStatus.Groups)...)
	problems = append(problems, s.d.observer.problems(time.Now())...)
	problems = append(problems, vrrpStatus.Problems...)
	problems = append(problems, s.d.network.Problems()...)
	problems = append(problems, serverProblems(lvsStatus, time.Now())...)
	problems = append(problems, forwardingProblems(lvsStatus, procSys)...)
	problems = append(problems, lvsStatus.Problems...)
	problems = append(problems, s.d.marker.problems()...)
	problems = append(problems, s.d.pool.Problems()...)
	if refused := s.d.refused.Load(); refused != nil {
		problems = append(problems, *refused)
	}
	return control.Status{
		Node: s.d.options.Node, Version: s.d.options.Version,
		Groups:         s.viewGroups(vrrpStatus.Groups),
		VirtualServers: viewVirtualServers(lvsStatus),
		Problems:       problems,
		Warnings:       s.d.checks.warnings(),
		Dropped:        viewDrops(vrrpStatus.Dropped),
		SyncDaemons:    viewSyncDaemons(lvsStatus),
		Timeouts:       viewTimeouts(lvsStatus),
	}
}

// Checks returns the checks that match a request.
func (s service) Checks(request control.ChecksRequest) iter.Seq[control.Check] {
	return viewChecks(s.d.checks.audience.Load(), s.d.pool, request)
}

// Reload asks the reloader.
func (s service) Reload(ctx context.Context) (control.ReloadResult, error) {
	changed, err := s.d.requestReload(ctx)
	return control.ReloadResult{Changed: changed}, err
}

// Override has the director carry out a decision about a real server, and
// stores it for a successor.
func (s service) Override(ctx context.Context, request control.OverrideRequest) error {
	realServer, err := parseHost(request.RealServer)
	if err != nil {
		return err
	}
	o := lvs.Override{Weight: request.Weight, Reason: request.Reason}
	kinds := []lvs.OverrideKind{lvs.Drain, lvs.Weigh, lvs.Enable}
	i := slices.IndexFunc(kinds, func(k lvs.OverrideKind) bool { return k.String() == request.Action })
	if i < 0 {
		return fmt.Errorf("action %q is unknown: %v, %v or %v", request.Action, kinds[0], kinds[1], kinds[2])
	}
	o.Kind = kinds[i]
	if err := s.d.director.Override(ctx, request.VirtualServer, realServer, o); err != nil {
		return err
	}
	s.d.log.Info("decision about a real server", "virtual_server", request.VirtualServer, "address", request.RealServer,
		"action", request.Action, "weight", request.Weight, "reason", request.Reason)
	if err := s.d.storeOverrides(); err != nil {
		return fmt.Errorf("in force, but it will not survive a restart: %v", err)
	}
	return nil
}

// Zero has the director set counters to zero.
func (s service) Zero(ctx context.Context, request control.ZeroRequest) error {
	if err := s.d.director.Zero(ctx, request.VirtualServer); err != nil {
		return err
	}
	s.d.log.Info("counters zeroed", "virtual_server", request.VirtualServer)
	return nil
}

// parseHost reads the address of a real server, with its port or without.
func parseHost(text string) (netip.AddrPort, error) {
	if address, err := netip.ParseAddrPort(text); err == nil {
		return address, nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address of a real server: such as 192.168.200.11:80 or 192.168.200.11", text)
	}
	return netip.AddrPortFrom(addr, 0), nil
}
