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

// station is one machine with an interface on a common LAN. Its own addresses
// are 192.0.2.N, fd00:2::N and fe80::N.
type station struct {
	network   network
	iface     string
	number    int
	setLink   func(up bool)
	addresses func() []netip.Prefix // that are on the interface
}

// holds reports whether vip is on the interface.
func (s station) holds() bool { return s.holdsAll(vip) }

// holdsAll reports whether all addresses are on the interface.
func (s station) holdsAll(list ...netip.Prefix) bool {
	have := s.addresses()
	return !slices.ContainsFunc(list, func(p netip.Prefix) bool { return !slices.Contains(have, p) })
}

// holdsAny reports whether one of the addresses is on the interface.
func (s station) holdsAny(list ...netip.Prefix) bool {
	have := s.addresses()
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return slices.Contains(have, p) })
}

// ownAddresses returns the addresses of a station.
func ownAddresses(number int) []netip.Prefix {
	var out []netip.Prefix
	for _, format := range []string{"192.0.2.%d/24", "fd00:2::%d/64", "fe80::%d/64"} {
		out = append(out, netip.MustParsePrefix(fmt.Sprintf(format, number)))
	}
	return out
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
func (l *log) SendFault(iface string, destination netip.Addr, fault string) {
	l.add("send %s to %v: %q", iface, destination, fault)
}

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

// The virtual IPv6 addresses of the tests.
var vips6 = []netip.Prefix{netip.MustParsePrefix("fe80::100/64"), netip.MustParsePrefix("fd00:2::100/64")}

// pairing is what two directors may have in common.
type pairing struct {
	name     string
	families []vrrp.Family
	unicast  bool
}

// pairings are those that testPair is run with.
var pairings = []pairing{
	{"IPv4", []vrrp.Family{vrrp.IPv4}, false},
	{"IPv6", []vrrp.Family{vrrp.IPv6}, false},
	{"both", []vrrp.Family{vrrp.IPv4, vrrp.IPv6}, false},
	{"IPv4 unicast", []vrrp.Family{vrrp.IPv4}, true},
	{"IPv6 unicast", []vrrp.Family{vrrp.IPv6}, true},
	{"both unicast", []vrrp.Family{vrrp.IPv4, vrrp.IPv6}, true},
}

// addresses returns the virtual addresses.
func (p pairing) addresses() []netip.Prefix {
	var out []netip.Prefix
	for _, f := range p.families {
		out = append(out, virtualAddresses(f)...)
	}
	return out
}

// virtualAddresses returns those of a family.
func virtualAddresses(f vrrp.Family) []netip.Prefix {
	if f == vrrp.IPv6 {
		return vips6
	}
	return []netip.Prefix{vip}
}

// source returns the address that a station sends advertisements from.
func (p pairing) source(f vrrp.Family, number int) netip.Addr {
	own := ownAddresses(number)
	switch {
	case f == vrrp.IPv4:
		return own[0].Addr()
	case p.unicast:
		return own[1].Addr()
	}
	return own[2].Addr()
}

// group returns the configuration of a station whose peer is another one.
func (p pairing) group(s, peer station, priority uint8, interval time.Duration) []vrrp.GroupConfig {
	groups := oneRouter(s.iface, priority, interval)
	groups[0].Routers = nil
	for _, f := range p.families {
		rc := vrrp.RouterConfig{
			RouterKey: vrrp.RouterKey{Interface: s.iface, Family: f, VRID: 51},
			Name:      f.String(), Addresses: virtualAddresses(f),
		}
		if p.unicast {
			rc.Unicast = &vrrp.Unicast{Source: p.source(f, s.number), Peers: []vrrp.Peer{{Address: p.source(f, peer.number)}}}
		}
		groups[0].Routers = append(groups[0].Routers, rc)
	}
	return groups
}

// testPair is the life of two directors, on whatever network: election,
// ordered stop, preemption, loss of a link and its return. limit is how long a
// take-over may take.
func testPair(t *testing.T, p pairing, a, b station, interval, limit time.Duration) {
	vips := p.addresses()
	moved := func(to, from station) func() bool {
		return func() bool { return to.holdsAll(vips...) && !from.holdsAny(vips...) }
	}
	pb := start(t, b, p.group(b, a, 100, interval))
	eventually(t, limit, "lone director active", moved(b, a))

	pa := start(t, a, p.group(a, b, 200, interval))
	eventually(t, limit, "preemption", moved(a, b))
	for i, f := range p.families {
		eventually(t, limit, fmt.Sprintf("the backup taking %v for the active router", p.source(f, a.number)), func() bool {
			return pb.Status().Groups[0].Routers[i].ActiveSource == p.source(f, a.number)
		})
	}

	a.setLink(false)
	eventually(t, limit, "take-over after link loss", moved(b, a))
	if got := pa.state(); got != vrrp.Initialize {
		t.Errorf("state without a link = %v", got)
	}
	a.setLink(true)
	eventually(t, limit, "recovery", moved(a, b))

	if err := pa.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, limit, "take-over after an ordered stop", moved(b, a))
	// The loop tells the network before the observer.
	want := fmt.Sprintf("web: backup -> active (%v resigned)", p.source(p.families[0], a.number))
	eventually(t, limit, "the report "+want, func() bool {
		all := pb.all()
		return all[len(all)-1] == want
	})
	if dropped := pb.Status().Dropped; dropped != (vrrp.Drops{}) {
		t.Errorf("the backup dropped packets of no virtual router: %v", dropped)
	}
}
