package mark

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"

	"bascule/lvs"
)

// rule returns a rule for addresses and ports.
func rule(mark uint32, protocol lvs.Protocol, first, last string, firstPort, lastPort uint16) Rule {
	return Rule{mark, lvs.Match{Protocol: protocol, First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last),
		FirstPort: firstPort, LastPort: lastPort}}
}

// examples has both families, all protocols, values and ranges.
func examples() []Rule {
	return []Rule{
		rule(7, lvs.TCP, "192.0.2.10", "192.0.2.10", 80, 80),
		rule(7, lvs.TCP, "192.0.2.20", "192.0.2.29", 1, 65535),
		rule(0x01020304, lvs.UDP, "127.0.0.1", "127.0.0.1", 5000, 5999),
		rule(9, lvs.SCTP, "2001:db8::10", "2001:db8::1f", 443, 443),
		rule(9, lvs.UDP, "::1", "::1", 53, 53),
	}
}

// listing is what nft(8) prints of the examples.
const listing = `table inet bascule {
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
RULES	}

	chain output {
		type filter hook output priority mangle; policy accept;
RULES	}

	chain made_by_bascule {
	}
}
`

// listedRules is what nft(8) prints of the rules in each chain.
const listedRules = `		ip daddr 192.0.2.10 tcp dport 80 meta mark set 0x00000007
		ip daddr 192.0.2.20-192.0.2.29 tcp dport 1-65535 meta mark set 0x00000007
		ip daddr 127.0.0.1 udp dport 5000-5999 meta mark set 0x01020304
		ip6 daddr 2001:db8::10-2001:db8::1f sctp dport 443 meta mark set 0x00000009
		ip6 daddr ::1 udp dport 53 meta mark set 0x00000009
`

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// enterNamespace moves the test into a network namespace of its own, with lo
// up. The thread is not given back, and dies with the test.
func enterNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	run(t, "ip", "link", "set", "lo", "up")
}

// run runs a program in the namespace of the thread.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// checked checks what Check says.
func checked(t *testing.T, rules []Rule, want bool) {
	t.Helper()
	if got, err := Check(rules); err != nil || got != want {
		t.Errorf("Check = %t, error %v, want %t", got, err, want)
	}
}

// others is what else there is in the kernel, which counts packets with marks.
const others = `table inet other {
	chain input {
		type filter hook input priority filter; policy accept;
		meta mark 0x01020304 counter packets %d bytes %d
		meta mark 0x00000009 counter packets %d bytes %d
	}
}
`

// TestApply goes through the life of the table, beside another one.
func TestApply(t *testing.T) {
	enterNamespace(t)
	run(t, "nft", fmt.Sprintf(others, 0, 0, 0, 0))
	before := run(t, "nft", "list", "ruleset")
	must(t, Remove())
	must(t, Apply(nil))
	checked(t, nil, true)
	checked(t, examples(), false)

	must(t, Apply(examples()))
	want := strings.ReplaceAll(listing, "RULES", listedRules)
	if got := run(t, "nft", "list", "table", "inet", tableName); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
	checked(t, examples(), true)
	checked(t, nil, false)
	checked(t, examples()[1:], false)
	handles := run(t, "nft", "-a", "list", "ruleset")
	must(t, Apply(examples()))
	if got := run(t, "nft", "-a", "list", "ruleset"); got != handles {
		t.Errorf("what was right was replaced:\n%s\nwas\n%s", got, handles)
	}

	must(t, Apply(examples()[2:]))
	checked(t, examples()[2:], true)
	must(t, Apply(nil))
	checked(t, nil, true)
	if got := run(t, "nft", "list", "ruleset"); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
}

