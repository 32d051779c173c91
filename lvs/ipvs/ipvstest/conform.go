package ipvstest

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// TCP returns a TCP service, with the netmask that means nothing.
func TCP(address, scheduler string) ipvs.Service {
	at := netip.MustParseAddrPort(address)
	s := ipvs.Service{
		ServiceID: ipvs.ServiceID{Family: unix.AF_INET, Protocol: unix.IPPROTO_TCP, Address: at.Addr(), Port: at.Port()},
		Scheduler: scheduler,
		Netmask:   1<<32 - 1,
	}
	if at.Addr().Is6() {
		s.Family, s.Netmask = unix.AF_INET6, 128
	}
	return s
}

// Mark returns the service of a firewall mark on packets of IPv4.
func Mark(mark uint32, scheduler string) ipvs.Service {
	return ipvs.Service{ServiceID: ipvs.ServiceID{Family: unix.AF_INET, Mark: mark}, Scheduler: scheduler, Netmask: 1<<32 - 1}
}

// Destination returns a masqueraded destination.
func Destination(address string, weight uint32) ipvs.Destination {
	at := netip.MustParseAddrPort(address)
	d := ipvs.Destination{Family: unix.AF_INET, Address: at.Addr(), Port: at.Port(), Weight: weight}
	if at.Addr().Is6() {
		d.Family = unix.AF_INET6
	}
	return d
}

// Tunnel returns a destination at the other end of a tunnel.
func Tunnel(address string, kind lvs.TunnelType, port uint16, checksum lvs.TunnelChecksum) ipvs.Destination {
	d := Destination(address, 1)
	d.Method, d.TunnelType, d.TunnelPort, d.TunnelFlags = ipvs.MethodTunnel, uint8(kind), port, uint16(checksum)
	return d
}

// with returns a copy of an object with one change.
func with[T any](object T, change func(*T)) T {
	change(&object)
	return object
}

// Conform checks that what open returns, a connection to IPVS with an empty
// table on a machine with the interfaces lo, eth0 and eth1, is IPVS with the
// given schedulers: the errors of edits that cannot be done, and what is read
// back. It is run on the kernel and on this package's Kernel.
func Conform(t *testing.T, schedulers []string, open func(*testing.T) ipvs.Handle) {
	for name, test := range map[string]func(*testing.T, ipvs.Handle){
		"errors":       conformErrors,
		"netmasks":     conformNetmasks,
		"deletion":     conformDeletion,
		"schedulers":   func(t *testing.T, h ipvs.Handle) { conformSchedulers(t, h, schedulers) },
		"settings":     conformSettings,
		"keys":         conformKeys,
		"weights":      conformWeights,
		"addresses":    conformAddresses,
		"destinations": conformDestinations,
		"changes":      conformChanges,
		"families":     conformFamilies,
		"daemons":      conformDaemons,
		"defaults":     conformDaemonDefaults,
		"mixed":        conformMixed,
		"timeouts":     conformTimeouts,
		"many":         conformMany,
		"info":         conformInfo,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			defer h.Close()
			test(t, h)
		})
	}
}

// step is a request with the errno that it must fail with; 0 is success.
type step struct {
	name    string
	request ipvs.Request
	errno   syscall.Errno
}

// onService returns a step on a service.
func onService(name string, command ipvs.Command, s ipvs.Service, errno syscall.Errno) step {
	return step{name, ipvs.Request{Command: command, Service: s}, errno}
}

// onDestination returns a step on a destination.
func onDestination(name string, command ipvs.Command, s ipvs.Service, d ipvs.Destination, errno syscall.Errno) step {
	return step{name, ipvs.Request{Command: command, Service: s, Destination: d}, errno}
}

// walk makes requests one by one and compares their errors.
func walk(t *testing.T, h ipvs.Handle, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if err := h.Edit(s.request)[0]; s.errno == 0 && err != nil || s.errno != 0 && !errors.Is(err, s.errno) {
			t.Errorf("%s: error %v, want %v", s.name, err, s.errno)
		}
	}
}

// held is a service with its destinations, sorted.
type held struct {
	Service      ipvs.Service
	Destinations []ipvs.Destination
}

