//go:build ipvs

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/cmd/internal/lab"
)

// The web servers as the configuration names them.
var allWeb = []string{"192.168.200.11:80", "192.168.200.12:80", "192.168.200.13:80"}

// The check parameters of lab.ReferenceConfig.
const (
	checkInterval = time.Second
	checkTimeout  = time.Second
)

// priorityLB2 is lb2's priority in lab.ReferenceConfig.
const priorityLB2 = 100

// site is the tutorial's network at work: both directors run, lb is active,
// all web servers are members on both.
type site struct {
	*lab.Lab
	lb, lb2 *lab.Director
	web     []*lab.WebServer
}

// newSite builds the network and waits until it is at work.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Lab: lab.NewT(t)}
	web, err := s.StartWebServers()
	must(t, err)
	s.web = web
	s.lb, s.lb2 = newDirector(t, s.LB, lab.ReferenceConfig), newDirector(t, s.LB2, lab.ReferenceConfig)
	ctx := bounded(t)
	must(t, s.lb.Start(ctx))
	must(t, s.lb2.Start(ctx))
	s.awaitWhole(t)
	return s
}

// awaitWhole waits until everything is as the configuration wants it.
func (s *site) awaitWhole(t *testing.T) {
	t.Helper()
	ctx := bounded(t)
	_, err := s.lb.AwaitState(ctx, "web", "active")
	must(t, err)
	_, err = s.lb2.AwaitState(ctx, "web", "backup")
	must(t, err)
	for _, d := range []*lab.Director{s.lb, s.lb2} {
		_, err = d.AwaitMembers(ctx, "www", allWeb...)
		must(t, err)
	}
	awaitVIPs(t, s.LB, true)
	awaitVIPs(t, s.LB2, false)
}

// siteProbe is a probe of the web site, and of how long this machine kept it
// from running meanwhile.
type siteProbe struct {
	*lab.Probe
	holdUps func() time.Duration
}

// gapOf stops a probe and checks its longest gap against a bound.
func gapOf(t *testing.T, p siteProbe, what string, bound time.Duration) {
	t.Helper()
	report, err := p.Stop()
	must(t, err)
	held := p.holdUps()
	t.Logf("%s: %d answers, %d failures", what, report.Total(), report.Failures)
	if report.Open || report.Total() == 0 {
		t.Errorf("%s: service did not return: %+v", what, report)
	}
	timely(t, what+": gap in service", report.Longest(), bound, held)
}

// probe starts a probe of the web site that waits so long for each answer, and
// waits until it has some.
func (s *site) probe(t *testing.T, timeout time.Duration) siteProbe {
	t.Helper()
	p := siteProbe{s.Client.Probe(lab.ServiceAddress, lab.ProbeConfig{Timeout: timeout}), holdUps(t.Context())}
	awaitAnswers(t, p.Probe, 10)
	return p
}

// awaitAnswers waits until a probe has n more answers.
func awaitAnswers(t testing.TB, p *lab.Probe, n int) {
	t.Helper()
	want := p.Report().Total() + n
	await(t, patience, fmt.Sprintf("%d answers", n), func() bool { return p.Report().Total() >= want })
}

