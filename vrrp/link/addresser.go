package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// repairPause is the shortest time between two repairs of what others undo,
// so that a quarrel with another program costs little.
const repairPause = 50 * time.Millisecond

// complaintPause is the shortest time between two complaints about others in
// the log.
const complaintPause = 10 * time.Second

// reconcilePasses is how often one reconciliation reads, edits and reads again.
// One suffices unless the kernel or somebody else changes more than was asked.
const reconcilePasses = 4

// addressEditor edits the addresses of interfaces, by name.
type addressEditor interface {
	Addresses(iface string) ([]netip.Prefix, error) // in the kernel's order
	Add(iface string, p netip.Prefix) error         // unix.EEXIST: is there
	Delete(iface string, p netip.Prefix) error      // unix.EADDRNOTAVAIL: is not there
}

// addresser makes the addresses of one interface equal to its goal. What it
// has seen on the interface others may read, the rest is its goroutine's.
type addresser struct {
	log    *slog.Logger
	iface  string
	kernel addressEditor
	goal   *atomic.Pointer[goal]

	changed bell // the goal was replaced
	touched bell // somebody may have changed the interface

	onChange func()                    // installed or swept changed
	onRepair func(p []netip.Prefix)    // these had vanished and are back
	problem  problem                   // why the goal is not reached
	swept    atomic.Pointer[goal]      // the last goal that was reached
	there    atomic.Pointer[addrSet]   // wanted addresses that are on the interface
	lost     map[netip.Prefix]struct{} // wanted addresses that were there once

	owed       map[netip.Prefix]struct{} // addresses of others, perhaps deleted along with virtual ones
	vanished   int                       // addresses since the last complaint
	complained time.Time                 // when the last complaint was logged
}

// addrSet is a set of addresses that is never changed, only replaced.
type addrSet map[netip.Prefix]struct{}

// newAddresser returns an addresser for one interface.
func newAddresser(log *slog.Logger, iface string, kernel addressEditor, g *atomic.Pointer[goal]) *addresser {
	a := &addresser{
		log: log, iface: iface, kernel: kernel, goal: g,
		changed: newBell(), touched: newBell(),
		onChange: func() {}, onRepair: func([]netip.Prefix) {},
		lost: make(map[netip.Prefix]struct{}), owed: make(map[netip.Prefix]struct{}),
	}
	a.there.Store(&addrSet{})
	return a
}

// installed reports whether a wanted address was on the interface when the
// addresser last looked.
func (a *addresser) installed(p netip.Prefix) bool {
	_, ok := (*a.there.Load())[p]
	return ok
}

// reached reports whether g was reached.
func (a *addresser) reached(g *goal) bool { return a.swept.Load() == g }

// run reconciles until ctx ends: whenever the goal or the interface changes,
// and again and again while it fails.
func (a *addresser) run(ctx context.Context) {
	var retry backoff
	for ctx.Err() == nil {
		pause := time.Duration(-1)
		switch err := a.reconcile(); {
		case err == nil:
			retry.reset()
			a.problem.clear()
		case errors.Is(err, unix.ENODEV):
			// The fault of the interface says so already.
			a.problem.clear()
			pause = retry.next()
		default:
			a.problem.set(a.log, a.iface, err)
			pause = retry.next()
		}
		if a.wait(ctx, pause) {
			retry.reset()
		}
	}
}

// wait returns when there is something to do: at once when the goal changed,
// which it reports; after a decent pause when somebody changed the interface;
// after the pause for another attempt unless that is negative.
func (a *addresser) wait(ctx context.Context, pause time.Duration) (newGoal bool) {
	var again <-chan time.Time
	if pause >= 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		again = t.C
	}
	last := time.Now()
	select {
	case <-ctx.Done():
		return false
	case <-a.changed:
		return true
	case <-again:
		return false
	case <-a.touched:
	}
	t := time.NewTimer(repairPause - time.Since(last))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-a.changed:
		return true
	case <-t.C:
		return false
	}
}

