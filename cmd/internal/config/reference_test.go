package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/vrrp"
	"bascule/vrrp/link"
)

// reference is the configuration that the package installs.
const reference = "../../../etc/bascule/bascule.toml"

// readReference returns the installed configuration, the same with its example
// in effect, and that with everything else in effect too.
func readReference(t *testing.T) (installed, example, everything File) {
	t.Helper()
	content, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	hidden, further := regexp.MustCompile(`(?m)^#(\S)`), regexp.MustCompile(`(?m)^##?([^\s#])`)
	installed = File{Name: "bascule.toml", Content: string(content)}
	example = File{Name: "bascule.toml", Content: hidden.ReplaceAllString(installed.Content, "$1")}
	everything = File{Name: "bascule.toml", Content: further.ReplaceAllString(installed.Content, "$1")}
	return installed, example, everything
}

// As installed, the reference configuration does nothing.
func TestReferenceTouchesNothing(t *testing.T) {
	installed, _, _ := readReference(t)
	c, err := Parse([]File{installed})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("any")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Node{Name: "any", Announcement: link.DefaultSchedule()}, node); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The example of the reference configuration is valid for both directors.
func TestReferenceExample(t *testing.T) {
	_, example, _ := readReference(t)
	c, err := Parse([]File{example})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lb", "lb2"}, c.Nodes()); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	for name, priority := range map[string]uint8{"lb": 150, "lb2": 100} {
		node, err := c.ForNode(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := node.Groups[0].Priority; got != priority {
			t.Errorf("%s: priority %d, want %d", name, got, priority)
		}
		if routers, servers := len(node.Groups[0].Routers), len(node.VirtualServers[0].RealServers); routers != 2 || servers != 3 {
			t.Errorf("%s: %d virtual routers and %d real servers, want 2 and 3", name, routers, servers)
		}
	}
}

// What the example does without is valid beside it, and means something. With
// everything at once it has a second group, addresses from elsewhere, and
// connection synchronization beside the default of preempt, which is warned of.
func TestReferenceEverything(t *testing.T) {
	_, _, everything := readReference(t)
	c, err := Parse([]File{everything})
	if err != nil {
		t.Fatal(err)
	}
	var warned []string
	for _, w := range c.Warnings() {
		warned = append(warned, w.Key)
	}
	if diff := cmp.Diff([]string{"group.web.preempt", "virtual_server.ftp.addresses", "connection_sync.group"}, warned); diff != "" {
		t.Errorf("keys that are warned of (-want +got):\n%s", diff)
	}
	node, err := c.ForNode("lb")
	if err != nil {
		t.Fatal(err)
	}
	web, old := node.Groups[0], node.Groups[1]
	public, six := web.Routers[0], web.Routers[1]
	if len(public.Unicast.Peers) != 2 || public.Auth == nil || six.Family != vrrp.IPv6 || old.Routers[0].Password == "" {
		t.Errorf("groups: %+v", node.Groups)
	}
	if diff := cmp.Diff([]string{"/etc/bascule/web.keys"}, []string{node.KeyFiles[0].Path}); diff != "" {
		t.Errorf("key files (-want +got):\n%s", diff)
	}
}

