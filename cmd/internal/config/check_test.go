package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/checker"
)

// A combination decides as its tables are nested.
func TestCombination(t *testing.T) {
	tests := []struct {
		check string
		good  string // kinds that are good
		want  checker.State
	}{
		{`{ all = [{ type = "tcp" }, { type = "ping" }] }`, "tcp ping", checker.Healthy},
		{`{ all = [{ type = "tcp" }, { type = "ping" }] }`, "tcp", checker.Unhealthy},
		{`{ any = [{ type = "tcp" }, { type = "ping" }] }`, "ping", checker.Healthy},
		{`{ any = [{ type = "tcp" }, { type = "ping" }] }`, "", checker.Unhealthy},
		{`{ any = [{ type = "tcp" }] }`, "", checker.Unhealthy},
		{`{ all = [{ type = "tcp" }, { any = [{ type = "ping" }, { type = "ftp" }] }] }`, "tcp ftp", checker.Healthy},
		{`{ all = [{ type = "tcp" }, { any = [{ type = "ping" }, { type = "ftp" }] }] }`, "ping ftp", checker.Unhealthy},
		{`{ any = [{ type = "tcp" }, { all = [{ type = "ping" }, { type = "ftp" }] }] }`, "ping ftp", checker.Healthy},
		{`{ any = [{ type = "tcp" }, { all = [{ type = "ping" }, { type = "ftp" }] }] }`, "ftp", checker.Unhealthy},
	}
	for _, test := range tests {
		vs := checkedNode(t, test.check).VirtualServers[0]
		known := func(spec checker.Spec) checker.Known {
			if slices.Contains(strings.Fields(test.good), spec.Probe.Kind()) {
				return checker.Known{State: checker.Healthy}
			}
			return checker.Known{State: checker.Unhealthy, Reason: "x"}
		}
		if got := vs.Checks[vs.RealServers[0].Address].Known(known).State; got != test.want {
			t.Errorf("%s with %q good: %v, want %v", test.check, test.good, got, test.want)
		}
	}
}

// Checks without a port are the same for all services of a real server, and so
// made once.
func TestChecksWithoutPortAreShared(t *testing.T) {
	const text = `nodes = ["a"]
[virtual_server.one]
address = "192.0.2.1:80"
check = %s
real_server = [{ address = "198.51.100.1:80" }]
[virtual_server.two]
address = "192.0.2.1:443"
check = %s
real_server = [{ address = "198.51.100.1:443" }]
`
	tests := []struct {
		check  string
		shared bool
	}{
		{`{ type = "ping" }`, true},
		{`{ type = "script", command = ["/bin/true"] }`, true},
		{`{ type = "file", path = "/x", wanted = "exists" }`, true},
		{`{ type = "tcp", port = 22 }`, true},
		{`{ type = "tcp" }`, false},
	}
	for _, test := range tests {
		c, err := Parse([]File{{"bascule.toml", fmt.Sprintf(text, test.check, test.check)}})
		if err != nil {
			t.Fatal(err)
		}
		node, err := c.ForNode("a")
		if err != nil {
			t.Fatal(err)
		}
		var specs []checker.Spec
		for _, vs := range node.VirtualServers {
			specs = append(specs, vs.Checks[vs.RealServers[0].Address].Specs()...)
		}
		if shared := specs[0] == specs[1]; shared != test.shared {
			t.Errorf("%s: shared %t, want %t: %+v", test.check, shared, test.shared, specs)
		}
	}
}

// Source and device are those of the director.
func TestWayByNode(t *testing.T) {
	const text = `nodes = ["a", "b"]
[virtual_server.v]
address = "192.0.2.1:80"
check = { source = { a = "198.51.100.251", b = "198.51.100.252" }, device = { a = "eth0", b = "eth1" }, mark = 7, namespace = "blue" }
real_server = [{ address = "198.51.100.1:80" }]
`
	c, err := Parse([]File{{"bascule.toml", text}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]checker.Via{}
	for _, name := range c.Nodes() {
		node, err := c.ForNode(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, condition := range node.VirtualServers[0].Checks {
			got[name] = condition.Specs()[0].Via
		}
	}
	want := map[string]checker.Via{
		"a": {Source: netip.MustParseAddr("198.51.100.251"), Device: "eth0", Mark: 7, Namespace: "blue"},
		"b": {Source: netip.MustParseAddr("198.51.100.252"), Device: "eth1", Mark: 7, Namespace: "blue"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each kind is complete: what it builds has its name, an alias stands for a key
// of its own, and only what is required makes it invalid.
func TestKinds(t *testing.T) {
	names := map[string]bool{}
	for _, k := range kinds {
		if names[k.name] {
			t.Errorf("%s is there twice", k.name)
		}
		names[k.name] = true
		for parameter, key := range k.aliases {
			if !slices.Contains(k.names(), key) {
				t.Errorf("%s: %s stands for %s, which is no key", k.name, parameter, key)
			}
		}
		if sorted := slices.Sorted(slices.Values(k.names())); len(slices.Compact(sorted)) != len(k.keys) {
			t.Errorf("%s has a key twice: %v", k.name, sorted)
		}
		if k == kindNone {
			continue
		}
		probe := k.build(values{})
		if probe.Kind() != k.name {
			t.Errorf("%s builds a check of kind %s", k.name, probe.Kind())
		}
		required := slices.ContainsFunc(k.keys, func(key key) bool { return key.missing != "" })
		if err := probe.Validate(); (err != nil) != required {
			t.Errorf("%s without parameters: %v, and some are required: %t", k.name, err, required)
		}
		if checker.NeedsPort(probe) == (k.portless || slices.Contains(k.without, "port")) {
			t.Errorf("%s: checker.NeedsPort is %t", k.name, checker.NeedsPort(probe))
		}
	}
}

// What a real server says replaces what it is said over, also where that was
// said another way, and is not said for others.
func TestOverrides(t *testing.T) {
	const text = `nodes = ["a"]
[virtual_server.v]
address = "192.0.2.1:80"
check = { type = "redis", password_file = "x", role = "master" }
real_server = [
  { address = "198.51.100.1:80", check = { password = "geheim", role = "slave" } },
  { address = "198.51.100.2:80" },
  { address = "198.51.100.3:80", check = { type = "udp", payload = "a" } },
  { address = "198.51.100.4:80", check = { type = "udp", payload_hex = "62" } },
]
`
	c, err := Parse([]File{{"bascule.toml", text}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("a")
	if err != nil {
		t.Fatal(err)
	}
	want := []checker.Probe{
		checker.Redis{Password: checker.NewSecret("geheim"), Role: "slave"},
		checker.Redis{Password: checker.NewSecret(standIn), Role: "master"},
		checker.UDP{Payload: "a"},
		checker.UDP{Payload: "b"},
	}
	vs := node.VirtualServers[0]
	for i, rs := range vs.RealServers {
		if got := vs.Checks[rs.Address].Specs()[0].Probe; got != want[i] {
			t.Errorf("real server %d: got %+v, want %+v", i+1, got, want[i])
		}
	}
}
