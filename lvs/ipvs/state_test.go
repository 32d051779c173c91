package ipvs_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
	"bascule/lvs/ipvs/ipvstest"
)

// services are of every kind, each with a setting of its own, in the order of
// the table that is printed.
func services() []lvs.Service {
	minutes := func(s lvs.Service, prefix uint8, engine string) lvs.Service {
		s.Persistence = lvs.Persistence{Timeout: 5 * time.Minute, Prefix: prefix, Engine: engine}
		return s
	}
	of := func(s lvs.Service, protocol lvs.Protocol, flags lvs.ServiceFlags) lvs.Service {
		s.Protocol, s.Flags = protocol, flags
		return s
	}
	return []lvs.Service{
		minutes(service("192.0.2.1:0", "rr"), 24, ""),
		of(service("192.0.2.1:53", "rr"), lvs.UDP, lvs.OnePacket),
		of(service("192.0.2.1:80", "wlc"), lvs.SCTP, 0),
		of(service("192.0.2.1:80", "sh"), lvs.TCP, lvs.SchedulerFlag1|lvs.SchedulerFlag2),
		of(service("192.0.2.1:443", "wrr"), lvs.TCP, lvs.SchedulerFlag1|lvs.SchedulerFlag3),
		of(minutes(service("192.0.2.1:5060", "mh"), 32, "sip"), lvs.UDP, lvs.OnePacket|lvs.SchedulerFlag2),
		minutes(service("[2001:db8::1]:80", "rr"), 64, ""),
		minutes(service("[2001:db8::1]:443", "rr"), 128, ""),
		minutes(lvs.Service{ServiceKey: lvs.MarkKey(7, false), Scheduler: "rr"}, 32, ""),
		{ServiceKey: lvs.MarkKey(7, true), Scheduler: "rr"},
		{ServiceKey: lvs.MarkKey(1<<31-1, false), Scheduler: "lc"}, // ipvsadm takes a higher mark for a negative number
	}
}

// kinds are destinations of every kind that a service can have, on port 80.
func kinds(ipv6 bool) (all []lvs.Destination) {
	address, other := "198.51.100.%d", "2001:db8::%d"
	if ipv6 {
		address, other = other, address
	}
	add := func(format string, d lvs.Destination) {
		d.Address = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(format, 1+len(all))), 80)
		d.Weight = uint32(len(all))
		all = append(all, d)
	}
	add(address, lvs.Destination{})
	add(address, lvs.Destination{Forwarding: lvs.Direct})
	for _, format := range []string{address, other} {
		add(format, lvs.Destination{Forwarding: lvs.Tunnel})
		for _, checksum := range []lvs.TunnelChecksum{lvs.NoChecksum, lvs.Checksum, lvs.RemoteChecksum} {
			add(format, lvs.Destination{Forwarding: lvs.Tunnel, Tunnel: lvs.Encapsulation{Type: lvs.GUE, Port: 6080, Checksum: checksum}})
		}
		add(format, lvs.Destination{Forwarding: lvs.Tunnel, Tunnel: lvs.Encapsulation{Type: lvs.GRE}})
		add(format, lvs.Destination{Forwarding: lvs.Tunnel, Tunnel: lvs.Encapsulation{Type: lvs.GRE, Checksum: lvs.Checksum}})
	}
	add(address, lvs.Destination{Upper: 20, Lower: 10})
	add(address, lvs.Destination{Forwarding: lvs.Direct, Upper: 1<<31 - 1})
	return all
}

// additions are the operations that add services of every kind, and
// destinations of every kind to two of them.
func additions() (ops []lvs.Op) {
	for _, s := range services() {
		ops = append(ops, lvs.Op{Kind: lvs.AddService, Service: s})
	}
	for _, s := range []lvs.Service{service("192.0.2.1:443", ""), service("[2001:db8::1]:443", "")} {
		for _, d := range kinds(s.IPv6()) {
			// ipvsadm writes no other port than the service's, except to masquerade.
			d.Address = netip.AddrPortFrom(d.Address.Addr(), s.Address.Port())
			ops = append(ops, lvs.Op{Kind: lvs.AddDestination, Service: s, Destination: d})
		}
	}
	return ops
}

