//go:build !ipvs

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// routersConfig is the two virtual routers alone, with a priority for lb.
const routersConfig = `
nodes = ["lb", "lb2"]

[group.web]
priority = { lb = %d, lb2 = 1 }

[group.web.router.public]
interface = "enp0s3"
vrid = 56
addresses = ["192.168.56.10/24"]

[group.web.router.gateway]
interface = "enp0s8"
vrid = 200
addresses = ["192.168.200.250/24"]
`

// interop is Bascule on lb beside keepalived on lb2.
type interop struct {
	*lab.Lab
	t          *testing.T
	bascule    *lab.Director
	keepalived *lab.Keepalived
	config     lab.KeepalivedConfig
}

// newInterop starts both with the given priorities.
func newInterop(t *testing.T, bascule, keepalived int) *interop {
	t.Helper()
	i := &interop{Lab: lab.NewT(t), t: t, config: lab.KeepalivedConfig{Priority: keepalived}}
	i.bascule = newDirector(t, i.LB, fmt.Sprintf(routersConfig, bascule))
	must(t, i.bascule.Start(bounded(t)))
	i.startKeepalived()
	return i
}

// startKeepalived starts keepalived, again if need be.
func (i *interop) startKeepalived() {
	i.t.Helper()
	k, err := lab.StartKeepalived(i.LB2, i.config)
	must(i.t, err)
	i.keepalived = k
	i.t.Cleanup(func() {
		if i.t.Failed() {
			i.t.Logf("log of keepalived:\n%s", k.Log())
		}
	})
}

// awaitActive waits until one host has both addresses and the other none.
func (i *interop) awaitActive(active, backup *lab.Host) {
	i.t.Helper()
	awaitVIPs(i.t, active, true)
	awaitVIPs(i.t, backup, false)
}

// moves measures how long both addresses take to be on a host after an event.
func (i *interop) moves(what string, to *lab.Host, bound time.Duration, event func(context.Context) error) {
	i.t.Helper()
	ctx := bounded(i.t)
	start := time.Now()
	ended := make(chan error, 1) // an ordered stop goes on after the addresses have moved
	go func() { ended <- event(ctx) }()
	awaitVIPs(i.t, to, true)
	took := time.Since(start)
	must(i.t, <-ended)
	i.t.Logf("FIGURE %s: addresses on the other director after %v (bound %v)", what, took.Round(time.Millisecond), bound)
	if took > bound+slack {
		i.t.Errorf("%s: %v, want at most %v (and %v for a slow machine)", what, took, bound, slack)
	}
}

// TestKeepalivedLower has Bascule with the higher priority: stop and kill on
// each side.
func TestKeepalivedLower(t *testing.T) {
	t.Parallel()
	i := newInterop(t, 150, 100)
	capture, err := i.Capture()
	must(t, err)
	i.awaitActive(i.LB, i.LB2)
	i.moves("bascule stopped, keepalived takes over", i.LB2, skew(100)+150*time.Millisecond, i.bascule.Stop)
	must(t, i.bascule.Start(bounded(t)))
	i.awaitActive(i.LB, i.LB2)
	i.moves("bascule killed, keepalived takes over", i.LB2, 3*time.Second+skew(100)+150*time.Millisecond, i.killBascule)
	must(t, i.bascule.Start(bounded(t)))
	awaitVIPs(t, i.LB, false)
	must(t, i.LB.RestoreLinks())
	i.awaitActive(i.LB, i.LB2)

	// The backup goes and comes: nothing happens to the active one.
	before, err := i.bascule.Status(bounded(t))
	must(t, err)
	must(t, i.keepalived.Stop(bounded(t)))
	i.startKeepalived()
	must(t, i.keepalived.Kill())
	i.startKeepalived()
	after, err := i.bascule.Status(bounded(t))
	must(t, err)
	was, _ := before.Group("web")
	is, _ := after.Group("web")
	if was.State != "active" || is.State != "active" || !was.Since.Equal(is.Since) {
		t.Errorf("the active director moved: %+v, then %+v", was, is)
	}
	i.end(capture)
}

// killBascule loses Bascule's machine: the process and its links.
func (i *interop) killBascule(context.Context) error {
	return errors.Join(i.bascule.Kill(), i.LB.CutLinks())
}

// killKeepalived loses keepalived's machine: the processes and their links.
func (i *interop) killKeepalived(context.Context) error {
	return errors.Join(i.keepalived.Kill(), i.LB2.CutLinks())
}

// TestKeepalivedHigher has keepalived with the higher priority: stop and kill
// on each side.
func TestKeepalivedHigher(t *testing.T) {
	t.Parallel()
	i := newInterop(t, 100, 150)
	capture, err := i.Capture()
	must(t, err)
	i.awaitActive(i.LB2, i.LB)
	_, err = i.bascule.Await(bounded(t), "lb2 to be the active director", func(s lab.Status) bool {
		group, found := s.Group("web")
		return found && group.State == lab.StateBackup && !slices.ContainsFunc(group.Routers, func(r lab.RouterStatus) bool {
			return !strings.HasSuffix(r.ActiveSource, ".12") && !strings.HasSuffix(r.ActiveSource, ".252")
		})
	})
	must(t, err)
	i.moves("keepalived stopped, bascule takes over", i.LB, skew(100)+150*time.Millisecond, i.keepalived.Stop)
	i.startKeepalived()
	i.awaitActive(i.LB2, i.LB)
	i.moves("keepalived killed, bascule takes over", i.LB, 3*time.Second+skew(100)+150*time.Millisecond, i.killKeepalived)
	i.startKeepalived()
	must(t, i.LB2.RestoreLinks())
	i.awaitActive(i.LB2, i.LB)

	// The backup goes and comes: nothing happens to the active one.
	must(t, i.bascule.Stop(bounded(t)))
	must(t, i.bascule.Start(bounded(t)))
	must(t, i.bascule.Kill())
	must(t, i.bascule.Start(bounded(t)))
	_, err = i.bascule.AwaitState(bounded(t), "web", "backup")
	must(t, err)
	i.awaitActive(i.LB2, i.LB)
	i.end(capture)
}

// end looks at all that was captured, and at what Bascule had to complain of:
// two well configured directors understand each other.
func (i *interop) end(c *lab.Capture) {
	i.t.Helper()
	noTwoActives(i.t, c)
	status, err := i.bascule.Status(bounded(i.t))
	must(i.t, err)
	for _, p := range status.Problems {
		i.t.Errorf("problem: %s", p)
	}
}
