package lvs

import (
	"maps"
	"net/netip"
	"slices"
)

// Diff returns the operations that make the table have equal to want, as far
// as ours says that a service is ours; other services are left alone.
//
// The order is a function of the arguments: service by service a service is
// added, then its destinations, so that it is without any for as short a time
// as can be; then changes in place; then deletions, after the additions that
// replace them. Services that are not wanted are deleted last. Nothing that
// can be changed in place is deleted and added again: that would break its
// connections.
func Diff(have, want Table, ours func(ServiceKey) bool) []Op {
	var ops []Op
	for _, key := range slices.SortedFunc(maps.Keys(want), ServiceKey.Compare) {
		if ours(key) {
			ops = appendServiceDiff(ops, have, want[key])
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(have), ServiceKey.Compare) {
		if _, wanted := want[key]; !wanted && ours(key) {
			ops = append(ops, Op{Kind: DeleteService, Service: have[key].Service})
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
	return slices.Concat(ops, updates, deletes)
}

// sortedAddresses returns the addresses of destinations in their order.
func sortedAddresses(destinations map[netip.AddrPort]Destination) []netip.AddrPort {
	return slices.SortedFunc(maps.Keys(destinations), netip.AddrPort.Compare)
}
