package ipvs_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"bascule/lvs"
	"bascule/lvs/ipvs"
	"bascule/lvs/ipvs/ipvstest"
)

// service returns a TCP service.
func service(address, scheduler string) lvs.Service {
	return lvs.Service{ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Address: netip.MustParseAddrPort(address)}, Scheduler: scheduler}
}

// op returns an operation on a destination, or on the service if address is
// empty.
func op(kind lvs.OpKind, s lvs.Service, address string, weight uint32) lvs.Op {
	o := lvs.Op{Kind: kind, Service: s}
	if address != "" {
		o.Destination = lvs.Destination{Address: netip.MustParseAddrPort(address), Weight: weight}
	}
	return o
}

// apply carries out operations.
func apply(t testing.TB, c *ipvs.Client, ops ...lvs.Op) {
	t.Helper()
	for _, op := range ops {
		if err := c.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
}

// checkTable compares what a client reads.
func checkTable(t testing.TB, c *ipvs.Client, want lvs.Table) {
	t.Helper()
	got, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Table, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// clientTests are run on the kernel in memory and on the real one: c is the
// client that is tested, others is how somebody else reaches the same table,
// which is empty.
var clientTests = map[string]func(t *testing.T, c *ipvs.Client, others ipvs.Handle){
	"level":     testLevel,
	"altered":   testAltered,
	"foreign":   testForeign,
	"errors":    testErrors,
	"ipv6":      testIPv6,
	"services":  testServices,
	"kinds":     testDestinations,
	"all":       testApplyAll,
	"part":      testReadPart,
	"unknown":   testReadUnknown,
	"remade":    testReadRemade,
	"doubtful":  testReadDoubtful,
	"daemons":   testDaemons,
	"timeouts":  testTimeouts,
	"zero":      testZero,
	"empty":     func(t *testing.T, c *ipvs.Client, _ ipvs.Handle) { checkTable(t, c, lvs.Table{}) },
	"scheduler": testScheduler,
}

// TestClient runs the tests on the kernel in memory.
func TestClient(t *testing.T) {
	for name, test := range clientTests {
		t.Run(name, func(t *testing.T) {
			kernel := ipvstest.New()
			c, err := kernel.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			test(t, c, kernel.Handle())
		})
	}
}

// testLevel checks that every operation leads to the state that it is meant
// to lead to, from where it makes sense and from where it does not.
func testLevel(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	rr, wrr := service("192.0.2.1:80", "rr"), service("192.0.2.1:80", "wrr")
	want := lvs.Table{}
	for _, step := range []struct {
		op  lvs.Op
		err syscall.Errno
	}{
		{op(lvs.DeleteService, rr, "", 0), 0},
		{op(lvs.DeleteDestination, rr, "198.51.100.1:80", 1), 0},
		{op(lvs.UpdateService, rr, "", 0), unix.ESRCH},
		{op(lvs.AddDestination, rr, "198.51.100.1:80", 1), unix.ESRCH},
		{op(lvs.UpdateDestination, rr, "198.51.100.1:80", 1), unix.ESRCH},
		{op(lvs.AddService, rr, "", 0), 0},
		{op(lvs.AddService, wrr, "", 0), 0},
		{op(lvs.UpdateService, rr, "", 0), 0},
		{op(lvs.UpdateDestination, rr, "198.51.100.1:80", 5), 0},
		{op(lvs.AddDestination, rr, "198.51.100.1:80", 0), 0},
		{op(lvs.AddDestination, rr, "198.51.100.2:8080", lvs.MaxWeight), 0},
		{op(lvs.DeleteDestination, rr, "198.51.100.1:80", 0), 0},
		{op(lvs.DeleteDestination, rr, "198.51.100.1:80", 0), 0},
		{op(lvs.DeleteService, rr, "", 0), 0},
	} {
		if err := c.Apply(step.op); step.err == 0 && err != nil || step.err != 0 && !errors.Is(err, step.err) {
			t.Errorf("%v: error %v, want %v", step.op, err, step.err)
		}
		want.Apply(step.op)
		checkTable(t, c, want)
	}
}

// testAltered checks that settings that lvs does not express are seen, and
// reset by an update.
func testAltered(t *testing.T, c *ipvs.Client, others ipvs.Handle) {
	s := service("192.0.2.1:80", "rr")
	apply(t, c, op(lvs.AddService, s, "", 0), op(lvs.AddDestination, s, "198.51.100.1:80", 1))
	plain, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	plainService, plainDestination := ipvstest.TCP("192.0.2.1:80", "rr"), ipvstest.Destination("198.51.100.1:80", 1)
	for name, alter := range map[string]func(*ipvs.Service, *ipvs.Destination){
		"persistence":                  func(s *ipvs.Service, _ *ipvs.Destination) { s.Flags, s.Timeout = ipvs.FlagPersistent, 300 },
		"persistence without timeout":  func(s *ipvs.Service, _ *ipvs.Destination) { s.Flags = ipvs.FlagPersistent },
		"timeout without persistence":  func(s *ipvs.Service, _ *ipvs.Destination) { s.Timeout = 300 },
		"netmask":                      func(s *ipvs.Service, _ *ipvs.Destination) { s.Netmask = 0x00ffffff },
		"netmask with a gap":           func(s *ipvs.Service, _ *ipvs.Destination) { s.Netmask = 0xff00ff00 },
		"no netmask":                   func(s *ipvs.Service, _ *ipvs.Destination) { s.Netmask = 0 },
		"engine":                       func(s *ipvs.Service, _ *ipvs.Destination) { s.Engine = "sip" },
		"flags":                        func(s *ipvs.Service, _ *ipvs.Destination) { s.Flags = 0x4000 },
		"flag of the scheduler":        func(s *ipvs.Service, _ *ipvs.Destination) { s.Flags = 0x8 },
		"weight":                       func(_ *ipvs.Service, d *ipvs.Destination) { d.Weight = 65537 },
		"direct routing":               func(_ *ipvs.Service, d *ipvs.Destination) { d.Method = ipvs.MethodDirect },
		"local node":                   func(_ *ipvs.Service, d *ipvs.Destination) { d.Method = ipvs.MethodLocalNode },
		"tunnel":                       func(_ *ipvs.Service, d *ipvs.Destination) { d.Method = ipvs.MethodTunnel },
		"type of no tunnel":            func(_ *ipvs.Service, d *ipvs.Destination) { d.TunnelType = 2 },
		"flags of no tunnel":           func(_ *ipvs.Service, d *ipvs.Destination) { d.TunnelFlags = 0x100 },
		"unknown type of tunnel":       func(_ *ipvs.Service, d *ipvs.Destination) { d.Method, d.TunnelType = ipvs.MethodTunnel, 9 },
		"unknown checksum of a tunnel": func(_ *ipvs.Service, d *ipvs.Destination) { d.Method, d.TunnelFlags = ipvs.MethodTunnel, 0x100 },
		"thresholds":                   func(_ *ipvs.Service, d *ipvs.Destination) { d.Upper, d.Lower = 20, 10 },
	} {
		t.Run(name, func(t *testing.T) {
			service, destination := plainService, plainDestination
			alter(&service, &destination)
			for _, err := range others.Edit(
				ipvs.Request{Command: ipvs.SetService, Service: service},
				ipvs.Request{Command: ipvs.SetDest, Service: service, Destination: destination},
			) {
				if err != nil {
					t.Fatal(err)
				}
			}
			have, err := c.Read()
			if err != nil {
				t.Fatal(err)
			}
			ops := lvs.Diff(have.State, plain.State, everything{})
			if len(ops) != 1 || ops[0].Kind != lvs.UpdateService && ops[0].Kind != lvs.UpdateDestination {
				t.Fatalf("operations %v, want one update", ops)
			}
			apply(t, c, ops[0])
			checkTable(t, c, plain.Table)
		})
	}
}

// everything takes all that the kernel holds for ours.
type everything struct{}

// Ours is true.
func (everything) Ours(lvs.ServiceKey) bool { return true }

// OursRole is true.
func (everything) OursRole(lvs.SyncRole) bool { return true }

// testForeign checks that services that lvs cannot express are not read.
func testForeign(t *testing.T, c *ipvs.Client, others ipvs.Handle) {
	esp, udp := ipvstest.TCP("192.0.2.1:80", "rr"), ipvstest.TCP("192.0.2.1:53", "rr")
	esp.Protocol, udp.Protocol = unix.IPPROTO_ESP, unix.IPPROTO_UDP
	for _, s := range []ipvs.Service{esp, udp} {
		if err := others.Edit(ipvs.Request{Command: ipvs.NewService, Service: s})[0]; err != nil {
			t.Fatal(err)
		}
	}
	key := lvs.ServiceKey{Protocol: lvs.UDP, Address: netip.MustParseAddrPort("192.0.2.1:53")}
	checkTable(t, c, lvs.Table{key: {
		Service:      lvs.Service{ServiceKey: key, Scheduler: "rr"},
		Destinations: map[netip.AddrPort]lvs.Destination{},
	}})
}

// testIPv6 checks a service whose addresses are IPv6.
func testIPv6(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	s := service("[2001:db8::1]:80", "wrr")
	want := lvs.Table{}
	for _, o := range []lvs.Op{
		op(lvs.AddService, s, "", 0),
		op(lvs.AddDestination, s, "[2001:db8::a]:8080", 3),
		op(lvs.UpdateService, service("[2001:db8::1]:80", "lc"), "", 0),
	} {
		if err := c.Apply(o); err != nil {
			t.Fatal(err)
		}
		want.Apply(o)
		checkTable(t, c, want)
	}
}

// testScheduler checks that a failed change of the scheduler leaves the
// service as it was.
func testScheduler(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	s := service("192.0.2.1:80", "wlc")
	if err := c.Apply(op(lvs.AddService, s, "", 0)); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(op(lvs.UpdateService, service("192.0.2.1:80", "nosuch"), "", 0)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v, want ENOENT", err)
	}
	checkTable(t, c, lvs.Table{s.ServiceKey: {Service: s, Destinations: map[netip.AddrPort]lvs.Destination{}}})
}

// TestAnyOperations checks that the client does to the kernel what
// lvs.Table.Apply does to a table, for any sequence of operations.
func TestAnyOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := ipvs.NewClient(ipvstest.New().Handle())
		want := lvs.Table{}
		for range rapid.IntRange(1, 30).Draw(t, "length") {
			o := op(
				lvs.OpKind(rapid.IntRange(0, int(lvs.DeleteService)).Draw(t, "kind")),
				service(rapid.SampledFrom([]string{"192.0.2.1:80", "192.0.2.2:80"}).Draw(t, "service"), rapid.SampledFrom([]string{"rr", "wrr"}).Draw(t, "scheduler")),
				rapid.SampledFrom([]string{"198.51.100.1:80", "198.51.100.2:80"}).Draw(t, "destination"),
				rapid.Uint32Range(0, 2).Draw(t, "weight"),
			)
			_, there := want[o.Service.ServiceKey]
			mayFail := !there && (o.Kind == lvs.UpdateService || o.Kind == lvs.AddDestination || o.Kind == lvs.UpdateDestination)
			if err := c.Apply(o); (err != nil) != mayFail {
				t.Fatalf("%v: error %v", o, err)
			}
			want.Apply(o)
		}
		got, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Table, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Fatalf("table (-want +got):\n%s", diff)
		}
	})
}

