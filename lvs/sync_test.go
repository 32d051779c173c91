package lvs_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/lvs"
)

// sync0 is a sync daemon as the kernel holds it.
var sync0 = lvs.SyncDaemon{Interface: "eth0", ID: 5, MaxLength: 1460, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}

// roles is a shorthand for sync daemons by role.
type roles = map[lvs.SyncRole]lvs.SyncDaemon

// TestDiffOfDaemons checks which sync daemons are stopped and started.
func TestDiffOfDaemons(t *testing.T) {
	bare := lvs.SyncDaemon{Interface: "eth0", ID: 5}
	changed := bare
	changed.TTL = 3
	at := func(index int) lvs.SyncDaemon {
		d := sync0
		d.Index = index
		return d
	}
	for _, test := range []struct {
		name       string
		have, want roles
		ops        []string
	}{
		{"missing", nil, roles{lvs.SyncSender: bare}, []string{"start sync daemon sender interface eth0 id 5"}},
		{"what is not said is the kernel's choice", roles{lvs.SyncSender: sync0}, roles{lvs.SyncSender: bare}, nil},
		{"what is said counts", roles{lvs.SyncSender: sync0}, roles{lvs.SyncSender: changed},
			[]string{"stop sync daemon sender", "start sync daemon sender interface eth0 id 5"}},
		{"another interface of the same name", roles{lvs.SyncReceiver: at(7)}, roles{lvs.SyncReceiver: at(9)},
			[]string{"stop sync daemon receiver", "start sync daemon receiver interface eth0 id 5"}},
		{"an interface that is not known", roles{lvs.SyncReceiver: at(0)}, roles{lvs.SyncReceiver: at(9)}, nil},
		{"an interface that is gone", roles{lvs.SyncReceiver: at(7)}, roles{lvs.SyncReceiver: at(0)}, nil},
		{"another role", roles{lvs.SyncSender: sync0}, roles{lvs.SyncReceiver: bare},
			[]string{"stop sync daemon sender", "start sync daemon receiver interface eth0 id 5"}},
		{"both", nil, roles{lvs.SyncReceiver: bare, lvs.SyncSender: bare},
			[]string{"start sync daemon sender interface eth0 id 5", "start sync daemon receiver interface eth0 id 5"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			have, want := lvs.State{Daemons: test.have}, lvs.State{Daemons: test.want}
			ops := lvs.Diff(have, want, owner(all))
			if diff := cmp.Diff(test.ops, lines(ops)); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
			for _, op := range ops {
				have.Apply(op)
			}
			if rest := lvs.Diff(have, want, owner(all)); len(rest) > 0 {
				t.Errorf("not done after all operations: %v", lines(rest))
			}
		})
	}
}

// TestOrderAroundDaemons checks that a daemon is stopped before what the
// kernel takes only without one, and started after that has gone.
func TestOrderAroundDaemons(t *testing.T) {
	have := lvs.State{Table: table(entry("10.0.0.1:80", "rr", destination("10.1.0.1:80", 1))), Daemons: roles{lvs.SyncSender: sync0}}
	want := lvs.State{
		Table:    table(entry("10.0.0.1:80", "rr", destination("[2001:db8::1]:80", 1))),
		Daemons:  roles{lvs.SyncReceiver: sync0},
		Timeouts: lvs.Timeouts{TCP: time.Hour},
	}
	ops := []string{
		"stop sync daemon sender",
		"set timeouts tcp 1h0m0s tcpfin 0s udp 0s",
		"add destination [2001:db8::1]:80 of tcp 10.0.0.1:80 weight 1",
		"delete destination 10.1.0.1:80 of tcp 10.0.0.1:80",
		"start sync daemon receiver interface eth0 id 5",
	}
	if diff := cmp.Diff(ops, lines(lvs.Diff(have, want, owner(all)))); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

// TestTimeouts checks that a timeout that is not wanted is left as it is.
func TestTimeouts(t *testing.T) {
	kernel := lvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
	for _, test := range []struct{ want, result lvs.Timeouts }{
		{lvs.Timeouts{}, kernel},
		{lvs.Timeouts{UDP: 5 * time.Minute}, kernel},
		{lvs.Timeouts{UDP: time.Minute}, lvs.Timeouts{TCP: kernel.TCP, TCPFin: kernel.TCPFin, UDP: time.Minute}},
		{lvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute}, lvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: kernel.UDP}},
	} {
		have := lvs.State{Timeouts: kernel}
		for _, op := range lvs.Diff(have, lvs.State{Timeouts: test.want}, owner(all)) {
			have.Apply(op)
		}
		if have.Timeouts != test.result {
			t.Errorf("want %+v: %+v, not %+v", test.want, have.Timeouts, test.result)
		}
	}
}

