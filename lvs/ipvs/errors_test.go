package ipvs_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// testErrors checks the sentences and causes of errors.
func testErrors(t *testing.T, c *ipvs.Client, _ ipvs.Handle) {
	s := service("192.0.2.1:80", "rr")
	apply(t, c, op(lvs.AddService, s, "", 0))
	engine := service("192.0.2.1:80", "rr")
	engine.Persistence = lvs.Persistence{Timeout: time.Minute, Prefix: 32, Engine: "nosuch"}
	for _, test := range []struct {
		op    lvs.Op
		words string
	}{
		{op(lvs.AddService, service("192.0.2.2:80", "nosuch"), "", 0), `scheduler "nosuch": the kernel does not have it: modprobe ip_vs_nosuch`},
		{op(lvs.UpdateService, service("192.0.2.1:80", "nosuch"), "", 0), `scheduler "nosuch"`},
		{op(lvs.UpdateService, engine, "", 0), `scheduler "rr" or persistence engine "nosuch": the kernel does not have it: modprobe ip_vs_rr ip_vs_pe_nosuch`},
		{op(lvs.UpdateService, service("192.0.2.2:80", "rr"), "", 0), "the service is not in the kernel"},
		{op(lvs.AddDestination, service("192.0.2.2:80", "rr"), "198.51.100.1:80", 1), "the service is not in the kernel"},
		{op(lvs.AddDestination, s, "224.0.0.18:80", 1), "does not take the address for a unicast one"},
	} {
		checkError(t, c, test.op, test.words)
	}
	checkTable(t, c, lvs.Table{s.ServiceKey: {Service: s, Destinations: map[netip.AddrPort]lvs.Destination{}}})
}

// checkError checks that an operation fails with an error that names it.
func checkError(t *testing.T, c *ipvs.Client, o lvs.Op, words string) {
	t.Helper()
	err := c.Apply(o)
	if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), o.String()) {
		t.Errorf("%v: error %v, want one that names it and has %q", o, err, words)
	}
}

// changed returns an operation with one change.
func changed(o lvs.Op, change func(*lvs.Op)) lvs.Op {
	change(&o)
	return o
}

// untouched is a kernel that fails the test if it is asked for an edit.
type untouched struct {
	ipvs.Handle
	*testing.T
}

// Edit fails the test.
func (u untouched) Edit(requests ...ipvs.Request) []error {
	u.Errorf("the kernel is asked for %v", requests)
	return make([]error, len(requests))
}

