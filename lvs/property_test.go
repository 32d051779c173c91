package lvs_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bascule/lvs"
)

// world is a model with the kernel that it governs, for random histories.
type world struct {
	model  *lvs.Model
	config []lvs.VirtualServerConfig
	kernel lvs.Table
	facts  map[lvs.RealServerKey]bool // the second implementation: latest fact of what is configured and checked
	held   map[lvs.RealServerKey]bool // member until a fact, of what is configured and checked
	out    map[lvs.RealServerKey]bool // put out by a check, configured or not: only a good check, or no check, brings it back

	away    bool // the kernel cannot be reached
	adopted bool // the kernel has been reached since the start
}

// foreign is a service of somebody else, which no history may change.
var foreign = entry("10.9.9.9:80", "sh", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 9))

// drawConfig draws a configuration of a few services and real servers.
func drawConfig(t *rapid.T) []lvs.VirtualServerConfig {
	var config []lvs.VirtualServerConfig
	for s := range rapid.IntRange(0, 3).Draw(t, "services") {
		vs := lvs.VirtualServerConfig{Name: fmt.Sprint("vs", s), Service: lvs.Service{
			ServiceKey: key(fmt.Sprintf("10.0.0.%d:80", s)),
			Scheduler:  rapid.SampledFrom([]string{"rr", "wrr", "mh"}).Draw(t, "scheduler"),
		}}
		for r := range 3 {
			if rapid.Bool().Draw(t, "present") {
				vs.RealServers = append(vs.RealServers, lvs.RealServerConfig{
					Address: netip.MustParseAddrPort(fmt.Sprintf("10.1.0.%d:80", r)),
					Weight:  rapid.Uint32Range(0, 3).Draw(t, "weight"),
					Checked: rapid.IntRange(0, 3).Draw(t, "checked") > 0,
				})
			}
		}
		config = append(config, vs)
	}
	return config
}

// drawReal draws the key of a real server, configured or not.
func drawReal(t *rapid.T) lvs.RealServerKey {
	return lvs.RealServerKey{
		Service: key(fmt.Sprintf("10.0.0.%d:80", rapid.IntRange(0, 3).Draw(t, "service"))),
		Address: netip.MustParseAddrPort(fmt.Sprintf("10.1.0.%d:80", rapid.IntRange(0, 3).Draw(t, "real"))),
	}
}

// configure gives a configuration to the model and to the second
// implementation.
func (w *world) configure(config []lvs.VirtualServerConfig, owned []lvs.ServiceKey) {
	checked, unchecked := checkedKeys(w.config, true), checkedKeys(w.config, false)
	facts, held := w.facts, w.held
	w.config, w.facts, w.held = config, map[lvs.RealServerKey]bool{}, map[lvs.RealServerKey]bool{}
	for k := range checkedKeys(config, true) {
		w.held[k] = unchecked[k] || checked[k] && held[k]
		if healthy, known := facts[k]; known {
			w.facts[k] = healthy
		}
	}
	for k := range checkedKeys(config, false) {
		delete(w.out, k)
	}
	w.model.Configure(config, owned)
}

// adopt is the second implementation of Adopt.
func (w *world) adopt() {
	for k := range checkedKeys(w.config, true) {
		if _, held := w.kernel[k.Service].Destinations[k.Address]; held && !w.adopted {
			w.held[k] = true
		}
	}
	w.adopted = true
	w.model.Adopt(w.kernel)
}

// checkedKeys returns the real servers that are checked, or those that are
// not.
func checkedKeys(config []lvs.VirtualServerConfig, checked bool) map[lvs.RealServerKey]bool {
	keys := map[lvs.RealServerKey]bool{}
	for _, vs := range config {
		for _, rs := range vs.RealServers {
			if rs.Checked == checked {
				keys[lvs.RealServerKey{Service: vs.ServiceKey, Address: rs.Address}] = true
			}
		}
	}
	return keys
}

// wanted is the second implementation of Wanted.
func (w *world) wanted() lvs.Table {
	want := table()
	for _, vs := range w.config {
		e := lvs.Entry{Service: vs.Service, Destinations: map[netip.AddrPort]lvs.Destination{}}
		for _, rs := range vs.RealServers {
			k := lvs.RealServerKey{Service: vs.ServiceKey, Address: rs.Address}
			member, known := w.facts[k]
			if !known {
				member = w.held[k]
			}
			if member || !rs.Checked {
				e.Destinations[rs.Address] = lvs.Destination{Address: rs.Address, Weight: rs.Weight}
			}
		}
		want[vs.ServiceKey] = e
	}
	return want
}

// interfere changes the kernel's table as somebody else might.
func (w *world) interfere(t *rapid.T) {
	rs := drawReal(t)
	kind := rapid.SampledFrom([]lvs.OpKind{
		lvs.AddService, lvs.AddDestination, lvs.UpdateService, lvs.UpdateDestination, lvs.DeleteDestination, lvs.DeleteService,
	}).Draw(t, "kind")
	w.kernel.Apply(lvs.Op{
		Kind:        kind,
		Service:     lvs.Service{ServiceKey: rs.Service, Scheduler: "lc", Altered: rapid.Bool().Draw(t, "altered")},
		Destination: lvs.Destination{Address: rs.Address, Weight: 5, Altered: rapid.Bool().Draw(t, "altered")},
	})
}

