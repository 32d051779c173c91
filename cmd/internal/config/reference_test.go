package config

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reference is the configuration that the package installs.
const reference = "../../../etc/bascule/bascule.toml"

// readReference returns the installed configuration and the same with its
// example in effect.
func readReference(t *testing.T) (installed, example File) {
	t.Helper()
	content, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	hidden := regexp.MustCompile(`(?m)^#(\S)`)
	installed = File{Name: "bascule.toml", Content: string(content)}
	example = File{Name: "bascule.toml", Content: hidden.ReplaceAllString(installed.Content, "$1")}
	return installed, example
}

// As installed, the reference configuration does nothing.
func TestReferenceTouchesNothing(t *testing.T) {
	installed, _ := readReference(t)
	c, err := Parse([]File{installed})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("any")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Node{Name: "any"}, node); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The example of the reference configuration is valid for both directors.
func TestReferenceExample(t *testing.T) {
	_, example := readReference(t)
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

// The reference configuration has every key that is known, and no others. The
// keys are read off the errors of unknown keys.
func TestReferenceHasEveryKey(t *testing.T) {
	probe := File{Name: "p", Content: `qqqqqqqq = 1
nodes = ["a"]
[group.g]
qqqqqqqq = 1
router.r = { qqqqqqqq = 1 }
[virtual_server.v]
qqqqqqqq = 1
check = { qqqqqqqq = 1 }
real_server = [ { qqqqqqqq = 1 } ]
`}
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
	_, example := readReference(t)
	mentioned := map[string]bool{}
	names := []string{"lb", "lb2", "web", "public", "gateway", "www"}
	for path := range scan(example.Content) {
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

// The reference configuration gives the defaults that hold without it.
func TestReferenceDefaults(t *testing.T) {
	installed, _ := readReference(t)
	for _, claim := range []string{
		`Default: "1s".` + "\n#advertisement_interval",
		"Default: true.\n#preempt",
		`Default: "pseudo-header".` + "\n#checksum",
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
	check := vs.Checks[vs.RealServers[0].Address]
	got := []any{
		g.AdvertisementInterval.String(), g.Preempt.Enabled, g.Routers[0].Checksum.String(), vs.Protocol.String(),
		vs.Scheduler, check.Interval.String(), check.Rise, check.Fall, check.Timeout.String(), check.Jitter.String(), check.Type,
	}
	want := []any{"1s", true, "pseudo-header", "tcp", "wlc", "2s", 1, 2, "1s", "1s", "tcp"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}
