package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bascule/cmd/internal/lab"
)

// network shows the hosts, and asks each web server from lb's side: the
// client reaches them by the directors only.
func (d *demo) network(ctx context.Context) (string, error) {
	if err := showHosts(d.out, d.lab); err != nil {
		return "", err
	}
	var names []string
	for _, web := range d.webs {
		name, err := d.lab.LB.Get(ctx, web.Address())
		if err != nil {
			return "", fmt.Errorf("%s: %v", web.Host().Name, err)
		}
		names = append(names, name)
	}
	return "answers from " + strings.Join(names, ", "), nil
}

// start starts both directors at about the same time.
func (d *demo) start(ctx context.Context) (string, error) {
	began := time.Now()
	for _, director := range []*lab.Director{d.lb, d.lb2} {
		d.note("bascule starts on %s", director.Host().Name)
		if err := director.Start(ctx); err != nil {
			return "", err
		}
	}
	if err := d.settled(ctx, d.lb, d.lb2); err != nil {
		return "", err
	}
	took := time.Since(began)
	if err := d.showAddresses(); err != nil {
		return "", err
	}
	return fmt.Sprintf("lb active after %.1f s, both virtual addresses on it; lb2 backup", took.Seconds()), nil
}

// balance waits until all web servers are members, and counts the answers.
func (d *demo) balance(ctx context.Context) (string, error) {
	return d.balanced(ctx, d.lb, map[string]int{"web1": 60, "web2": 20, "web3": 20})
}

// loseDirector kills the active director, cuts its cables, and measures what
// the client sees.
func (d *demo) loseDirector(ctx context.Context) (string, error) {
	probe := d.lab.Client.Probe(lab.ServiceAddress, probing)
	if err := answers(ctx, probe, 20); err != nil {
		return "", err
	}
	d.note("bascule on lb is killed and the cables of lb are cut")
	if err := errors.Join(d.lb.Kill(), d.lab.LB.CutLinks()); err != nil {
		return "", err
	}
	if _, err := d.lb2.AwaitState(ctx, lab.ReferenceGroup, lab.StateActive); err != nil {
		return "", err
	}
	d.note("lb2 is active")
	if err := d.holds(ctx, d.lb2.Host(), true); err != nil {
		return "", err
	}
	gap, after, err := closedGap(ctx, probe, 50)
	if err != nil {
		return "", err
	}
	if err := d.showAddresses(); err != nil {
		return "", err
	}
	observed := fmt.Sprintf("lb2 took over: gap of %.2f s, then %d answers", gap.Seconds(), after)
	if gap >= tolerance {
		return "", fmt.Errorf("%s: the gap is too long", observed)
	}
	return observed, nil
}

// returnDirector starts the lost director again and plugs in its cables: it
// takes over, as it is preferred, and the client must hardly notice.
func (d *demo) returnDirector(ctx context.Context) (string, error) {
	d.note("bascule starts on lb, which still has no link")
	if err := d.lb.Start(ctx); err != nil {
		return "", err
	}
	// A crashed program leaves its addresses behind. They have to go before
	// the cables come back, or two hosts have them.
	if err := d.holds(ctx, d.lab.LB, false); err != nil {
		return "", err
	}
	probe := d.lab.Client.Probe(lab.ServiceAddress, probing)
	began := time.Now()
	if err := d.lab.LB.RestoreLinks(); err != nil {
		return "", err
	}
	d.note("the cables of lb are plugged in")
	if err := d.settled(ctx, d.lb, d.lb2); err != nil {
		return "", err
	}
	took := time.Since(began)
	if err := answers(ctx, probe, probe.Report().Total()+50); err != nil {
		return "", err
	}
	report, err := probe.Stop()
	if err != nil {
		return "", err
	}
	if overlaps := lab.SimultaneousActives(d.capture.Frames()); len(overlaps) > 0 {
		return "", fmt.Errorf("two directors were active at once: %v", overlaps)
	}
	observed := fmt.Sprintf("lb active again after %.1f s, never two; longest gap %.2f s", took.Seconds(), report.Longest().Seconds())
	if report.Longest() >= hardly {
		return "", fmt.Errorf("%s: the gap is too long (%s)", observed, report.Last)
	}
	return observed, nil
}

