package ipvstest

import (
	"net/netip"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// start returns the step that starts a daemon.
func start(name string, d ipvs.Daemon, errno unix.Errno) step {
	return step{name, ipvs.Request{Command: ipvs.NewDaemon, Daemon: d}, errno}
}

// stop returns the step that stops a daemon.
func stop(name string, role lvs.SyncRole, errno unix.Errno) step {
	return step{name, ipvs.Request{Command: ipvs.DelDaemon, Daemon: ipvs.Daemon{Role: role}}, errno}
}

// sender returns a daemon that says no more than it must.
func sender(id uint8) ipvs.Daemon {
	return ipvs.Daemon{Role: lvs.SyncSender, SyncDaemon: lvs.SyncDaemon{Interface: "eth0", ID: id}}
}

// checkDaemons compares the daemons that run, by role.
func checkDaemons(t *testing.T, h ipvs.Handle, want ...ipvs.Daemon) {
	t.Helper()
	got, err := h.Daemons()
	if err != nil {
		t.Fatal(err)
	}
	options := []gocmp.Option{
		cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}),
		cmpopts.SortSlices(func(a, b ipvs.Daemon) bool { return a.Role < b.Role }),
	}
	if diff := gocmp.Diff(want, got, options...); diff != "" {
		t.Errorf("daemons (-want +got):\n%s", diff)
	}
}

// conformDaemons checks what sync daemons can be started and stopped.
func conformDaemons(t *testing.T, h ipvs.Handle) {
	full := ipvs.Daemon{Role: lvs.SyncReceiver, SyncDaemon: lvs.SyncDaemon{
		Interface: "eth1", ID: 255, MaxLength: 2000, Group: netip.MustParseAddr("ff02::81"), Port: 9000, TTL: 3,
	}}
	unicast := with(sender(1), func(d *ipvs.Daemon) { d.Group = netip.MustParseAddr("192.0.2.1") })
	missing := with(sender(1), func(d *ipvs.Daemon) { d.Interface = "nosuch0" })
	neither := with(sender(1), func(d *ipvs.Daemon) { d.Role = 4 })
	first := sender(7)
	first.MaxLength, first.Group, first.Port, first.TTL = 1472, defaultGroup(), 8848, 1
	walk(t, h,
		stop("stop what does not run", lvs.SyncSender, unix.ESRCH),
		start("a group that is none", unicast, unix.EINVAL),
		start("an interface that is none", missing, unix.ENODEV),
		start("a role that is none", neither, unix.EINVAL),
		start("a sender", sender(7), 0),
		start("the same sender", sender(7), unix.EEXIST),
		start("another sender", sender(8), unix.EEXIST),
		start("another sender on an interface that is none", missing, unix.ENODEV),
		start("a receiver with everything", full, 0),
	)
	checkDaemons(t, h, first, full)
	walk(t, h,
		stop("the sender", lvs.SyncSender, 0),
		stop("the sender again", lvs.SyncSender, unix.ESRCH),
		start("another sender", sender(8), 0),
		stop("the other sender", lvs.SyncSender, 0),
		stop("the receiver", lvs.SyncReceiver, 0),
		stop("a role that is none", 4, unix.EINVAL),
	)
	checkDaemons(t, h)
}

// conformDaemonDefaults checks what the kernel makes of lengths, and of what it is not
// told.
func conformDaemonDefaults(t *testing.T, h ipvs.Handle) {
	group6 := netip.MustParseAddr("ff05::8")
	for _, test := range []struct {
		role   lvs.SyncRole
		group  netip.Addr
		length uint16
		want   uint16
	}{
		{lvs.SyncSender, netip.Addr{}, 0, 1472},
		{lvs.SyncSender, group6, 0, 1452},
		{lvs.SyncSender, netip.Addr{}, 1, 1},
		{lvs.SyncSender, netip.Addr{}, 65535, 65507},
		{lvs.SyncReceiver, netip.Addr{}, 0, 1472},
		{lvs.SyncReceiver, group6, 0, 1452},
		{lvs.SyncReceiver, netip.Addr{}, 1000, 1024},
		{lvs.SyncReceiver, group6, 65535, 65487},
	} {
		d := ipvs.Daemon{Role: test.role, SyncDaemon: lvs.SyncDaemon{Interface: "eth0", Group: test.group, MaxLength: test.length}}
		walk(t, h, start("a daemon", d, 0))
		d.MaxLength, d.Port, d.TTL = test.want, defaultPort, defaultTTL
		if !d.Group.IsValid() {
			d.Group = defaultGroup()
		}
		checkDaemons(t, h, d)
		walk(t, h, stop("the daemon", test.role, 0))
	}
}

// conformMixed checks that a sync daemon and a destination of another address
// family than its service's exclude each other.
func conformMixed(t *testing.T, h ipvs.Handle) {
	s, d := TCP("192.0.2.1:80", "rr"), Tunnel("[2001:db8::2]:80", lvs.IPIP, 0, 0)
	walk(t, h,
		onService("add a service", ipvs.NewService, s, 0),
		start("a daemon", sender(1), 0),
		onDestination("add a destination", ipvs.NewDest, s, d, unix.EINVAL),
		onDestination("change a missing one", ipvs.SetDest, s, d, unix.EINVAL),
		onDestination("delete a missing one", ipvs.DelDest, s, d, unix.ENOENT),
		stop("the daemon", lvs.SyncSender, 0),
		onDestination("add a destination", ipvs.NewDest, s, d, 0),
		start("a daemon", sender(1), unix.EINVAL),
		onDestination("delete the destination", ipvs.DelDest, s, d, 0),
		start("a daemon", sender(1), 0),
		stop("the daemon", lvs.SyncSender, 0),
		onDestination("add a destination", ipvs.NewDest, s, d, 0),
		onService("delete the service", ipvs.DelService, s, 0),
		start("a daemon", sender(1), 0),
		stop("the daemon", lvs.SyncSender, 0),
	)
}

// conformTimeouts checks the timeouts: a zero one stays as it is.
func conformTimeouts(t *testing.T, h ipvs.Handle) {
	const day = 24 * time.Hour
	want := defaultTimeouts()
	for _, test := range []struct {
		set   lvs.Timeouts
		errno unix.Errno
	}{
		{lvs.Timeouts{}, 0},
		{lvs.Timeouts{TCP: time.Second}, 0},
		{lvs.Timeouts{TCPFin: 31 * day}, 0},
		{lvs.Timeouts{TCP: 2 * time.Hour, UDP: 7 * time.Second}, 0},
		{lvs.Timeouts{TCP: time.Hour, UDP: 1 << 31 * time.Second}, unix.EINVAL},
		{lvs.Timeouts{TCP: time.Hour, UDP: 100 * day}, unix.EINVAL},
	} {
		walk(t, h, step{"set " + test.set.TCP.String(), ipvs.Request{Command: ipvs.SetConfig, Timeouts: test.set}, test.errno})
		if test.errno == 0 {
			for _, each := range []struct{ to, from *time.Duration }{
				{&want.TCP, &test.set.TCP}, {&want.TCPFin, &test.set.TCPFin}, {&want.UDP, &test.set.UDP},
			} {
				if *each.from != 0 {
					*each.to = *each.from
				}
			}
		}
		if got, err := h.Timeouts(); err != nil || got != want {
			t.Errorf("after %+v: %+v, error %v; want %+v", test.set, got, err, want)
		}
	}
}