// testServices checks that every service is read back as it was added, and
// from any kind changed to any other.
func testServices(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	want := lvs.Table{}
	for _, s := range services() {
		o := lvs.Op{Kind: lvs.AddService, Service: s}
		apply(t, c, o)
		want.Apply(o)
		checkTable(t, c, want)
	}
	for i, from := range services() {
		for _, to := range services()[i+1:] {
			changed := from
			changed.Flags, changed.Persistence = to.Flags, to.Persistence
			if changed.Persistence.Prefix > 32 {
				changed.Persistence.Prefix = 32
			}
			o := lvs.Op{Kind: lvs.UpdateService, Service: changed}
			apply(t, c, o)
			want.Apply(o)
		}
		checkTable(t, c, want)
	}
}

// testDestinations checks that every destination is read back as it was
// added, changed to any other kind, and deleted.
func testDestinations(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	for _, s := range []lvs.Service{service("192.0.2.1:80", "wrr"), service("[2001:db8::1]:80", "wrr")} {
		add := lvs.Op{Kind: lvs.AddService, Service: s}
		want := lvs.Table{}
		apply(t, c, add)
		want.Apply(add)
		all := kinds(s.IPv6())
		for i, d := range all {
			change := all[(i+1)%len(all)]
			if change.Address.Addr().Is6() != d.Address.Addr().Is6() {
				change.Forwarding = lvs.Tunnel
			}
			change.Address = d.Address
			if change.Forwarding != lvs.Tunnel && s.IPv6() != d.Address.Addr().Is6() {
				change = d
			}
			for _, o := range []lvs.Op{
				{Kind: lvs.AddDestination, Service: s, Destination: d},
				{Kind: lvs.UpdateDestination, Service: s, Destination: change},
				{Kind: lvs.AddDestination, Service: s, Destination: d},
			} {
				apply(t, c, o)
				want.Apply(o)
				checkTable(t, c, want)
			}
		}
		for _, d := range all[1:] {
			o := lvs.Op{Kind: lvs.DeleteDestination, Service: s, Destination: d}
			apply(t, c, o)
			want.Apply(o)
		}
		checkTable(t, c, want)
		apply(t, c, lvs.Op{Kind: lvs.DeleteService, Service: s})
	}
}

// testApplyAll checks that many operations at once lead where they do one by
// one, from an empty table and from one that has the objects already.
func testApplyAll(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	ops, want := additions(), lvs.Table{}
	for _, o := range ops {
		want.Apply(o)
	}
	invalid := op(lvs.AddDestination, service("192.0.2.1:443", ""), "198.51.100.99:80", 65536)
	unfit := op(lvs.AddDestination, service("192.0.2.1:443", ""), "224.0.0.1:80", 1)
	all := append(append([]lvs.Op{invalid}, ops...), unfit)
	for _, when := range []string{"first", "again"} {
		errs := c.ApplyAll(all)
		for i, err := range errs {
			failed := i == 0 || i == len(all)-1
			if failed != (err != nil) {
				t.Errorf("%s: %v: error %v", when, all[i], err)
			}
		}
		if last := errs[len(all)-1]; !errors.Is(last, unix.EINVAL) || !strings.Contains(last.Error(), unfit.String()) {
			t.Errorf("%s: error %v", when, last)
		}
		checkTable(t, c, want)
	}
	var deletions []lvs.Op
	for _, d := range want[service("192.0.2.1:443", "").ServiceKey].Destinations {
		deletions = append(deletions, lvs.Op{Kind: lvs.DeleteDestination, Service: service("192.0.2.1:443", ""), Destination: d})
	}
	for _, o := range deletions {
		want.Apply(o)
	}
	for range 2 {
		if err := errors.Join(c.ApplyAll(deletions)...); err != nil {
			t.Error(err)
		}
		checkTable(t, c, want)
	}
}

