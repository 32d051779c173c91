package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/lvs"
)

// TestOneCheckServesMany gives two virtual servers the same check of the same
// real server: it runs once, and both hear of its verdict.
func TestOneCheckServesMany(t *testing.T) {
	target := netip.MustParseAddrPort("10.0.1.1:80")
	spec := checker.Spec{Probe: checker.TCP{}, Target: target}
	virtualServer := func(address string) config.VirtualServer {
		vs := config.VirtualServer{Checks: map[netip.AddrPort]checker.Condition{target: checker.Leaf(spec)}}
		vs.Services = []lvs.Service{{ServiceKey: service80(address)}}
		return vs
	}
	a := newAudience(&config.Node{VirtualServers: []config.VirtualServer{virtualServer("10.0.0.1"), virtualServer("10.0.0.2")}})
	if specs := a.specs(); len(specs) != 1 || specs[0] != spec {
		t.Fatalf("specs = %v, want one", specs)
	}
	var told []lvs.RealServerKey
	var known checker.Known
	f := fanOut{known: func(checker.Spec) checker.Known { return known }, tell: func(key lvs.RealServerKey, fact lvs.Fact) {
		if fact != (lvs.Fact{Reason: "connection refused"}) {
			t.Errorf("fact = %v", fact)
		}
		told = append(told, key)
	}}
	f.audience.Store(&a)
	known = checker.Known{Reason: "timed out"}
	f.report(spec, known)
	f.report(checker.Spec{Probe: checker.TCP{}}, checker.Known{State: checker.Healthy})
	if len(told) != 0 {
		t.Errorf("told of no verdict, or of somebody else's: %v", told)
	}
	known = checker.Known{State: checker.Unhealthy, Reason: "connection refused"}
	f.report(spec, known)
	want := []lvs.RealServerKey{{Service: service80("10.0.0.1"), Address: target}, {Service: service80("10.0.0.2"), Address: target}}
	if diff := cmp.Diff(want, told, compareValues); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestFacts turns what is known of a condition into what the director is told,
// with the advice of one that works.
func TestFacts(t *testing.T) {
	percent := checker.Weight{Set: true, Value: 50, Percent: true}
	for _, test := range []struct {
		name  string
		known checker.Known
		want  lvs.Fact
	}{
		{"bad", checker.Known{State: checker.Unhealthy, Reason: "timed out", Advice: checker.Advice{Drain: true, Weight: percent}}, lvs.Fact{Reason: "timed out"}},
		{"good", checker.Known{State: checker.Healthy}, lvs.Fact{}},
		{"drain", checker.Known{State: checker.Healthy, Advice: checker.Advice{Drain: true}}, lvs.Fact{Advice: lvs.Advice{Drain: true}}},
		{"weight", checker.Known{State: checker.Healthy, Advice: checker.Advice{Weight: checker.Weight{Set: true, Value: 7}}},
			lvs.Fact{Advice: lvs.Advice{Weight: lvs.Asked{Set: true, Value: 7}}}},
		{"both", checker.Known{State: checker.Healthy, Advice: checker.Advice{Weight: checker.Weight{Set: true}, Also: percent}},
			lvs.Fact{Advice: lvs.Advice{Weight: lvs.Asked{Set: true}, Percent: lvs.Asked{Set: true, Value: 50}}}},
	} {
		if test.known.State == checker.Healthy {
			test.want.Healthy, test.want.Reason = true, "check passed"
		}
		if got := newFact(test.known); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// TestAdvisedWeight checks that the director gives a real server the weight
// that package checker says.
func TestAdvisedWeight(t *testing.T) {
	address := netip.MustParseAddrPort("10.0.1.1:80")
	values := []int{0, 1, 33, 50, 100, 300, 65535, 1 << 20}
	for _, configured := range []int{0, 1, 3, 100, 65535} {
		for _, value := range values {
			for _, other := range values {
				advice := checker.Advice{
					Weight: checker.Weight{Set: true, Value: value}, Also: checker.Weight{Set: other != 300, Value: other, Percent: true},
				}
				if other == 33 {
					advice.Weight.Percent, advice.Also = true, checker.Weight{}
				}
				var m lvs.Model
				m.Configure(time.Time{}, []lvs.VirtualServerConfig{{
					Services: []lvs.Service{{ServiceKey: service80("10.0.0.1")}}, RealServers: []lvs.RealServerConfig{{Address: address, Weight: uint32(configured), Checked: true}},
				}}, nil)
				m.Observe(time.Time{}, lvs.RealServerKey{Service: service80("10.0.0.1"), Address: address}, newFact(checker.Known{State: checker.Healthy, Advice: advice}))
				m.Advance(time.Time{})
				if got, want := int(m.Status()[0].RealServers[0].Weight), min(advice.Of(configured), lvs.MaxWeight); got != want {
					t.Errorf("%+v of %d: %d, want %d", advice, configured, got, want)
				}
			}
		}
	}
}

// told collects what real servers are told, the latest of each.
type told struct {
	mu    sync.Mutex
	facts map[string]lvs.Fact
}

// tell is fanOut.tell.
func (d *told) tell(key lvs.RealServerKey, fact lvs.Fact) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.facts[key.Address.String()] = fact
}

// take returns who is healthy of those who have been told something since the
// last call.
func (d *told) take() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	healthy := make(map[string]bool)
	for address, fact := range d.facts {
		healthy[address] = fact.Healthy
	}
	clear(d.facts)
	return healthy
}

// TestReloadTellsAnew changes which conditions decide, and on whom, while the
// checks find nothing new: everybody is told what the new ones make of it.
func TestReloadTellsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
		say(t, good, "up")
		say(t, bad, "down")
		up, down := checker.Leaf(fileSpec(good, "10.0.1.1:80")), checker.Leaf(fileSpec(bad, "10.0.1.2:80"))
		d := &told{facts: map[string]lvs.Fact{}}
		f := fanOut{log: slog.New(slog.DiscardHandler), tell: d.tell}
		pool := checker.NewPool(f.report)
		defer pool.Close()
		f.known = pool.Known
		const first, second = "10.0.1.1:80", "10.0.1.2:80"
		faster := fileSpec(good, "10.0.1.1:80")
		faster.Interval = 100 * time.Millisecond
		for _, step := range []struct {
			name       string
			conditions []checker.Condition
			want       map[string]bool
		}{
			{"one each", []checker.Condition{up, down}, map[string]bool{first: true, second: false}},
			{"the other way round", []checker.Condition{down, up}, map[string]bool{first: false, second: true}},
			{"all", []checker.Condition{checker.All(up, down), up}, map[string]bool{first: false, second: true}},
			{"any", []checker.Condition{checker.Any(up, down), down}, map[string]bool{first: true, second: false}},
			{"another pace", []checker.Condition{checker.All(checker.Leaf(faster), down), checker.Leaf(faster)}, map[string]bool{first: false, second: true}},
			{"without the second", []checker.Condition{up}, map[string]bool{first: true}},
			{"which comes back", []checker.Condition{down, up}, map[string]bool{first: false, second: true}},
			{"nobody", nil, map[string]bool{}},
		} {
			a := newAudience(checkedBy(step.conditions...))
			f.address(a)
			must(t, pool.Set(a.specs()))
			time.Sleep(1500 * time.Millisecond)
			if diff := cmp.Diff(step.want, d.take()); diff != "" {
				t.Errorf("%s: told (-want +got):\n%s", step.name, diff)
			}
		}
	})
}

