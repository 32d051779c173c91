package lab

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// peer is a director that is not Bascule.
type peer interface {
	Host() *Host
	Ready(context.Context) error
	Holds(netip.Addr) (bool, error)
	Stop(context.Context) error
	Kill() error
	Log() string
}

// starter starts a peer on a host with a priority.
type starter func(ctx context.Context, host *Host, priority int) (peer, error)

// interval is between the advertisements of the peers: short, to make the
// tests so, and longer than the machine's other work holds them up.
const interval = 300 * time.Millisecond

// keepalivedStarter starts keepalived of a suite of Debian; none: this
// machine's.
func keepalivedStarter(suite string, config KeepalivedConfig) starter {
	return func(ctx context.Context, host *Host, priority int) (peer, error) {
		c := config
		c.Priority = priority
		if suite != "" {
			root, err := DebianRoot(ctx, suite, "keepalived")
			if err != nil {
				return nil, err
			}
			c.Root = root
		}
		return StartKeepalived(host, c)
	}
}

// frrStarter starts FRR.
func frrStarter(config FRRConfig) starter {
	return func(ctx context.Context, host *Host, priority int) (peer, error) {
		c := config
		c.Priority = priority
		return StartFRR(ctx, host, c)
	}
}

// TestPeers has those that Bascule is tested beside become active, back up
// and take over among themselves: what fails in a test with Bascule and not
// here is Bascule's.
func TestPeers(t *testing.T) {
	t.Parallel()
	fast := KeepalivedConfig{Interval: interval}
	with := func(change func(*KeepalivedConfig)) KeepalivedConfig {
		c := fast
		change(&c)
		return c
	}
	six := with(func(c *KeepalivedConfig) { c.Families = IPv6 })
	dual := with(func(c *KeepalivedConfig) { c.Families = DualStack })
	message := with(func(c *KeepalivedConfig) { c.Checksum = ChecksumMessage })
	old := with(func(c *KeepalivedConfig) { c.Version, c.Interval, c.Password = 2, time.Second, "secret" })
	alone := with(func(c *KeepalivedConfig) { c.Single = true })
	unicast := with(func(c *KeepalivedConfig) { c.Unicast, c.Families = true, DualStack })
	tests := []struct {
		name     string
		families Families
		lb, lb2  starter
	}{
		{"keepalived 2.2.7 and 2.3.3, IPv4", IPv4, keepalivedStarter("", fast), keepalivedStarter(SuiteTrixie, fast)},
		{"keepalived 2.3.3 and 2.2.7, IPv6", IPv6, keepalivedStarter(SuiteTrixie, six), keepalivedStarter("", six)},
		{"keepalived 2.2.7 and 2.3.3, IPv4 and IPv6", DualStack, keepalivedStarter("", dual), keepalivedStarter(SuiteTrixie, dual)},
		{"keepalived 2.2.7 and 2.3.3, unicast", DualStack, keepalivedStarter("", unicast), keepalivedStarter(SuiteTrixie, unicast)},
		{"keepalived 2.2.7 and 2.3.3, version 2", IPv4, keepalivedStarter("", old), keepalivedStarter(SuiteTrixie, old)},
		{"keepalived 2.3.3 twice, checksum over the message", IPv4, keepalivedStarter(SuiteTrixie, message), keepalivedStarter(SuiteTrixie, message)},
		{"keepalived 2.2.7 and FRR, IPv4", IPv4, keepalivedStarter("", alone), frrStarter(FRRConfig{Interval: interval})},
		{"FRR and keepalived 2.3.3, IPv4 and IPv6", DualStack, frrStarter(FRRConfig{Interval: interval, Families: DualStack}), keepalivedStarter(SuiteTrixie, dual)},
		{"FRR and keepalived 2.2.7, version 2", IPv4, frrStarter(FRRConfig{Version: 2}),
			keepalivedStarter("", KeepalivedConfig{Version: 2, Single: true})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			testPeers(t, tt.families, tt.lb, tt.lb2)
		})
	}
}

// testPeers fails over and back between two peers, of which the first one is
// preferred, by an ordered stop and by a crash.
func testPeers(t *testing.T, families Families, lb, lb2 starter) {
	t.Helper()
	l, ctx := NewT(t), deadline(t)
	capture, err := l.Capture()
	if err != nil {
		t.Fatal(err)
	}
	start := func(s starter, host *Host, priority int) peer {
		t.Helper()
		if err := host.AwaitLinkLocal(ctx); err != nil {
			t.Fatal(err)
		}
		p, err := s(ctx, host, priority)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("log on %s:\n%s", host.Name, p.Log())
			}
		})
		if err := p.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second := start(lb, l.LB, 150), start(lb2, l.LB2, 100)
	awaitHolder(t, families, first, second)
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	awaitHolder(t, families, second, nil)
	first = start(lb, l.LB, 150)
	awaitHolder(t, families, first, second)
	if err := errors.Join(first.Kill(), l.LB.CutLinks()); err != nil {
		t.Fatal(err)
	}
	awaitHolder(t, families, second, nil)

	frames, err := capture.Stop()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range SimultaneousActives(frames) {
		t.Errorf("two active routers: %v", o)
	}
	if !slices.ContainsFunc(frames, func(f Frame) bool { return f.Kind == Advertisement && f.Priority == 0 }) {
		t.Error("nobody has resigned")
	}
}

// awaitHolder waits until one peer has all virtual addresses, and another, if
// there is one, none.
func awaitHolder(t *testing.T, families Families, active, backup peer) {
	t.Helper()
	ctx := deadline(t)
	for _, r := range families.Routers() {
		for _, a := range r.Addresses {
			awaitHolds(ctx, t, active, a.Addr(), true)
			if backup != nil {
				awaitHolds(ctx, t, backup, a.Addr(), false)
			}
		}
	}
}

// awaitHolds waits until a peer has an address, or has it no more.
func awaitHolds(ctx context.Context, t *testing.T, p peer, address netip.Addr, want bool) {
	t.Helper()
	for {
		has, err := p.Holds(address)
		if err != nil {
			t.Fatal(err)
		}
		if has == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has %s: %v, want %v: %v", p.Host().Name, address, has, want, ctx.Err())
		case <-time.After(holderInterval):
		}
	}
}
