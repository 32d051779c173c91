package vrrp

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestHostProperties gives random events to a Host with random groups and
// looks after each whether what must always hold still does.
func TestHostProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &prober{t: t, now: epoch}
		p.host = NewHost(p.now, p.drawGroups())
		p.host.Changed()
		p.before = p.look()
		t.Repeat(map[string]func(*rapid.T){
			"":            p.invariants,
			"receive":     p.receive,
			"link":        p.link,
			"expire":      p.expire,
			"expireEarly": func(*rapid.T) { p.handle(Expiry{}) },
			"wait":        p.wait,
			"reconfigure": func(*rapid.T) { p.handle(Reconfigure{Groups: p.drawGroups()}) },
			"shutdown":    p.shutdown,
		})
	})
}

// prober drives one Host.
type prober struct {
	t       *rapid.T
	host    *Host
	now     time.Time
	before  view // after the last event
	stopped bool
}

// view is what can be seen of a Host from outside.
type view struct {
	status Status
	wanted map[string]Wanted
}

// look takes a view.
func (p *prober) look() view { return view{p.host.Status(), p.host.Wanted()} }

// router returns a router's status and its group's.
func (v view) router(key RouterKey) (GroupStatus, RouterStatus, bool) {
	for _, g := range v.status.Groups {
		for _, r := range g.Routers {
			if r.RouterKey == key {
				return g, r, true
			}
		}
	}
	return GroupStatus{}, RouterStatus{}, false
}

// routers returns all that a configuration may consist of.
func routers() []RouterConfig {
	make := func(name, iface string, family Family, vrid uint8, prefixes ...string) RouterConfig {
		return addressed(RouterConfig{RouterKey: RouterKey{iface, family, vrid}, Name: name}, prefixes...)
	}
	return []RouterConfig{
		make("a1", "a", IPv4, 1, "192.0.2.1/24"),
		make("a2", "a", IPv4, 2, "192.0.2.2/24", "192.0.2.3/32"),
		make("a6", "a", IPv6, 1, "fe80::1/64", "2001:db8::1/64"),
		make("b1", "b", IPv4, 1, "198.51.100.1/24"),
		make("b6", "b", IPv6, 3, "fe80::3/64"),
		make("c7", "c", IPv4, 7),
	}
}

// drawGroups returns a valid configuration: each router in one of three groups
// or in none.
func (p *prober) drawGroups() []GroupConfig {
	var groups []GroupConfig
	owners := rapid.SliceOfN(rapid.IntRange(-1, 2), 6, 6).Draw(p.t, "groups of the routers")
	for i := range 3 {
		g := GroupConfig{
			Name:                  fmt.Sprintf("g%d", i),
			Priority:              rapid.SampledFrom([]uint8{1, 100, 200, 254, Owner}).Draw(p.t, "priority"),
			AdvertisementInterval: rapid.SampledFrom([]time.Duration{MinInterval, time.Second, 2 * time.Second}).Draw(p.t, "interval"),
			Preempt: Preempt{
				Enabled: rapid.Bool().Draw(p.t, "preempt"),
				Delay:   rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(p.t, "delay"),
			},
		}
		for j, rc := range routers() {
			if owners[j] == i {
				g.Routers = append(g.Routers, rc)
			}
		}
		if len(g.Routers) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// sourceOf returns the n-th host's address of a family; 2 is our own.
func sourceOf(f Family, n int) netip.Addr {
	if f == IPv6 {
		return netip.MustParseAddr(fmt.Sprintf("fe80::ff:%d", n))
	}
	return netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n))
}