// daemonOp returns the operation that starts a sender with an ID.
func daemonOp(role lvs.SyncRole, id uint8) lvs.Op {
	return lvs.Op{Kind: lvs.StartDaemon, Role: role, Daemon: lvs.SyncDaemon{
		Interface: "eth0", ID: id, MaxLength: 1400, Group: netip.MustParseAddr("224.0.0.82"), Port: 8849, TTL: 2,
	}}
}

// testDaemons checks that sync daemons are started, changed and stopped,
// whether they run or not, and read back.
func testDaemons(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	for _, step := range []struct {
		ops  []lvs.Op
		want map[lvs.SyncRole]lvs.SyncDaemon
	}{
		{[]lvs.Op{{Kind: lvs.StopDaemon, Role: lvs.SyncSender}}, nil},
		{[]lvs.Op{daemonOp(1, 7)}, map[lvs.SyncRole]lvs.SyncDaemon{1: daemonOp(1, 7).Daemon}},
		{[]lvs.Op{daemonOp(1, 8), daemonOp(2, 255)}, map[lvs.SyncRole]lvs.SyncDaemon{1: daemonOp(1, 8).Daemon, 2: daemonOp(2, 255).Daemon}},
		{[]lvs.Op{{Kind: lvs.StopDaemon, Role: lvs.SyncSender}}, map[lvs.SyncRole]lvs.SyncDaemon{2: daemonOp(2, 255).Daemon}},
		{[]lvs.Op{{Kind: lvs.StopDaemon, Role: lvs.SyncReceiver}}, nil},
	} {
		apply(t, c, step.ops...)
		got, err := c.Read()
		if err != nil || len(got.Daemons) != len(step.want) {
			t.Errorf("after %v: %v, error %v", step.ops, got.Daemons, err)
		}
		for role, want := range step.want {
			if got.Daemons[role] != want {
				t.Errorf("after %v: %v %+v, want %+v", step.ops, role, got.Daemons[role], want)
			}
		}
	}
	missing := daemonOp(1, 9)
	missing.Daemon.Interface = "nosuch0"
	apply(t, c, daemonOp(1, 7))
	if err := c.Apply(missing); !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), `start sync daemon sender interface nosuch0 id 9: there is no interface "nosuch0"`) {
		t.Errorf("a missing interface: %v", err)
	}
	if got, err := c.Read(); err != nil || got.Daemons[1].ID != 7 {
		t.Errorf("an interface that is none has stopped the daemon: %+v, error %v", got.Daemons, err)
	}
	s := service("192.0.2.1:80", "rr")
	apply(t, c, op(lvs.AddService, s, "", 0))
	mixed := lvs.Op{Kind: lvs.AddDestination, Service: s, Destination: kinds(false)[9]}
	if err := c.Apply(mixed); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "while no sync daemon runs") {
		t.Errorf("another family beside a daemon: %v", err)
	}
	apply(t, c, lvs.Op{Kind: lvs.StopDaemon, Role: lvs.SyncSender}, mixed)
	if err := c.Apply(daemonOp(1, 7)); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "of another address family than its service") {
		t.Errorf("a daemon beside another family: %v", err)
	}
}

// testTimeouts checks that timeouts are set and read back, and that a zero one
// stays as it is.
func testTimeouts(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	apply(t, c,
		lvs.Op{Kind: lvs.SetTimeouts, Timeouts: lvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: time.Second}},
		lvs.Op{Kind: lvs.SetTimeouts, Timeouts: lvs.Timeouts{TCPFin: 30 * time.Second}},
	)
	want := lvs.Timeouts{TCP: time.Hour, TCPFin: 30 * time.Second, UDP: time.Second}
	if got, err := c.Read(); err != nil || got.Timeouts != want {
		t.Errorf("timeouts %+v, error %v; want %+v", got.Timeouts, err, want)
	}
}

