package lab

import (
	"net/netip"
	"testing"
)

// TestCrowd counts real servers, all of them different, and changes one.
func TestCrowd(t *testing.T) {
	t.Parallel()
	for _, changed := range []bool{false, true} {
		crowd := Crowd{Services: 370, Servers: 100, Changed: changed}
		services := map[netip.AddrPort]bool{}
		servers := map[netip.AddrPort]bool{}
		heavy := 0
		for _, s := range crowd.List() {
			services[s.Addresses[0]] = true
			for _, rs := range s.Servers {
				servers[rs.Address] = true
				heavy += rs.Weight - 1
				if !crowdNetwork.Contains(rs.Address.Addr()) {
					t.Errorf("real server %v outside of %v", rs.Address, crowdNetwork)
				}
			}
		}
		service, server := crowd.Middle()
		want := 0
		if changed {
			want = 1
		}
		if len(services) != 370 || len(servers) != 37000 || crowd.Total() != 37000 || heavy != want || server.Weight != 1+want || service.Name != "s185" {
			t.Errorf("changed %v: %d services, %d of %d real servers, %d of another weight, in the middle %v of %s",
				changed, len(services), len(servers), crowd.Total(), heavy, server, service.Name)
		}
	}
}

// TestParseProbeProfile reads the hits of one probe among others.
func TestParseProbeProfile(t *testing.T) {
	t.Parallel()
	const text = "  other                                                      7               0\n" +
		"  lab_ipvs_edits                                         37370               0\n"
	if n, err := parseProbeProfile(text, editProbe); n != 37370 || err != nil {
		t.Errorf("hits = %d, %v", n, err)
	}
	if n, err := parseProbeProfile("", editProbe); err == nil {
		t.Errorf("no probe: %d hits, want an error", n)
	}
}