// receive gives the host an advertisement, now and then a broken one.
func (p *prober) receive(t *rapid.T) {
	rc := rapid.SampledFrom(routers()).Draw(t, "router")
	source := sourceOf(rc.Family, rapid.IntRange(1, 3).Draw(t, "source"))
	adv := Advertisement{
		VRID:     rc.VRID,
		Priority: rapid.SampledFrom([]uint8{0, 1, 99, 100, 101, 254, 255}).Draw(t, "advertised priority"),
		Interval: rapid.SampledFrom([]time.Duration{MinInterval, time.Second, MaxInterval}).Draw(t, "advertised interval"),
	}
	form := rapid.SampledFrom([]ChecksumForm{ChecksumPseudoHeader, ChecksumMessage}).Draw(t, "form")
	payload := adv.Append(nil, source, rc.Family.MulticastAddress(), form)
	if rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
		payload = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "payload")
	}
	p.handle(Received{
		Interface: rc.Interface, Source: source, Destination: rc.Family.MulticastAddress(),
		TTL: rapid.SampledFrom([]uint8{255, 255, 255, 254}).Draw(t, "ttl"), Payload: payload,
	})
}

// link changes an interface, more often to the good.
func (p *prober) link(t *rapid.T) {
	family := rapid.SampledFrom([]Family{IPv4, IPv6}).Draw(t, "family")
	ev := LinkState{
		Interface: rapid.SampledFrom([]string{"a", "b", "c", "unused"}).Draw(t, "interface"), Family: family,
		Fault: rapid.SampledFrom([]Fault{NoFault, NoFault, NoFault, FaultMissing, FaultDown, FaultNoSource, FaultSocket}).Draw(t, "fault"),
	}
	if ev.Fault == NoFault {
		ev.Source = sourceOf(family, 2)
	}
	p.handle(ev)
}

// expire waits for the deadline, and now and then a little too long.
func (p *prober) expire(t *rapid.T) {
	d := p.host.Deadline()
	if d.IsZero() {
		t.Skip("no deadline")
	}
	late := rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, MinInterval, time.Second, time.Minute}).Draw(t, "late")
	if d = d.Add(late); d.After(p.now) {
		p.now = d
	}
	p.handle(Expiry{})
	if d := p.host.Deadline(); !d.IsZero() && !d.After(p.now) {
		t.Fatalf("after Expiry at %v the deadline is %v", p.now, d)
	}
}

// wait lets time pass.
func (p *prober) wait(t *rapid.T) {
	p.now = p.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
}

// shutdown ends the host, in few of the runs.
func (p *prober) shutdown(t *rapid.T) {
	if rapid.IntRange(0, 19).Draw(t, "really") > 0 {
		t.Skip("not yet")
	}
	p.stopped = true
	p.handle(Shutdown{})
}

// handle gives an event to the host and examines what it wants done.
func (p *prober) handle(ev Event) {
	actions := p.host.Handle(p.now, ev)
	after := p.look()
	states := make(map[string]State)
	for _, g := range p.before.status.Groups {
		states[g.Name] = g.State
	}
	// Groups that leave do so before others take their names.
	leave := slices.IndexFunc(actions, func(a Action) bool {
		t, ok := a.(Transition)
		return ok && t.Reason != "removed from the configuration"
	})
	for i, a := range actions {
		if i == leave {
			followRenames(states, actions)
		}
		switch a := a.(type) {
		case Send:
			p.checkSend(a, after)
		case Announce:
			if len(a.Addresses) == 0 {
				p.t.Fatalf("%T: announces nothing on %s", ev, a.Interface)
			}
			for _, prefix := range a.Addresses {
				if !slices.Contains(after.wanted[a.Interface].Present, prefix) {
					p.t.Fatalf("%T: announces %v on %s, which is not to have it", ev, prefix, a.Interface)
				}
			}
		case Transition:
			if strings.HasPrefix(a.Reason, renamed) {
				continue
			}
			if a.From != states[a.Group] || a.From == a.To && a.To != Initialize || a.Reason == "" {
				p.t.Fatalf("%T: group %s was %v: %s", ev, a.Group, states[a.Group], describe(a))
			}
			states[a.Group] = a.To
		}
	}
	for _, g := range after.status.Groups {
		if states[g.Name] != g.State {
			p.t.Fatalf("%T: group %s is %v, its transitions ended in %v", ev, g.Name, g.State, states[g.Name])
		}
	}
	p.checkDeadline(ev)
	wanted, status := p.host.Changed()
	if !wanted && !reflect.DeepEqual(p.before.wanted, after.wanted) || !status && !wanted && differ(p.before, after) != "" {
		p.t.Fatalf("%T: changed without saying so (-before +after):\n%s", ev, differ(p.before, after))
	}
	p.before = after
}