// testZero checks that every destination has its use in a reading, and that
// counters of services that are not there are an error.
func testZero(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	if err := errors.Join(c.ApplyAll(additions())...); err != nil {
		t.Fatal(err)
	}
	got, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	n, counted := 0, 0
	for key, entry := range got.Table {
		counted += len(got.Usage[key])
		for address := range entry.Destinations {
			n++
			usage, there := got.Usage.Of(lvs.RealServerKey{Service: key, Address: address})
			if !there || usage != (lvs.Usage{}) || !usage.Idle() {
				t.Errorf("%v of %v: %+v, %v", address, key, usage, there)
			}
		}
	}
	if n != 32 || counted != n || len(got.Usage) != len(got.Table) {
		t.Errorf("%d destinations, use of %d in %d services of %d", n, counted, len(got.Usage), len(got.Table))
	}
	mark := lvs.MarkKey(7, true)
	if err := c.Zero(service("192.0.2.1:443", "").ServiceKey, mark); err != nil {
		t.Error(err)
	}
	if err := c.Zero(mark, lvs.MarkKey(8, false)); !errors.Is(err, unix.ESRCH) || !strings.Contains(err.Error(), "fwmark 8:") {
		t.Errorf("a missing service: %v", err)
	}
}

// TestUsage checks that use is read, and what zeroing leaves of it.
func TestUsage(t *testing.T) {
	kernel := ipvstest.New()
	c := ipvs.NewClient(kernel.Handle())
	key := lvs.RealServerKey{Service: lvs.MarkKey(7, false), Address: netip.MustParseAddrPort("198.51.100.1:80")}
	s := lvs.Service{ServiceKey: key.Service, Scheduler: "rr"}
	apply(t, c, op(lvs.AddService, s, "", 0), op(lvs.AddDestination, s, key.Address.String(), 1))
	want := lvs.Usage{Active: 1, Inactive: 2, Persistent: 3, Connections: 4, PacketsIn: 5, PacketsOut: 6, BytesIn: 7, BytesOut: 8}
	kernel.SetUsage(key, want)
	check := func() {
		t.Helper()
		got, _ := kernel.Reading().Usage.Of(key)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("use (-want +got):\n%s", diff)
		}
	}
	apply(t, c, op(lvs.UpdateDestination, s, key.Address.String(), 0))
	check()
	if err := c.Zero(key.Service); err != nil {
		t.Error(err)
	}
	want = lvs.Usage{Active: 1, Inactive: 2, Persistent: 3}
	check()
}

// rows returns services with as many destinations each, of weight 1, and the
// operations that add them.
func rows(services, destinations int) (list []lvs.Service, ops []lvs.Op) {
	for n := range services {
		s := service(fmt.Sprintf("192.0.2.%d:80", 1+n), "rr")
		list = append(list, s)
		ops = append(ops, op(lvs.AddService, s, "", 0))
		for m := range destinations {
			ops = append(ops, op(lvs.AddDestination, s, fmt.Sprintf("198.51.100.%d:80", 1+m), 1))
		}
	}
	return list, ops
}

