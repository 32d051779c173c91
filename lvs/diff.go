package lvs

import (
	"maps"
	"net/netip"
	"slices"
)

// Owner says what in the kernel is ours.
type Owner interface {
	Ours(ServiceKey) bool
	OursRole(SyncRole) bool
}

// Diff returns the operations that make the state have equal to want, as far
// as the owner says that it is ours; services and sync daemons of others are
// left alone.
//
// The order is a function of the arguments: service by service a service is
// added, then its destinations, so that it is without any for as short a time
// as can be; then changes in place; then deletions, after the additions that
// replace them. Services that are not wanted are deleted last. Nothing that
// can be changed in place is deleted and added again: that would break its
// connections. Only a sync daemon cannot: those that are to end or to change
// are stopped first of all, and started last, because the kernel takes no
// destination of another family than its service's while one runs, and starts
// none while it holds one.
func Diff(have, want State, owner Owner) []Op {
	return DiffAmong(have, want, owner, func(ServiceKey) bool { return true })
}

// DiffAmong is Diff for who knows of which services the destinations can
// differ: of others only the services themselves are compared, which takes no
// time to speak of.
func DiffAmong(have, want State, owner Owner, suspected func(ServiceKey) bool) []Op {
	ops := stopDaemons(have.Daemons, want.Daemons, owner)
	if !want.Timeouts.in(have.Timeouts) {
		ops = append(ops, Op{Kind: SetTimeouts, Timeouts: want.Timeouts})
	}
	var differing, unwanted []ServiceKey
	for key, entry := range want.Table {
		present, found := have.Table[key]
		if !found || present.Service != entry.Service || suspected(key) && !maps.Equal(present.Destinations, entry.Destinations) {
			differing = append(differing, key)
		}
	}
	for key := range have.Table {
		if _, wanted := want.Table[key]; !wanted {
			unwanted = append(unwanted, key)
		}
	}
	slices.SortFunc(differing, ServiceKey.Compare)
	slices.SortFunc(unwanted, ServiceKey.Compare)
	ops = slices.Grow(ops, additions(have.Table, want.Table, differing))
	for _, key := range differing {
		if owner.Ours(key) {
			ops = appendServiceDiff(ops, have.Table, want.Table[key])
		}
	}
	for _, key := range unwanted {
		if owner.Ours(key) {
			ops = append(ops, Op{Kind: DeleteService, Service: have.Table[key].Service})
		}
	}
	return append(ops, startDaemons(have.Daemons, want.Daemons)...)
}

// additions returns about how many objects are missing, so that a table from
// nothing need not be copied as it grows.
func additions(have, want Table, keys []ServiceKey) (n int) {
	for _, key := range keys {
		n += 1 + max(0, len(want[key].Destinations)-len(have[key].Destinations))
	}
	return n
}

// in says whether the kernel's timeouts are as wanted.
func (t Timeouts) in(have Timeouts) bool {
	return (t.TCP == 0 || t.TCP == have.TCP) && (t.TCPFin == 0 || t.TCPFin == have.TCPFin) && (t.UDP == 0 || t.UDP == have.UDP)
}

// In says whether the kernel's daemon is as wanted: what is not said is the
// kernel's choice.
func (d SyncDaemon) In(have SyncDaemon) bool {
	return d.Interface == have.Interface && d.ID == have.ID &&
		(d.Index == 0 || have.Index == 0 || d.Index == have.Index) &&
		(d.MaxLength == 0 || d.MaxLength == have.MaxLength) && (!d.Group.IsValid() || d.Group == have.Group) &&
		(d.Port == 0 || d.Port == have.Port) && (d.TTL == 0 || d.TTL == have.TTL)
}

// stopDaemons returns the operations that end what is ours and not as wanted.
func stopDaemons(have, want map[SyncRole]SyncDaemon, owner Owner) (ops []Op) {
	for _, role := range slices.Sorted(maps.Keys(have)) {
		wanted, found := want[role]
		if owner.OursRole(role) && (!found || !wanted.In(have[role])) {
			ops = append(ops, Op{Kind: StopDaemon, Role: role})
		}
	}
	return ops
}

// startDaemons returns the operations that begin what is missing.
func startDaemons(have, want map[SyncRole]SyncDaemon) (ops []Op) {
	for _, role := range slices.Sorted(maps.Keys(want)) {
		if present, found := have[role]; !found || !want[role].In(present) {
			ops = append(ops, Op{Kind: StartDaemon, Role: role, Daemon: want[role]})
		}
	}
	return ops
}

// appendServiceDiff appends the operations for one wanted service.
func appendServiceDiff(ops []Op, have Table, want Entry) []Op {
	present, found := have[want.Service.ServiceKey]
	if !found {
		ops = append(ops, Op{Kind: AddService, Service: want.Service})
	}
	var updates, deletes []Op
	if found && present.Service != want.Service {
		updates = append(updates, Op{Kind: UpdateService, Service: want.Service})
	}
	for _, address := range sortedAddresses(want.Destinations) {
		destination := want.Destinations[address]
		old, there := present.Destinations[address]
		switch {
		case !there:
			ops = append(ops, Op{Kind: AddDestination, Service: want.Service, Destination: destination})
		case old != destination:
			updates = append(updates, Op{Kind: UpdateDestination, Service: want.Service, Destination: destination})
		}
	}
	for _, address := range sortedAddresses(present.Destinations) {
		if _, wanted := want.Destinations[address]; !wanted {
			deletes = append(deletes, Op{Kind: DeleteDestination, Service: want.Service, Destination: present.Destinations[address]})
		}
	}
	return append(append(ops, updates...), deletes...)
}

// sortedAddresses returns the addresses of destinations in their order.
func sortedAddresses(destinations map[netip.AddrPort]Destination) []netip.AddrPort {
	return slices.SortedFunc(maps.Keys(destinations), netip.AddrPort.Compare)
}
