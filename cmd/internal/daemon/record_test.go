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
	"bascule/lvs/director"
	"bascule/vrrp"
)

// compareValues lets cmp look at addresses as values.
var compareValues = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{}, netip.Addr{}), cmpopts.EquateEmpty()}

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
	vs.Services = []lvs.Service{{ServiceKey: service80("10.0.0.1")}}
	return &config.Node{
		Name: "lb",
		Groups: []vrrp.GroupConfig{{Name: "g", Routers: []vrrp.RouterConfig{
			router("a", "eth0", "10.0.0.1/24"), router("b", "eth0", "10.0.0.2/24"),
		}}},
		VirtualServers: []config.VirtualServer{vs},
		Sync:           &config.Sync{Group: "g", Daemon: lvs.SyncDaemon{Interface: "eth1", ID: 3, Group: netip.MustParseAddr("224.0.0.82")}},
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
	if diff := cmp.Diff([]lvs.SyncDaemon{exampleNode().Sync.Daemon}, got.daemons(), compareValues); diff != "" {
		t.Errorf("sync daemons (-want +got):\n%s", diff)
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
		Services: []recordedService{{Protocol: "udp", Address: netip.MustParseAddrPort("10.0.0.1:53")}, left.Services[0]},
		Sync:     []recordedSync{left.Sync[0], {Interface: "eth1", ID: 4}},
	}
	want := record{
		Addresses: map[string][]netip.Prefix{
			"eth0": {netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("10.0.0.3/24")},
			"eth1": {netip.MustParsePrefix("10.1.0.1/24")},
		},
		Services: []recordedService{left.Services[0], right.Services[0]},
		Sync:     right.Sync,
	}
	got := left.union(right)
	if diff := cmp.Diff(want, got, compareValues); diff != "" {
		t.Errorf("union (-want +got):\n%s", diff)
	}
}

// TestRecordCovers says of what may be in the kernel because of us whether a
// record has all of it.
func TestRecordCovers(t *testing.T) {
	running := exampleNode().Sync.Daemon
	running.Port, running.TTL, running.MaxLength = 8848, 1, 1460
	other := running
	other.ID = 9
	for _, test := range []struct {
		name   string
		status director.Status
		want   bool
	}{
		{"nothing", director.Status{}, true},
		{"its service", director.Status{Owned: []lvs.ServiceKey{service80("10.0.0.1")}}, true},
		{"another service", director.Status{Owned: []lvs.ServiceKey{service80("10.0.0.1"), service80("10.0.0.9")}}, false},
		{"its sync daemon", director.Status{OwnedRoles: []lvs.SyncRole{lvs.SyncSender}, Daemons: map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncSender: running}}, true},
		{"one that does not run yet", director.Status{OwnedRoles: []lvs.SyncRole{lvs.SyncSender}}, true},
		{"another sync daemon", director.Status{OwnedRoles: []lvs.SyncRole{lvs.SyncSender}, Daemons: map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncSender: other}}, false},
		{"what its predecessor has left, perhaps", director.Status{Left: []lvs.SyncDaemon{exampleNode().Sync.Daemon}}, true},
		{"what another predecessor has left, perhaps", director.Status{Left: []lvs.SyncDaemon{other}}, false},
		{"that of another program", director.Status{Daemons: map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncSender: other}}, true},
	} {
		if got := newRecord(exampleNode()).covers(&test.status); got != test.want {
			t.Errorf("%s: covered %t, want %t", test.name, got, test.want)
		}
	}
}

// TestRecordIgnoresUnknownProtocol leaves alone what a newer release may have
// recorded.
func TestRecordIgnoresUnknownProtocol(t *testing.T) {
	r := record{Services: []recordedService{{Protocol: "dccp", Address: netip.MustParseAddrPort("10.0.0.1:80")}}}
	if keys := r.keys(); len(keys) != 0 {
		t.Errorf("keys = %v", keys)
	}
}

// BenchmarkRecord measures what a reload does with the record of thousands of
// services.
func BenchmarkRecord(b *testing.B) {
	var keys []lvs.ServiceKey
	var r record
	for port := range uint16(8192) {
		key := lvs.ServiceKey{Protocol: lvs.TCP, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 1+port)}
		keys = append(keys, key)
		r.Services = append(r.Services, newRecordedService(key))
	}
	for b.Loop() {
		if all := r.union(r); len(all.Services) != len(keys) || !all.covers(&director.Status{Owned: keys}) {
			b.Fatalf("%d services", len(all.Services))
		}
	}
}