// loseWebServer stops web2 and waits until it is out of the balance.
func (d *demo) loseWebServer(ctx context.Context) (string, error) {
	probe := d.lab.Client.Probe(lab.ServiceAddress, probing)
	if err := answers(ctx, probe, 20); err != nil {
		return "", err
	}
	d.note("web2 stops")
	began := time.Now()
	if err := d.webs[1].Stop(); err != nil {
		return "", err
	}
	if err := d.members(ctx, d.lb, d.webs[0], d.webs[2]); err != nil {
		return "", err
	}
	took := time.Since(began)
	report, err := probe.Stop()
	if err != nil {
		return "", err
	}
	d.note("web2 is out after %.1f s; until then %d of %d requests failed", took.Seconds(), report.Failures, report.Failures+report.Total())
	if took >= tolerance {
		return "", fmt.Errorf("web2 was out only after %.1f s", took.Seconds())
	}
	counts, err := d.balanced(ctx, d.lb, map[string]int{"web1": 75, "web3": 25})
	return fmt.Sprintf("web2 out of IPVS after %.1f s; %s", took.Seconds(), counts), err
}

// returnWebServer starts web2 and waits until it is in the balance.
func (d *demo) returnWebServer(ctx context.Context) (string, error) {
	began := time.Now()
	if err := d.webs[1].Start(); err != nil {
		return "", err
	}
	d.note("web2 starts")
	if err := d.members(ctx, d.lb, d.webs...); err != nil {
		return "", err
	}
	took := time.Since(began)
	counts, err := d.balanced(ctx, d.lb, map[string]int{"web1": 60, "web2": 20, "web3": 20})
	return fmt.Sprintf("web2 in IPVS after %.1f s; %s", took.Seconds(), counts), err
}

// stop ends both directors in order and looks for what they leave behind.
func (d *demo) stop(ctx context.Context) (string, error) {
	began := time.Now()
	for _, director := range []*lab.Director{d.lb2, d.lb} {
		if err := director.Stop(ctx); err != nil {
			return "", err
		}
		d.note("bascule on %s has ended", director.Host().Name)
	}
	took := time.Since(began)
	for _, host := range []*lab.Host{d.lab.LB, d.lab.LB2} {
		if err := d.holds(ctx, host, false); err != nil {
			return "", err
		}
		services, err := host.IPVS(ctx)
		if err != nil || len(services) > 0 {
			return "", fmt.Errorf("services left in IPVS of %s: %+v, %v", host.Name, services, err)
		}
	}
	return fmt.Sprintf("both ended in %.1f s and left nothing", took.Seconds()), nil
}

// probing asks often, but leaves an emulated machine some of its time.
var probing = lab.ProbeConfig{Interval: 50 * time.Millisecond, Timeout: 500 * time.Millisecond}

// The bounds leave room for a machine that is busy with something else. A
// change of director takes about 3.6 s, one of membership about 1 s.
const (
	tolerance = 6 * time.Second
	hardly    = 2 * time.Second // a gap that a planned change may have
)

// vips are the addresses that move together.
func vips() []netip.Prefix { return []netip.Prefix{lab.PublicVIP, lab.InternalVIP} }

// settled waits until one director is active with both virtual addresses and
// the other one is backup with none.
func (d *demo) settled(ctx context.Context, active, backup *lab.Director) error {
	if _, err := active.AwaitState(ctx, lab.ReferenceGroup, lab.StateActive); err != nil {
		return err
	}
	d.note("%s is active", active.Host().Name)
	if _, err := backup.AwaitState(ctx, lab.ReferenceGroup, lab.StateBackup); err != nil {
		return err
	}
	d.note("%s is backup", backup.Host().Name)
	return errors.Join(d.holds(ctx, active.Host(), true), d.holds(ctx, backup.Host(), false))
}

