package checker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// board is what is known of checks.
type board map[Spec]Known

// known is the look-up for Condition.Known.
func (b board) known(spec Spec) Known { return b[spec] }

func TestCondition(t *testing.T) {
	smtp, imap, ping := target(1), target(2), target(3)
	smtp.Target = netip.MustParseAddrPort("192.0.2.1:25")
	ping.Probe, ping.Target = still{}, netip.MustParseAddrPort("[2001:db8::1]:0")
	a, b, c := Leaf(smtp), Leaf(imap), Leaf(ping)
	good := Known{State: Healthy}
	refused := Known{State: Unhealthy, Reason: "connection refused"}
	silent := Known{State: Unhealthy, Reason: "timed out after 1s"}
	starting := Known{Reason: "HTTP 503, wanted 200-399"}
	weight := func(value int) Known {
		return Known{State: Healthy, Advice: Advice{Weight: Weight{Set: true, Value: value}}}
	}
	percent := func(value int) Known {
		return Known{State: Healthy, Advice: Advice{Weight: Weight{Set: true, Value: value, Percent: true}}}
	}
	for _, test := range []struct {
		name      string
		condition Condition
		known     board
		want      Known
	}{
		{"all good", All(a, b), board{smtp: good, imap: good}, good},
		{"all, one failed", All(a, b), board{smtp: refused, imap: good},
			Known{State: Unhealthy, Reason: "tcp 192.0.2.1:25: connection refused"}},
		{"all, both failed", All(b, a), board{smtp: refused, imap: silent},
			Known{State: Unhealthy, Reason: "tcp 192.0.2.1:25: connection refused; tcp 192.0.2.2:80: timed out after 1s"}},
		{"all, one unknown", All(a, b), board{smtp: good, imap: starting},
			Known{Reason: "tcp 192.0.2.2:80: HTTP 503, wanted 200-399"}},
		{"all, one unknown without a result", All(a, b), board{smtp: good}, Known{}},
		{"all, one unknown and one failed", All(a, b), board{smtp: refused, imap: starting},
			Known{State: Unhealthy, Reason: "tcp 192.0.2.1:25: connection refused"}},
		{"any, one good", Any(a, b), board{smtp: refused, imap: good}, good},
		{"any, one unknown", Any(a, b), board{smtp: refused, imap: starting},
			Known{Reason: "tcp 192.0.2.1:25: connection refused; tcp 192.0.2.2:80: HTTP 503, wanted 200-399"}},
		{"any, all failed", Any(c, a), board{smtp: refused, ping: silent},
			Known{State: Unhealthy, Reason: "tcp 192.0.2.1:25: connection refused; tcp 2001:db8::1: timed out after 1s"}},
		{"nested, alternative good", All(Any(a, b), c), board{smtp: refused, imap: good, ping: good}, good},
		{"nested, no alternative good", All(Any(a, b), c), board{smtp: refused, imap: silent, ping: good},
			Known{State: Unhealthy, Reason: "tcp 192.0.2.1:25: connection refused; tcp 192.0.2.2:80: timed out after 1s"}},
		{"nested, the other failed", All(Any(a, b), c), board{smtp: refused, imap: good, ping: silent},
			Known{State: Unhealthy, Reason: "tcp 2001:db8::1: timed out after 1s"}},
		{"nothing", Condition{}, board{}, good},
		{"any of nothing", Any(), board{}, Known{State: Unhealthy, Reason: "any of no checks"}},
		{"the lowest weight", All(a, b, c), board{smtp: weight(3), imap: weight(2), ping: good}, weight(2)},
		{"the lowest percentage", All(a, b), board{smtp: percent(50), imap: percent(70)}, percent(50)},
		{"weights of both kinds", All(a, b, c), board{smtp: percent(50), imap: weight(0), ping: percent(20)},
			Known{State: Healthy, Advice: Advice{Weight: Weight{Set: true}, Also: Weight{Set: true, Value: 20, Percent: true}}}},
		{"drain", All(a, b), board{smtp: good, imap: Known{State: Healthy, Advice: Advice{Drain: true}}},
			Known{State: Healthy, Advice: Advice{Drain: true}}},
		{"advice of what has failed", Any(a, b), board{smtp: percent(50), imap: Known{State: Unhealthy, Advice: Advice{Drain: true}}}, percent(50)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.condition.Known(test.known.known)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := All(a, Any(b, a), c).Specs(); !slices.Equal(got, []Spec{smtp, imap, ping}) {
		t.Errorf("checks %v", got)
	}
}

func TestAdviceOf(t *testing.T) {
	for _, test := range []struct {
		advice           Advice
		configured, want int
	}{
		{Advice{}, 7, 7},
		{Advice{Drain: true}, 7, 7},
		{Advice{Weight: Weight{Set: true, Value: 3}}, 7, 3},
		{Advice{Weight: Weight{Set: true}}, 7, 0},
		{Advice{Weight: Weight{Set: true, Value: 50, Percent: true}}, 7, 4},
		{Advice{Weight: Weight{Set: true, Value: 1, Percent: true}}, 1, 1},
		{Advice{Weight: Weight{Set: true, Value: 0, Percent: true}}, 7, 0},
		{Advice{Weight: Weight{Set: true, Value: 200, Percent: true}}, 7, 14},
		{Advice{Weight: Weight{Set: true, Value: 200, Percent: true}}, 65535, 65535},
		{Advice{Weight: Weight{Set: true, Value: 3}, Also: Weight{Set: true, Value: 20, Percent: true}}, 10, 2},
		{Advice{Weight: Weight{Set: true, Value: 3}, Also: Weight{Set: true, Value: 20, Percent: true}}, 100, 3},
	} {
		if got := test.advice.Of(test.configured); got != test.want {
			t.Errorf("%+v of %d: %d, want %d", test.advice, test.configured, got, test.want)
		}
	}
}

// drawBoard draws what is known of a few checks.
func drawBoard(t *rapid.T) (board, []Spec) {
	b, specs := board{}, make([]Spec, 5)
	for i := range specs {
		specs[i] = target(i)
		b[specs[i]] = drawKnown(t)
	}
	return b, specs
}

// drawKnown draws what is known of a check.
func drawKnown(t *rapid.T) Known {
	k := Known{State: rapid.SampledFrom([]State{Unknown, Healthy, Unhealthy}).Draw(t, "state")}
	if k.State != Healthy {
		k.Reason = rapid.SampledFrom([]string{"refused", "timed out"}).Draw(t, "reason")
	}
	k.Advice.Drain = rapid.Bool().Draw(t, "drain")
	if rapid.Bool().Draw(t, "weighs") {
		k.Advice.Weight = Weight{Set: true, Value: rapid.IntRange(0, 200).Draw(t, "weight"), Percent: rapid.Bool().Draw(t, "percent")}
	}
	return k
}

// drawCondition draws a condition on some checks.
func drawCondition(t *rapid.T, specs []Spec, depth int) Condition {
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
		return Leaf(rapid.SampledFrom(specs).Draw(t, "check"))
	}
	parts := make([]Condition, rapid.IntRange(0, 3).Draw(t, "parts"))
	for i := range parts {
		parts[i] = drawCondition(t, specs, depth-1)
	}
	return Condition{any: rapid.Bool().Draw(t, "any"), parts: parts}
}

// What happens to one check for the better makes nothing worse: not the state
// of the whole, and in the same state not its weight.
func TestConditionIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, specs := drawBoard(t)
		c := drawCondition(t, specs, 3)
		before := c.Known(b.known)
		spec := rapid.SampledFrom(specs).Draw(t, "changes")
		k := b[spec]
		if rapid.Bool().Draw(t, "state changes") {
			k.State, k.Reason = map[State]State{Unhealthy: Unknown, Unknown: Healthy, Healthy: Healthy}[k.State], ""
			b[spec] = k
			if after := c.Known(b.known); goodness(after.State) < goodness(before.State) {
				t.Fatalf("from %s to %s", before.State, after.State)
			}
			return
		}
		k.Advice.Drain = false
		if k.Advice.Weight.Set {
			k.Advice.Weight.Value += 10
		}
		b[spec] = k
		after := c.Known(b.known)
		if after.State != before.State || after.Advice.Drain && !before.Advice.Drain {
			t.Fatalf("from %+v to %+v", before, after)
		}
		for _, configured := range []int{0, 1, 10, 150} {
			if after.Advice.Of(configured) < before.Advice.Of(configured) {
				t.Fatalf("configured %d: from %+v to %+v", configured, before, after)
			}
		}
	})
}