// compareServices orders services.
func compareServices(a, b ipvs.Service) int {
	return cmp.Or(cmp.Compare(a.Mark, b.Mark), a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Family, b.Family))
}

// contents reads the table.
func contents(t *testing.T, h ipvs.Handle) []held {
	t.Helper()
	services, err := h.Services(nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(services, compareServices)
	table := make([]held, 0, len(services))
	for _, s := range services {
		destinations, err := h.Destinations(s.ServiceID, nil)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(destinations, func(a, b ipvs.Destination) int { return a.AddrPort().Compare(b.AddrPort()) })
		if s.Flags&ipvs.FlagHashed == 0 {
			t.Errorf("%+v: not hashed", s)
		}
		s.Flags &^= ipvs.FlagHashed
		table = append(table, held{s, destinations})
	}
	return table
}

// check compares the table with what it should hold, in the order of
// compareServices.
func check(t *testing.T, h ipvs.Handle, want ...held) {
	t.Helper()
	options := []gocmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}
	if diff := gocmp.Diff(want, contents(t, h), options...); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// conformErrors checks the error of every edit, in states where it cannot be
// done and where it can.
func conformErrors(t *testing.T, h ipvs.Handle) {
	s, other, unknown := TCP("192.0.2.1:80", "wrr"), TCP("192.0.2.2:80", "rr"), TCP("192.0.2.1:80", "nosuch")
	d := Destination("198.51.100.1:80", 1)
	inverted := with(Destination("198.51.100.9:80", 1), func(d *ipvs.Destination) { d.Lower, d.Upper = 2, 1 })
	engine := with(s, func(s *ipvs.Service) { s.Engine = "nosuch" })
	walk(t, h,
		onService("update a missing service", ipvs.SetService, s, unix.ESRCH),
		onService("delete a missing service", ipvs.DelService, s, unix.ESRCH),
		onService("zero a missing service", ipvs.Zero, s, unix.ESRCH),
		onService("add a service with an unknown scheduler", ipvs.NewService, unknown, unix.ENOENT),
		onService("add a service with an unknown engine", ipvs.NewService, engine, unix.ENOENT),
		onDestination("add to a missing service", ipvs.NewDest, s, d, unix.ESRCH),
		onDestination("update in a missing service", ipvs.SetDest, s, d, unix.ESRCH),
		onDestination("delete from a missing service", ipvs.DelDest, s, d, unix.ESRCH),
		onService("add a service", ipvs.NewService, s, 0),
		onService("add it again", ipvs.NewService, s, unix.EEXIST),
		onService("add it again with an unknown scheduler", ipvs.NewService, unknown, unix.EEXIST),
		onService("change to an unknown scheduler", ipvs.SetService, unknown, unix.ENOENT),
		onService("change to an unknown engine", ipvs.SetService, engine, unix.ENOENT),
		onDestination("update a missing destination", ipvs.SetDest, s, d, unix.ENOENT),
		onDestination("delete a missing destination", ipvs.DelDest, s, d, unix.ENOENT),
		onDestination("add a destination", ipvs.NewDest, s, d, 0),
		onDestination("add it again", ipvs.NewDest, s, d, unix.EEXIST),
		onDestination("add one with inverted thresholds", ipvs.NewDest, s, inverted, unix.ERANGE),
		onDestination("add one with a threshold that is too high", ipvs.NewDest, s, with(d, func(d *ipvs.Destination) { d.Upper = 1 << 31 }), unix.EINVAL),
		onDestination("update a missing one with inverted thresholds", ipvs.SetDest, s, inverted, unix.ERANGE),
		onDestination("add a tunnel of GUE without a port", ipvs.NewDest, s, Tunnel("198.51.100.8:80", lvs.GUE, 0, 0), unix.EINVAL),
		onDestination("update the destination", ipvs.SetDest, s, d, 0),
		onService("zero the service", ipvs.Zero, s, 0),
		onDestination("delete the destination", ipvs.DelDest, s, d, 0),
		onDestination("delete it again", ipvs.DelDest, s, d, unix.ENOENT),
		onService("add another service", ipvs.NewService, other, 0),
		onService("delete the service", ipvs.DelService, s, 0),
		onService("delete it again", ipvs.DelService, s, unix.ESRCH),
	)
	check(t, h, held{Service: other})
}

// conformNetmasks checks which netmasks are refused.
func conformNetmasks(t *testing.T, h ipvs.Handle) {
	whole := TCP("[2001:db8::1]:80", "rr")
	none := with(whole, func(s *ipvs.Service) { s.Netmask = 0 })
	whole4 := with(whole, func(s *ipvs.Service) { s.Netmask = 1<<32 - 1 })
	none4 := with(TCP("192.0.2.1:80", "rr"), func(s *ipvs.Service) { s.Netmask = 0 })
	walk(t, h,
		onService("IPv6 with no netmask", ipvs.NewService, none, unix.EINVAL),
		onService("IPv6 with the netmask of IPv4", ipvs.NewService, whole4, unix.EINVAL),
		onService("IPv6 with prefix length 128", ipvs.NewService, whole, 0),
		onService("change to no netmask", ipvs.SetService, none, unix.EINVAL),
		onService("IPv4 with no netmask", ipvs.NewService, none4, 0),
	)
	check(t, h, held{Service: none4}, held{Service: whole})
}

// conformDeletion checks that a service takes its destinations with it, and
// that asking for those of a missing service is no error.
func conformDeletion(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	walk(t, h,
		onService("add a service", ipvs.NewService, s, 0),
		onDestination("add a destination", ipvs.NewDest, s, Destination("198.51.100.1:80", 3), 0),
		onService("delete the service", ipvs.DelService, s, 0),
	)
	if destinations, err := h.Destinations(s.ServiceID, nil); len(destinations) > 0 || err != nil {
		t.Errorf("destinations of a deleted service: %v, error %v", destinations, err)
	}
	walk(t, h, onService("add the service again", ipvs.NewService, s, 0))
	check(t, h, held{Service: s})
}

// conformSchedulers checks that every scheduler is accepted when a service is
// added and when it is changed, and read back.
func conformSchedulers(t *testing.T, h ipvs.Handle, schedulers []string) {
	changed := TCP("192.0.2.9:80", "rr")
	walk(t, h, onService("add a service", ipvs.NewService, changed, 0))
	var want []held
	for i, name := range schedulers {
		added := TCP(fmt.Sprintf("192.0.2.1:%d", 1+i), name)
		changed.Scheduler = name
		want = append(want, held{Service: added})
		walk(t, h,
			onService("add with "+name, ipvs.NewService, added, 0),
			onService("change to "+name, ipvs.SetService, changed, 0),
		)
		check(t, h, append(slices.Clone(want), held{Service: changed})...)
	}
}

// conformMany checks that many requests in one call are carried out in order,
// whatever becomes of each.
func conformMany(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	requests := []ipvs.Request{
		{Command: ipvs.DelService, Service: s},
		{Command: ipvs.NewService, Service: s},
		{Command: ipvs.NewService, Service: s},
	}
	want, destinations := []error{unix.ESRCH, nil, unix.EEXIST}, []ipvs.Destination(nil)
	for n := range 300 {
		d := Destination(fmt.Sprintf("198.51.100.%d:%d", 1+n/10, 1+n%10), uint32(n))
		requests = append(requests, ipvs.Request{Command: ipvs.NewDest, Service: s, Destination: d})
		want, destinations = append(want, nil), append(destinations, d)
	}
	requests = append(requests, ipvs.Request{Command: ipvs.NewDest, Service: s, Destination: destinations[0]})
	want = append(want, unix.EEXIST)
	if diff := gocmp.Diff(want, h.Edit(requests...), cmpopts.EquateErrors()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	check(t, h, held{s, destinations})
	if errs := h.Edit(); len(errs) > 0 {
		t.Errorf("no requests: errors %v", errs)
	}
}

// conformInfo checks that there is a version and a table of connections.
func conformInfo(t *testing.T, h ipvs.Handle) {
	if info, err := h.Info(); err != nil || info.Version != "1.2.1" || info.TableSize < 256 {
		t.Errorf("%+v, error %v", info, err)
	}
}
