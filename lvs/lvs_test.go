package lvs_test

import (
	"go/parser"
	"go/token"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bascule/lvs"
)

// allowedImports are what the package may import: values and their handling,
// nothing that reaches the machine, and no clock.
var allowedImports = []string{"cmp", "errors", "fmt", "maps", "net/netip", "slices", "strings", "time"}

// TestImports checks that the package stays pure.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !slices.Contains(allowedImports, path) {
				t.Errorf("%s imports %s; allowed are %v", name, spec.Path.Value, allowedImports)
			}
		}
	}
}

// TestSchedulers checks the names and that a caller cannot change them.
func TestSchedulers(t *testing.T) {
	names := lvs.Schedulers()
	if len(names) != 14 {
		t.Errorf("%d schedulers, Linux has 14: %v", len(names), names)
	}
	for _, name := range names {
		if !lvs.ValidScheduler(name) {
			t.Errorf("%q is listed and not valid", name)
		}
	}
	names[0] = "changed"
	for _, name := range []string{"", "changed", "RR", "wrr ", "rrr"} {
		if lvs.ValidScheduler(name) {
			t.Errorf("%q is valid", name)
		}
	}
}

// TestStrings checks the words that logs and status show.
func TestStrings(t *testing.T) {
	www := lvs.Service{ServiceKey: key("192.168.56.10:80"), Scheduler: "wrr"}
	dns := lvs.Service{ServiceKey: lvs.ServiceKey{Protocol: lvs.UDP, Address: netip.MustParseAddrPort("[2001:db8::1]:53")}, Scheduler: "rr"}
	web1 := destination("192.168.200.11:80", 3)
	for _, test := range []struct{ got, want string }{
		{lvs.Op{Kind: lvs.AddService, Service: www}.String(), "add service tcp 192.168.56.10:80 scheduler wrr"},
		{lvs.Op{Kind: lvs.UpdateService, Service: dns}.String(), "update service udp [2001:db8::1]:53 scheduler rr"},
		{lvs.Op{Kind: lvs.DeleteService, Service: www}.String(), "delete service tcp 192.168.56.10:80"},
		{lvs.Op{Kind: lvs.AddDestination, Service: www, Destination: web1}.String(), "add destination 192.168.200.11:80 of tcp 192.168.56.10:80 weight 3"},
		{lvs.Op{Kind: lvs.UpdateDestination, Service: www, Destination: web1}.String(), "update destination 192.168.200.11:80 of tcp 192.168.56.10:80 weight 3"},
		{lvs.Op{Kind: lvs.DeleteDestination, Service: www, Destination: web1}.String(), "delete destination 192.168.200.11:80 of tcp 192.168.56.10:80"},
		{lvs.Op{Kind: lvs.SetTimeouts, Timeouts: lvs.Timeouts{TCP: time.Hour}}.String(), "set timeouts tcp 1h0m0s tcpfin 0s udp 0s"},
		{lvs.Op{Kind: lvs.StartDaemon, Role: lvs.SyncSender, Daemon: lvs.SyncDaemon{Interface: "eth0", ID: 7}}.String(), "start sync daemon sender interface eth0 id 7"},
		{lvs.Op{Kind: lvs.StopDaemon, Role: lvs.SyncReceiver}.String(), "stop sync daemon receiver"},
		{lvs.OpKind(77).String(), "invalid operation"},
		{lvs.SCTP.String(), "sctp"},
		{lvs.Protocol(99).String(), "invalid protocol"},
		{lvs.Masquerade.String(), "masquerade"},
		{lvs.Forwarding(9).String(), "invalid forwarding method"},
		{lvs.Unknown.String() + lvs.Healthy.String() + lvs.Unhealthy.String() + lvs.Unchecked.String(), "unknownhealthyunhealthyunchecked"},
		{lvs.Health(9).String(), "invalid health"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// TestCompare checks that keys have one order, in which all fields count.
func TestCompare(t *testing.T) {
	ordered := []lvs.ServiceKey{
		{Protocol: lvs.TCP, Address: netip.MustParseAddrPort("10.0.0.2:80")},
		{Protocol: lvs.UDP, Address: netip.MustParseAddrPort("10.0.0.2:80")},
		{Protocol: lvs.TCP, Address: netip.MustParseAddrPort("10.0.0.2:443")},
		{Protocol: lvs.TCP, Address: netip.MustParseAddrPort("10.0.0.10:80")},
		{Protocol: lvs.TCP, Address: netip.MustParseAddrPort("[2001:db8::1]:80")},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := sign(a.Compare(b)), sign(i-j); got != want {
				t.Errorf("%v compared with %v: %d, want %d", a, b, got, want)
			}
		}
	}
}

// sign returns -1, 0 or +1.
func sign(n int) int {
	return min(max(n, -1), 1)
}

// key returns the key of a TCP service.
func key(address string) lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.TCP, Address: netip.MustParseAddrPort(address)}
}

// destination returns a masqueraded destination.
func destination(address string, weight uint32) lvs.Destination {
	return lvs.Destination{Address: netip.MustParseAddrPort(address), Weight: weight}
}

// entry returns a service with its destinations.
func entry(address, scheduler string, destinations ...lvs.Destination) lvs.Entry {
	e := lvs.Entry{
		Service:      lvs.Service{ServiceKey: key(address), Scheduler: scheduler},
		Destinations: map[netip.AddrPort]lvs.Destination{},
	}
	for _, d := range destinations {
		e.Destinations[d.Address] = d
	}
	return e
}

// table returns a table of entries.
func table(entries ...lvs.Entry) lvs.Table {
	t := lvs.Table{}
	for _, e := range entries {
		t[e.Service.ServiceKey] = e
	}
	return t
}
