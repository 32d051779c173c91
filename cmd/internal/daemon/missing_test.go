package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// lone is a group whose only virtual router is on an interface that is missing.
const lone = `
nodes = ["lb"]
[group.web]
priority = 200
advertisement_interval = "100ms"
[group.web.router.gateway]
interface = "v7"
vrid = 10
addresses = ["10.9.7.100/24"]
`

// TestStopWithMissingInterface checks that an ordered stop is clean although an
// interface has been missing from the start: there is nothing on it.
func TestStopWithMissingInterface(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	for name, text := range map[string]string{
		"alone":  lone,
		"IPv6":   strings.Replace(lone, "10.9.7.100/24", "fe80::7/64", 1),
		"owner":  strings.Replace(lone, "200", "255", 1),
		"of two": lone + "[group.web.router.public]\ninterface = \"v0\"\nvrid = 9\naddresses = [\"10.9.0.100/24\"]\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, record{Addresses: map[string][]netip.Prefix{"v7": {netip.MustParsePrefix("10.9.7.99/24")}}}.write(dir))
			r := start(t, dir, text)
			eventually(t, "the fault", func() bool {
				status, err := r.client.Status(t.Context())
				return err == nil && strings.Contains(strings.Join(status.Problems, "\n"), "interface missing")
			})
			r.stop()
			must(t, <-r.ended)
		})
	}
}

// TestStopBeforeStart checks that a stop that comes before anything has begun is
// no failure.
func TestStopBeforeStart(t *testing.T) {
	dir := t.TempDir()
	(&running{t: t, dir: dir}).write(lone)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	options := Options{Config: filepath.Join(dir, "bascule.toml"), Node: "lb", RuntimeDir: dir, StateDir: dir}
	must(t, Run(ctx, options, nil, slog.New(slog.DiscardHandler)))
}