// reconcile applies the difference, if the kernel can be reached, and checks
// what must hold of it.
func (w *world) reconcile(t *rapid.T) {
	if !w.away {
		w.adopt()
	}
	want := w.model.Wanted()
	if diff := cmp.Diff(w.wanted(), want, netipComparer); diff != "" {
		t.Fatalf("wanted table (-second implementation +model):\n%s", diff)
	}
	for k := range w.out {
		if _, member := want[k.Service].Destinations[k.Address]; member {
			t.Fatalf("%v was put out by a check, and is a member without a good one", k)
		}
	}
	if w.away {
		return
	}
	before := map[lvs.ServiceKey]lvs.Entry{}
	for k, e := range w.kernel {
		if !w.model.Ours(k) {
			before[k] = e
		}
	}
	deleted := map[lvs.Op]bool{}
	for _, op := range lvs.Diff(w.kernel, want, w.model.Ours) {
		w.checkOp(t, op, deleted)
		w.kernel.Apply(op)
	}
	if rest := lvs.Diff(w.kernel, want, w.model.Ours); len(rest) > 0 {
		t.Fatalf("not done after all operations: %v", lines(rest))
	}
	for k, e := range w.kernel {
		if w.model.Ours(k) {
			before[k] = want[k]
		}
		if diff := cmp.Diff(before[k], e, netipComparer); diff != "" {
			t.Fatalf("%v (-want +got):\n%s", k, diff)
		}
	}
	w.model.Settle(w.kernel)
}

// checkOp checks that an operation is on a service of ours, makes sense at
// its place, and brings nothing back that was deleted before it.
func (w *world) checkOp(t *rapid.T, op lvs.Op, deleted map[lvs.Op]bool) {
	if !w.model.Ours(op.Service.ServiceKey) {
		t.Fatalf("%v: not ours", op)
	}
	entry, serviceThere := w.kernel[op.Service.ServiceKey]
	_, destinationThere := entry.Destinations[op.Destination.Address]
	sensible := map[lvs.OpKind]bool{
		lvs.AddService:        !serviceThere,
		lvs.AddDestination:    serviceThere && !destinationThere,
		lvs.UpdateService:     serviceThere,
		lvs.UpdateDestination: serviceThere && destinationThere,
		lvs.DeleteDestination: serviceThere && destinationThere,
		lvs.DeleteService:     serviceThere,
	}
	identity := lvs.Op{Service: lvs.Service{ServiceKey: op.Service.ServiceKey}, Destination: lvs.Destination{Address: op.Destination.Address}}
	if !sensible[op.Kind] || deleted[identity] {
		t.Fatalf("%v makes no sense here", op)
	}
	deleted[identity] = op.Kind == lvs.DeleteDestination || op.Kind == lvs.DeleteService
}

// TestAnyHistory checks that whatever happens, in whatever order, the kernel
// ends up with what configuration, latest facts and adoption say, and that
// services of others are never touched.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{model: &lvs.Model{}, out: map[lvs.RealServerKey]bool{}, kernel: table(entry("10.9.9.9:80", "sh", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 9)))}
		t.Repeat(map[string]func(*rapid.T){
			"configure": func(t *rapid.T) { w.configure(drawConfig(t), nil) },
			"observe": func(t *rapid.T) {
				k, healthy := drawReal(t), rapid.Bool().Draw(t, "healthy")
				if _, taken := w.model.Observe(k, lvs.Fact{Healthy: healthy}); taken != checkedKeys(w.config, true)[k] {
					t.Fatalf("fact about %v taken: %v", k, taken)
				} else if taken {
					w.facts[k] = healthy
					w.out[k] = true
				}
				if healthy {
					delete(w.out, k)
				}
			},
			"interfere": w.interfere,
			"outage":    func(*rapid.T) { w.away = !w.away },
			"restart": func(t *rapid.T) {
				owned := w.model.Owned()
				w.model, w.config, w.adopted = &lvs.Model{}, nil, false
				w.facts, w.held = nil, nil
				clear(w.out)
				w.configure(drawConfig(t), owned)
			},
			"": w.reconcile,
		})
		if diff := cmp.Diff(foreign, w.kernel[foreign.Service.ServiceKey], netipComparer); diff != "" {
			t.Fatalf("service of somebody else (-want +got):\n%s", diff)
		}
	})
}

// TestOrderOfFacts checks that facts about different real servers lead to the
// same table in any order.
func TestOrderOfFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := drawConfig(t)
		facts := rapid.MapOfN(rapid.Custom(drawReal), rapid.Bool(), 0, 8).Draw(t, "facts")
		var keys []lvs.RealServerKey
		for k := range facts {
			keys = append(keys, k)
		}
		wanted := func(keys []lvs.RealServerKey) lvs.Table {
			m := configured(table(), config...)
			for _, k := range keys {
				m.Observe(k, lvs.Fact{Healthy: !facts[k]})
				m.Observe(k, lvs.Fact{Healthy: facts[k]})
			}
			return m.Wanted()
		}
		shuffled := rapid.Permutation(keys).Draw(t, "order")
		if diff := cmp.Diff(wanted(keys), wanted(shuffled), netipComparer); diff != "" {
			t.Fatalf("the order of facts matters:\n%s", diff)
		}
	})
}
