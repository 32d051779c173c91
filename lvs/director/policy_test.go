package director_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/director"
)

// busy lets every destination have a connection, or none.
func (f *fixture) busy(busy bool) {
	f.change(func(_ *lvs.State, b *bool) { *b = busy })
}

// decide takes a decision of the administrator about a real server of www.
func (f *fixture) decide(address string, o lvs.Override) {
	f.t.Helper()
	if err := f.Override(f.t.Context(), "www", netipAddress(address), o); err != nil {
		f.t.Error(err)
	}
}

// TestSlowStart checks that each step reaches the kernel when it is due, and
// in place.
func TestSlowStart(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := www(web1)
		config.RealServers[0].Weight, config.SlowStart = 3, 20*time.Second
		f.configure(config)
		f.start()
		f.good(web1)
		f.wait(20 * time.Millisecond)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1")
		f.wait(9 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1")
		f.wait(time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 2")
		f.wait(10 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 3")
		f.checkJournal("NEW_SERVICE "+vip, "NEW_DEST "+vip+" "+web1, "SET_DEST "+vip+" "+web1, "SET_DEST "+vip+" "+web1)
	})
}

// TestDeadline checks that a pass comes when the model changes by itself, not
// only with the next period.
func TestDeadline(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		director.WithPeriod(time.Hour)(f.Director)
		config := www(web1)
		config.RealServers[0].Weight, config.SlowStart = 2, 5*time.Second
		f.configure(config)
		f.start()
		f.good(web1)
		f.wait(6 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 2")
	})
}

// TestDrain checks that a decision is in the snapshot at once, that the real
// server leaves the kernel when it has no connections any more, and that all
// of it is logged.
func TestDrain(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := www(web1, web2)
		config.DrainLimit = time.Hour
		f.configure(config)
		f.busy(true)
		f.start()
		f.good(web1)
		f.good(web2)
		f.wait(time.Second)
		f.log.take()
		f.decide(web1, lvs.Override{Kind: lvs.Drain, Reason: "new disk"})
		rs := f.Snapshot().VirtualServers[0].RealServers[0]
		if rs.State != lvs.Draining || rs.Override.Reason != "new disk" || len(f.Snapshot().Overrides) != 1 {
			t.Errorf("after the decision: %+v", rs)
		}
		f.wait(time.Minute)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 0", "-a -t "+vip+" -r "+web2+" -m -w 1")
		vs := f.Snapshot().VirtualServers[0]
		if usage := vs.Usage(vs.RealServers[0], f.Snapshot().Usage); usage.Active != 1 {
			t.Errorf("usage %+v, want a connection", usage)
		}
		f.busy(false)
		f.wait(time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web2+" -m -w 1")
		f.checkLog(
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=draining reason="drained by the administrator: new disk"`,
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=out reason="drained by the administrator: new disk"`,
		)
		f.decide(web1, lvs.Override{Kind: lvs.Enable})
		f.wait(time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web2+" -m -w 1", "-a -t "+vip+" -r "+web1+" -m -w 1")
	})
}

// TestDrainIsNotTooEarly checks that a reading of the kernel from before the
// weight was 0 does not end draining: a connection may have come after it.
func TestDrainIsNotTooEarly(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := www(web1)
		config.DrainLimit = time.Hour
		f.configure(config)
		f.start()
		f.good(web1)
		f.wait(time.Second)
		f.kernel.Journal()
		f.decide(web1, lvs.Override{Kind: lvs.Drain})
		f.wait(20 * time.Millisecond)
		f.checkJournal("SET_DEST " + vip + " " + web1)
		f.wait(time.Second)
		f.checkJournal("DEL_DEST " + vip + " " + web1)
	})
}

// TestDrainOutlastsInterference checks that a real server that drains is put back
// when somebody deletes it, for the kernel gives it its connections back then,
// and that it leaves as ever when these have ended, or when it cannot be put
// back.
func TestDrainOutlastsInterference(t *testing.T) {
	for _, broken := range []bool{false, true} {
		run(t, func(t *testing.T, f *fixture) {
			f.configure(www(web1, web2))
			f.busy(true)
			f.start()
			f.good(web1)
			f.good(web2)
			f.wait(time.Second)
			f.decide(web1, lvs.Override{Kind: lvs.Drain})
			f.wait(time.Second)
			if broken {
				f.kernel.Break("NEW_DEST "+vip+" "+web1, unix.ENOMEM)
			}
			f.kernel.Flush()
			f.wait(time.Second)
			members := []string{"-A -t " + vip + " -s wrr", "-a -t " + vip + " -r " + web2 + " -m -w 1"}
			if broken {
				f.check(members...)
				f.checkProblems()
				return
			}
			f.check(members[0], "-a -t "+vip+" -r "+web1+" -m -w 0", members[1])
			f.busy(false)
			f.wait(time.Second)
			f.check(members...)
		})
	}
}

