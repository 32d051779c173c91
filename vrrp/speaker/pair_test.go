package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"bascule/vrrp"
)

// vip is the virtual address of the tests.
var vip = netip.MustParsePrefix("192.0.2.10/24")

// network is a Network with a life of its own: link.Network or linktest.Host.
type network interface {
	Network
	Run(ctx context.Context, deliver func(vrrp.Event)) error
}

// station is one machine with an interface on a common LAN.
type station struct {
	network network
	iface   string
	setLink func(up bool)
	holds   func() bool // whether vip is on the interface
}

// log records what a speaker reports.
type log struct {
	mu    sync.Mutex
	lines []string
}

// add appends a line.
func (l *log) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// all returns the lines so far.
func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Transition records a change of state.
func (l *log) Transition(t vrrp.Transition) {
	l.add("%s: %v -> %v (%s)", t.Group, t.From, t.To, t.Reason)
}

// Notice records a notice.
func (l *log) Notice(n vrrp.Notice) { l.add("%s.%s: %v: %s", n.Group, n.Router, n.Kind, n.Detail) }

// SendFault records that sending fails, or no longer does.
func (l *log) SendFault(iface, fault string) { l.add("send %s: %q", iface, fault) }

// oneRouter is a group of one virtual router that holds vip.
func oneRouter(iface string, priority uint8, interval time.Duration) []vrrp.GroupConfig {
	return []vrrp.GroupConfig{{
		Name: "web", Priority: priority, AdvertisementInterval: interval, Preempt: vrrp.Preempt{Enabled: true},
		Routers: []vrrp.RouterConfig{{
			RouterKey: vrrp.RouterKey{Interface: iface, Family: vrrp.IPv4, VRID: 51},
			Name:      "public", Addresses: []netip.Prefix{vip},
		}},
	}}
}

// process is a speaker that runs on a station.
type process struct {
	*Speaker
	*log
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// start runs a speaker and its network. The end of the test kills it.
func start(t *testing.T, s station, groups []vrrp.GroupConfig, options ...Option) *process {
	t.Helper()
	p := &process{log: &log{}}
	p.Speaker = New(s.network, groups, p.log, options...)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.done.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	p.done.Go(func() {
		if err := s.network.Run(ctx, p.Deliver); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(p.kill)
	return p
}

// kill ends everything at once, as a crash does.
func (p *process) kill() {
	p.cancel()
	p.done.Wait()
}

// state returns the state of the only group.
func (p *process) state() vrrp.State { return p.Status().Groups[0].State }

// eventually waits until a condition holds.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within %v", what, limit)
		}
	}
}

// testPair is the life of two directors, on whatever network: election,
// ordered stop, preemption, loss of a link and its return. limit is how long a
// take-over may take.
func testPair(t *testing.T, a, b station, interval, limit time.Duration) {
	pb := start(t, b, oneRouter(b.iface, 100, interval))
	eventually(t, limit, "lone director active", func() bool { return b.holds() })

	pa := start(t, a, oneRouter(a.iface, 200, interval))
	eventually(t, limit, "preemption", func() bool { return a.holds() && !b.holds() })
	if source := pb.Status().Groups[0].Routers[0].ActiveSource; source != pa.Status().Groups[0].Routers[0].ActiveSource {
		t.Errorf("the backup takes %v for the active router", source)
	}

	a.setLink(false)
	eventually(t, limit, "take-over after link loss", func() bool { return b.holds() && !a.holds() })
	if got := pa.state(); got != vrrp.Initialize {
		t.Errorf("state without a link = %v", got)
	}
	a.setLink(true)
	eventually(t, limit, "recovery", func() bool { return a.holds() && !b.holds() })

	if err := pa.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, limit, "take-over after an ordered stop", func() bool { return b.holds() && !a.holds() })
	last := pb.all()[len(pb.all())-1]
	if want := "web: backup -> active (192.0.2.11 resigned)"; last != want {
		t.Errorf("the backup reported %q, want %q", last, want)
	}
}
