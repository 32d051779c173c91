package daemon

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/cmd/internal/control"
	"bascule/lvs"
	"bascule/lvs/director"
)

// TestServerProblems checks what of a virtual server needs an administrator.
func TestServerProblems(t *testing.T) {
	now := time.Now()
	member := []lvs.RealServerStatus{{State: lvs.Member, Weight: 1}}
	quorum := func(state lvs.QuorumState) lvs.QuorumStatus {
		return lvs.QuorumStatus{State: state, Since: now.Add(-time.Minute), Reason: "too few"}
	}
	for _, test := range []struct {
		name string
		vs   lvs.VirtualServerStatus
		want []string
	}{
		{"healthy", lvs.VirtualServerStatus{RealServers: member}, nil},
		{"with a quorum", lvs.VirtualServerStatus{RealServers: member, Quorum: quorum(lvs.QuorumReached)}, nil},
		{"lost", lvs.VirtualServerStatus{RealServers: member, Quorum: quorum(lvs.QuorumLost)}, []string{"www: quorum lost for 1m 0s: too few"}},
		{"awaited", lvs.VirtualServerStatus{Sorry: member, Quorum: quorum(lvs.QuorumAwaited)}, []string{"www: quorum awaited for 1m 0s: too few"}},
		{"the last stay", lvs.VirtualServerStatus{RealServers: member, Staying: lvs.AllDownLast},
			[]string{"www: all real servers are down, and those that failed last stay (all_down)"}},
		{"all stay", lvs.VirtualServerStatus{RealServers: member, Staying: lvs.AllDownAll}, []string{"www: all real servers are down, and all stay (all_down)"}},
		{"nobody", lvs.VirtualServerStatus{RealServers: []lvs.RealServerStatus{{State: lvs.Member}, {State: lvs.Draining}}}, []string{"www: nobody takes connections"}},
	} {
		test.vs.Name = "www"
		got := serverProblems(&director.Status{VirtualServers: []lvs.VirtualServerStatus{test.vs}}, now)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestViewSyncDaemons compares what runs with what is wanted.
func TestViewSyncDaemons(t *testing.T) {
	type daemons = map[lvs.SyncRole]lvs.SyncDaemon
	one, two := lvs.SyncDaemon{Interface: "eth1", ID: 1}, lvs.SyncDaemon{Interface: "eth2", ID: 2}
	running := one
	running.Port, running.TTL = 8848, 1
	for _, test := range []struct {
		name         string
		have, wanted daemons
		want         []control.SyncDaemon
	}{
		{"nothing", nil, nil, nil},
		{"as wanted", daemons{lvs.SyncSender: running}, daemons{lvs.SyncSender: one}, []control.SyncDaemon{{Role: "sender", Interface: "eth1", ID: 1, Running: true, Wanted: true}}},
		{"another program's", daemons{lvs.SyncSender: running}, nil, []control.SyncDaemon{{Role: "sender", Interface: "eth1", ID: 1, Running: true}}},
		{"missing", nil, daemons{lvs.SyncReceiver: one}, []control.SyncDaemon{{Role: "receiver", Interface: "eth1", ID: 1, Wanted: true}}},
		{"others in both roles", daemons{lvs.SyncSender: running, lvs.SyncReceiver: running}, daemons{lvs.SyncReceiver: two}, []control.SyncDaemon{
			{Role: "sender", Interface: "eth1", ID: 1, Running: true},
			{Role: "receiver", Interface: "eth1", ID: 1, Running: true},
			{Role: "receiver", Interface: "eth2", ID: 2, Wanted: true},
		}},
	} {
		got := viewSyncDaemons(&director.Status{Daemons: test.have, WantedDaemons: test.wanted})
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" || got == nil {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestViewTimeouts compares timeouts.
func TestViewTimeouts(t *testing.T) {
	wanted := lvs.Timeouts{UDP: time.Minute}
	if got := viewTimeouts(&director.Status{WantedTimeouts: wanted}); got != nil {
		t.Errorf("not known: %+v", got)
	}
	got := viewTimeouts(&director.Status{WantedTimeouts: wanted, Timeouts: lvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}})
	want := &control.Timeouts{TCP: control.Timeout{Found: "15m0s"}, TCPFin: control.Timeout{Found: "2m0s"}, UDP: control.Timeout{Found: "5m0s", Wanted: "1m0s"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestViewUsage adds up what a real server does in all services.
func TestViewUsage(t *testing.T) {
	rs := netip.MustParseAddrPort("10.1.0.1:80")
	vs := lvs.VirtualServerStatus{
		Services:    []lvs.Service{{ServiceKey: service80("10.0.0.1")}, {ServiceKey: service80("10.0.0.2")}},
		RealServers: []lvs.RealServerStatus{{Address: rs}},
	}
	usage := lvs.UsageTable{
		service80("10.0.0.1"): {rs: {Active: 1, Inactive: 2, Persistent: 3, Connections: 4, PacketsIn: 5, PacketsOut: 6, BytesIn: 7, BytesOut: 8}},
		service80("10.0.0.2"): {rs: {Active: 10, Inactive: 20, Persistent: 30, Connections: 40, PacketsIn: 50, PacketsOut: 60, BytesIn: 70, BytesOut: 80}},
		service80("10.0.0.3"): {rs: {Active: 100}},
	}
	got := viewVirtualServer(vs, usage).RealServers[0]
	want := control.RealServer{
		Connections: control.Connections{Active: 11, Inactive: 22, Persistent: 33, Total: 44},
		Traffic:     control.Traffic{PacketsIn: 55, PacketsOut: 66, BytesIn: 77, BytesOut: 88},
	}
	if got.Connections != want.Connections || got.Traffic != want.Traffic {
		t.Errorf("%+v, %+v; want %+v, %+v", got.Connections, got.Traffic, want.Connections, want.Traffic)
	}
}
