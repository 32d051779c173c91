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

// Kernel keeps addresses on interfaces the way Linux does: of IPv4 the first
// address of a subnet is primary, later ones are secondary to it, and vanish
// with it unless PromoteSecondaries is set; of IPv6 all are equal, no two may
// differ in nothing but their length, and none stays when the interface is set
// down. Errors are those of Linux. Its methods may be called by any goroutine.
type Kernel struct {
	mu       sync.Mutex
	links    map[int]*link // by index
	last     int           // index given
	faults   []fault
	promote  bool
	latency  time.Duration
	watchers []func(iface string)
	edits    int
}

// link is an interface.
type link struct {
	name    string
	entries []entry        // IPv4
	six     []netip.Prefix // IPv6
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
	k := &Kernel{links: make(map[int]*link)}
	for _, name := range ifaces {
		k.plug(name)
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

// Watch calls f after each change of an interface or its addresses, without
// holding any lock, like a notification of the kernel. A new name is told,
// not the old one.
func (k *Kernel) Watch(f func(iface string)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watchers = append(k.watchers, f)
}

// Plug creates an interface, under an index that was never used.
func (k *Kernel) Plug(iface string) {
	k.mu.Lock()
	k.plug(iface)
	k.mu.Unlock()
	k.notify(iface)
}

// plug is Plug without lock and notification.
func (k *Kernel) plug(iface string) {
	if _, ok := k.find(iface); !ok {
		k.last++
		k.links[k.last] = &link{name: iface}
	}
}

// Unplug deletes an interface with all its addresses.
func (k *Kernel) Unplug(iface string) {
	k.mu.Lock()
	if index, ok := k.find(iface); ok {
		delete(k.links, index)
	}
	k.mu.Unlock()
	k.notify(iface)
}

// SetDown sets an interface down, and up again, by which it loses its IPv6
// addresses.
func (k *Kernel) SetDown(iface string) {
	k.mu.Lock()
	if index, ok := k.find(iface); ok {
		k.links[index].six = nil
	}
	k.mu.Unlock()
	k.notify(iface)
}

// Rename gives an interface another name. It keeps its index and addresses.
func (k *Kernel) Rename(iface, name string) error {
	if err := k.rename(iface, name); err != nil {
		return err
	}
	k.notify(name)
	return nil
}

// rename is Rename without notification.
func (k *Kernel) rename(iface, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	index, ok := k.find(iface)
	if !ok {
		return unix.ENODEV
	}
	if _, taken := k.find(name); taken {
		return unix.EEXIST
	}
	k.links[index].name = name
	return nil
}

// find returns the index of an interface.
func (k *Kernel) find(iface string) (int, bool) {
	for index, l := range k.links {
		if l.name == iface {
			return index, true
		}
	}
	return 0, false
}

// Index returns the index of an interface. It takes no time: Linux resolves
// names without the lock that edits wait for.
func (k *Kernel) Index(iface string) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	index, ok := k.find(iface)
	if !ok {
		return 0, unix.ENODEV
	}
	return index, nil
}

// Addresses lists an interface in the order of Linux: of IPv4 primary
// addresses first, then secondary ones, mostly in the order of their arrival;
// then of IPv6 global ones first, then link-local ones, the newest first.
func (k *Kernel) Addresses(iface string) ([]netip.Prefix, error) {
	index, err := k.Index(iface)
	if err != nil {
		return nil, err
	}
	return k.AddressesAt(index)
}

// AddressesAt is Addresses by index. An index that does not exist has none.
func (k *Kernel) AddressesAt(index int) ([]netip.Prefix, error) {
	if err := k.enter("list", netip.Prefix{}); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []netip.Prefix
	if l := k.links[index]; l != nil {
		for _, e := range l.entries {
			out = append(out, e.prefix)
		}
		out = append(out, l.six...)
	}
	return out, nil
}

// Add puts an address on an interface.
func (k *Kernel) Add(iface string, p netip.Prefix) error {
	index, err := k.Index(iface)
	if err != nil {
		return err
	}
	return k.AddAt(index, p)
}

// AddAt is Add by index.
func (k *Kernel) AddAt(index int, p netip.Prefix) error {
	return k.edit("add", index, p, (*link).add)
}

// Delete takes an address off an interface.
func (k *Kernel) Delete(iface string, p netip.Prefix) error {
	index, err := k.Index(iface)
	if err != nil {
		return err
	}
	return k.DeleteAt(index, p)
}

// DeleteAt is Delete by index.
func (k *Kernel) DeleteAt(index int, p netip.Prefix) error {
	return k.edit("delete", index, p, func(l *link, p netip.Prefix) error { return l.remove(p, k.promote) })
}

// edit changes an interface, unless a failure is due, and notifies.
func (k *Kernel) edit(op string, index int, p netip.Prefix, change func(*link, netip.Prefix) error) error {
	if err := k.enter(op, p); err != nil {
		return err
	}
	name, err := k.locked(index, func(l *link) error { return change(l, p) })
	if err != nil {
		return err
	}
	k.notify(name)
	return nil
}

// locked changes the interface with that index under the lock, counts the
// edit, and returns the name of the interface.
func (k *Kernel) locked(index int, change func(*link) error) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.links[index]
	if l == nil {
		return "", unix.ENODEV
	}
	if err := change(l); err != nil {
		return "", err
	}
	k.edits++
	return l.name, nil
}

// add puts an address where Linux would.
func (l *link) add(p netip.Prefix) error {
	if p.Addr().Is6() {
		return l.add6(p)
	}
	e, place := entry{prefix: p}, 0
	for i, other := range l.entries {
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
		place = len(l.entries)
	}
	l.entries = slices.Insert(slices.Clone(l.entries), place, e)
	return nil
}

// add6 puts an IPv6 address before those of the same scope and of narrower
// ones.
func (l *link) add6(p netip.Prefix) error {
	place := len(l.six)
	for i, other := range l.six {
		if other.Addr() == p.Addr() {
			return unix.EEXIST
		}
		if place == len(l.six) && (other.Addr().IsLinkLocalUnicast() || !p.Addr().IsLinkLocalUnicast()) {
			place = i
		}
	}
	l.six = slices.Insert(slices.Clone(l.six), place, p)
	return nil
}

// remove takes an address off, and with a primary one its secondaries unless
// the first of them takes its place.
func (l *link) remove(p netip.Prefix, promoting bool) error {
	if i := slices.Index(l.six, p); i >= 0 {
		l.six = slices.Delete(slices.Clone(l.six), i, i+1)
		return nil
	}
	i := slices.IndexFunc(l.entries, func(e entry) bool { return e.prefix == p })
	if i < 0 {
		return unix.EADDRNOTAVAIL
	}
	sibling := func(e entry) bool { return e.secondary && e.prefix.Masked() == p.Masked() }
	entries := slices.Clone(l.entries)
	if !entries[i].secondary && promoting {
		entries = promote(entries, i, sibling)
	} else if !entries[i].secondary {
		entries = slices.DeleteFunc(entries, sibling)
	}
	l.entries = slices.DeleteFunc(entries, func(e entry) bool { return e.prefix == p })
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
	for _, l := range k.links {
		line := l.name + ":"
		for _, e := range l.entries {
			if e.secondary {
				line += fmt.Sprintf(" [%s]", e.prefix)
			} else {
				line += " " + e.prefix.String()
			}
		}
		for _, p := range l.six {
			line += " " + p.String()
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
