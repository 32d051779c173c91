package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/cmd/internal/config"
	"bascule/lvs"
	"bascule/vrrp"
)

// compareValues lets cmp look at addresses as values.
var compareValues = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{}), cmpopts.EquateEmpty()}

// service80 returns the key of a TCP service on port 80.
func service80(addr string) lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.TCP, Address: netip.MustParseAddrPort(addr + ":80")}
}

// exampleNode has two routers on one interface and a virtual server.
func exampleNode() *config.Node {
	router := func(name, iface, address string) vrrp.RouterConfig {
		return vrrp.RouterConfig{
			RouterKey: vrrp.RouterKey{Interface: iface, Family: vrrp.IPv4, VRID: 1}, Name: name,
			Addresses: []netip.Prefix{netip.MustParsePrefix(address)},
		}
	}
	vs := config.VirtualServer{}
	vs.ServiceKey = service80("10.0.0.1")
	return &config.Node{
		Name: "lb",
		Groups: []vrrp.GroupConfig{{Name: "g", Routers: []vrrp.RouterConfig{
			router("a", "eth0", "10.0.0.1/24"), router("b", "eth0", "10.0.0.2/24"),
		}}},
		VirtualServers: []config.VirtualServer{vs},
	}
}

// TestRecordRoundTrip writes a record and reads the same back.
func TestRecordRoundTrip(t *testing.T) {
	dir := t.TempDir()
	want := newRecord(exampleNode())
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compareValues); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]lvs.ServiceKey{service80("10.0.0.1")}, got.keys(), compareValues); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("files in the state directory: %v, %v, want one", files, err)
	}
}

// TestReadRecordFaults distinguishes no record, which is normal, from one
// that cannot be read.
func TestReadRecordFaults(t *testing.T) {
	dir := t.TempDir()
	if r, err := readRecord(dir); err != nil || len(r.Addresses)+len(r.Services) != 0 {
		t.Errorf("no file: %v, %v", r, err)
	}
	if err := os.WriteFile(filepath.Join(dir, recordName), []byte(`{"addresses": 7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := readRecord(dir); err == nil || !strings.Contains(err.Error(), recordName) || len(r.Addresses) != 0 {
		t.Errorf("broken file: %v, %v", r, err)
	}
}

// TestRecordUnion keeps what either side has, once.
func TestRecordUnion(t *testing.T) {
	left := newRecord(exampleNode())
	right := record{
		Addresses: map[string][]netip.Prefix{
			"eth0": {netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("10.0.0.3/24")},
			"eth1": {netip.MustParsePrefix("10.1.0.1/24")},
		},
		Services: []recordedService{{"udp", netip.MustParseAddrPort("10.0.0.1:53")}, left.Services[0]},
	}
	want := record{
		Addresses: map[string][]netip.Prefix{
			"eth0": {netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("10.0.0.3/24")},
			"eth1": {netip.MustParsePrefix("10.1.0.1/24")},
		},
		Services: []recordedService{left.Services[0], right.Services[0]},
	}
	got := left.union(right)
	if diff := cmp.Diff(want, got, compareValues); diff != "" {
		t.Errorf("union (-want +got):\n%s", diff)
	}
	if !got.covers([]lvs.ServiceKey{service80("10.0.0.1")}) {
		t.Error("the union does not cover a service that it holds")
	}
	if got.covers([]lvs.ServiceKey{service80("10.0.0.9")}) {
		t.Error("the union covers a service that it does not hold")
	}
}

// TestRecordIgnoresUnknownProtocol leaves alone what a newer release may have
// recorded.
func TestRecordIgnoresUnknownProtocol(t *testing.T) {
	r := record{Services: []recordedService{{"sctp", netip.MustParseAddrPort("10.0.0.1:80")}}}
	if keys := r.keys(); len(keys) != 0 {
		t.Errorf("keys = %v", keys)
	}
}
