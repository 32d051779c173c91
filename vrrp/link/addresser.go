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

// addressEditor edits the addresses of interfaces, by index: a name may mean
// another interface from one call to the next. Edits of an interface that is
// missing are unix.ENODEV, and it has no addresses.
type addressEditor interface {
	Index(iface string) (int, error)               // unix.ENODEV: there is none
	AddressesAt(index int) ([]netip.Prefix, error) // in the kernel's order
	AddAt(index int, p netip.Prefix) error         // unix.EEXIST: is there
	DeleteAt(index int, p netip.Prefix) error      // unix.EADDRNOTAVAIL: is not there
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
	there    atomic.Pointer[addrSet]   // wanted addresses that are on the interface; never changed, only replaced
	lost     map[netip.Prefix]struct{} // wanted addresses that were there once

	index  int             // of the interface when it was last there; 0: it is missing
	ledger *ledger         // of the interface
	strays map[int]*ledger // by index: interfaces that had the name, and may still have the addresses

	vanished   int       // addresses since the last complaint
	complained time.Time // when the last complaint was logged
	told       time.Time // when a wrong prefix length was last logged
}

// newAddresser returns an addresser for one interface.
func newAddresser(log *slog.Logger, iface string, kernel addressEditor, g *atomic.Pointer[goal]) *addresser {
	a := &addresser{
		log: log, iface: iface, kernel: kernel, goal: g,
		changed: newBell(), touched: newBell(),
		onChange: func() {}, onRepair: func([]netip.Prefix) {},
		lost: make(map[netip.Prefix]struct{}), ledger: newLedger(), strays: make(map[int]*ledger),
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

// reconcile brings the interface to its goal, and takes the addresses off
// those that have lost its name: there, nobody would look for them.
func (a *addresser) reconcile() error {
	index, err := a.locate()
	left := a.leaveStrays()
	switch {
	case errors.Is(err, unix.ENODEV):
		g := a.goal.Load()
		a.see(g, nil, true)
		if left != nil {
			return left
		}
		if len(g.wanted.Present) > 0 {
			return err
		}
		a.reach(g)
		return nil
	case err != nil:
		return errors.Join(err, left)
	}
	g, err := a.approach(index, a.ledger, func(have []netip.Prefix) *goal {
		g := a.goal.Load()
		a.see(g, have, false)
		return g
	})
	if err := errors.Join(err, left); err != nil {
		return err
	}
	a.reach(g)
	return nil
}

// locate returns the index of the interface. If it had another one before,
// that one is a stray: a renamed interface keeps its index and its addresses.
func (a *addresser) locate() (int, error) {
	index, err := a.kernel.Index(a.iface)
	missing := errors.Is(err, unix.ENODEV)
	if err != nil && !missing {
		return 0, err
	}
	if missing {
		index = 0
	}
	if index == a.index {
		return index, err
	}
	if a.index != 0 {
		a.strays[a.index] = a.ledger
	}
	a.ledger = newLedger()
	if l, ok := a.strays[index]; ok { // it has its name back
		a.ledger = l
		delete(a.strays, index)
	}
	a.index = index
	return index, err
}

// leaveStrays removes what is managed from the strays, once. Those that do
// not exist any more have nothing to remove.
func (a *addresser) leaveStrays() error {
	var failed []error
	for index, l := range a.strays {
		_, err := a.approach(index, l, func([]netip.Prefix) *goal { return a.goal.Load().abandoned() })
		if err == nil || errors.Is(err, unix.ENODEV) {
			delete(a.strays, index)
			continue
		}
		failed = append(failed, fmt.Errorf("interface %d, which had this name: %w", index, err))
	}
	return errors.Join(failed...)
}

// approach edits the interface with that index until it is as the goal says
// that aim returns for what is there, and returns that goal. Former addresses
// are removed, others are added before any is deleted, so that a change of the
// prefix length does not take an address of IPv4 away. IPv6 has none twice: it
// is gone for a moment.
func (a *addresser) approach(index int, l *ledger, aim func(have []netip.Prefix) *goal) (*goal, error) {
	var failed error
	var generation uint64
	for pass := 0; pass < reconcilePasses; pass++ {
		have, err := a.kernel.AddressesAt(index)
		if err != nil {
			return nil, err
		}
		g := aim(have)
		if g.generation != generation { // the group has moved meanwhile
			generation, pass, failed = g.generation, 0, nil
		}
		l.check(have)
		add, remove := diff(have, g, a.reached(g), l.added)
		remove, spared := sparing(g, have, remove)
		restore := l.collect(g, have)
		if len(restore)+len(add)+len(remove) == 0 {
			if spared != nil {
				return nil, spared
			}
			return g, nil
		}
		if failed != nil {
			return nil, failed
		}
		l.endanger(g, have, remove)
		a.tellMisfits(g, remove)
		add, blocked := unblocked(add, have, remove)
		failed = errors.Join(blocked, a.restore(index, restore), a.edit(index, l, add, remove))
	}
	return nil, errors.New("the addresses differ from what is wanted however often they are set; another program seems to manage them too")
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

// tellMisfits logs that virtual addresses are removed because their prefix
// length is wrong, but not each time in a quarrel.
func (a *addresser) tellMisfits(g *goal, remove []netip.Prefix) {
	misfits := slices.DeleteFunc(slices.Clone(remove), func(p netip.Prefix) bool { return !g.misfit(p) })
	if now := time.Now(); len(misfits) > 0 && now.Sub(a.told) >= complaintPause {
		a.log.Warn("virtual addresses have another prefix length than configured, removing them", "interface", a.iface, "addresses", misfits)
		a.told = now
	}
}

// sparing returns what can be removed without making the machine unreachable: a
// virtual address with another prefix length stays where the interface would be
// left without an address of its own. The error names what stays.
func sparing(g *goal, have, remove []netip.Prefix) (removable []netip.Prefix, err error) {
	var spared []error
	for _, p := range remove {
		alike := func(q netip.Prefix) bool {
			return g.lends(q) && !slices.Contains(remove, q) && q.Addr().Is4() == p.Addr().Is4() &&
				q.Addr().IsLinkLocalUnicast() == p.Addr().IsLinkLocalUnicast()
		}
		if g.misfit(p) && !slices.ContainsFunc(have, alike) {
			spared = append(spared, fmt.Errorf("%s is a virtual address with another prefix length, and stays, for the interface would have no address of its own", p))
			continue
		}
		removable = append(removable, p)
	}
	return removable, errors.Join(spared...)
}

// unblocked returns what can be added: IPv6 does not have an address twice, and
// one of the interface's own, of another prefix length, stays. The error names
// what cannot.
func unblocked(add, have, remove []netip.Prefix) (free []netip.Prefix, err error) {
	var blocked []error
	for _, p := range add {
		i := slices.IndexFunc(have, func(q netip.Prefix) bool { return q.Addr() == p.Addr() && !slices.Contains(remove, q) })
		if i >= 0 && p.Addr().Is6() {
			blocked = append(blocked, fmt.Errorf("add %s: the interface has that address of its own as %s", p, have[i]))
			continue
		}
		free = append(free, p)
	}
	return free, errors.Join(blocked...)
}

// reach notes that g is reached.
func (a *addresser) reach(g *goal) {
	if a.swept.Swap(g) != g {
		a.onChange()
	}
}

// restore puts addresses of others back.
func (a *addresser) restore(index int, list []netip.Prefix) error {
	var failed []error
	for _, p := range list {
		a.log.Warn("the kernel deleted an address along with a virtual one, putting it back", "interface", a.iface, "address", p)
		if err := a.kernel.AddAt(index, p); err != nil && !errors.Is(err, unix.EEXIST) {
			failed = append(failed, fmt.Errorf("put back %s: %w", p, err))
		}
	}
	return errors.Join(failed...)
}

// edit adds and removes. What fails does not keep the rest from being tried.
func (a *addresser) edit(index int, l *ledger, add, remove []netip.Prefix) error {
	var failed []error
	for _, p := range add {
		err := a.kernel.AddAt(index, p)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		// Also after an error: the kernel may have done it and said so too
		// late. If not, the next look corrects that.
		l.added[p] = struct{}{}
		if err != nil {
			failed = append(failed, fmt.Errorf("add %s: %w", p, err))
		}
	}
	for _, p := range remove {
		if err := a.kernel.DeleteAt(index, p); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			failed = append(failed, fmt.Errorf("delete %s: %w", p, err))
		}
	}
	return errors.Join(failed...)
}