// readPart reads a part of the table.
func readPart(t *testing.T, c *ipvs.Client, known lvs.Table, limit int) lvs.Reading {
	t.Helper()
	reading, err := c.ReadPart(known, limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(reading.Daemons) != 0 || reading.Timeouts.TCP == 0 {
		t.Errorf("sync daemons %v, timeouts %v", reading.Daemons, reading.Timeouts)
	}
	return reading
}

// testReadPart checks that a reading in parts sees changes of destinations in
// turn.
func testReadPart(t *testing.T, c *ipvs.Client, others ipvs.Handle) {
	const members = 20
	services, ops := rows(6, members)
	var changes []lvs.Op
	changed := netip.MustParseAddrPort("198.51.100.7:80")
	for _, s := range services {
		changes = append(changes, op(lvs.UpdateDestination, s, changed.String(), 9))
	}
	if err := errors.Join(c.ApplyAll(ops)...); err != nil {
		t.Fatal(err)
	}
	whole := readPart(t, c, nil, 0)
	if len(whole.Usage) != len(services) {
		t.Errorf("use of %d services, want %d", len(whole.Usage), len(services))
	}
	if err := errors.Join(ipvs.NewClient(others).ApplyAll(changes)...); err != nil {
		t.Fatal(err)
	}
	known, seen := whole.Table, map[lvs.ServiceKey]bool{}
	for range 3 {
		part := readPart(t, c, known, members+8) // one service, and some of the next
		if len(part.Usage) != 2 {
			t.Errorf("%d services read, want 2", len(part.Usage))
		}
		for key, counted := range part.Usage {
			if len(counted) != members || seen[key] {
				t.Errorf("%v: use of %d destinations; read before: %v", key, len(counted), seen[key])
			}
			seen[key] = true
		}
		for _, s := range services {
			if weight := part.Table[s.ServiceKey].Destinations[changed].Weight; (weight == 9) != seen[s.ServiceKey] {
				t.Errorf("%v: weight %d; read: %v", s, weight, seen[s.ServiceKey])
			}
		}
		known = part.Table
	}
	checkTable(t, c, known)
}

// testReadUnknown checks that a reading in parts drops services that are gone,
// and sees the destinations of those that are not known.
func testReadUnknown(t *testing.T, c *ipvs.Client, others ipvs.Handle) {
	const members = 20
	services, ops := rows(4, members)
	if err := errors.Join(c.ApplyAll(ops)...); err != nil {
		t.Fatal(err)
	}
	known := readPart(t, c, nil, 0).Table
	apply(t, ipvs.NewClient(others), op(lvs.DeleteService, services[0], "", 0), op(lvs.UpdateDestination, services[1], "198.51.100.7:80", 5))
	delete(known, services[1].ServiceKey)
	part := readPart(t, c, known, 0)
	checkTable(t, c, part.Table)
	if len(part.Usage) != 1 || len(part.Usage[services[1].ServiceKey]) != members {
		t.Errorf("use of %d services, want the one that was not known", len(part.Usage))
	}
}

// testReadRemade checks that a reading in parts sees a change of a service at
// once, and then does not take its destinations for those that are known:
// somebody may have deleted it and made it anew.
func testReadRemade(t *testing.T, c *ipvs.Client, others ipvs.Handle) {
	services, ops := rows(3, 2)
	if err := errors.Join(c.ApplyAll(ops)...); err != nil {
		t.Fatal(err)
	}
	known := readPart(t, c, nil, 0).Table
	remade := services[1]
	remade.Scheduler = "wrr"
	apply(t, ipvs.NewClient(others), op(lvs.DeleteService, remade, "", 0), op(lvs.AddService, remade, "", 0))
	part := readPart(t, c, known, 0)
	checkTable(t, c, part.Table)
	if _, read := part.Usage[remade.ServiceKey]; !read || len(part.Usage) != 1 {
		t.Errorf("use of %d services, want the one that was made anew", len(part.Usage))
	}
}

// testReadDoubtful checks that a reading in parts sees the destinations of a
// service in which an edit has found something else than it expected: somebody
// may have deleted it and made it anew.
func testReadDoubtful(t *testing.T, c *ipvs.Client, others ipvs.Handle) {
	services, ops := rows(5, 3)
	if err := errors.Join(c.ApplyAll(ops)...); err != nil {
		t.Fatal(err)
	}
	known := readPart(t, c, nil, 0).Table
	const first, fourth = "198.51.100.1:80", "198.51.100.4:80"
	for _, s := range services[1:] {
		apply(t, ipvs.NewClient(others), op(lvs.DeleteService, s, "", 0), op(lvs.AddService, s, "", 0), op(lvs.AddDestination, s, fourth, 4))
	}
	edits := []lvs.Op{
		op(lvs.UpdateDestination, services[1], first, 7), // is not there
		op(lvs.AddDestination, services[2], fourth, 7),   // is there
		op(lvs.DeleteDestination, services[3], first, 0), // is not there
		op(lvs.AddService, services[4], "", 0),           // is there
	}
	if err := errors.Join(c.ApplyAll(edits)...); err != nil {
		t.Fatal(err)
	}
	part := readPart(t, c, known, 0)
	checkTable(t, c, part.Table)
	if _, read := part.Usage[services[0].ServiceKey]; read || len(part.Usage) != len(edits) {
		t.Errorf("use of %d services, want the %d in which something else was found", len(part.Usage), len(edits))
	}
	if again := readPart(t, c, part.Table, 0); len(again.Usage) != 0 {
		t.Errorf("the next reading is of %d services", len(again.Usage))
	}
}
