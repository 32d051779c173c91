package lvs_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bascule/lvs"
)

// world is a model with the kernel that it governs and a second
// implementation, for random histories.
type world struct {
	model  *lvs.Model
	second *reference
	now    time.Time
	kernel lvs.State
	busy   map[lvs.RealServerKey]bool // destinations with connections
	away   bool                       // the kernel cannot be reached

	exclusive bool
	follow    map[lvs.SyncRole]lvs.SyncDaemon
	listed    map[lvs.ServiceKey]map[netip.AddrPort]lvs.Destination // what was wanted at the latest reconciliation
}

// foreign is a service of somebody else, which no history may change.
var foreign = entry("10.9.9.9:80", "sh", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 9))

// newWorld returns a world before the start, with somebody else's service.
func newWorld(t *rapid.T) *world {
	w := &world{
		now: start, busy: map[lvs.RealServerKey]bool{},
		kernel:    lvs.State{Table: table(entry("10.9.9.9:80", "sh", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 9)))},
		exclusive: rapid.IntRange(0, 4).Draw(t, "exclusive") == 0,
	}
	w.restart(drawConfig(t), nil, nil)
	return w
}

// drawConfig draws a configuration of a few services and real servers.
func drawConfig(t *rapid.T) []lvs.VirtualServerConfig {
	config := make([]lvs.VirtualServerConfig, 3)
	for n := range config {
		config[n] = drawVirtualServer(t, fmt.Sprint("vs", n))
	}
	for _, k := range rapid.Permutation(serviceKeys).Draw(t, "services") {
		if n := rapid.IntRange(0, len(config)).Draw(t, "virtual server"); n < len(config) {
			config[n].Services = append(config[n].Services, lvs.Service{
				ServiceKey: k, Scheduler: rapid.SampledFrom([]string{"rr", "wrr", "mh"}).Draw(t, "scheduler"),
			})
		}
	}
	return slices.DeleteFunc(config, func(c lvs.VirtualServerConfig) bool { return len(c.Services) == 0 })
}

// serviceKeys are the keys of the services of random configurations.
var serviceKeys = []lvs.ServiceKey{key("10.0.0.0:80"), key("10.0.0.1:80"), key("10.0.0.2:443")}

// drawVirtualServer draws a virtual server without services.
func drawVirtualServer(t *rapid.T, name string) lvs.VirtualServerConfig {
	c := lvs.VirtualServerConfig{
		Name:       name,
		AllDown:    rapid.SampledFrom([]lvs.AllDown{lvs.AllDownNone, lvs.AllDownLast, lvs.AllDownAll}).Draw(t, "all down"),
		OnFailure:  rapid.SampledFrom([]lvs.OnFailure{lvs.RemoveOnFailure, lvs.InhibitOnFailure}).Draw(t, "on failure"),
		SlowStart:  rapid.SampledFrom([]time.Duration{0, 10 * time.Second, 25 * time.Second}).Draw(t, "slow start"),
		DrainLimit: rapid.SampledFrom([]time.Duration{0, 20 * time.Second, time.Minute}).Draw(t, "drain limit"),
	}
	if c.Quorum.Weight = rapid.Uint32Range(0, 5).Draw(t, "quorum"); c.Quorum.Weight > 0 {
		c.Quorum.Hysteresis = rapid.Uint32Range(0, c.Quorum.Weight-1).Draw(t, "hysteresis")
	}
	if rapid.Bool().Draw(t, "sorry") {
		c.Sorry = []lvs.RealServerConfig{{Address: netip.MustParseAddrPort("10.1.9.9:80"), Weight: 2}}
	}
	for r := range 3 {
		if rapid.IntRange(0, 3).Draw(t, "present") == 0 {
			continue
		}
		port := rapid.SampledFrom([]uint16{80, 0}).Draw(t, "port")
		c.RealServers = append(c.RealServers, lvs.RealServerConfig{
			Address:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(r)}), port),
			Weight:     rapid.SampledFrom([]uint32{0, 1, 2, 4, 100}).Draw(t, "weight"),
			Forwarding: rapid.SampledFrom([]lvs.Forwarding{lvs.Masquerade, lvs.Direct}).Draw(t, "forwarding"),
			Checked:    rapid.IntRange(0, 3).Draw(t, "checked") > 0,
		})
	}
	return c
}

