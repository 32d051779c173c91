package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bascule/vrrp"
	"bascule/vrrp/link"
)

// namedGroup returns a minimal valid group with a virtual router.
func namedGroup(name string, vrid int) string {
	return fmt.Sprintf("[group.%s]\npriority = 1\nrouter.r = { interface = \"eth0\", vrid = %d, addresses = [\"192.0.2.%d/32\"] }\n",
		name, vrid, vrid)
}

func TestParseSeveralFiles(t *testing.T) {
	const main = "nodes = [\"lb\"]\n[group.web]\npriority = 100\n[group.web.router.public]\n" +
		"interface = \"eth0\"\nvrid = 1\naddresses = [\"192.0.2.1/32\"]\n"
	tests := []struct {
		name   string
		dropIn string
		want   string // the error, or ""
	}{
		{"another group", namedGroup("mail", 2), ""},
		{"another router of a group", "[group.web.router.more]\ninterface = \"eth0\"\nvrid = 2\naddresses = [\"192.0.2.2/32\"]\n", ""},
		{"another key of a group", "group.web.preempt = false\n", ""},
		{"a key again", "\n[group.web]\npriority = 100\n",
			"conf.d/x.toml:3: group.web.priority: is given twice: also at bascule.toml:3"},
		{"the nodes again", "nodes = [\"lb\"]\n",
			"conf.d/x.toml:1: nodes: is given twice: also at bascule.toml:1"},
		{"a table as a value", "group = 1\n",
			"conf.d/x.toml:1: group: is given twice: also at bascule.toml:2"},
		{"a contradiction", "\n" + namedGroup("mail", 1),
			"conf.d/x.toml:4: group.mail.router.r.vrid: 1 is already used on interface eth0 of lb for IPv4: group.web.router.public.vrid at bascule.toml:6\n" +
				"conf.d/x.toml:4: group.mail.router.r.addresses[0]: 192.0.2.1 is already a virtual address: group.web.router.public.addresses[0] at bascule.toml:7"},
		{"a mistake of syntax", "[x\n", "conf.d/x.toml:1: expected '.' or ']' to end table name, but got '\\n' instead"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]File{{"bascule.toml", main}, {"conf.d/x.toml", test.dropIn}})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(sortedLines(test.want), sortedLines(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// sortedLines splits a text into lines, whose order does not matter.
func sortedLines(text string) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.SplitSeq(text, "\n") {
		lines[line] = true
	}
	return lines
}

// Every file with a mistake of syntax is named, not just the first.
func TestParseReportsAllSyntaxErrors(t *testing.T) {
	_, err := Parse([]File{{"a.toml", "x = \n"}, {"b.toml", "nodes = []\n"}, {"c.toml", "\ny = 'z\n"}})
	var got []string
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("error is a %T, want Errors", err)
	}
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s:%d", e.File, e.Line))
	}
	if diff := cmp.Diff([]string{"a.toml:1", "c.toml:2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Names come in the order of the text, whatever their alphabet and file.
func TestOrder(t *testing.T) {
	first := "nodes = [\"a\"]\n" + namedGroup("z", 1) + namedGroup("m", 2)
	second := namedGroup("a", 3) + "[group.z.router.b]\ninterface = \"eth0\"\nvrid = 9\naddresses = [\"198.51.100.9/32\", \"198.51.100.1/32\"]\n"
	c, err := Parse([]File{{"1", first}, {"2", second}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("a")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range node.Groups {
		for _, r := range g.Routers {
			got = append(got, fmt.Sprint(g.Name, ".", r.Name, r.Addresses))
		}
	}
	want := []string{
		"z.r[192.0.2.1/32]", "z.b[198.51.100.9/32 198.51.100.1/32]", "m.r[192.0.2.2/32]", "a.r[192.0.2.3/32]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestForNode(t *testing.T) {
	c, err := Parse([]File{readExample(t, testdata+"/good/tutorial.toml")})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("unknown", func(t *testing.T) {
		_, err := c.ForNode("lb3")
		want := `"lb3" is no node (did you mean "lb"?): the nodes are "lb", "lb2"`
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("nodes", func(t *testing.T) {
		names := c.Nodes()
		names[0] = "changed"
		if diff := cmp.Diff([]string{"lb", "lb2"}, c.Nodes()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("independent values", func(t *testing.T) {
		spoilt, err := c.ForNode("lb")
		if err != nil {
			t.Fatal(err)
		}
		clear(spoilt.VirtualServers[0].Checks)
		spoilt.VirtualServers[0].RealServers[0].Weight = 9
		spoilt.Groups[0].Routers[0].Addresses[0] = netip.Prefix{}
		again, err := c.ForNode("lb")
		if err != nil {
			t.Fatal(err)
		}
		vs := again.VirtualServers[0]
		if len(vs.Checks) != 3 || vs.RealServers[0].Weight != 3 || !again.Groups[0].Routers[0].Addresses[0].IsValid() {
			t.Errorf("a change of one result is visible in the next: %+v", again)
		}
	})
}

// Without groups and virtual servers there is nothing to do, for any name.
func TestEmptyConfiguration(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "\xef\xbb\xbf\n", "[group]\n[virtual_server]\n"} {
		c, err := Parse([]File{{"bascule.toml", text}})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		node, err := c.ForNode("lb")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&Node{Name: "lb", Announcement: link.DefaultSchedule()}, node); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// What a director has to do is the same however it is written down, and
// differs with everything that it does.
func TestNodeEqual(t *testing.T) {
	const text = `nodes = ["a"]
[group.g]
priority = 100
authentication = { key_file = "/a.keys", active_key = 1 }
router.r = { interface = "eth0", vrid = 1, addresses = ["192.0.2.1/24"], unicast.a = "192.0.2.2", unicast_peers = ["192.0.2.3"] }
[virtual_server.v]
address = "192.0.2.1:80"
real_server = [ { address = "198.51.100.1:80" } ]
`
	node := func(text string) *Node {
		c, err := Parse([]File{{"bascule.toml", text}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.ForNode("a")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, same := range []string{text, "# moved\n" + text, strings.Replace(text, "/a.keys", "/b.keys", 1)} {
		if !node(text).Equal(node(same)) {
			t.Errorf("not equal to %s", same)
		}
	}
	for was, is := range map[string]string{
		`nodes = ["a"]`: "nodes = [\"a\"]\nannouncement.repeat = 4", "priority = 100": "priority = 100\nstart_delay = \"1s\"",
		"active_key = 1": "active_key = 2", `["192.0.2.3"]`: `["192.0.2.4"]`, "198.51.100.1:80": "198.51.100.2:80",
		"vrid = 1": `vrid = 1, checksum = "message"`,
	} {
		if node(text).Equal(node(strings.Replace(text, was, is, 1))) {
			t.Errorf("equal with %s instead of %s", is, was)
		}
	}
	keys := node(text)
	keys.Groups[0].Routers[0].Auth.Keys = []vrrp.Key{{ID: 1, Secret: []byte("x")}}
	if node(text).Equal(keys) {
		t.Error("equal with other keys")
	}
}

func TestLargeConfiguration(t *testing.T) {
	var b strings.Builder
	b.WriteString("nodes = [\"a\", \"b\"]\n")
	for i := range 200 {
		fmt.Fprintf(&b, "[virtual_server.v%d]\naddress = \"10.0.0.1:%d\"\n", i, i+1)
		for j := range 50 {
			fmt.Fprintf(&b, "[[virtual_server.v%d.real_server]]\naddress = \"10.%d.1.%d:80\"\n", i, i, j+1)
		}
	}
	c, err := Parse([]File{{"bascule.toml", b.String()}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.ForNode("b")
	if err != nil {
		t.Fatal(err)
	}
	checks := 0
	for _, vs := range node.VirtualServers {
		checks += len(vs.Checks)
	}
	if checks != 10000 {
		t.Errorf("%d checks, want 10000", checks)
	}
}
