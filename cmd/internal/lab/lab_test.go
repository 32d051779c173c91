package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// deadline is a context that ends well after what a test waits for, even on a
// busy machine, and before the test's own end.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestTopology compares the interfaces, addresses and routes of the hosts
// with the plan of the network.
func TestTopology(t *testing.T) {
	t.Parallel()
	l := NewT(t)

	got := map[string][]string{}
	for _, host := range l.Hosts() {
		for _, iface := range host.Interfaces() {
			addresses, err := host.Addresses(iface)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range addresses {
				if !a.Addr().IsLinkLocalUnicast() { // the kernel makes those, in its time
					got[host.Name] = append(got[host.Name], iface+" "+a.String())
				}
			}
		}
	}
	want := map[string][]string{
		"client": {"enp0s3 192.168.56.1/24", "enp0s3 fd00:56::1/64"},
		"lb":     {"enp0s3 192.168.56.11/24", "enp0s3 fd00:56::11/64", "enp0s8 192.168.200.251/24", "enp0s8 fd00:200::251/64"},
		"lb2":    {"enp0s3 192.168.56.12/24", "enp0s3 fd00:56::12/64", "enp0s8 192.168.200.252/24", "enp0s8 fd00:200::252/64"},
		"web1":   {"enp0s3 192.168.200.11/24", "enp0s3 fd00:200::11/64"},
		"web2":   {"enp0s3 192.168.200.12/24", "enp0s3 fd00:200::12/64"},
		"web3":   {"enp0s3 192.168.200.13/24", "enp0s3 fd00:200::13/64"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}

	for _, name := range []string{"lb", "lb2", "client"} {
		for _, parameter := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			forward, err := l.Host(name).Output(deadline(t), "cat", "/proc/sys/net/"+parameter)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.TrimSpace(forward) == "1", name != "client"; got != want {
				t.Errorf("%s has %s: %v, want %v", name, parameter, got, want)
			}
		}
	}
	routes, err := l.Web[0].Output(deadline(t), "ip", "route", "show", "default")
	if err != nil || !strings.Contains(routes, "via 192.168.200.250 dev enp0s3") {
		t.Errorf("default route of web1: %q, %v", routes, err)
	}
	if l.Host("web4") != nil {
		t.Error("there is a host web4")
	}
}

// TestLinkLocal waits for the addresses that the kernel makes, which are not
// there, or not usable, when a laboratory has just been built.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	if err := l.LB.AwaitLinkLocal(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for _, iface := range l.LB.Interfaces() {
		text, err := l.LB.Output(deadline(t), "ip", "-6", "address", "show", "dev", iface, "scope", "link")
		if err != nil || !strings.Contains(text, "inet6 fe80::c0ff:fea8:") || strings.Contains(text, "tentative") {
			t.Errorf("link-local addresses of %s: %q, %v", iface, text, err)
		}
	}
	// A virtual one is none of the host's own.
	if err := l.Client.setDown(FirstCard); err != nil {
		t.Fatal(err)
	}
	if usable, err := l.Client.hasLinkLocal(FirstCard); usable || err != nil {
		t.Errorf("without a link there is an address: %v, %v", usable, err)
	}
	if err := l.Client.addAddress(FirstCard, PublicVIP6[0]); err != nil {
		t.Fatal(err)
	}
	if usable, err := l.Client.hasLinkLocal(FirstCard); usable || err != nil {
		t.Errorf("a virtual address was taken for the host's: %v, %v", usable, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Client.AwaitLinkLocal(ended); err == nil || !strings.Contains(err.Error(), "enp0s3 of client has no usable link-local address") {
		t.Errorf("awaiting what does not come: %v", err)
	}
}

// setDown sets an interface of the host administratively down.
func (h *Host) setDown(name string) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	return h.space.handle.LinkSetDown(link)
}

// TestOwnAddress asks for the addresses that peers speak by.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	l := addressOnly()
	for _, tt := range []struct {
		iface string
		ipv6  bool
		want  string
	}{
		{FirstCard, false, "192.168.56.12"}, {FirstCard, true, "fd00:56::12"},
		{SecondCard, false, "192.168.200.252"}, {SecondCard, true, "fd00:200::252"},
	} {
		if got, err := l.LB2.OwnAddress(tt.iface, tt.ipv6); err != nil || got.String() != tt.want {
			t.Errorf("%s, IPv6 %v: %s, %v; want %s", tt.iface, tt.ipv6, got, err, tt.want)
		}
	}
	if _, err := l.LB.OwnAddress("eth9", true); err == nil || !strings.Contains(err.Error(), "host lb has no interface eth9") {
		t.Errorf("an interface that is not there: %v", err)
	}
	if l.LB.otherDirector() != l.LB2 || l.LB2.otherDirector() != l.LB {
		t.Error("the directors are not each other's other")
	}
}

