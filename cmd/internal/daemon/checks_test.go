package daemon

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/lvs"
)

// TestOneCheckServesMany gives two virtual servers the same check of the same
// real server: it runs once, and both hear of its verdict.
func TestOneCheckServesMany(t *testing.T) {
	target := netip.MustParseAddrPort("10.0.1.1:80")
	spec := checker.Spec{Type: checker.TypeTCP, Target: target}
	virtualServer := func(address string) config.VirtualServer {
		vs := config.VirtualServer{Checks: map[netip.AddrPort]checker.Spec{target: spec}}
		vs.ServiceKey = service80(address)
		return vs
	}
	a := newAudience(&config.Node{VirtualServers: []config.VirtualServer{virtualServer("10.0.0.1"), virtualServer("10.0.0.2")}})
	if specs := a.specs(); len(specs) != 1 || specs[0] != spec {
		t.Fatalf("specs = %v, want one", specs)
	}
	var told []lvs.RealServerKey
	f := fanOut{tell: func(key lvs.RealServerKey, fact lvs.Fact) {
		if fact != (lvs.Fact{Reason: "connection refused"}) {
			t.Errorf("fact = %v", fact)
		}
		told = append(told, key)
	}}
	f.audience.Store(&a)
	f.report(spec, checker.Unknown, "timed out")
	f.report(checker.Spec{Type: checker.TypeTCP}, checker.Healthy, "")
	if len(told) != 0 {
		t.Errorf("told of no verdict, or of somebody else's: %v", told)
	}
	f.report(spec, checker.Unhealthy, "connection refused")
	want := []lvs.RealServerKey{{Service: service80("10.0.0.1"), Address: target}, {Service: service80("10.0.0.2"), Address: target}}
	if diff := cmp.Diff(want, told, compareValues); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