// renamed begins the reason of a transition that only changes a name.
const renamed = "renamed from "

// followRenames moves the states of groups to the names that they have after
// the actions.
func followRenames(states map[string]State, actions []Action) {
	now := make(map[string]State)
	for _, a := range actions {
		if t, ok := a.(Transition); ok && strings.HasPrefix(t.Reason, renamed) {
			now[t.Group] = t.To
			delete(states, strings.TrimPrefix(t.Reason, renamed))
		}
	}
	maps.Copy(states, now)
}

// checkDeadline compares the deadline with the earliest of the groups.
func (p *prober) checkDeadline(ev Event) {
	var want time.Time
	for _, g := range p.host.groups {
		if d := g.deadline(); !d.IsZero() && (want.IsZero() || d.Before(want)) {
			want = d
		}
	}
	if got := p.host.Deadline(); !got.Equal(want) {
		p.t.Fatalf("%T: deadline %v, the earliest of the groups is %v", ev, got, want)
	}
}

// checkSend examines one advertisement: only an active group sends, and
// priority 0 is only for what was active and no longer is.
func (p *prober) checkSend(s Send, after view) {
	key := RouterKey{s.Interface, IPv4, s.Advertisement.VRID}
	if s.Source.Is6() {
		key.Family = IPv6
	}
	was, _, _ := p.before.router(key)
	is, _, _ := after.router(key)
	switch {
	case !s.Source.IsValid() || s.Destination != key.Family.MulticastAddress():
		p.t.Fatalf("%s: from %v to %v", describe(s), s.Source, s.Destination)
	case s.Advertisement.Priority == 0 && (was.State != Active || is.State == Active):
		p.t.Fatalf("%s: its group was %v and is %v", describe(s), was.State, is.State)
	case s.Advertisement.Priority > 0 && (is.State != Active || s.Advertisement.Priority != is.Priority):
		p.t.Fatalf("%s: its group is %v with priority %d", describe(s), is.State, is.Priority)
	}
}

// differ compares two views but for their counters.
func differ(a, b view) string {
	return cmp.Diff(a, b, addrs, cmp.AllowUnexported(view{}), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(RouterStatus{}, "Counters"), cmpopts.IgnoreFields(Status{}, "Dropped"))
}

// invariants is what holds between events.
func (p *prober) invariants(t *rapid.T) {
	wholeGroups(t, p.host)
	waits := false
	for _, g := range p.host.Status().Groups {
		// A fault of a group that is not in Initialize is a new member's
		// interface, of which nothing is known yet.
		unknown := strings.Count(strings.Join(g.Faults, "\n"), FaultUnknown.String())
		waits = waits || g.State == Active && unknown < len(g.Routers) || g.State == Backup && unknown == 0
		switch {
		case p.stopped && g.State != Initialize:
			t.Fatalf("group %s is %v after the end", g.Name, g.State)
		case !p.stopped && g.State == Initialize && len(g.Faults) == 0:
			t.Fatalf("group %s does not start, and no fault says why (%s)", g.Name, g.Reason)
		case g.State != Initialize && len(g.Faults) > unknown:
			t.Fatalf("group %s is %v with faults %q", g.Name, g.State, g.Faults)
		case g.Since.After(p.now):
			t.Fatalf("group %s is %v since %v, which is to come", g.Name, g.State, g.Since)
		}
	}
	if d := p.host.Deadline(); d.IsZero() == waits {
		t.Fatalf("deadline is %v; is there something to wait for: %v", d, waits)
	}
}