// TestOthersTable leaves a table of our name alone that somebody else has made,
// however much it is like ours.
func TestOthersTable(t *testing.T) {
	for _, table := range []string{
		"table inet bascule {\n}\n",
		"table inet bascule {\n\tchain prerouting {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n\t}\n}\n",
		"table inet bascule {\n\tchain made_by_bascule {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n\t}\n}\n",
	} {
		enterNamespace(t)
		run(t, "nft", table)
		checked(t, nil, true)
		must(t, Apply(nil))
		must(t, Remove())
		const want = "nftables table inet bascule: made by somebody else, for it has no chain made_by_bascule: rename it, or delete it"
		if _, err := Check(examples()); err == nil || err.Error() != want {
			t.Errorf("Check: %v, want %s", err, want)
		}
		if err := Apply(examples()); err == nil || err.Error() != want {
			t.Errorf("Apply: %v, want %s", err, want)
		}
		if got := run(t, "nft", "list", "ruleset"); got != table {
			t.Errorf("there is left\n%s\nof\n%s", got, table)
		}
		run(t, "nft", "delete table inet bascule")
		must(t, Apply(examples()))
		checked(t, examples(), true)
	}
}

// TestMany replaces a table of many rules, which is one transaction however
// long.
func TestMany(t *testing.T) {
	enterNamespace(t)
	var rules []Rule
	for i := range 2000 {
		rules = append(rules, rule(uint32(i+1), lvs.TCP, "2001:db8::10", "2001:db8::1f", uint16(i+1), uint16(i+2)))
	}
	must(t, Apply(rules))
	checked(t, rules, true)
	must(t, Apply(rules[1:]))
	checked(t, rules[1:], true)
}

// TestRepair notices what others do to the table, and mends it.
func TestRepair(t *testing.T) {
	for _, command := range []string{
		"flush table inet bascule",
		"flush chain inet bascule output",
		"flush ruleset",
		"add rule inet bascule output accept",
		"insert rule inet bascule prerouting meta mark set 1",
		"add chain inet bascule more",
		"add rule inet bascule made_by_bascule accept",
		"add table inet bascule { flags dormant; }",
		"add chain inet bascule output { policy drop; }",
	} {
		t.Run(command, func(t *testing.T) {
			enterNamespace(t)
			must(t, Apply(examples()))
			run(t, "nft", command)
			checked(t, examples(), false)
			must(t, Apply(examples()))
			checked(t, examples(), true)
		})
	}
}

// TestMarks sends packets and counts those that have the marks.
func TestMarks(t *testing.T) {
	enterNamespace(t)
	run(t, "nft", fmt.Sprintf(others, 0, 0, 0, 0))
	must(t, Apply(examples()))
	for _, to := range []string{"127.0.0.1:4999", "127.0.0.1:5000", "127.0.0.1:5999", "127.0.0.1:6000", "127.0.0.2:5000", "[::1]:53"} {
		conn, err := net.Dial("udp", to)
		must(t, err)
		_, err = conn.Write([]byte("x"))
		must(t, err)
		conn.Close()
	}
	const size4, size6 = 20 + 8 + 1, 40 + 8 + 1
	if got, want := run(t, "nft", "list", "table", "inet", "other"), fmt.Sprintf(others, 2, 2*size4, 1, size6); got != want {
		t.Errorf("counted\n%s\nwant\n%s", got, want)
	}
}

// TestValidate refuses rules that nftables would refuse, or misunderstand.
func TestValidate(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want string
	}{
		{rule(0, lvs.TCP, "192.0.2.1", "192.0.2.1", 80, 80), "mark 0"},
		{rule(1, 1, "192.0.2.1", "192.0.2.1", 80, 80), "protocol"},
		{rule(1, lvs.TCP, "192.0.2.1", "2001:db8::1", 80, 80), "addresses"},
		{rule(1, lvs.TCP, "::ffff:192.0.2.1", "::ffff:192.0.2.1", 80, 80), "addresses"},
		{rule(1, lvs.TCP, "192.0.2.2", "192.0.2.1", 80, 80), "addresses"},
		{Rule{1, lvs.Match{Protocol: lvs.TCP, FirstPort: 1, LastPort: 1}}, "addresses"},
		{rule(1, lvs.TCP, "192.0.2.1", "192.0.2.1", 0, 80), "ports"},
		{rule(1, lvs.TCP, "192.0.2.1", "192.0.2.1", 81, 80), "ports"},
	} {
		if err := Apply([]Rule{test.rule}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want one of %s", test.rule, err, test.want)
		}
	}
	for _, r := range examples() {
		if err := r.validate(); err != nil {
			t.Error(err)
		}
	}
}
