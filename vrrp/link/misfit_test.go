package link

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAddresserMisfits replaces or removes virtual addresses that are there
// with another prefix length, such as keepalived leaves after a crash, and
// says what they are. Nobody else interferes.
func TestAddresserMisfits(t *testing.T) {
	tests := []struct {
		name, left      string
		present, absent string
		want            string
	}{
		{"active", "10.0.0.10/32 fe80::10/128", "10.0.0.10/24 fe80::10/64", "", "10.0.0.1/24 [10.0.0.10/24] fe80::10/64 fe80::1/64"},
		{"backup", "10.0.0.10/32 fe80::10/128", "", "10.0.0.10/24 fe80::10/64", "10.0.0.1/24 fe80::1/64"},
		{"configured without a subnet", "10.0.0.10/24 fe80::10/64", "10.0.0.10/32 fe80::10/128", "", "10.0.0.1/24 10.0.0.10/32 fe80::10/128 fe80::1/64"},
		{"several", "10.0.0.10/32 10.0.0.10/16", "10.0.0.10/24", "", "10.0.0.1/24 [10.0.0.10/24] fe80::1/64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := startAddresser(t, tt.present, tt.absent)
				log := new(strings.Builder)
				x.a.log = slog.New(slog.NewTextHandler(log, nil))
				for _, p := range prefixes("10.0.0.1/24 fe80::1/64") {
					must(t, x.kernel.Add("eth0", p))
				}
				for _, p := range prefixes(tt.left) {
					must(t, x.kernel.Add("eth0", p))
				}
				x.run(t)
				x.expect(t, tt.want, true)
				if got := x.a.problem.get(); got != "" {
					t.Errorf("problem: %s", got)
				}
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				if len(lines) != 1 || !strings.Contains(lines[0], "another prefix length") {
					t.Errorf("log: %q", lines)
				}
				// Whoever puts them back does not fill the log with it.
				for range 10 {
					for _, p := range prefixes(tt.left) {
						_ = x.kernel.Add("eth0", p) // IPv6 has no address twice
					}
					time.Sleep(2 * repairPause)
				}
				synctest.Wait()
				if !x.a.reached(x.goal.Load()) {
					t.Error("the goal is not reached again")
				}
				if got := strings.Count(log.String(), "\n"); got != 1 {
					t.Errorf("%d lines of log within a second:\n%s", got, log)
				}
			})
		})
	}
}

// TestAddresserSpares: the only address of an interface is not taken from it,
// although it is a virtual one but for its prefix length. That is said until
// the interface has another.
func TestAddresserSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/32", "")
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.10/24")))
		x.run(t)
		x.expect(t, "10.0.0.10/24 10.0.0.10/32", false)
		want := "eth0: 10.0.0.10/24 is a virtual address with another prefix length, and stays, for the interface would have no address of its own"
		if got := x.a.problem.get(); got != want {
			t.Errorf("problem %q, want %q", got, want)
		}
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("192.0.2.1/24")))
		time.Sleep(lastRetry)
		x.expect(t, "10.0.0.10/32 192.0.2.1/24", true)
		if got := x.a.problem.get(); got != "" {
			t.Errorf("problem: %s", got)
		}
	})
}

// TestAddresserBlocked: where the interface has an address of its own with
// another prefix length, IPv6 cannot have it a second time. That is said, and
// the rest goes on.
func TestAddresserBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "", "")
		own := netip.MustParsePrefix("fd00::10/128")
		must(t, x.kernel.Add("eth0", own))
		w := wanted("fd00::10/64 10.0.0.10/24", "")
		w.Owned = prefixes("fd00::10/64")
		x.want(w)
		x.run(t)
		x.expect(t, "10.0.0.10/24 fd00::10/128", false)
		want := "eth0: add fd00::10/64: the interface has that address of its own as fd00::10/128"
		if got := x.a.problem.get(); got != want {
			t.Errorf("problem %q, want %q", got, want)
		}
		must(t, x.kernel.Delete("eth0", own))
		time.Sleep(lastRetry)
		x.expect(t, "10.0.0.10/24 fd00::10/64", true)
		if got := x.a.problem.get(); got != "" {
			t.Errorf("problem: %s", got)
		}
	})
}