// TestFollow checks whose sync daemons are ours, and until when.
func TestFollow(t *testing.T) {
	m := newTimed()
	kernel := lvs.State{Table: table(), Daemons: roles{lvs.SyncReceiver: sync0}}
	pass := func(want roles) {
		t.Helper()
		m.read(lvs.Reading{State: kernel})
		for _, op := range lvs.Diff(kernel, m.Model.Wanted(), m) {
			kernel.Apply(op)
		}
		m.Settle(kernel)
		if diff := cmp.Diff(want, kernel.Daemons, netipComparer); diff != "" {
			t.Errorf("sync daemons (-want +got):\n%s", diff)
		}
	}
	mine := lvs.SyncDaemon{Interface: "eth1", ID: 1}
	pass(roles{lvs.SyncReceiver: sync0})
	if !m.Empty() {
		t.Error("the daemon of somebody else is taken for ours")
	}
	m.Follow(roles{})
	pass(roles{})
	m.Follow(roles{lvs.SyncSender: mine})
	pass(roles{lvs.SyncSender: mine})
	m.Follow(nil)
	if m.Empty() {
		t.Error("the daemon that was started is not taken for ours")
	}
	pass(roles{})
	kernel.Daemons = roles{lvs.SyncSender: sync0}
	pass(roles{lvs.SyncSender: sync0})
	m.Follow(roles{lvs.SyncReceiver: mine})
	pass(roles{lvs.SyncReceiver: mine})
	m.Withdraw()
	pass(roles{})
	if !m.Empty() {
		t.Error("withdrawn and stopped, and something is ours")
	}
}

// TestInherit checks which sync daemons a successor without synchronization
// stops: those that its predecessor may have started, as they were found at the
// start, and never those of others.
func TestInherit(t *testing.T) {
	mine := lvs.SyncDaemon{Interface: "eth0", ID: 5}
	changed := mine
	changed.ID = 6
	strange := lvs.SyncDaemon{Interface: "eth0", ID: 7, MaxLength: 1460, Group: sync0.Group, Port: 8848, TTL: 1}
	for _, test := range []struct {
		name     string
		inherits []lvs.SyncDaemon
		have     roles
		want     roles
	}{
		{"the predecessor's", []lvs.SyncDaemon{mine}, roles{lvs.SyncSender: sync0}, roles{}},
		{"both, of a reload half-way", []lvs.SyncDaemon{changed, mine}, roles{lvs.SyncSender: sync0, lvs.SyncReceiver: sync0}, roles{}},
		{"one of another program", []lvs.SyncDaemon{mine}, roles{lvs.SyncSender: strange}, roles{lvs.SyncSender: strange}},
		{"one of each", []lvs.SyncDaemon{mine}, roles{lvs.SyncSender: strange, lvs.SyncReceiver: sync0}, roles{lvs.SyncSender: strange}},
		{"none", []lvs.SyncDaemon{mine}, roles{}, roles{}},
		{"nothing is inherited", nil, roles{lvs.SyncSender: sync0}, roles{lvs.SyncSender: sync0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newTimed()
			m.Inherit(test.inherits)
			if m.Empty() != (test.inherits == nil) {
				t.Error("whether there is something to look at is wrong")
			}
			kernel := lvs.State{Table: table(), Daemons: test.have}
			pass := func() {
				m.read(lvs.Reading{State: kernel})
				for _, op := range lvs.Diff(kernel, m.Model.Wanted(), m) {
					kernel.Apply(op)
				}
				m.Settle(kernel)
			}
			pass()
			if diff := cmp.Diff(test.want, kernel.Daemons, netipComparer); diff != "" {
				t.Errorf("sync daemons (-want +got):\n%s", diff)
			}
			if !m.Empty() {
				t.Error("something is ours still")
			}
			kernel.Daemons = roles{lvs.SyncSender: sync0}
			pass()
			if len(kernel.Daemons) != 1 {
				t.Error("one that somebody has started later is stopped")
			}
		})
	}
}

// TestInheritWithoutIPVS checks that a kernel without IPVS has nothing to stop.
func TestInheritWithoutIPVS(t *testing.T) {
	m := newTimed()
	m.Inherit([]lvs.SyncDaemon{sync0})
	m.Settle(lvs.State{})
	if !m.Empty() {
		t.Error("there is something to look at")
	}
}