// TestInvalid checks that the kernel is not asked for what it would make
// something else of.
func TestInvalid(t *testing.T) {
	c := ipvs.NewClient(untouched{T: t})
	s := service("192.0.2.1:80", "rr")
	onService, onDestination := op(lvs.AddService, s, "", 0), op(lvs.AddDestination, s, "198.51.100.1:80", 1)
	timeouts, daemon := lvs.Op{Kind: lvs.SetTimeouts}, daemonOp(lvs.SyncSender, 1)
	for _, test := range []struct {
		op     lvs.Op
		change func(*lvs.Op)
		words  string
	}{
		{onService, func(o *lvs.Op) { o.Kind = 99 }, "kind of operation 99: at most 8 is known"},
		{onService, func(o *lvs.Op) { o.Service.Address = netip.AddrPort{} }, "an IPv4 or IPv6 address is needed"},
		{onService, func(o *lvs.Op) { o.Service.Address = netip.MustParseAddrPort("[::ffff:192.0.2.1]:80") }, "an IPv4 or IPv6 address is needed"},
		{onService, func(o *lvs.Op) { o.Service.Address = netip.MustParseAddrPort("[fe80::1%eth0]:80") }, "IPVS knows no zones"},
		{onService, func(o *lvs.Op) { o.Service.Protocol = unix.IPPROTO_ESP }, "service protocol 50: TCP, UDP and SCTP are known"},
		{onService, func(o *lvs.Op) { o.Service.Mark = 7 }, "firewall mark 7: it has an address or protocol"},
		{onService, func(o *lvs.Op) { o.Service.Flags = 1 }, "service flags 0x1: only those in 0x3c are known"},
		{onService, func(o *lvs.Op) { o.Service.Scheduler = "a-name-of-16-byte" }, "at most 15 bytes are allowed"},
		{onService, func(o *lvs.Op) { o.Service.Persistence = lvs.Persistence{Timeout: 1500 * time.Millisecond, Prefix: 32} }, "persistence timeout 1.5s: whole seconds up to 744h0m0s are allowed"},
		{onService, func(o *lvs.Op) { o.Service.Persistence = lvs.Persistence{Timeout: 745 * time.Hour, Prefix: 32} }, "whole seconds"},
		{onService, func(o *lvs.Op) { o.Service.Persistence.Timeout = -time.Second }, "whole seconds"},
		{onService, func(o *lvs.Op) { o.Service.Persistence.Timeout = time.Minute }, "persistence prefix length 0: 1 to 32 is allowed"},
		{onService, func(o *lvs.Op) { o.Service.Persistence = lvs.Persistence{Timeout: time.Minute, Prefix: 33} }, "persistence prefix length 33: 1 to 32 is allowed"},
		{onService, func(o *lvs.Op) { o.Service.Persistence.Prefix = 32 }, "persistence prefix length 32, engine \"\": only with a timeout"},
		{onService, func(o *lvs.Op) { o.Service.Persistence.Engine = "sip" }, "persistence prefix length 0, engine \"sip\": only with a timeout"},
		{onDestination, func(o *lvs.Op) { o.Service.Address = netip.AddrPort{} }, "an IPv4 or IPv6 address is needed"},
		{onDestination, func(o *lvs.Op) { o.Destination.Address = netip.AddrPort{} }, "an IPv4 or IPv6 address is needed"},
		{onDestination, func(o *lvs.Op) { o.Kind, o.Destination.Address = lvs.DeleteDestination, netip.AddrPort{} }, "an IPv4 or IPv6 address is needed"},
		{onDestination, func(o *lvs.Op) { o.Destination.Address = netip.MustParseAddrPort("[::ffff:198.51.100.1]:80") }, "an IPv4 or IPv6 address is needed"},
		{onDestination, func(o *lvs.Op) { o.Destination.Address = netip.MustParseAddrPort("[2001:db8::1]:80") }, "is not of the address family of the service: only a tunnel"},
		{onDestination, func(o *lvs.Op) { o.Destination.Weight = 65536 }, "weight 65536: at most 65535 is allowed"},
		{onDestination, func(o *lvs.Op) { o.Destination.Forwarding = 3 }, "forwarding method 3: at most 2 is known"},
		{onDestination, func(o *lvs.Op) { o.Destination.Lower = 1 }, "lower threshold 1: at most the upper one, 0, is allowed"},
		{onDestination, func(o *lvs.Op) { o.Destination.Upper = 1 << 31 }, "upper threshold 2147483648: at most 2147483647 is allowed"},
		{onDestination, func(o *lvs.Op) { o.Destination.Tunnel.Type = lvs.GRE }, "encapsulation gre: only a tunnel has one"},
		{onDestination, func(o *lvs.Op) { tunnel(o, lvs.Encapsulation{Type: 3}) }, "tunnel type 3, checksum 0: at most 2 and 2 are known"},
		{onDestination, func(o *lvs.Op) { tunnel(o, lvs.Encapsulation{Type: lvs.GUE, Port: 1, Checksum: 3}) }, "tunnel type 1, checksum 3"},
		{onDestination, func(o *lvs.Op) { tunnel(o, lvs.Encapsulation{Type: lvs.GUE}) }, "port 0 of a tunnel of type gue: GUE needs one, others have none"},
		{onDestination, func(o *lvs.Op) { tunnel(o, lvs.Encapsulation{Port: 80}) }, "port 80 of a tunnel of type ipip"},
		{onDestination, func(o *lvs.Op) { tunnel(o, lvs.Encapsulation{Checksum: lvs.Checksum}) }, "checksum checksum of a tunnel of type ipip: it does not have that"},
		{onDestination, func(o *lvs.Op) { tunnel(o, lvs.Encapsulation{Type: lvs.GRE, Checksum: lvs.RemoteChecksum}) }, "checksum remote of a tunnel of type gre"},
		{timeouts, func(o *lvs.Op) { o.Timeouts.UDP = time.Millisecond }, "whole seconds up to"},
		{daemon, func(o *lvs.Op) { o.Role = 3 }, "role 3: 1 and 2 are known"},
		{daemon, func(o *lvs.Op) { o.Kind, o.Role = lvs.StopDaemon, 0 }, "role 0: 1 and 2 are known"},
		{daemon, func(o *lvs.Op) { o.Daemon.Interface = "" }, `interface "": a name of 1 to 15 bytes is needed`},
		{daemon, func(o *lvs.Op) { o.Daemon.Interface = "a-name-of-16-byte" }, "a name of 1 to 15 bytes is needed"},
		{daemon, func(o *lvs.Op) { o.Daemon.MaxLength = 65508 }, "length of messages 65508: 1 to 65507 is allowed, or 0"},
		{daemon, func(o *lvs.Op) { o.Daemon.Group, o.Daemon.MaxLength = netip.MustParseAddr("ff02::81"), 65488 }, "length of messages 65488: 1 to 65487 is allowed"},
		{daemon, func(o *lvs.Op) { o.Role, o.Daemon.MaxLength = lvs.SyncReceiver, 1023 }, "length of messages 1023: 1024 to 65507 is allowed"},
		{daemon, func(o *lvs.Op) { o.Daemon.Group = netip.MustParseAddr("192.0.2.1") }, "multicast group 192.0.2.1"},
	} {
		checkError(t, c, changed(test.op, test.change), test.words)
	}
}