// drawReal draws the key of a real server, configured or not.
func drawReal(t *rapid.T) lvs.RealServerKey {
	return lvs.RealServerKey{
		Service: rapid.SampledFrom(serviceKeys).Draw(t, "service"),
		Address: netip.MustParseAddrPort(rapid.SampledFrom([]string{"10.1.0.0:80", "10.1.0.1:80", "10.1.0.2:80", "10.1.0.0:443", "10.1.9.9:80"}).Draw(t, "real")),
	}
}

// drawFact draws what a check says, with advice or without.
func drawFact(t *rapid.T) lvs.Fact {
	fact := lvs.Fact{Healthy: rapid.Bool().Draw(t, "healthy"), Reason: "says its check"}
	if rapid.Bool().Draw(t, "advice") {
		asked := func(name string, value ...uint32) lvs.Asked {
			return lvs.Asked{Set: rapid.Bool().Draw(t, name), Value: rapid.SampledFrom(value).Draw(t, name)}
		}
		fact.Advice = lvs.Advice{
			Weight: asked("weight", 0, 1, 3, 200, 1<<20), Percent: asked("per cent", 0, 1, 50, 150),
			Drain: rapid.IntRange(0, 2).Draw(t, "drain") == 0,
		}
	}
	return fact
}

// configure gives a configuration to the model and to the second
// implementation.
func (w *world) configure(config []lvs.VirtualServerConfig, owned []lvs.ServiceKey) {
	w.model.Configure(w.now, config, owned)
	w.second.configure(w.now, config)
}

// restart begins anew with a configuration and what a predecessor has stored.
func (w *world) restart(config []lvs.VirtualServerConfig, owned []lvs.ServiceKey, overrides []lvs.StoredOverride) {
	w.model, w.second, w.follow = &lvs.Model{}, &reference{}, nil
	w.model.Adjust(lvs.Settings{Exclusive: w.exclusive, Timeouts: lvs.Timeouts{UDP: time.Minute}})
	w.configure(config, owned)
	w.model.SetOverrides(overrides)
	for _, s := range overrides {
		if m := w.second.stored(s); m != nil {
			m.override = &s.Override
		}
	}
}

// observe tells a few facts of one moment.
func (w *world) observe(t *rapid.T) {
	for range rapid.IntRange(1, 3).Draw(t, "facts") {
		k, fact := drawReal(t), drawFact(t)
		_, taken := w.model.Observe(w.now, k, fact)
		if want := w.second.observe(w.now, k, fact); taken != want {
			t.Fatalf("fact about %v taken: %v", k, taken)
		}
	}
}

// override takes a decision about something that is there or not.
func (w *world) override(t *rapid.T) {
	name := rapid.SampledFrom([]string{"vs0", "vs1", "vs2"}).Draw(t, "name")
	k := drawReal(t)
	o := lvs.Override{
		Kind:   rapid.SampledFrom([]lvs.OverrideKind{lvs.Enable, lvs.Drain, lvs.Weigh}).Draw(t, "override"),
		Weight: rapid.Uint32Range(0, 5).Draw(t, "weight"),
	}
	var named *referenceMember
	for _, s := range w.second.servers {
		for _, m := range s.members {
			if s.config.Name == name && slices.ContainsFunc(m.keys, func(own lvs.RealServerKey) bool { return own.Address == k.Address }) {
				named = m
			}
		}
	}
	if err := w.model.Override(w.now, name, k.Address, o); (err == nil) != (named != nil) {
		t.Fatalf("override of %s %v: %v", name, k.Address, err)
	}
	if named != nil {
		decision := &o
		if o.Kind == lvs.Enable {
			decision = nil
		}
		w.second.decide(w.now, named, decision)
	}
}