// TestErrno checks that the kernel's errno is in the error of every call.
func TestErrno(t *testing.T) {
	kernel := ipvstest.New()
	c := ipvs.NewClient(kernel.Handle())
	s := service("192.0.2.1:80", "rr")
	if err := c.Apply(op(lvs.AddService, s, "", 0)); err != nil {
		t.Fatal(err)
	}
	kernel.Fail(-1, unix.ENOBUFS)
	if _, err := c.Read(); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("Table: %v, want ENOBUFS", err)
	}
	for kind := lvs.AddService; kind <= lvs.DeleteService; kind++ {
		if err := c.Apply(op(kind, s, "198.51.100.1:80", 1)); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("%v: %v, want ENOBUFS", kind, err)
		}
	}
	kernel.Fail(1, unix.EPERM)
	if err := c.Apply(op(lvs.AddService, s, "", 0)); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("without privilege: %v", err)
	}
	if err := c.Apply(op(lvs.AddService, s, "", 0)); err != nil {
		t.Errorf("after one failure: %v", err)
	}
}

// racing is a kernel that somebody else flushes after the services were
// listed.
type racing struct {
	ipvs.Handle
	kernel *ipvstest.Kernel
}

// Services lists the services, just before they go.
func (r racing) Services(to []ipvs.Service) ([]ipvs.Service, error) {
	services, err := r.Handle.Services(to)
	r.kernel.Flush()
	return services, err
}