// The reference configuration has every key that is known, and no others. The
// keys are read off the errors of unknown keys.
func TestReferenceHasEveryKey(t *testing.T) {
	probe := File{Name: "p", Content: `qqqqqqqq = 1
nodes = ["a"]
announcement = { qqqqqqqq = 1 }
[group.g]
qqqqqqqq = 1
authentication = { qqqqqqqq = 1 }
router.r = { qqqqqqqq = 1 }
[virtual_server.v]
qqqqqqqq = 1
check = { qqqqqqqq = 1 }
persistence = { qqqqqqqq = 1 }
quorum = { qqqqqqqq = 1 }
tunnel = { qqqqqqqq = 1 }
forwarding = "tunnel"
real_server = [ { qqqqqqqq = 1 } ]
[ipvs]
qqqqqqqq = 1
[connection_sync]
qqqqqqqq = 1
` + unknownOfEachKind()}
	_, err := Parse([]File{probe})
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("error is a %T, want Errors", err)
	}
	known := map[string]bool{}
	for _, e := range list {
		if _, keys, ok := strings.Cut(e.Message, "known here are "); ok {
			for key := range strings.SplitSeq(keys, ", ") {
				known[key] = true
			}
		}
	}
	if len(known) < 20 {
		t.Fatalf("only %d keys found in: %v", len(known), err)
	}
	_, _, everything := readReference(t)
	mentioned := map[string]bool{}
	names := []string{"lb", "lb2", "web", "old", "public", "public6", "gateway", "www", "ftp", "phone", "checks", "X-Probe", "SHOP"}
	for path := range scan(everything.Content) {
		for part := range strings.SplitSeq(path, ".") {
			key, _, _ := strings.Cut(part, "[")
			if !slices.Contains(names, key) {
				mentioned[key] = true
			}
		}
	}
	if diff := cmp.Diff(known, mentioned); diff != "" {
		t.Errorf("keys (-known +in the reference configuration):\n%s", diff)
	}
}

// unknownOfEachKind is a virtual server for each type of check, with a key that
// is not known.
func unknownOfEachKind() string {
	var text strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&text, "[virtual_server.%s]\ncheck = { type = %q, qqqqqqqq = 1, steps = [{ qqqqqqqq = 1 }] }\n", k.name, k.name)
	}
	return text.String()
}

// The reference configuration has a check of every type.
func TestReferenceHasEveryType(t *testing.T) {
	_, _, everything := readReference(t)
	c, err := Parse([]File{everything})
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"none": true, "http": false}
	for _, s := range c.servers {
		for _, rs := range s.checks {
			rs.each(func(leaf check) { used[leaf.kind.name] = true })
		}
	}
	for _, k := range kinds {
		if !used[k.name] {
			t.Errorf("no check of type %q", k.name)
		}
	}
}

// The reference configuration gives the defaults that hold without it.
func TestReferenceDefaults(t *testing.T) {
	installed, _, _ := readReference(t)
	for _, claim := range []string{
		`Default: "1s".` + "\n#advertisement_interval",
		"Default: true.\n#preempt",
		"Default:\n# \"pseudo-header\".\n#checksum",
		"The default is:\n#announcement = { repeat = 5, delay = \"5s\", interval = \"1ms\", burst = 8, refresh = \"0s\", refresh_repeat = 1 }",
		"Default: \"0s\".\n#start_delay",
		"Default: 3.\n#version",
		"Default: \"enforce\".\n##mode",
		`Default: "tcp".` + "\n#protocol",
		`Default: "wlc".` + "\n#scheduler",
		"Default: \"2s\".\n#interval",
		"Default: 1.\n#rise",
		"Default: 2.\n#fall",
		"Default: \"200-399\".\n#status",
		"Default: \"GET\".\n#method",
	} {
		if !strings.Contains(installed.Content, claim) {
			t.Errorf("the reference configuration does not say %q", claim)
		}
	}
	c, err := Parse([]File{readExample(t, testdata+"/good/defaults.toml")})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("a")
	if err != nil {
		t.Fatal(err)
	}
	g, vs := node.Groups[0], node.VirtualServers[0]
	check := vs.Checks[vs.RealServers[0].Address].Specs()[0]
	got := []any{
		g.AdvertisementInterval.String(), g.Preempt.Enabled, g.Routers[0].Checksum.String(),
		fmt.Sprint(node.Announcement), g.StartDelay.String(), g.Routers[0].Version.String(), g.Routers[0].Unicast == nil, vs.Services[0].Protocol.String(),
		vs.Services[0].Scheduler, check.Interval.String(), check.Rise, check.Fall, check.Timeout.String(), check.Jitter.String(), check.Probe.Kind(),
	}
	want := []any{"1s", true, "pseudo-header", "{5 5s 1ms 8 0s 1}", "0s", "3", true, "tcp", "wlc", "2s", 1, 2, "1s", "1s", "tcp"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}