// interfere changes the kernel's table as somebody else might.
func (w *world) interfere(t *rapid.T) {
	rs := drawReal(t)
	kind := rapid.SampledFrom([]lvs.OpKind{
		lvs.AddService, lvs.AddDestination, lvs.UpdateService, lvs.UpdateDestination, lvs.DeleteDestination, lvs.DeleteService,
		lvs.StartDaemon, lvs.StopDaemon, lvs.SetTimeouts,
	}).Draw(t, "kind")
	w.kernel.Apply(lvs.Op{
		Kind:        kind,
		Service:     lvs.Service{ServiceKey: rs.Service, Scheduler: "lc", Altered: rapid.Bool().Draw(t, "altered")},
		Destination: lvs.Destination{Address: rs.Address, Weight: rapid.Uint32Range(0, 5).Draw(t, "weight"), Altered: rapid.Bool().Draw(t, "altered")},
		Role:        rapid.SampledFrom([]lvs.SyncRole{lvs.SyncSender, lvs.SyncReceiver}).Draw(t, "role"),
		Daemon:      lvs.SyncDaemon{Interface: "eth0", TTL: 9},
		Timeouts:    lvs.Timeouts{TCP: time.Hour, UDP: time.Hour},
	})
}

// synchronize changes the roles that this director has.
func (w *world) synchronize(t *rapid.T) {
	w.follow = map[lvs.SyncRole]lvs.SyncDaemon{}
	switch rapid.IntRange(0, 4).Draw(t, "synchronization") {
	case 0:
		w.follow = nil
	case 1:
		w.follow[lvs.SyncSender] = lvs.SyncDaemon{Interface: "eth0", ID: 1}
	case 2:
		w.follow[lvs.SyncReceiver] = lvs.SyncDaemon{Interface: "eth0", ID: 1, TTL: 2}
	}
	w.model.Follow(w.follow)
}

// wait lets time pass. Before the deadline nothing changes by itself.
func (w *world) wait(t *rapid.T) {
	before, deadline := maps.Clone(w.model.Wanted().Table), w.model.Deadline()
	if !deadline.IsZero() && !deadline.After(w.now) {
		t.Fatalf("the deadline is over: %v at %v", deadline, w.now)
	}
	d := rapid.SampledFrom([]time.Duration{time.Nanosecond, time.Second, 7 * time.Second, time.Hour}).Draw(t, "time")
	if !deadline.IsZero() && rapid.Bool().Draw(t, "until the deadline") {
		d = deadline.Sub(w.now)
	}
	w.now = w.now.Add(d)
	w.model.Advance(w.now)
	if deadline.IsZero() || w.now.Before(deadline) {
		if diff := cmp.Diff(before, w.model.Wanted().Table, netipComparer); diff != "" {
			t.Fatalf("changed before the deadline:\n%s", diff)
		}
	}
}

// usage returns what the kernel counts.
func (w *world) usage() lvs.UsageTable {
	usage := lvs.UsageTable{}
	for service, e := range w.kernel.Table {
		usage[service] = map[netip.AddrPort]lvs.Usage{}
		for address := range e.Destinations {
			usage[service][address] = lvs.Usage{}
			if w.busy[lvs.RealServerKey{Service: service, Address: address}] {
				usage[service][address] = lvs.Usage{Inactive: 1}
			}
		}
	}
	return usage
}

// reconcile applies the difference, if the kernel can be reached, and checks
// what must hold of it.
func (w *world) reconcile(t *rapid.T) {
	w.model.Advance(w.now)
	w.second.advance(w.now)
	if !w.away {
		w.second.learn(w.now, w.kernel.Table, w.busy)
		w.model.Learn(w.now, lvs.Reading{State: w.kernel, Usage: w.usage()})
		w.model.Advance(w.now)
		w.second.advance(w.now)
	}
	want := w.model.Wanted()
	if diff := cmp.Diff(w.second.wanted(), want.Table, netipComparer); diff != "" {
		t.Fatalf("wanted table (-second implementation +model):\n%s", diff)
	}
	w.checkRelisted(t, want.Table)
	w.checkStatus(t, want.Table)
	if !w.away {
		w.edit(t, want)
	}
}

// checkRelisted checks that the model names the services whose destinations are
// wanted otherwise than before.
func (w *world) checkRelisted(t *rapid.T, want lvs.Table) {
	relisted := w.model.Relisted()
	for k, e := range want {
		if _, told := relisted[k]; !told && !maps.Equal(w.listed[k], e.Destinations) {
			t.Fatalf("%v is wanted otherwise than before, and was not told", k)
		}
	}
	w.listed = map[lvs.ServiceKey]map[netip.AddrPort]lvs.Destination{}
	for k, e := range want {
		w.listed[k] = maps.Clone(e.Destinations)
	}
}