// TestStoredOverrides checks that decisions outlive a restart.
func TestStoredOverrides(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held(vip, "wrr", web1, web2)...)
		f.configure(www(web1, web2))
		f.SetOverrides([]lvs.StoredOverride{{
			Key: lvs.RealServerKey{Service: key(vip), Address: netipAddress(web1)}, Override: lvs.Override{Kind: lvs.Weigh, Weight: 9},
		}})
		f.start()
		f.wait(time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 9", "-a -t "+vip+" -r "+web2+" -m -w 1")
		f.checkJournal("SET_DEST " + vip + " " + web1)
	})
}

// TestOverridesAfterReload checks that what is in force after a reload is in the
// snapshot as soon as the reload is taken, whether the kernel answers or not,
// and that a decision which is lost is logged.
func TestOverridesAfterReload(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.SetAbsent(true)
		f.configure(www(web1, web2))
		gone := lvs.RealServerKey{Service: key(vip), Address: netipAddress(web3)}
		f.SetOverrides([]lvs.StoredOverride{{VirtualServer: "www", Key: gone, Override: lvs.Override{Kind: lvs.Drain}}})
		f.start()
		f.wait(time.Second)
		f.checkLog(`level=WARN msg="decision about a real server dropped, it is not configured any more" virtual_server=www address=`+web3+` decision="drained by the administrator"`,
			`level=WARN msg="ipvs unavailable" error="kernel has no IPVS: modprobe ip_vs"`)
		f.decide(web1, lvs.Override{Kind: lvs.Drain})
		f.decide(web2, lvs.Override{Kind: lvs.Weigh, Weight: 7, Reason: "slow disk"})
		moved := www(web1)
		moved.Services[0].ServiceKey = key("192.168.56.11:80")
		f.configure(moved)
		if err := f.Taken(t.Context()); err != nil {
			t.Error(err)
		}
		if got := f.Snapshot().Overrides; len(got) != 1 || got[0].Key != key("192.168.56.11:80").Key(netipAddress(web1)) {
			t.Errorf("in force: %+v", got)
		}
		f.checkLog(`level=WARN msg="decision about a real server dropped, it is not configured any more" virtual_server=www address=` + web2 +
			` decision="weight 7 set by the administrator: slow disk"`)
		f.stop()
		if err := f.Taken(t.Context()); err == nil || err.Error() != "not taken: the director has ended" {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestOverrideErrors checks what who decides hears if nothing comes of it.
func TestOverrideErrors(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check := func(ctx context.Context, name, want string) {
			t.Helper()
			if err := f.Override(ctx, name, netipAddress(web1), lvs.Override{}); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		check(ctx, "www", "not known whether the decision is taken: context deadline exceeded")
		f.start()
		check(t.Context(), "ftp", `no virtual server "ftp" is configured, there are "www"`)
		f.stop()
		check(t.Context(), "www", "no decision taken: the director has ended")
	})
}

// TestQuorumIsLogged checks what is logged when the sorry servers take over.
func TestQuorumIsLogged(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := www(web1)
		config.Sorry = []lvs.RealServerConfig{{Address: netipAddress(web3), Weight: 1}}
		f.configure(config)
		f.start()
		f.good(web1)
		f.wait(time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1")
		f.log.take()
		f.kernel.Journal()
		f.bad(web1, "timeout")
		f.wait(time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web3+" -m -w 1")
		f.checkJournal("NEW_DEST "+vip+" "+web3, "DEL_DEST "+vip+" "+web1)
		f.checkLog(
			`level=INFO msg=quorum virtual_server=www state=lost reason="healthy real servers have weight 0, reached again from 1 on: the sorry servers have taken over"`,
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=out reason=timeout`,
		)
	})
}

// TestSynchronization checks that sync daemons follow their roles, that one
// that somebody stops is started again, and that an ordered stop ends them.
func TestSynchronization(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		daemon := lvs.SyncDaemon{Interface: "eth0", ID: 5}
		check := func(want map[lvs.SyncRole]lvs.SyncDaemon) {
			t.Helper()
			got := map[lvs.SyncRole]lvs.SyncDaemon{}
			if b := f.beyond.Load(); b != nil {
				got = b.daemons
			}
			if diff := cmp.Diff(want, got, netipComparer); diff != "" {
				t.Errorf("sync daemons (-want +got):\n%s", diff)
			}
		}
		f.change(func(state *lvs.State, _ *bool) {
			state.Timeouts = lvs.Timeouts{TCP: 15 * time.Minute, UDP: 5 * time.Minute}
		})
		f.Follow(map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncReceiver: daemon})
		f.Adjust(lvs.Settings{Timeouts: lvs.Timeouts{UDP: time.Minute}})
		f.start()
		f.wait(time.Second)
		check(map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncReceiver: started(daemon)})
		if got := f.Snapshot(); got.Timeouts.UDP != time.Minute || len(got.Daemons) != 1 {
			t.Errorf("snapshot %+v", got)
		}
		f.Follow(map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncSender: daemon})
		f.wait(20 * time.Millisecond)
		check(map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncSender: started(daemon)})
		f.wait(time.Second)
		f.log.take()
		f.change(func(state *lvs.State, _ *bool) { clear(state.Daemons) })
		f.wait(time.Second)
		check(map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncSender: started(daemon)})
		f.checkLog(`level=WARN msg="ipvs table repaired" operations=1`)
		f.change(func(state *lvs.State, _ *bool) { state.Timeouts = lvs.Timeouts{TCP: time.Hour, UDP: time.Hour} })
		f.wait(10 * time.Second)
		f.checkLog(`level=WARN msg="ipvs table repaired" operations=1`)
		if err := f.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		check(map[lvs.SyncRole]lvs.SyncDaemon{})
	})
}

// TestInherit checks that a director without synchronization stops the sync
// daemon of its predecessor, and then has nothing to do with IPVS any more.
func TestInherit(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		left := lvs.SyncDaemon{Interface: "eth0", ID: 5}
		f.change(func(state *lvs.State, _ *bool) {
			state.Daemons[lvs.SyncReceiver] = left
			state.Daemons[lvs.SyncSender] = lvs.SyncDaemon{Interface: "eth1", ID: 5}
		})
		f.Inherit([]lvs.SyncDaemon{left})
		f.start()
		f.wait(time.Second)
		if got := f.beyond.Load().daemons; len(got) != 1 || got[lvs.SyncSender].Interface != "eth1" {
			t.Errorf("sync daemons %+v, want the other one's only", got)
		}
		passes := f.passes.Load()
		f.wait(time.Minute)
		if got := f.Snapshot().OwnedRoles; len(got) != 0 || f.passes.Load() != passes {
			t.Errorf("roles %v, %d passes more", got, f.passes.Load()-passes)
		}
	})
}

// TestSynchronizationInterface checks that a sync daemon is started anew when
// another interface has got the name of its own, that nobody is blamed for
// that, and that one which a predecessor has started is left.
func TestSynchronizationInterface(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		at := func(index int) map[lvs.SyncRole]lvs.SyncDaemon {
			return map[lvs.SyncRole]lvs.SyncDaemon{lvs.SyncReceiver: {Interface: "eth0", Index: index, ID: 5}}
		}
		expect := func(when string, operations uint64) {
			t.Helper()
			f.wait(time.Second)
			if got := f.edits.Swap(0); got != operations {
				t.Errorf("%s: %d operations, want %d", when, got, operations)
			}
		}
		f.change(func(state *lvs.State, _ *bool) { state.Daemons[lvs.SyncReceiver] = at(0)[lvs.SyncReceiver] })
		f.Follow(at(0))
		f.start()
		expect("a predecessor's", 0)
		f.Follow(at(7))
		expect("the interface is there", 0)
		f.Follow(at(9))
		expect("another interface", 2)
		f.Follow(at(9))
		expect("the same", 0)
		f.Follow(at(10))
		expect("another one again", 2)
		if got := f.log.take(); got != "" {
			t.Errorf("logged %s", got)
		}
		f.change(func(state *lvs.State, _ *bool) { clear(state.Daemons) })
		expect("stopped by somebody", 1)
		f.checkLog(`level=WARN msg="ipvs table repaired" operations=1`)
	})
}

// TestExclusive checks that services of others are deleted if the whole table
// is ours, and that Clear leaves none.
func TestExclusive(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held("192.168.56.99:80", "rr", web3)...)
		f.Adjust(lvs.Settings{Exclusive: true})
		f.configure(www())
		f.start()
		f.wait(time.Second)
		f.check("-A -t " + vip + " -s wrr")
		f.kernel.Edit(held("192.168.56.99:80", "rr", web3)...)
		f.wait(time.Second)
		f.check("-A -t " + vip + " -s wrr")
		if err := f.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		f.check()
	})
}

// TestReconfigure checks that settings and virtual servers of one configuration
// come into force together: a service that was somebody else's, and is
// configured by the reload that makes the whole table ours, is not missing for
// a moment. A pass may come between any two calls.
func TestReconfigure(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held("192.168.56.99:80", "rr", web3)...)
		f.kernel.Edit(held("192.168.56.98:80", "rr", web3)...)
		f.configure(www())
		f.start()
		f.wait(time.Second)
		f.kernel.Journal()
		taken := www(web3)
		taken.Name, taken.Services[0] = "taken", lvs.Service{ServiceKey: key("192.168.56.99:80"), Scheduler: "rr"}
		taken.RealServers[0].Checked = false
		f.Reconfigure(lvs.Settings{Exclusive: true}, []lvs.VirtualServerConfig{www(), taken})
		f.wait(time.Second)
		f.checkJournal("DEL_SERVICE 192.168.56.98:80")
		f.Reconfigure(lvs.Settings{}, []lvs.VirtualServerConfig{www()})
		f.wait(time.Second)
		f.checkJournal("DEL_SERVICE 192.168.56.99:80")
	})
}