// TestFlushWhileReading checks that services that go while the table is read
// are not taken for services without destinations.
func TestFlushWhileReading(t *testing.T) {
	kernel := ipvstest.New()
	s := service("192.0.2.1:80", "rr")
	kernel.Edit(op(lvs.AddService, s, "", 0), op(lvs.AddDestination, s, "198.51.100.1:80", 1))
	checkTable(t, ipvs.NewClient(racing{kernel.Handle(), kernel}), lvs.Table{})
}

// TestOpen checks that a kernel without IPVS is told from one with it, of
// which /proc/net/ip_vs is the independent witness.
func TestOpen(t *testing.T) {
	c, err := ipvs.Open()
	if err == nil {
		defer c.Close()
	}
	_, absent := os.Stat("/proc/net/ip_vs")
	if errors.Is(err, ipvs.ErrNoIPVS) != os.IsNotExist(absent) {
		t.Errorf("Open: %v; /proc/net/ip_vs: %v", err, absent)
	}
	if err != nil && c != nil {
		t.Error("a client and an error")
	}
	if err == nil {
		if _, err := c.Read(); err != nil {
			t.Error(err)
		}
	}
	if _, err := ipvs.OpenAt("/nonexistent/namespace"); err == nil {
		t.Error("a namespace that does not exist was opened")
	}
}