// checkStatus checks that status says of every configured real server what is
// wanted of it.
func (w *world) checkStatus(t *rapid.T, want lvs.Table) {
	for _, vs := range w.model.Status() {
		for _, rs := range vs.RealServers {
			for _, k := range keysOf(vs.Services, rs.Address) {
				d, there := want[k.Service].Destinations[k.Address]
				if there != (rs.State != lvs.Out) && !rs.Leaving || d.Weight != rs.Weight && !rs.Leaving {
					t.Fatalf("%v is wanted with %+v, and status says %+v", k, d, rs)
				}
			}
			if rs.Reason == "" && rs.Health != lvs.Healthy || rs.Leaving && (rs.State != lvs.Draining || rs.Until.IsZero()) {
				t.Fatalf("status of %s: %+v", vs.Name, rs)
			}
		}
	}
}

// edit carries out the difference and checks what has become of the kernel.
func (w *world) edit(t *rapid.T, want lvs.State) {
	before := map[lvs.ServiceKey]lvs.Entry{}
	for k, e := range w.kernel.Table {
		if !w.model.Ours(k) {
			before[k] = e
		}
	}
	deleted := map[lvs.Op]bool{}
	for _, op := range lvs.Diff(w.kernel, want, w.model) {
		w.checkOp(t, op, deleted)
		w.kernel.Apply(op)
	}
	if rest := lvs.Diff(w.kernel, want, w.model); len(rest) > 0 {
		t.Fatalf("not done after all operations: %v", lines(rest))
	}
	for k, e := range w.kernel.Table {
		if w.model.Ours(k) {
			before[k] = want.Table[k]
		}
		if diff := cmp.Diff(before[k], e, netipComparer); diff != "" {
			t.Fatalf("%v (-want +got):\n%s", k, diff)
		}
	}
	for role, d := range w.kernel.Daemons {
		if wanted, found := w.follow[role]; w.follow != nil && (!found || wanted.ID != d.ID) {
			t.Fatalf("sync daemon %v %+v, want %+v", role, d, w.follow)
		}
	}
	if len(w.kernel.Daemons) < len(w.follow) || w.kernel.Timeouts.UDP != time.Minute {
		t.Fatalf("sync daemons %+v, timeouts %+v", w.kernel.Daemons, w.kernel.Timeouts)
	}
	w.model.Settle(w.kernel)
}

// checkOp checks that an operation is on something of ours, makes sense at
// its place, and brings nothing back that was deleted before it.
func (w *world) checkOp(t *rapid.T, op lvs.Op, deleted map[lvs.Op]bool) {
	entry, serviceThere := w.kernel.Table[op.Service.ServiceKey]
	_, destinationThere := entry.Destinations[op.Destination.Address]
	_, running := w.kernel.Daemons[op.Role]
	sensible := map[lvs.OpKind]bool{
		lvs.AddService:        !serviceThere,
		lvs.AddDestination:    serviceThere && !destinationThere,
		lvs.UpdateService:     serviceThere,
		lvs.UpdateDestination: serviceThere && destinationThere,
		lvs.DeleteDestination: serviceThere && destinationThere,
		lvs.DeleteService:     serviceThere,
		lvs.StartDaemon:       !running,
		lvs.StopDaemon:        running && w.model.OursRole(op.Role),
		lvs.SetTimeouts:       true,
	}
	table := op.Role == 0 && op.Kind != lvs.SetTimeouts
	identity := lvs.Op{Service: lvs.Service{ServiceKey: op.Service.ServiceKey}, Destination: lvs.Destination{Address: op.Destination.Address}}
	if !sensible[op.Kind] || table && deleted[identity] || table && !w.model.Ours(op.Service.ServiceKey) {
		t.Fatalf("%v makes no sense here", op)
	}
	deleted[identity] = op.Kind == lvs.DeleteDestination || op.Kind == lvs.DeleteService
}

