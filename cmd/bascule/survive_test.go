//go:build ipvs

package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// downloadServices carry downloads: by masquerade over the web servers, and by
// direct routing over the hosts that answer clients themselves.
var downloadServices = []lab.Service{
	downloadService("masquerade", 8080, "192.168.200.11:8080", "192.168.200.12:8080", "192.168.200.13:8080"),
	downloadService("direct", 8081, "192.168.56.21:8081", "192.168.56.22:8081"),
}

// downloadSettle is how long connections have been open when a director is
// lost: the kernel tells the other one after a few packets, and keeps what it
// has to tell for up to two seconds.
const downloadSettle = 5 * time.Second

// downloadService is a service of the public virtual address, named after its
// forwarding. Its real servers are not checked: a slow machine must not take
// one out.
func downloadService(forwarding string, port uint16, servers ...string) lab.Service {
	s := lab.Service{
		Name: forwarding, Addresses: []netip.AddrPort{netip.AddrPortFrom(lab.PublicVIP.Addr(), port)}, Protocol: "tcp",
		Scheduler: "rr", Forwarding: forwarding, Check: lab.CheckNone,
	}
	for _, address := range servers {
		s.Servers = append(s.Servers, lab.RealServer{Address: netip.MustParseAddrPort(address), Weight: 1})
	}
	return s
}

// runner is a director's program that can be started again.
type runner interface {
	Stop(ctx context.Context) error
	Kill() error
}

// relay is a pair of directors of which the backup takes over for good: no
// preemption, so that each loss is one fail-over.
type relay struct {
	*lab.Lab
	begin   beginRunner
	sync    bool
	hosts   [2]*lab.Host
	running [2]runner
	active  int // index into both
}

// relayPriorities are those of lb and lb2.
var relayPriorities = [2]int{150, priorityLB2}

// beginRunner starts a director's program, which may take over and does not
// preempt.
type beginRunner func(t testing.TB, host *lab.Host, priority int, sync bool) runner

// beginKeepalived runs keepalived.
func beginKeepalived(t testing.TB, host *lab.Host, priority int, sync bool) runner {
	t.Helper()
	k, err := lab.StartKeepalived(host, lab.KeepalivedConfig{Priority: priority, NoPreempt: true, Services: downloadServices, Sync: sync})
	must(t, err)
	must(t, k.Ready(bounded(t)))
	return k
}

// newRelay builds the network, and waits until lb is active and all real
// servers are members on both directors.
func newRelay(t testing.TB, sync bool, begin beginRunner) *relay {
	t.Helper()
	r := &relay{Lab: lab.NewT(t), begin: begin, sync: sync}
	_, err := r.AddDirect()
	must(t, err)
	for _, host := range r.Web {
		must(t, host.ServeDownloads(netip.AddrPortFrom(host.OwnAddresses()[0].Addr(), 8080)))
	}
	for _, host := range r.Direct { // the port alone: for checks by the own address, for clients by the virtual one
		must(t, host.ServeDownloads(netip.AddrPortFrom(netip.IPv4Unspecified(), 8081)))
	}
	r.hosts = [2]*lab.Host{r.LB, r.LB2}
	for i := range r.hosts {
		r.start(t, i)
		if i == 0 {
			awaitVIPs(t, r.LB, true)
		}
	}
	return r
}

// start runs the program of a director and waits until it is ready to take
// over.
func (r *relay) start(t testing.TB, i int) {
	t.Helper()
	r.running[i] = r.begin(t, r.hosts[i], relayPriorities[i], r.sync)
	want := 0
	for _, s := range downloadServices {
		want += len(s.Servers)
	}
	must(t, r.hosts[i].AwaitIPVS(bounded(t), want))
	state := []string{"backup"}
	if i == r.active {
		state = []string{"master"}
	}
	if !r.sync {
		state = nil
	}
	await(t, patience, fmt.Sprintf("the synchronisation of %s to be %v", r.hosts[i].Name, state), func() bool {
		states, err := r.hosts[i].SyncDaemons(bounded(t))
		must(t, err)
		return slices.Equal(states, state)
	})
}

// loss is a way to lose the active director.
type loss struct {
	name string
	lose func(t testing.TB, r *relay)
	heal func(t testing.TB, r *relay, i int)
}

// losses are an ordered stop and a power cut.
var losses = []loss{
	{"stop", func(t testing.TB, r *relay) {
		must(t, r.running[r.active].Stop(bounded(t)))
	}, func(testing.TB, *relay, int) {}},
	{"kill", func(t testing.TB, r *relay) {
		must(t, r.running[r.active].Kill())
		must(t, r.hosts[r.active].CutLinks())
	}, func(t testing.TB, r *relay, i int) {
		must(t, r.hosts[i].Reboot(bounded(t)))
		must(t, r.hosts[i].RestoreLinks())
	}},
}

// failOver loses the active director under n downloads of each service and
// returns what became of them, by service. In the end the lost director is
// there again, as backup.
func (r *relay) failOver(t testing.TB, l loss, n int) map[string]lab.DownloadReport {
	t.Helper()
	downloads := map[string]*lab.Downloads{}
	for _, s := range downloadServices {
		d, err := r.Client.Download(s.Addresses[0], n)
		must(t, err)
		downloads[s.Name] = d
	}
	time.Sleep(downloadSettle)
	for name, d := range downloads {
		if report := d.Report(); report.Count() > 0 {
			t.Fatalf("downloads by %s broke before anything was lost: %+v", name, report)
		}
	}
	l.lose(t, r)
	lost, taken := r.active, 1-r.active
	awaitVIPs(t, r.hosts[taken], true)
	moment := time.Now()
	reports := map[string]lab.DownloadReport{}
	for name, d := range downloads {
		must(t, d.AwaitAfter(bounded(t), moment))
		reports[name] = d.Stop()
	}
	r.active = taken
	l.heal(t, r, lost)
	r.start(t, lost)
	return reports
}

// testDownloads is how many connections a test has on each service: a
// benchmark has more, and more losses.
const testDownloads = 10

// TestDownloadsSurviveWithKeepalived has keepalived fail over under downloads:
// it shows that the laboratory tells the difference. On an ordered stop its two
// processes end side by side, so the services may go before the addresses: then
// the director itself answers with resets, and every download breaks.
func TestDownloadsSurviveWithKeepalived(t *testing.T) {
	testSurvival(t, "keepalived", beginKeepalived, "kill")
}

// testSurvival has a program fail over under downloads: without
// synchronisation most must break, with it most must go on after each of the
// losses that are named, and no other is judged. Not all break at once in direct
// routing, where a server's lines need no director until it waits for the client.
func testSurvival(t *testing.T, program string, begin beginRunner, judged ...string) {
	t.Helper()
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync %v", sync), func(t *testing.T) {
			r := newRelay(t, sync, begin)
			for _, l := range losses {
				for name, report := range r.failOver(t, l, testDownloads) {
					t.Logf("FIGURE %s, sync %v, %s, %s: %d of %d downloads broke %v, longest stall %v",
						program, sync, l.name, name, report.Count(), testDownloads, report.Broken, report.Stall.Round(time.Millisecond))
					broke := 2*report.Count() >= testDownloads
					if slices.Contains(judged, l.name) && broke == sync {
						t.Errorf("%s, %s: %d of %d downloads broke", l.name, name, report.Count(), testDownloads)
					}
				}
			}
		})
	}
}