// shuffled is the same condition in another order.
func (c Condition) shuffled(t *rapid.T) Condition {
	if c.spec != nil || len(c.parts) == 0 {
		return c
	}
	other := Condition{any: c.any, parts: rapid.Permutation(c.parts).Draw(t, "order")}
	for i := range other.parts {
		other.parts[i] = other.parts[i].shuffled(t)
	}
	return other
}

// The order of parts makes no difference, nor do conditions of the same kind
// within each other.
func TestConditionHasNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, specs := drawBoard(t)
		c := drawCondition(t, specs, 3)
		want := c.Known(b.known)
		if diff := cmp.Diff(want, c.shuffled(t).Known(b.known)); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
		if n := len(c.parts); n >= 2 {
			inner := Condition{any: c.any, parts: c.parts[:2]}
			nested := Condition{any: c.any, parts: append([]Condition{inner}, c.parts[2:]...)}
			if diff := cmp.Diff(want, nested.Known(b.known)); diff != "" {
				t.Fatalf("nested (-want +got):\n%s", diff)
			}
		}
	})
}

// A single check is the real server, however it is wrapped.
func TestConditionOfOneCheck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, k := target(1), drawKnown(t)
		leaf := Leaf(spec)
		for _, c := range []Condition{leaf, All(leaf), Any(leaf), All(Any(All(leaf))), All(leaf, leaf), Any(leaf, All(leaf))} {
			if got := c.Known(board{spec: k}.known); got != k {
				t.Fatalf("%s: %+v, want %+v", fmt.Sprint(c), got, k)
			}
		}
	})
}

// The state is what the words say.
func TestConditionState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, specs := drawBoard(t)
		c := drawCondition(t, specs, 3)
		got := c.Known(b.known)
		holds, mayHold := c.holds(b, false), c.holds(b, true)
		want := map[[2]bool]State{{true, true}: Healthy, {false, true}: Unknown, {false, false}: Unhealthy}[[2]bool{holds, mayHold}]
		if got.State != want || (got.State == Healthy) != (got.Reason == "") {
			t.Fatalf("%+v, want %s", got, want)
		}
	})
}

// holds says whether a condition holds if unknown checks are taken as good or
// as failed.
func (c Condition) holds(b board, unknown bool) bool {
	if c.spec != nil {
		state := b[*c.spec].State
		return state == Healthy || state == Unknown && unknown
	}
	for _, part := range c.parts {
		if part.holds(b, unknown) == c.any {
			return c.any
		}
	}
	return !c.any
}
