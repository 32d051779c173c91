package linktest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel keeps IPv4 addresses on interfaces the way Linux does: the first
// address of a subnet is primary, later ones are secondary to it, and vanish
// with it unless PromoteSecondaries is set. Errors are those of Linux. Its
// methods may be called by any goroutine.
type Kernel struct {
	mu       sync.Mutex
	links    map[string][]entry
	faults   []fault
	promote  bool
	latency  time.Duration
	watchers []func(iface string)
	edits    int
}

// entry is an address on an interface.
type entry struct {
	prefix    netip.Prefix
	secondary bool
}

// fault is an error to return instead of doing what is asked.
type fault struct {
	op     string
	prefix netip.Prefix
	err    error
	left   int
}

// NewKernel returns a kernel with those interfaces.
func NewKernel(ifaces ...string) *Kernel {
	k := &Kernel{links: make(map[string][]entry)}
	for _, name := range ifaces {
		k.links[name] = nil
	}
	return k
}

// PromoteSecondaries sets the sysctl promote_secondaries: the first secondary
// address takes the place of a primary one that is deleted.
func (k *Kernel) PromoteSecondaries(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.promote = on
}

// SetLatency makes every edit and every list take that long.
func (k *Kernel) SetLatency(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.latency = d
}

// Fail makes the next calls of op ("add", "delete" or "list") for an address
// fail with err; a zero prefix stands for any address, a negative number for
// all calls until Mend.
func (k *Kernel) Fail(op string, p netip.Prefix, times int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = append(k.faults, fault{op: op, prefix: p, err: err, left: times})
}

// Mend ends all failures.
func (k *Kernel) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = nil
}

// Watch calls f after each change of the addresses of an interface, without
// holding any lock, like a notification of the kernel.
func (k *Kernel) Watch(f func(iface string)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watchers = append(k.watchers, f)
}

// Plug creates an interface.
func (k *Kernel) Plug(iface string) {
	k.mu.Lock()
	if _, ok := k.links[iface]; !ok {
		k.links[iface] = nil
	}
	k.mu.Unlock()
	k.notify(iface)
}

// Unplug deletes an interface with all its addresses.
func (k *Kernel) Unplug(iface string) {
	k.mu.Lock()
	delete(k.links, iface)
	k.mu.Unlock()
	k.notify(iface)
}

// Addresses lists an interface in the order of Linux: primary addresses first,
// then secondary ones, mostly in the order of their arrival.
func (k *Kernel) Addresses(iface string) ([]netip.Prefix, error) {
	if err := k.enter("list", netip.Prefix{}); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	entries, ok := k.links[iface]
	if !ok {
		return nil, unix.ENODEV
	}
	out := make([]netip.Prefix, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.prefix)
	}
	return out, nil
}

// Add puts an address on an interface.
func (k *Kernel) Add(iface string, p netip.Prefix) error {
	if err := k.enter("add", p); err != nil {
		return err
	}
	if err := k.add(iface, p); err != nil {
		return err
	}
	k.notify(iface)
	return nil
}

// add is Add without failures and notifications.
func (k *Kernel) add(iface string, p netip.Prefix) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	entries, ok := k.links[iface]
	if !ok {
		return unix.ENODEV
	}
	e, place := entry{prefix: p}, 0
	for i, other := range entries {
		if other.prefix == p {
			return unix.EEXIST
		}
		if other.prefix.Masked() == p.Masked() {
			e.secondary = true
		}
		if !other.secondary {
			place = i + 1
		}
	}
	if e.secondary {
		place = len(entries)
	}
	k.edits++
	k.links[iface] = slices.Insert(slices.Clone(entries), place, e)
	return nil
}

// Delete takes an address off an interface.
func (k *Kernel) Delete(iface string, p netip.Prefix) error {
	if err := k.enter("delete", p); err != nil {
		return err
	}
	if err := k.remove(iface, p); err != nil {
		return err
	}
	k.notify(iface)
	return nil
}

// remove is Delete without failures and notifications.
func (k *Kernel) remove(iface string, p netip.Prefix) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	entries, ok := k.links[iface]
	if !ok {
		return unix.ENODEV
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return e.prefix == p })
	if i < 0 {
		return unix.EADDRNOTAVAIL
	}
	k.edits++
	sibling := func(e entry) bool { return e.secondary && e.prefix.Masked() == p.Masked() }
	entries = slices.Clone(entries)
	if !entries[i].secondary && k.promote {
		entries = promote(entries, i, sibling)
	} else if !entries[i].secondary {
		entries = slices.DeleteFunc(entries, sibling)
	}
	k.links[iface] = slices.DeleteFunc(entries, func(e entry) bool { return e.prefix == p })
	return nil
}

// promote makes the first sibling of a primary address that is about to be
// deleted primary. Linux moves it behind the last primary address after that
// one, or behind the head of the list if there is none.
func promote(entries []entry, deleted int, sibling func(entry) bool) []entry {
	last := 0
	for j := deleted + 1; j < len(entries); j++ {
		if !entries[j].secondary {
			last = j
		}
		if !sibling(entries[j]) {
			continue
		}
		e := entry{prefix: entries[j].prefix}
		if j == deleted+1 {
			entries[j] = e
			return entries
		}
		return slices.Insert(slices.Delete(entries, j, j+1), last+1, e)
	}
	return entries
}

// Edits returns how many edits have changed something.
func (k *Kernel) Edits() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.edits
}

// String returns the addresses of all interfaces, a line each, sorted by
// name; secondary addresses are in brackets.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for name, entries := range k.links {
		line := name + ":"
		for _, e := range entries {
			if e.secondary {
				line += fmt.Sprintf(" [%s]", e.prefix)
			} else {
				line += " " + e.prefix.String()
			}
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// enter takes the time of a call and returns the failure that is due, if any.
func (k *Kernel) enter(op string, p netip.Prefix) error {
	k.mu.Lock()
	latency := k.latency
	k.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.faults {
		f := &k.faults[i]
		if f.op == op && f.left != 0 && (f.prefix == p || !f.prefix.IsValid()) {
			f.left--
			return f.err
		}
	}
	return nil
}

// notify calls the watchers.
func (k *Kernel) notify(iface string) {
	k.mu.Lock()
	watchers := slices.Clone(k.watchers)
	k.mu.Unlock()
	for _, f := range watchers {
		f(iface)
	}
}
