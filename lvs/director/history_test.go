package director_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs/ipvstest"
)

// history is a random sequence of what can happen to a director.
type history struct {
	*fixture
	*rand.Rand
	config []lvs.VirtualServerConfig
	others lvs.Table // services of another program
	absent bool      // whether the kernel has no IPVS
	steps  []string
}

// The services of histories: ours, if they are configured, and another's.
var (
	ourKeys   = []lvs.ServiceKey{key("192.168.56.1:80"), key("192.168.56.2:80"), key("192.168.56.3:80")}
	otherKeys = []lvs.ServiceKey{key("192.168.56.0:80"), key("192.168.56.9:80")}
)

// TestAnyHistory checks that after any sequence of configurations, facts,
// decisions, restarts, failures and edits of others the kernel holds what the
// status says, and what others have of their own, though the table is read in
// parts of one service.
func TestAnyHistory(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &history{Rand: rand.New(rand.NewPCG(seed, 0)), others: lvs.Table{}}
				h.begin(newFixture(t, ipvstest.New()), nil, nil)
				h.configureAny()
				for range 6 {
					for range 15 {
						h.step()
						h.wait(time.Duration(h.IntN(400)) * time.Millisecond)
					}
					h.compare()
				}
				h.stop()
				if t.Failed() {
					t.Log(h.steps)
				}
			})
		})
	}
}

// begin lets a director run that has been told what its predecessor left.
func (h *history) begin(f *fixture, owned []lvs.ServiceKey, overrides []lvs.StoredOverride) {
	h.fixture = f
	h.part.Store(1)
	h.Configure(h.config, owned)
	h.SetOverrides(overrides)
	h.start()
}

