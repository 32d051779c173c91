package lab

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExtend turns observations of holders into holdings, and finds those of
// more than one host.
func TestExtend(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }
	both := []string{"lb", "lb2"}
	var seen []Holding
	for second, holders := range [][]string{{"lb"}, {"lb"}, both, {"lb2"}, {"lb2"}, nil, {"lb"}} {
		seen = extend(seen, holders, at(second))
	}
	want := []Holding{
		{[]string{"lb"}, at(0), at(2)},
		{both, at(2), at(3)},
		{[]string{"lb2"}, at(3), at(5)},
		{nil, at(5), at(6)},
		{[]string{"lb"}, at(6), at(6)},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("holdings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Holding{{both, at(2), at(3)}}, Dual(seen)); diff != "" {
		t.Errorf("of more than one (-want +got):\n%s", diff)
	}
	if len(seen) != len(want) {
		t.Error("Dual has changed its argument")
	}
}

// TestAwaitAddress waits for an address that comes and goes, and in vain.
func TestAwaitAddress(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	ctx := deadline(t)
	vip := PublicVIP.Addr()
	watch := l.WatchAddress(vip, l.LB, l.LB2)
	if err := AwaitAddress(ctx, l.LB, vip, false); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := AwaitAddress(short, l.LB, vip, true); err == nil || !strings.Contains(err.Error(), "192.168.56.10 has not come to lb") {
		t.Errorf("waiting in vain: %v", err)
	}
	if err := l.LB.addAddress(FirstCard, PublicVIP); err != nil {
		t.Fatal(err)
	}
	if err := AwaitAddress(ctx, l.LB, vip, true); err != nil {
		t.Error(err)
	}
	time.Sleep(5 * holderInterval)
	holdings, err := watch.Stop()
	if err != nil || len(holdings) != 2 || len(holdings[0].Hosts) != 0 || !cmp.Equal(holdings[1].Hosts, []string{"lb"}) {
		t.Errorf("holdings %v, %v; want nobody, then lb", holdings, err)
	}
}

// TestAttach opens a host of a laboratory that somebody else holds.
func TestAttach(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	servers, err := l.StartWebServers()
	if err != nil {
		t.Fatal(err)
	}
	attached, err := Attach(l.prefix, "lb")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := attached.Get(deadline(t), servers[0].Address()); body != "web1" || err != nil {
		t.Errorf("answer %q, %v", body, err)
	}
	if err := attached.Close(); err != nil {
		t.Error(err)
	}
	if body, err := l.LB.Get(deadline(t), servers[0].Address()); body != "web1" || err != nil {
		t.Errorf("after Close, from the laboratory itself: %q, %v", body, err)
	}
	if _, err := Attach(l.prefix, "lb3"); err == nil || !strings.Contains(err.Error(), "is it up?") {
		t.Errorf("a host that is not there: %v", err)
	}
}