// reconcile brings the interface to its goal. Former addresses are removed,
// others are added before any is deleted, so that a change of the prefix
// length never takes an address away.
func (a *addresser) reconcile() error {
	var failed error
	for range reconcilePasses {
		g := a.goal.Load()
		have, err := a.kernel.Addresses(a.iface)
		if errors.Is(err, unix.ENODEV) {
			a.see(g, nil, true)
			clear(a.owed)
			if len(g.wanted.Present) > 0 {
				return err
			}
			err = nil // where there is no interface, no address is left
		}
		if err != nil {
			return err
		}
		a.see(g, have, false)
		add, remove := diff(have, g, a.reached(g))
		add = append(a.collect(g, have), add...)
		if len(add)+len(remove) == 0 {
			a.reach(g)
			return nil
		}
		if failed != nil {
			return failed
		}
		a.endanger(g, have, remove)
		failed = a.edit(add, remove)
	}
	return errors.New("the addresses differ from what is wanted however often they are set; another program seems to manage them too")
}

// see publishes which wanted addresses are there, remembers which ones have
// vanished (gone says: along with the interface), and reports those that are
// back.
func (a *addresser) see(g *goal, have []netip.Prefix, gone bool) {
	before, now := *a.there.Load(), make(addrSet, len(have))
	for _, p := range have {
		if g.wants(p) {
			now[p] = struct{}{}
		}
	}
	for p := range before {
		if _, ok := now[p]; !ok && g.wants(p) {
			a.lost[p] = struct{}{}
			if !gone {
				a.complain(p)
			}
		}
	}
	var back []netip.Prefix
	for p := range a.lost {
		if _, ok := now[p]; ok {
			back = append(back, p)
		}
		if _, ok := now[p]; ok || !g.wants(p) {
			delete(a.lost, p)
		}
	}
	if len(back) > 0 {
		a.onRepair(back)
	}
	a.there.Store(&now)
	a.onChange()
}

// complain logs that an address vanished, but not each time in a quarrel.
func (a *addresser) complain(p netip.Prefix) {
	a.vanished++
	if now := time.Now(); now.Sub(a.complained) >= complaintPause {
		a.log.Warn("virtual addresses vanish, putting them back", "interface", a.iface, "address", p, "times", a.vanished)
		a.complained, a.vanished = now, 0
	}
}

// reach notes that g is reached.
func (a *addresser) reach(g *goal) {
	if a.swept.Swap(g) != g {
		a.onChange()
	}
}

// edit adds and removes. What fails does not keep the rest from being tried.
func (a *addresser) edit(add, remove []netip.Prefix) error {
	var failed []error
	for _, p := range add {
		if err := a.kernel.Add(a.iface, p); err != nil && !errors.Is(err, unix.EEXIST) {
			failed = append(failed, fmt.Errorf("add %s: %w", p, err))
		}
	}
	for _, p := range remove {
		if err := a.kernel.Delete(a.iface, p); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			failed = append(failed, fmt.Errorf("delete %s: %w", p, err))
		}
	}
	return errors.Join(failed...)
}

// endanger remembers the addresses of others that the kernel may delete along
// with virtual ones, because they are secondary to them (it does so unless
// net.ipv4.conf.*.promote_secondaries is set).
func (a *addresser) endanger(g *goal, have, remove []netip.Prefix) {
	subnets := make(addrSet, len(remove))
	for _, p := range remove {
		subnets[p.Masked()] = struct{}{}
	}
	for _, p := range have {
		if _, ok := subnets[p.Masked()]; ok && !g.manages(p) {
			a.owed[p] = struct{}{}
		}
	}
}

// collect returns the addresses of others that have to be put back, and
// forgets those that are there.
func (a *addresser) collect(g *goal, have []netip.Prefix) []netip.Prefix {
	for _, p := range have {
		delete(a.owed, p)
	}
	var out []netip.Prefix
	for p := range a.owed {
		if g.manages(p) {
			delete(a.owed, p)
			continue
		}
		a.log.Warn("the kernel deleted an address along with a virtual one, putting it back", "interface", a.iface, "address", p)
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}