// await polls until a condition holds, and returns how long that took.
func await(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > limit {
			t.Fatalf("waited %v for %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// within waits until a condition holds and checks how long that took.
func within(t testing.TB, bound time.Duration, what string, holds func() bool) {
	t.Helper()
	heldUp := holdUps(t.Context())
	took := await(t, patience, what, holds)
	timely(t, what, took, bound, heldUp())
}

// members returns the real servers of the web site in a host's kernel table.
func members(t testing.TB, host *lab.Host) []string {
	t.Helper()
	services, err := host.IPVS(t.Context())
	must(t, err)
	var all []string
	for _, s := range services {
		for _, d := range s.Destinations {
			all = append(all, d.Address)
		}
	}
	slices.Sort(all)
	return all
}

// TestSeedBalance makes 100 requests, one after the other, at weights 3, 1
// and 1.
func TestSeedBalance(t *testing.T) {
	s := newSite(t)
	got, err := s.Client.Balance(bounded(t), lab.ServiceAddress, 100)
	must(t, err)
	want := map[string]int{"web1": 60, "web2": 20, "web3": 20}
	t.Logf("FIGURE balance of 100 requests: %v", got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// TestActiveKilled loses the active director as a power cut does: SIGKILL and
// its links. Then it comes back and preempts.
func TestActiveKilled(t *testing.T) {
	s := newSite(t)
	capture, err := s.Capture()
	must(t, err)
	p := s.probe(t, 100*time.Millisecond)
	must(t, s.lb.Kill())
	must(t, s.LB.CutLinks())
	awaitVIPs(t, s.LB2, true)
	awaitAnswers(t, p.Probe, 10)
	gapOf(t, p, "active director killed", 3*time.Second+skew(priorityLB2)+150*time.Millisecond)

	p = s.probe(t, 100*time.Millisecond)
	must(t, s.lb.Start(bounded(t)))
	awaitVIPs(t, s.LB, false) // what the killed one left is swept before anything else
	must(t, s.LB.RestoreLinks())
	s.awaitWhole(t)
	awaitAnswers(t, p.Probe, 10)
	gapOf(t, p, "preemption", 100*time.Millisecond)
	noTwoActives(t, capture)
}

// TestActiveStopped ends the active director with SIGTERM: it tells the other
// one first, gives up the addresses, then its IPVS services, and exits 0
// within a second.
func TestActiveStopped(t *testing.T) {
	s := newSite(t)
	capture, err := s.Capture()
	must(t, err)
	watch := s.WatchAddress(lab.PublicVIP.Addr(), s.LB)
	p := s.probe(t, 100*time.Millisecond)
	start := time.Now()
	must(t, s.lb.Stop(bounded(t)))
	took := time.Since(start)
	heldUntilTold(t, watch, capture, start)
	t.Logf("FIGURE SIGTERM to exit: %v", took.Round(time.Millisecond))
	if took > time.Second+slack {
		t.Errorf("SIGTERM to exit took %v, want at most 1 s", took)
	}
	if left := members(t, s.LB); len(left) != 0 {
		t.Errorf("IPVS services left behind: %v", left)
	}
	awaitVIPs(t, s.LB, false)
	awaitVIPs(t, s.LB2, true)
	awaitAnswers(t, p.Probe, 10)
	gapOf(t, p, "active director stopped", skew(priorityLB2)+100*time.Millisecond)
	noTwoActives(t, capture)
}

// heldUntilTold checks that the address went only after the other director had
// been told.
func heldUntilTold(t *testing.T, watch *lab.AddressWatch, capture *lab.Capture, start time.Time) {
	t.Helper()
	holdings, err := watch.Stop()
	must(t, err)
	if len(holdings) != 2 || len(holdings[0].Hosts) != 1 || len(holdings[1].Hosts) != 0 {
		t.Fatalf("holdings of the address = %v, want it held and then gone", holdings)
	}
	for _, f := range capture.Frames() {
		if f.Kind == lab.Advertisement && f.Priority == 0 && f.LAN == lab.Public && f.Time.After(start) {
			if gone := holdings[1].From; gone.Before(f.Time) {
				t.Errorf("the address was gone at %v, priority 0 was sent at %v", gone, f.Time)
			}
			return
		}
	}
	t.Error("no priority 0 was sent")
}

// TestInternalLinkLost takes only the internal link from the active director:
// both virtual addresses move, and come back with the link.
func TestInternalLinkLost(t *testing.T) {
	s := newSite(t)
	capture, err := s.Capture()
	must(t, err)
	p := s.probe(t, 100*time.Millisecond)
	must(t, s.LB.CutLinks(lab.SecondCard))
	awaitVIPs(t, s.LB2, true)
	awaitVIPs(t, s.LB, false)
	awaitAnswers(t, p.Probe, 10)
	gapOf(t, p, "internal link lost", skew(priorityLB2)+150*time.Millisecond)
	status, err := s.lb.Status(bounded(t))
	must(t, err)
	group, _ := status.Group("web")
	if group.State != "initialize" || !strings.Contains(strings.Join(group.Faults, " "), "gateway: link down on enp0s8") {
		t.Errorf("group = %+v, want initialize and the fault named", group)
	}
	must(t, s.LB.RestoreLinks(lab.SecondCard))
	s.awaitWhole(t)
	noTwoActives(t, capture)
}

// TestWebServerDies stops a web server and starts it again.
func TestWebServerDies(t *testing.T) {
	s := newSite(t)
	without := []string{allWeb[0], allWeb[2]}
	must(t, s.web[1].Stop())
	bound := checkInterval + checkTimeout + 200*time.Millisecond
	within(t, bound, "web server dead to out of both tables", func() bool {
		return slices.Equal(members(t, s.LB), without) && slices.Equal(members(t, s.LB2), without)
	})
	got, err := s.Client.Balance(bounded(t), lab.ServiceAddress, 40)
	must(t, err)
	if got["web2"] != 0 || got["web1"]+got["web3"] != 40 {
		t.Errorf("answers = %v", got)
	}
	must(t, s.web[1].Start())
	within(t, bound, "web server back to member on both", func() bool {
		return slices.Equal(members(t, s.LB), allWeb) && slices.Equal(members(t, s.LB2), allWeb)
	})
}

// TestInterference clears the IPVS table and deletes a virtual address on the
// active director: both are put back at once and the state does not change.
func TestInterference(t *testing.T) {
	s := newSite(t)
	before, err := s.lb.Status(bounded(t))
	must(t, err)
	const bound = 500 * time.Millisecond

	_, err = s.LB.Output(bounded(t), "ipvsadm", "-C")
	must(t, err)
	within(t, bound, "ipvsadm -C repaired", func() bool { return slices.Equal(members(t, s.LB), allWeb) })
	for _, vip := range []struct {
		iface   string
		address netip.Prefix
	}{{lab.FirstCard, lab.PublicVIP}, {lab.SecondCard, lab.InternalVIP}} {
		_, err = s.LB.Output(bounded(t), "ip", "address", "delete", vip.address.String(), "dev", vip.iface)
		must(t, err)
		within(t, bound, fmt.Sprintf("ip address delete of %v repaired", vip.address), func() bool {
			has, err := s.LB.HasAddress(vip.address.Addr())
			return err == nil && has
		})
	}
	after, err := s.lb.Status(bounded(t))
	must(t, err)
	was, _ := before.Group("web")
	is, _ := after.Group("web")
	if was.State != is.State || !was.Since.Equal(is.Since) {
		t.Errorf("the state changed: %v since %v, was %v since %v", is.State, is.Since, was.State, was.Since)
	}
}

// TestNoTrafficBeforeFirstCheck starts with a web server that is down: it is
// never a member, and the balancing goes on without it.
func TestNoTrafficBeforeFirstCheck(t *testing.T) {
	s := &site{Lab: lab.NewT(t)}
	web, err := s.StartWebServers()
	must(t, err)
	must(t, web[2].Stop())
	d := newDirector(t, s.LB, lab.ReferenceConfig)
	must(t, d.Start(bounded(t)))
	seen := map[string]bool{}
	_ = await(t, patience, "the two that work", func() bool {
		now := members(t, s.LB)
		for _, m := range now {
			seen[m] = true
		}
		return slices.Equal(now, allWeb[:2])
	})
	if seen[allWeb[2]] {
		t.Error("a real server was a member before its first good check")
	}
	_, err = d.Await(bounded(t), "a reason", func(st lab.Status) bool {
		rs := st.VirtualServers[0].RealServers[2]
		return !rs.Member && !rs.Healthy && rs.Reason == "connection refused"
	})
	must(t, err)
}

// TestRestartKeepsTable kills the active director's daemon and starts it
// again: the kernel goes on balancing, and what is in the table and still
// wanted stays there from the first moment, while no check has ended yet.
func TestRestartKeepsTable(t *testing.T) {
	s := newSite(t)
	must(t, s.lb.Kill())
	// A check that never ends says nothing about the web servers.
	for _, w := range s.web {
		w.Behave(lab.Hang)
	}
	config := strings.Replace(lab.ReferenceConfig, `interval = "1s", timeout = "1s"`, `interval = "20s", timeout = "20s"`, 1)
	must(t, s.lb.WriteConfig(strings.Replace(config, "weight = 3", "weight = 5", 1)))
	must(t, s.lb.Start(bounded(t)))
	_ = await(t, patience, "the new weight", func() bool {
		if now := members(t, s.LB); !slices.Equal(now, allWeb) {
			t.Fatalf("members after the restart = %v, want %v all along", now, allWeb)
		}
		services, err := s.LB.IPVS(t.Context())
		must(t, err)
		return services[0].Destinations[0].Weight == 5
	})
}

// TestReload changes a weight in place, refuses a faulty file by both ways of
// asking, and goes on.
func TestReload(t *testing.T) {
	s := newSite(t)
	ctx := bounded(t)
	p := s.probe(t, 900*time.Millisecond) // a lost SYN is sent again after a second
	must(t, s.lb.WriteConfig(strings.Replace(lab.ReferenceConfig, "weight = 3", "weight = 7", 1)))
	must(t, s.lb.Reload(ctx))
	weight := func(want int) func() bool {
		return func() bool {
			services, err := s.LB.IPVS(t.Context())
			must(t, err)
			return len(services) == 1 && len(services[0].Destinations) == 3 && services[0].Destinations[0].Weight == want
		}
	}
	await(t, patience, "the new weight", weight(7))

	must(t, s.lb.WriteConfig(strings.Replace(lab.ReferenceConfig, "vrid = 56", "vrid = 0", 1)))
	err := s.lb.Reload(ctx)
	if err == nil || !strings.Contains(err.Error(), "bascule.toml:10: group.web.router.public.vrid: 0") {
		t.Errorf("reload of a faulty file: %v", err)
	}
	must(t, s.lb.Process().Signal(syscall.SIGHUP))
	_, err = s.lb.Await(ctx, "the fault in status", func(st lab.Status) bool {
		return strings.Contains(strings.Join(st.Problems, " "), "vrid: 0")
	})
	must(t, err)
	if !weight(7)() {
		t.Error("the faulty file changed the table")
	}
	must(t, s.lb.WriteConfig(lab.ReferenceConfig))
	must(t, s.lb.Process().Signal(syscall.SIGHUP))
	await(t, patience, "the old weight", weight(3))
	report, err := p.Stop()
	must(t, err)
	if report.Failures != 0 {
		t.Errorf("%d requests failed during the reloads: %s", report.Failures, report.Last)
	}
}

// TestReloadUnderDownloads changes a scheduler and a weight, which becomes 0 too,
// under connections that are open: all of them go on.
func TestReloadUnderDownloads(t *testing.T) {
	l := lab.NewT(t)
	for _, host := range l.Web[:2] {
		must(t, host.ServeDownloads(netip.AddrPortFrom(host.OwnAddresses()[0].Addr(), 8080)))
	}
	service := downloadService("masquerade", 8080, "192.168.200.11:8080", "192.168.200.12:8080")
	changed := &service.Servers[1]
	d := newDirector(t, l.LB, lab.BasculeConfig{Services: []lab.Service{service}}.TOML())
	must(t, d.Start(bounded(t)))
	awaitVIPs(t, l.LB, true)
	must(t, l.LB.AwaitIPVS(bounded(t), len(service.Servers)))
	downloads, err := l.Client.Download(service.Addresses[0], testDownloads)
	must(t, err)
	for _, change := range []struct {
		scheduler string
		weight    int
	}{{"wrr", 1}, {"wrr", 5}, {"sh", 0}, {"lc", 3}} {
		service.Scheduler, changed.Weight = change.scheduler, change.weight
		must(t, d.WriteConfig(lab.BasculeConfig{Services: []lab.Service{service}}.TOML()))
		must(t, d.Reload(bounded(t)))
		await(t, patience, fmt.Sprintf("%+v in the kernel", change), func() bool {
			services, err := l.LB.IPVS(t.Context())
			must(t, err)
			weight, _, err := l.LB.Weight(t.Context(), service.Addresses[0], changed.Address)
			must(t, err)
			return len(services) == 1 && services[0].Scheduler == change.scheduler &&
				len(services[0].Destinations) == len(service.Servers) && weight == change.weight
		})
		must(t, downloads.AwaitAfter(bounded(t), time.Now()))
	}
	if report := downloads.Stop(); report.Count() > 0 || len(report.Servers) != len(service.Servers) {
		t.Errorf("downloads from %v, broken %v", report.Servers, report.Broken)
	}
}