// TestCloseLeavesNothing closes a laboratory in which things run.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	prefix := "bascule-closed" + strings.TrimLeft(time.Now().Format(".000000"), ".") + "-"
	l, err := New(prefix)
	if err != nil {
		t.Fatal(err)
	}
	servers, err := l.StartWebServers()
	if err != nil {
		t.Fatal(err)
	}
	process, err := l.Client.Start("sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	l.Client.Probe(servers[0].Address(), ProbeConfig{})
	if _, err := l.Capture(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(prefix); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("second laboratory of the same prefix: %v", err)
	}

	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-process.Done():
	default:
		t.Error("the process still runs")
	}
	if found, err := Remove(prefix); found || err != nil {
		t.Errorf("Remove: found %v, %v", found, err)
	}
	if _, err := os.Stat(l.directory); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// TestRemove takes away what a laboratory that was never closed has left, and
// only that.
func TestRemove(t *testing.T) {
	t.Parallel()
	other := NewT(t)
	const prefix = "bascule-removed-"
	l, err := New(prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(l.directory) })
	if found, err := Remove(prefix); !found || err != nil {
		t.Errorf("Remove: found %v, %v", found, err)
	}
	entries, err := os.ReadDir(namespaceDirectory)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, prefix) }) {
		t.Errorf("something is left: %v", names)
	}
	if !slices.Contains(names, other.LB.Namespace()) {
		t.Errorf("%s is gone too: %v", other.LB.Namespace(), names)
	}
}

// TestSweep takes away the namespaces of an ended process and leaves those of
// this one.
func TestSweep(t *testing.T) {
	ours := NewT(t)
	// No process has a number beyond the largest that Linux gives.
	left, err := addNamespace(testPrefix + "99999999-1-lb")
	if err != nil {
		t.Fatal(err)
	}
	defer left.handle.Close()
	defer left.ns.Close()
	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{left.name: false, ours.LB.Namespace(): true} {
		_, err := os.Stat(namespaceDirectory + "/" + name)
		if got := err == nil; got != want {
			t.Errorf("%s is there: %v, want %v", name, got, want)
		}
	}
}

// TestLinks loses the links of a host in both manners and gets them back.
func TestLinks(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	// Nobody listens: a host that is reached refuses.
	target := netip.MustParseAddrPort("192.168.56.11:80")
	reachable := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := l.Client.Get(ctx, target)
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	// The client asks for a lost neighbour's MAC address again only after a
	// while.
	settle := func(want bool) bool {
		for ctx := deadline(t); want && ctx.Err() == nil; {
			if reachable() {
				return true
			}
		}
		return reachable()
	}
	carrier := func(iface string) bool {
		up, err := l.LB.Up(iface)
		if err != nil {
			t.Fatal(err)
		}
		return up
	}
	type state struct{ Reachable, First, Second bool }

	steps := []struct {
		name string
		do   func() error
		want state
	}{
		{"as built", func() error { return nil }, state{true, true, true}},
		{"cut all", func() error { return l.LB.CutLinks() }, state{false, false, false}},
		{"restore one", func() error { return l.LB.RestoreLinks(FirstCard) }, state{true, true, false}},
		{"restore all", func() error { return l.LB.RestoreLinks() }, state{true, true, true}},
		{"isolate one", func() error { return l.LB.IsolateLinks(FirstCard) }, state{false, true, true}},
		{"cut what is isolated", func() error { return l.LB.CutLinks(FirstCard) }, state{false, false, true}},
		{"restore both", func() error { return l.LB.RestoreLinks() }, state{true, true, true}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		got := state{settle(step.want.Reachable), carrier(FirstCard), carrier(SecondCard)}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if err := l.Client.CutLinks(SecondCard); err == nil || !strings.Contains(err.Error(), "client has no interface enp0s8") {
		t.Errorf("cutting a link that is not there: %v", err)
	}
}
