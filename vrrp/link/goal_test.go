package link

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bascule/vrrp"
)

// prefixes parses a list separated by spaces.
func prefixes(list string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range strings.Fields(list) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// wanted parses the two lists of a wanted state.
func wanted(present, absent string) vrrp.Wanted {
	return vrrp.Wanted{Present: prefixes(present), Absent: prefixes(absent)}
}

func TestDiff(t *testing.T) {
	first := nextGoal(nil, 1, wanted("10.0.0.3/24", "10.0.0.4/24"), false, false)
	tests := []struct {
		name        string
		have        string
		goal        *goal
		swept       bool
		add, remove string
	}{
		{"nothing to do", "10.0.0.1/24 10.0.0.2/24", nextGoal(nil, 1, wanted("10.0.0.2/24", "10.0.0.3/24"), false, false), false, "", ""},
		{"add in the order wanted", "10.0.0.1/24", nextGoal(nil, 1, wanted("10.0.0.9/24 10.0.0.2/24", ""), false, false), false, "10.0.0.9/24 10.0.0.2/24", ""},
		{"wanted twice is added once", "", nextGoal(nil, 1, wanted("10.0.0.9/24 10.0.0.9/24", ""), false, false), false, "10.0.0.9/24", ""},
		{"remove in the order of the kernel", "10.0.0.9/24 10.0.0.2/24", nextGoal(nil, 1, wanted("", "10.0.0.2/24 10.0.0.9/24"), false, false), false, "", "10.0.0.9/24 10.0.0.2/24"},
		{"foreign addresses are left alone", "10.0.0.1/24 192.0.2.1/32", nextGoal(nil, 1, vrrp.Wanted{}, false, false), false, "", ""},
		{"another prefix length is another address", "10.0.0.2/24", nextGoal(nil, 1, wanted("10.0.0.2/32", "10.0.0.2/24"), false, false), false, "10.0.0.2/32", "10.0.0.2/24"},
		{"another prefix length is replaced", "10.0.0.2/32 fe80::2/128", nextGoal(nil, 1, wanted("10.0.0.2/24 fe80::2/64", ""), false, false), false, "10.0.0.2/24 fe80::2/64", "10.0.0.2/32 fe80::2/128"},
		{"another prefix length is removed", "10.0.0.2/32 fe80::2/128", nextGoal(nil, 1, wanted("", "10.0.0.2/24 fe80::2/64"), false, false), false, "", "10.0.0.2/32 fe80::2/128"},
		{"another prefix length of an own address is left alone", "10.0.0.2/32", nextGoal(nil, 1, owning("", "10.0.0.2/24"), false, false), false, "", ""},
		{"another prefix length of a former address is left alone", "10.0.0.3/32", nextGoal(first, 2, vrrp.Wanted{}, false, true), false, "", ""},
		{"present and absent is present", "10.0.0.2/24", nextGoal(nil, 1, wanted("10.0.0.2/24", "10.0.0.2/24"), false, false), false, "", ""},
		{"former present", "10.0.0.3/24", nextGoal(first, 2, vrrp.Wanted{}, false, true), false, "", "10.0.0.3/24"},
		{"former absent that was never removed", "10.0.0.4/24", nextGoal(first, 2, vrrp.Wanted{}, false, false), false, "", "10.0.0.4/24"},
		{"former absent that was removed is somebody else's now", "10.0.0.4/24", nextGoal(first, 2, vrrp.Wanted{}, false, true), false, "", ""},
		{"former is removed once", "10.0.0.3/24", nextGoal(first, 2, vrrp.Wanted{}, false, true), true, "", ""},
		{"former is wanted again", "", nextGoal(nextGoal(first, 2, vrrp.Wanted{}, true, true), 3, wanted("10.0.0.3/24", ""), false, false), false, "10.0.0.3/24", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			add, remove := diff(prefixes(tt.have), tt.goal, tt.swept, nil)
			if d := cmp.Diff(prefixes(tt.add), add, addrs); d != "" {
				t.Errorf("add (-want +got):\n%s", d)
			}
			if d := cmp.Diff(prefixes(tt.remove), remove, addrs); d != "" {
				t.Errorf("remove (-want +got):\n%s", d)
			}
		})
	}
}

func TestNextGoalUnchanged(t *testing.T) {
	w := wanted("10.0.0.3/24", "10.0.0.4/24")
	g := nextGoal(nil, 1, w, false, false)
	if nextGoal(g, 2, wanted("10.0.0.3/24", "10.0.0.4/24"), false, true) != g {
		t.Error("an equal wanted state makes another goal")
	}
	closing := nextGoal(g, 2, w, true, true)
	if closing == g {
		t.Error("the end of an interface makes no other goal")
	}
	if again := nextGoal(closing, 3, w, false, true); again.since[vrrp.IPv4] != 3 || again.closing {
		t.Errorf("an interface that is wanted again counts from generation %d, want 3", again.since[vrrp.IPv4])
	}
	if later := nextGoal(g, 5, vrrp.Wanted{}, false, true); later.since[vrrp.IPv4] != 1 {
		t.Errorf("an interface that stays counts from generation %d, want 1", later.since[vrrp.IPv4])
	}
	w.Present[0] = netip.MustParsePrefix("10.9.9.9/32")
	if g.wanted.Present[0] == w.Present[0] {
		t.Error("the goal changes with the caller's slice")
	}
}

// TestDiffConverges checks that a diff, once applied, leaves nothing to do and
// has not touched what is foreign.
func TestDiffConverges(t *testing.T) {
	pool := prefixes("10.0.0.1/24 10.0.0.2/24 10.0.0.2/32 10.0.0.3/24 10.0.1.1/24 192.0.2.1/32 fe80::100/64")
	some := rapid.SliceOfDistinct(rapid.SampledFrom(pool), func(p netip.Prefix) netip.Prefix { return p })
	rapid.Check(t, func(t *rapid.T) {
		var g *goal
		for i := range rapid.IntRange(1, 4).Draw(t, "goals") {
			w := vrrp.Wanted{Present: some.Draw(t, "present"), Absent: some.Draw(t, "absent"), Owned: some.Draw(t, "owned")}
			g = nextGoal(g, uint64(i+1), w, false, rapid.Bool().Draw(t, "swept before"))
		}
		have := some.Draw(t, "have")
		swept := rapid.Bool().Draw(t, "swept")
		added := newAddrSet(some.Draw(t, "added"))
		add, remove := diff(have, g, swept, added)
		after := map[netip.Prefix]bool{}
		for _, p := range have {
			after[p] = true
		}
		for _, p := range add {
			if after[p] {
				t.Fatalf("adds %s, which is there", p)
			}
			after[p] = true
		}
		for _, p := range remove {
			if !after[p] || !g.disposes(p, added) || g.wants(p) {
				t.Fatalf("removes %s wrongly", p)
			}
			delete(after, p)
		}
		var list []netip.Prefix
		for p := range after {
			list = append(list, p)
		}
		if add, remove := diff(list, g, swept, added); len(add)+len(remove) > 0 {
			t.Fatalf("still to do: add %v, remove %v", add, remove)
		}
	})
}