// TestAnyHistory checks that whatever happens, in whatever order and at
// whatever time, the kernel ends up with what configuration, latest facts,
// adoption, decisions and policies say, and that services of others are never
// touched.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"configure": func(t *rapid.T) { w.configure(drawConfig(t), nil) },
			"reload":    func(t *rapid.T) { w.configure(w.changed(t), nil) },
			"observe":   w.observe,
			"override":  w.override,
			"interfere": w.interfere,
			"sync":      w.synchronize,
			"wait":      w.wait,
			"connect":   func(t *rapid.T) { w.busy[drawReal(t)] = rapid.Bool().Draw(t, "busy") },
			"outage":    func(*rapid.T) { w.away = !w.away },
			"restart":   func(t *rapid.T) { w.restart(drawConfig(t), w.model.Owned(), w.model.Overrides()) },
			"":          w.reconcile,
		})
		if diff := cmp.Diff(foreign, w.kernel.Table[foreign.Service.ServiceKey], netipComparer); diff != "" && !w.exclusive {
			t.Fatalf("service of somebody else (-want +got):\n%s", diff)
		}
	})
}

// TestRestartInterruptsNothing checks, after whatever history, that a restart
// with the same configuration takes no member out, and cuts off no connection,
// before a check says so.
func TestRestartInterruptsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"reload": func(t *rapid.T) { w.configure(w.changed(t), nil) }, "observe": w.observe, "override": w.override, "wait": w.wait,
			"connect": func(t *rapid.T) { w.busy[drawReal(t)] = rapid.Bool().Draw(t, "busy") }, "": w.reconcile,
		})
		w.restart(w.configs(), w.model.Owned(), w.model.Overrides())
		w.model.Learn(w.now, lvs.Reading{State: w.kernel, Usage: w.usage()})
		w.model.Advance(w.now)
		want := w.model.Wanted().Table
		for _, vs := range w.model.Status() {
			for _, rs := range vs.RealServers {
				for _, k := range keysOf(vs.Services, rs.Address) {
					before, held := w.kernel.Table[k.Service].Destinations[k.Address]
					after, holds := want[k.Service].Destinations[k.Address]
					if before.Weight > 0 && after.Weight == 0 {
						t.Fatalf("%s: %v had weight %d, and has weight 0 after a restart: %s", vs.Name, k, before.Weight, rs.Reason)
					}
					if held && !holds && w.busy[k] {
						t.Fatalf("%s: %v had connections, and is out after a restart: %s", vs.Name, k, rs.Reason)
					}
				}
			}
		}
	})
}

// configs returns the present configuration.
func (w *world) configs() (config []lvs.VirtualServerConfig) {
	for _, s := range w.second.servers {
		config = append(config, s.config.Clone())
	}
	return config
}

// changed returns the present configuration with one virtual server changed
// or renamed.
func (w *world) changed(t *rapid.T) []lvs.VirtualServerConfig {
	config := w.configs()
	if len(config) > 0 {
		c := &config[rapid.IntRange(0, len(config)-1).Draw(t, "which")]
		other := drawVirtualServer(t, c.Name+rapid.SampledFrom([]string{"", "x"}).Draw(t, "suffix"))
		other.Services = c.Services
		if rapid.Bool().Draw(t, "rename only") {
			c.Name = other.Name
		} else {
			*c = other
		}
	}
	return config
}

// TestOrderOfFacts checks that facts of one moment about different real
// servers lead to the same table in any order.
func TestOrderOfFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := drawConfig(t)
		facts := rapid.MapOfN(rapid.Custom(drawReal), rapid.Custom(drawFact), 0, 8).Draw(t, "facts")
		var known []*referenceMember
		second := &reference{}
		second.configure(start, config)
		keys := slices.DeleteFunc(slices.Collect(maps.Keys(facts)), func(k lvs.RealServerKey) bool {
			m := second.find(k)
			twice := slices.Contains(known, m)
			known = append(known, m)
			return m == nil || twice
		})
		wanted := func(keys []lvs.RealServerKey) lvs.Table {
			m := configured(table(), config...)
			for _, k := range keys {
				m.Model.Observe(m.now, k, lvs.Fact{Healthy: !facts[k].Healthy})
				m.Model.Observe(m.now, k, facts[k])
			}
			m.Advance(m.now)
			return m.Wanted()
		}
		shuffled := rapid.Permutation(keys).Draw(t, "order")
		if diff := cmp.Diff(wanted(keys), wanted(shuffled), netipComparer); diff != "" {
			t.Fatalf("the order of facts matters:\n%s", diff)
		}
	})
}