// holds waits until a host has both virtual addresses, or neither.
func (d *demo) holds(ctx context.Context, host *lab.Host, present bool) error {
	for _, vip := range vips() {
		if err := lab.AwaitAddress(ctx, host, vip.Addr(), present); err != nil {
			return err
		}
	}
	return nil
}

// showAddresses prints which director has which virtual address in its
// kernel.
func (d *demo) showAddresses() error {
	for _, vip := range vips() {
		var holders []string
		for _, host := range []*lab.Host{d.lab.LB2, d.lab.LB} {
			has, err := host.HasAddress(vip.Addr())
			if err != nil {
				return err
			}
			linked, err := host.Up(lab.FirstCard)
			switch {
			case err != nil:
				return err
			case has && linked:
				holders = append(holders, host.Name)
			case has:
				holders = append(holders, "still on "+host.Name+", where nobody can reach it")
			}
		}
		d.note("%-15s on %s", vip.Addr(), strings.Join(holders, ", and "))
	}
	return nil
}

// members waits until exactly these web servers are members, by the kernel's
// IPVS table and by the director's status.
func (d *demo) members(ctx context.Context, director *lab.Director, webs ...*lab.WebServer) error {
	var want []string
	for _, web := range webs {
		want = append(want, web.Address().String())
	}
	for {
		services, err := director.Host().IPVS(ctx)
		if err != nil {
			return err
		}
		got := weighted(services)
		if slices.Equal(got, want) {
			_, err = director.AwaitMembers(ctx, lab.ReferenceVirtualServer, want...)
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("IPVS of %s has the real servers %v, want %v", director.Host().Name, got, want)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// weighted returns the addresses of the real servers of the web site that the
// kernel sends requests to, sorted.
func weighted(services []lab.IPVSService) []string {
	var addresses []string
	for _, s := range services {
		for _, dest := range s.Destinations {
			if s.Address == lab.ServiceAddress.String() && dest.Weight > 0 {
				addresses = append(addresses, dest.Address)
			}
		}
	}
	slices.Sort(addresses)
	return addresses
}

// balanced makes 100 requests and compares how many each web server has
// answered, once exactly the wanted ones are members.
func (d *demo) balanced(ctx context.Context, active *lab.Director, want map[string]int) (string, error) {
	webs := slices.DeleteFunc(slices.Clone(d.webs), func(w *lab.WebServer) bool { return want[w.Host().Name] == 0 })
	if err := d.members(ctx, active, webs...); err != nil {
		return "", err
	}
	got, err := d.lab.Client.Balance(ctx, lab.ServiceAddress, 100)
	if err != nil {
		return "", fmt.Errorf("after %s: %v", shares(got), err)
	}
	if !maps.EqualFunc(got, want, nearly) {
		return "", fmt.Errorf("%s, want %s", shares(got), shares(want))
	}
	return shares(got), nil
}

// nearly allows for a round of the scheduler that began before the first
// request or did not end with the last one.
func nearly(a, b int) bool { return a-b <= 2 && b-a <= 2 }

// answers waits until a probe has had a number of good answers.
func answers(ctx context.Context, probe *lab.Probe, n int) error {
	for {
		report := probe.Report()
		if report.Total() >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d answers of %d, %d failed requests, the last one: %s", report.Total(), n, report.Failures, report.Last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// closedGap waits until service is back and has given n more answers, ends
// the probe, and returns the longest gap and the answers since.
func closedGap(ctx context.Context, probe *lab.Probe, n int) (gap time.Duration, after int, err error) {
	for {
		report := probe.Report()
		if len(report.Gaps) > 0 && !report.Open {
			break
		}
		select {
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("service has not come back: %d failed requests, the last one: %s", report.Failures, report.Last)
		case <-time.After(20 * time.Millisecond):
		}
	}
	back := probe.Report().Total()
	if err := answers(ctx, probe, back+n); err != nil {
		return 0, 0, err
	}
	report, err := probe.Stop()
	return report.Longest(), report.Total() - back, err
}