// TestWarnings logs a warning when it begins and when it ends, not each time if
// it comes and goes; and status has those that there are.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		spec := func(n int) checker.Spec {
			return checker.Spec{Probe: checker.TCP{}, Target: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(n)}), 443)}
		}
		var conditions []checker.Condition
		for n := range 30 {
			conditions = append(conditions, checker.Leaf(spec(n)))
		}
		warns := map[checker.Spec]string{}
		f := fanOut{
			log:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
			tell: func(lvs.RealServerKey, lvs.Fact) {},
			known: func(s checker.Spec) checker.Known {
				return checker.Known{State: checker.Healthy, Advice: checker.Advice{Warning: warns[s]}}
			},
		}
		f.address(newAudience(checkedBy(conditions...)))
		warn := func(n int, text string) {
			warns[spec(n)] = text
			f.report(spec(n), f.known(spec(n)))
		}
		logged := func(want string) {
			t.Helper()
			if diff := cmp.Diff(want, log.String()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			log.Reset()
		}
		begins := "level=WARN msg=\"check warns\" check=\"tcp 10.0.1.1:443\" warning=\"certificate expires 2026-01-02\"\n"
		ends := "level=INFO msg=\"check warns no more\" check=\"tcp 10.0.1.1:443\" warning=\"certificate expires 2026-01-02\"\n"
		warn(1, "")
		logged("")
		warn(1, "certificate expires 2026-01-02")
		warn(1, "certificate expires 2026-01-02")
		logged(begins)
		warn(1, "")
		logged(ends)
		for range 100 {
			warn(1, "certificate expires 2026-01-02")
			warn(1, "")
		}
		logged(begins + ends)
		time.Sleep(time.Hour)
		warn(1, "certificate expires 2026-01-02")
		logged(begins)
		warn(3, "certificate expires 2026-01-02")
		warn(2, "certificate expires 2026-01-02")
		warn(4, "certificate expires 2026-01-03")
		want := []string{"3 checks, such as tcp 10.0.1.1:443: certificate expires 2026-01-02", "tcp 10.0.1.4:443: certificate expires 2026-01-03"}
		if diff := cmp.Diff(want, f.warnings()); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		for n := range 30 {
			warn(n, fmt.Sprint("warning ", n))
		}
		if got := f.warnings(); len(got) != 21 || got[20] != "10 more: see bascule checks" {
			t.Errorf("warnings %q", got)
		}
		log.Reset()
		f.address(newAudience(checkedBy()))
		f.report(spec(5), checker.Known{Advice: checker.Advice{Warning: "of a check that ends"}})
		f.address(newAudience(checkedBy(conditions...)))
		logged("")
		warn(1, "certificate expires 2026-01-02")
		logged(begins)
	})
}

// withoutTime leaves the time out of a log.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
