package vrrp

import (
	"maps"
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
		p := &prober{
			t: t, now: epoch, links: make(map[linkKey]LinkState), stamps: make(map[RouterKey]Stamp), delays: make(map[*group]time.Time),
		}
		p.host = NewHost(p.now, p.drawGroups())
		for _, g := range p.host.groups {
			p.delays[g] = p.now.Add(g.cfg.StartDelay)
		}
		p.host.Changed()
		p.before = p.look()
		t.Repeat(map[string]func(*rapid.T){
			"":            p.invariants,
			"receive":     p.receive,
			"link":        p.link,
			"expire":      p.expire,
			"expireEarly": p.expireEarly,
			"wait":        p.wait,
			"clock":       p.clock,
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

	configs [2]map[RouterKey]RouterConfig // before the last reload, and since
	links   map[linkKey]LinkState         // as last told
	stamps  map[RouterKey]Stamp           // of the last signature
	delays  map[*group]time.Time          // when the groups of the beginning may start
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

// handle gives an event to the host, examines what it wants done, and returns
// it.
func (p *prober) handle(ev Event) []Action {
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
			p.checkSend(a, ev, states, after)
			p.checkEncoding(a)
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
	return actions
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
// priority 0 is only for what was active and no longer is. One that yields says
// a last word before it does, when one of its members has heard the other.
func (p *prober) checkSend(s Send, ev Event, states map[string]State, after view) {
	key := keyOf(s)
	was, _, _ := p.before.router(key)
	is, _, _ := after.router(key)
	heard, _ := ev.(Received)
	_, reload := ev.(Reconfigure)
	// A router may leave a group that ends for one that begins to be active.
	active := is.State == Active && (!reload || !is.Since.Equal(p.now))
	switch priority := s.Advertisement.Priority; {
	case priority == 0 && (was.State != Active || active):
		p.t.Fatalf("%s: its group was %v and is %v", describe(s), was.State, is.State)
	case priority == 0:
	case was.State == Active && is.State == Backup:
		isCause := func(r RouterStatus) bool {
			return len(heard.Payload) > 1 && r.RouterKey == RouterKey{heard.Interface, FamilyOf(heard.Source), heard.Payload[1]}
		}
		if priority != was.Priority || states[is.Name] != Active || !slices.ContainsFunc(is.Routers, isCause) {
			p.t.Fatalf("%s: the last word of a group of priority %d after %T", describe(s), was.Priority, ev)
		}
	case is.State != Active || priority != is.Priority:
		p.t.Fatalf("%s: its group is %v with priority %d", describe(s), is.State, is.Priority)
	}
}

// keyOf returns the virtual router that an advertisement is of.
func keyOf(s Send) RouterKey {
	return RouterKey{s.Interface, FamilyOf(s.Source), s.Advertisement.VRID}
}

// checkEncoding examines how an advertisement is sent: as the configuration
// has it, now or before the reload that ends its router, from an address that
// the interface has, with a later stamp than the one before, and so that it can
// be read.
func (p *prober) checkEncoding(s Send) {
	rc, ok := p.configs[1][keyOf(s)]
	if !ok || !speaks(rc, s) {
		rc, ok = p.configs[0][keyOf(s)]
	}
	link := p.links[linkKey{s.Interface, rc.Family}]
	switch {
	case !ok || !speaks(rc, s):
		p.t.Fatalf("%s: configured is %+v", describe(s), rc)
	case link.Fault != NoFault || !slices.Contains(link.Sources, s.Source):
		p.t.Fatalf("%s: the interface is %+v", describe(s), link)
	case rc.Unicast == nil && s.Source != link.Sources[0]:
		p.t.Fatalf("%s: the primary address is %v", describe(s), link.Sources[0])
	}
	m, drop := Parse(s.Append(nil), s.Source, s.Destination)
	if diff := cmp.Diff(s.Advertisement, m.Advertisement, addrs, cmpopts.EquateEmpty()); drop != NotDropped || diff != "" {
		p.t.Fatalf("%s: dropped %v, read (-sent +read):\n%s", describe(s), drop, diff)
	}
	if s.Encoding.Key != nil {
		p.checkStamp(s, rc.Auth.Window)
	}
}

// speaks reports whether an advertisement is sent as configured.
func speaks(rc RouterConfig, s Send) bool {
	to := s.Destination == rc.Family.MulticastAddress()
	if rc.Unicast != nil {
		to = s.Source == rc.Unicast.Source &&
			slices.ContainsFunc(rc.Unicast.Peers, func(p Peer) bool { return p.Address == s.Destination })
	}
	e := s.Encoding
	if (e.Key == nil) != (rc.Auth.signer() == nil) || e.Key != nil && e.Key.ID != rc.Auth.Active {
		return false
	}
	return to && e.Version == rc.Version && e.Password == rc.Password && e.Checksum == rc.Checksum
}

// checkStamp examines a signature: no earlier than the one before, unless the
// clock was beyond the window, and the same only in the copies for several
// peers.
func (p *prober) checkStamp(s Send, window time.Duration) {
	last, stamp := p.stamps[keyOf(s)], s.Encoding.Stamp
	wall := p.now.Add(p.host.clock)
	back := window > 0 && last.offset(wall) > window
	if stamp < last && !back || stamp == last && s.Destination.IsMulticast() {
		p.t.Fatalf("%s: stamp %016x after %016x", describe(s), uint64(stamp), uint64(last))
	}
	if off := stamp.offset(wall); off < -time.Millisecond {
		p.t.Fatalf("%s: signed %v in the past", describe(s), -off)
	}
	p.stamps[keyOf(s)] = stamp
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
		// interface, of which nothing is known yet, or, beside an active group,
		// which has no link-local address yet.
		unknown := strings.Count(strings.Join(g.Waiting, "\n"), FaultUnknown.String())
		if g.State == Active {
			unknown = len(g.Waiting)
		}
		waits = waits || g.State == Active && unknown < len(g.Routers) || g.State == Backup && unknown == 0 ||
			unknown == 0 && slices.Contains(g.Waiting, "start-up delay")
		switch {
		case p.stopped && g.State != Initialize:
			t.Fatalf("group %s is %v after the end", g.Name, g.State)
		case !p.stopped && g.State == Initialize && len(g.Faults)+len(g.Waiting) == 0:
			t.Fatalf("group %s does not start, and no fault says why (%s)", g.Name, g.Reason)
		case g.State != Initialize && len(g.Faults)+len(g.Waiting) > unknown:
			t.Fatalf("group %s is %v with faults %q, waiting for %q", g.Name, g.State, g.Faults, g.Waiting)
		case g.Since.After(p.now):
			t.Fatalf("group %s is %v since %v, which is to come", g.Name, g.State, g.Since)
		}
	}
	for _, g := range p.host.groups {
		for _, r := range g.routers {
			if g.state != Initialize && r.fault != NoFault && !r.deadline.IsZero() {
				t.Fatalf("group %s is %v, and %s takes part with the fault %v", g.cfg.Name, g.state, r.cfg.Name, r.fault)
			}
		}
		if until := p.delays[g]; g.state != Initialize && p.now.Before(until) {
			t.Fatalf("group %s is %v before %v, when its start-up delay is over", g.cfg.Name, g.state, until)
		}
	}
	if d := p.host.Deadline(); d.IsZero() == waits {
		t.Fatalf("deadline is %v; is there something to wait for: %v", d, waits)
	}
}