// tunnel makes an operation one on a destination behind a tunnel.
func tunnel(o *lvs.Op, e lvs.Encapsulation) {
	o.Destination.Forwarding, o.Destination.Tunnel = lvs.Tunnel, e
}

// failing is a kernel that fails every edit with one error.
type failing struct {
	ipvs.Handle
	err error
}

// Edit fails.
func (f failing) Edit(requests ...ipvs.Request) []error {
	errs := make([]error, len(requests))
	for i := range errs {
		errs[i] = f.err
	}
	return errs
}

// TestExplanations checks the sentences of errors that take a certain machine
// to be had.
func TestExplanations(t *testing.T) {
	s := service("192.0.2.1:80", "rr")
	onService := op(lvs.AddService, s, "", 0)
	for _, test := range []struct {
		op    lvs.Op
		err   error
		words string
	}{
		{onService, unix.EPERM, "CAP_NET_ADMIN is needed"},
		{onService, unix.EAFNOSUPPORT, "the kernel has no IPv6"},
		{onService, ipvs.ErrNoIPVS, "kernel has no IPVS: modprobe ip_vs"},
		{daemonOp(1, 1), unix.EADDRNOTAVAIL, `interface "eth0" is down, or has no address`},
		{daemonOp(1, 1), unix.ENETUNREACH, `interface "eth0" is down, or has no address`},
		{daemonOp(1, 1), unix.ENOMEM, "id 1: cannot allocate memory"},
		{lvs.Op{Kind: lvs.SetTimeouts}, unix.EINVAL, "the kernel cannot count so far"},
	} {
		c := ipvs.NewClient(failing{err: test.err})
		checkError(t, c, test.op, test.words)
		if err := c.Apply(test.op); !errors.Is(err, test.err) {
			t.Errorf("%v: error %v, want %v", test.op, err, test.err)
		}
	}
}