// note writes down what happens.
func (h *history) note(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

// step lets something happen.
func (h *history) step() {
	switch n := h.IntN(20); n {
	case 0, 1:
		h.configureAny()
	case 2, 3, 4, 5:
		k, good := lvs.RealServerKey{Service: h.anyKey(), Address: h.anyReal()}, h.IntN(2) == 0
		h.note("%v healthy %t", k, good)
		h.Report(k, lvs.Fact{Healthy: good, Reason: "timeout"})
	case 6, 7:
		o := lvs.Override{Kind: lvs.OverrideKind(h.IntN(3)), Weight: 7}
		h.note("override %+v", o)
		_ = h.Override(h.t.Context(), fmt.Sprint("s", h.IntN(len(ourKeys))), h.anyReal(), o) // it may not be configured
	case 8:
		busy := h.IntN(2) == 0
		h.note("busy %t", busy)
		h.change(func(_ *lvs.State, b *bool) { *b = busy })
	case 9:
		h.note("restart")
		last := h.Snapshot()
		h.stop()
		h.begin(newFixture(h.t, h.kernel), last.Owned, last.Overrides)
	case 10, 11:
		h.fault(h.IntN(5))
	default:
		h.interfere(n)
	}
}

// configureAny configures some virtual servers.
func (h *history) configureAny() {
	h.config = anyConfig(h.IntN)
	h.note("configure %+v", h.config)
	h.Configure(h.config, nil)
}

// anyConfig is a configuration of some of our services, by numbers below n that
// are drawn.
func anyConfig(draw func(n int) int) (all []lvs.VirtualServerConfig) {
	for n, k := range ourKeys {
		if draw(4) == 0 {
			continue
		}
		config := lvs.VirtualServerConfig{
			Name: fmt.Sprint("s", n), Services: []lvs.Service{{ServiceKey: k, Scheduler: []string{"rr", "wrr"}[draw(2)]}},
			DrainLimit: time.Duration(draw(2)) * time.Second, OnFailure: lvs.OnFailure(draw(2)), AllDown: lvs.AllDown(draw(3)),
		}
		for real := range 4 {
			if draw(3) > 0 {
				config.RealServers = append(config.RealServers, lvs.RealServerConfig{
					Address: numbered(real), Weight: uint32(draw(3)), Checked: draw(2) == 0,
				})
			}
		}
		if draw(3) == 0 {
			config.Sorry = []lvs.RealServerConfig{{Address: numbered(9), Weight: 1}}
		}
		all = append(all, config)
	}
	return all
}

// anyKey returns one of our services.
func (h *history) anyKey() lvs.ServiceKey { return ourKeys[h.IntN(len(ourKeys))] }

// anyReal returns the address of a real server.
func (h *history) anyReal() netip.AddrPort { return numbered(h.IntN(4)) }

// fault makes the kernel fail, or mends it.
func (h *history) fault(kind int) {
	errno := []unix.Errno{unix.ENOBUFS, unix.ENOMEM, unix.EPERM}[h.IntN(3)]
	h.note("fault %d %v", kind, errno)
	switch kind {
	case 0:
		h.kernel.Fail(1+h.IntN(4), errno)
	case 1:
		edit := []string{"NEW_DEST", "SET_DEST", "DEL_DEST"}[h.IntN(3)]
		h.kernel.Break(fmt.Sprintf("%s %v %v", edit, h.anyKey().Address, h.anyReal()), errno)
	case 2:
		h.refuse(errors.New("no socket"))
	case 3:
		h.load(h.absent)
	default:
		h.mend()
	}
}

// mend ends all faults.
func (h *history) mend() {
	h.kernel.Mend()
	h.refuse(nil)
	if h.absent {
		h.load(true)
	}
}

// load loads the module of IPVS, or removes it with all that it holds.
func (h *history) load(there bool) {
	h.absent = !there
	h.kernel.SetAbsent(h.absent)
	clear(h.others)
}

// interfere lets another program edit the table.
func (h *history) interfere(kind int) {
	if h.absent {
		return
	}
	service := lvs.Service{ServiceKey: h.anyKey(), Scheduler: []string{"rr", "lc"}[h.IntN(2)]}
	d := lvs.Destination{Address: h.anyReal(), Weight: uint32(h.IntN(5))}
	switch {
	case kind == 12:
		h.note("flush")
		h.kernel.Flush()
		clear(h.others)
		return
	case kind < 15:
		op := lvs.Op{Kind: lvs.OpKind(h.IntN(6)), Service: service, Destination: d}
		op.Service.ServiceKey = otherKeys[h.IntN(len(otherKeys))]
		if _, held := h.others[op.Service.ServiceKey]; held || op.Kind == lvs.AddService {
			h.edit(op)
			h.others.Apply(op)
		}
		return
	}
	held, there := h.kernel.Table()[service.ServiceKey]
	switch {
	case !there || h.of(service.ServiceKey) == nil:
	case kind < 18:
		if kind == 17 {
			service = held.Service
		}
		h.edit(lvs.Op{Kind: lvs.DeleteService, Service: service}, lvs.Op{Kind: lvs.AddService, Service: service},
			lvs.Op{Kind: lvs.AddDestination, Service: service, Destination: d})
	case kind == 18:
		h.edit(lvs.Op{Kind: lvs.DeleteDestination, Service: service, Destination: d})
	default:
		h.edit(lvs.Op{Kind: lvs.UpdateService, Service: service}, lvs.Op{Kind: lvs.AddDestination, Service: service, Destination: d})
	}
}

// edit carries out operations of another program.
func (h *history) edit(ops ...lvs.Op) {
	for _, op := range ops {
		h.note("other program: %v", op)
	}
	h.kernel.Edit(ops...)
}

// of returns the configuration that has a service, or nil.
func (h *history) of(k lvs.ServiceKey) *lvs.VirtualServerConfig {
	for i := range h.config {
		if h.config[i].Services[0].ServiceKey == k {
			return &h.config[i]
		}
	}
	return nil
}

// compare mends everything, and compares the kernel with what the status says.
func (h *history) compare() {
	h.mend()
	h.wait(15 * time.Second)
	if diff := gocmp.Diff(statedTable(h.Snapshot(), h.others), h.kernel.Table(), netipComparer); diff != "" {
		h.t.Errorf("kernel (-want +got):\n%s", diff)
	}
	if problems := h.Snapshot().Problems; len(problems) > 0 {
		h.t.Errorf("problems %q", problems)
	}
	h.note("compared")
}

// statedTable is what the kernel holds if it is as the status says, beside what
// others have.
func statedTable(status *director.Status, others lvs.Table) lvs.Table {
	table := maps.Clone(others)
	for _, vs := range status.VirtualServers {
		service := vs.Services[0]
		destinations := make(map[netip.AddrPort]lvs.Destination)
		for _, rs := range slices.Concat(vs.RealServers, vs.Sorry) {
			if rs.State != lvs.Out {
				destinations[rs.Address] = lvs.Destination{Address: rs.Address, Weight: rs.Weight}
			}
		}
		table[service.ServiceKey] = lvs.Entry{Service: service, Destinations: destinations}
	}
	return table
}
