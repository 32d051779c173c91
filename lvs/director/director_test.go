package director_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// TestNoTrafficBeforeFirstGoodCheck checks that a new real server waits for
// its first good check, and that the order of operations is the shortest way.
func TestNoTrafficBeforeFirstGoodCheck(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1, web2))
		f.start()
		<-f.Ready()
		f.check("-A -t " + vip + " -s wrr")
		f.good(web1)
		f.wait(20 * time.Millisecond)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1")
		f.bad(web1, "connection refused")
		f.good(web2)
		f.wait(20 * time.Millisecond)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web2+" -m -w 1")
		f.checkJournal("NEW_SERVICE "+vip, "NEW_DEST "+vip+" "+web1, "NEW_DEST "+vip+" "+web2, "DEL_DEST "+vip+" "+web1)
		f.checkLog(
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=member reason=""`,
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=out reason="connection refused"`,
			`level=INFO msg="real server" virtual_server=www address=`+web2+` state=member reason=""`,
		)
	})
}

// TestAdoption checks that a restart with a table that is as wanted changes
// nothing, that a check ends it, and that what was adopted comes back if the
// kernel loses it before.
func TestAdoption(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held(vip, "wrr", web1, web2)...)
		f.configure(www(web1, web2, web3))
		f.start()
		f.wait(time.Second)
		f.checkJournal()
		f.kernel.Flush()
		f.wait(time.Second)
		f.checkJournal("NEW_SERVICE "+vip, "NEW_DEST "+vip+" "+web1, "NEW_DEST "+vip+" "+web2)
		f.bad(web2, "timeout")
		f.wait(time.Second)
		f.checkJournal("DEL_DEST " + vip + " " + web2)
		status := []lvs.RealServerStatus{
			{Address: netip.MustParseAddrPort(web1), State: lvs.Member, Weight: 1, Configured: 1, Reason: "found in the kernel, no check result yet"},
			{Address: netip.MustParseAddrPort(web2), Configured: 1, Health: lvs.Unhealthy, Reason: "timeout"},
			{Address: netip.MustParseAddrPort(web3), Configured: 1, Reason: "no check result yet"},
		}
		if diff := cmp.Diff(status, f.Snapshot().VirtualServers[0].RealServers, cmpopts.EquateComparable(netip.AddrPort{}), ignoreTimes); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// TestAdoptionWaitsForKernel checks that what the kernel holds is adopted also
// if it cannot be read at first.
func TestAdoptionWaitsForKernel(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held(vip, "wrr", web1)...)
		f.kernel.Fail(3, unix.ENOBUFS)
		f.configure(www(web1, web2))
		f.start()
		<-f.Ready()
		f.checkProblems("ipvs: read the services: no buffer space available")
		f.wait(time.Second)
		f.checkJournal()
		f.checkProblems()
		f.checkLog(
			`level=WARN msg="ipvs unavailable" error="ipvs: read the services: no buffer space available"`,
			`level=INFO msg="ipvs available"`,
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=member reason="found in the kernel, no check result yet"`,
		)
		if dials := f.kernel.Dials(); dials != 4 {
			t.Errorf("%d connections, want a new one after each of 3 failures", dials)
		}
	})
}

// TestRepair checks that ipvsadm -C and edits of others are undone within
// 500 ms, that it is logged, and that their own services stay.
func TestRepair(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := www(web1, web2)
		config.RealServers[0].Checked, config.RealServers[1].Checked = false, false
		f.configure(config)
		f.start()
		f.wait(time.Second)
		before := f.kernel.Table()
		f.log.take()

		f.kernel.Flush()
		f.wait(500 * time.Millisecond)
		if diff := cmp.Diff(before, f.kernel.Table(), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("500 ms after ipvsadm -C (-want +got):\n%s", diff)
		}
		f.checkLog(`level=WARN msg="ipvs table repaired" operations=3`)

		edits := held(vip, "lc", web3)
		edits[0].Kind = lvs.UpdateService
		f.kernel.Edit(append(edits, held("192.168.56.99:80", "rr", web3)...)...)
		f.wait(500 * time.Millisecond)
		f.check(
			"-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1", "-a -t "+vip+" -r "+web2+" -m -w 1",
			"-A -t 192.168.56.99:80 -s rr", "-a -t 192.168.56.99:80 -r "+web3+" -m -w 1",
		)
		if edits := f.edits.Load(); edits != 8 {
			t.Errorf("%d operations, want 3 at first and 5 repairs", edits)
		}
		f.checkLog("")
		f.wait(10 * time.Second)
		f.checkLog(`level=WARN msg="ipvs table repaired" operations=2`)
	})
}

// TestQuarrel checks that a program that undoes what we do as often as we look
// costs a line of log every ten seconds, which counts all repairs.
func TestQuarrel(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1))
		f.good(web1)
		f.start()
		f.wait(time.Second)
		f.log.take()
		const times = 300
		for range times {
			f.kernel.Edit(lvs.Op{Kind: lvs.DeleteDestination, Service: www().Services[0], Destination: lvs.Destination{Address: netipAddress(web1)}})
			f.wait(200 * time.Millisecond)
		}
		f.wait(10 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1")
		lines := strings.Split(strings.TrimSpace(f.log.take()), "\n")
		sum := 0
		for _, line := range lines {
			var n int
			if _, err := fmt.Sscanf(line, `level=WARN msg="ipvs table repaired" operations=%d`, &n); err != nil {
				t.Errorf("logged %q", line)
			}
			sum += n
		}
		if len(lines) > 8 || sum != times {
			t.Errorf("%d repairs in %d lines, want %d in 7 or so", sum, len(lines), times)
		}
	})
}

// TestFailingOperation checks that an operation that fails is retried, less
// and less often, shown, logged at its beginning and end, and stops no other.
func TestFailingOperation(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Break("NEW_DEST "+vip+" "+web1, unix.ENOMEM)
		f.configure(www(web1, web2))
		f.start()
		f.good(web1)
		f.good(web2)
		f.wait(time.Minute)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web2+" -m -w 1")
		problem := "ipvs: add destination " + web1 + " of tcp " + vip + " weight 1: cannot allocate memory"
		f.checkProblems(problem)
		failed := "NEW_DEST " + vip + " " + web1 + ": cannot allocate memory"
		attempts := len(slices.DeleteFunc(f.kernel.Journal(), func(line string) bool { return line != failed }))
		if attempts < 15 || attempts > 20 {
			t.Errorf("%d attempts in a minute, want about 17: 0.1 s, doubled up to 5 s", attempts)
		}
		f.kernel.Flush()
		f.wait(500 * time.Millisecond)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web2+" -m -w 1")
		f.kernel.Mend()
		f.wait(6 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web2+" -m -w 1", "-a -t "+vip+" -r "+web1+" -m -w 1")
		f.checkProblems()
		f.checkLog(
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=member reason=""`,
			`level=INFO msg="real server" virtual_server=www address=`+web2+` state=member reason=""`,
			`level=WARN msg="ipvs operations failing" operations=1 error="`+problem+`"`,
			`level=WARN msg="ipvs table repaired" operations=2`,
			`level=INFO msg="ipvs operations no longer failing" operations=1`,
		)
	})
}

// TestFailingService checks that a service that cannot be added is one
// problem, not one for each destination, that others are programmed, and that
// a configuration that corrects it is tried at once.
func TestFailingService(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		wrong, right := www(web1, web2), www(web1, web2)
		wrong.Services[0].Scheduler = "nosuch"
		other := www(web3)
		other.Name, other.Services[0].ServiceKey = "other", key("192.168.56.11:80")
		other.RealServers[0].Checked = false
		f.configure(wrong, other)
		f.good(web1)
		f.good(web2)
		f.start()
		f.wait(10 * time.Second)
		f.check("-A -t 192.168.56.11:80 -s wrr", "-a -t 192.168.56.11:80 -r "+web3+" -m -w 1")
		if problems := f.Snapshot().Problems; len(problems) != 1 || !strings.Contains(problems[0], `scheduler "nosuch"`) {
			t.Errorf("problems %q, want one that names the scheduler", problems)
		}
		before := f.passes.Load()
		f.configure(right, other)
		f.wait(20 * time.Millisecond)
		f.checkProblems()
		if len(f.kernel.Table()[key(vip)].Destinations) != 2 {
			t.Errorf("kernel after the correction:\n%v", f.kernel)
		}
		if passes := f.passes.Load() - before; passes > 2 {
			t.Errorf("%d passes in 20 ms", passes)
		}
	})
}

// TestBlockedDoesNotSpin checks that a destination that failed, and whose
// service cannot be added since, does not make the loop busy.
func TestBlockedDoesNotSpin(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Break("NEW_DEST "+vip+" "+web1, unix.ENOMEM)
		f.configure(www(web1))
		f.good(web1)
		f.start()
		f.wait(time.Second)
		f.kernel.Break("NEW_SERVICE "+vip, unix.ENOMEM)
		f.kernel.Flush()
		before := f.passes.Load()
		f.wait(10 * time.Second)
		if passes := f.passes.Load() - before; passes > 70 {
			t.Errorf("%d passes in 10 s, want 5 to 7 a second", passes)
		}
		if problems := f.Snapshot().Problems; len(problems) != 2 {
			t.Errorf("problems %q, want both", problems)
		}
	})
}

// TestNoIPVS checks that a kernel without IPVS is a problem that is retried,
// not the end.
func TestNoIPVS(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.SetAbsent(true)
		f.configure(www(web1))
		f.start()
		<-f.Ready()
		f.checkProblems("kernel has no IPVS: modprobe ip_vs")
		f.good(web1)
		f.wait(time.Minute)
		if dials := f.kernel.Dials(); dials < 15 || dials > 20 {
			t.Errorf("%d attempts in a minute, want about 17", dials)
		}
		f.kernel.SetAbsent(false)
		f.wait(5 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1")
		f.checkProblems()
		f.checkLog(
			`level=WARN msg="ipvs unavailable" error="kernel has no IPVS: modprobe ip_vs"`,
			`level=INFO msg="ipvs available"`,
			`level=INFO msg="real server" virtual_server=www address=`+web1+` state=member reason=""`,
		)
	})
}

// TestNothingConfigured checks that a director without virtual servers does
// not ask for IPVS, and begins when it is given some.
func TestNothingConfigured(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.SetAbsent(true)
		f.start()
		<-f.Ready()
		f.wait(24 * time.Hour)
		f.checkProblems()
		if dials := f.kernel.Dials(); dials != 0 {
			t.Errorf("%d connections, want none", dials)
		}
		f.kernel.SetAbsent(false)
		f.configure(www(web1))
		f.wait(20 * time.Millisecond)
		f.check("-A -t " + vip + " -s wrr")
		f.configure()
		f.wait(20 * time.Millisecond)
		f.check()
		if owned := f.Snapshot().Owned; len(owned) != 0 {
			t.Errorf("owned: %v", owned)
		}
	})
}

// TestCoalescing checks that a thousand results at once make one pass, and
// that the latest about each real server counts.
func TestCoalescing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		var addresses []string
		for n := range 1000 {
			addresses = append(addresses, numbered(n).String())
		}
		f.configure(www(addresses...))
		f.start()
		f.wait(50 * time.Millisecond)
		before := f.batches.Load()
		for n, address := range addresses {
			f.good(address)
			if n%2 == 1 {
				f.bad(address, "timeout")
			}
		}
		f.wait(50 * time.Millisecond)
		if batches := f.batches.Load() - before; batches != 2 {
			t.Errorf("%d edits of the kernel, want 2: a batch of 256, and the rest", batches)
		}
		if members := len(f.kernel.Table()[key(vip)].Destinations); members != 500 {
			t.Errorf("%d members, want 500", members)
		}
	})
}

// TestQuietFacts checks that facts that change nothing cause no passes, and
// still reach the snapshot.
func TestQuietFacts(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1))
		f.start()
		f.wait(time.Second)
		before := f.passes.Load()
		for range 1000 {
			f.bad(web1, "connection refused")
			f.bad(web3, "of a real server that is not configured")
			f.wait(time.Millisecond)
		}
		if passes := f.passes.Load() - before; passes > 6 {
			t.Errorf("%d passes in a second, want 5", passes)
		}
		f.wait(200 * time.Millisecond)
		if rs := f.Snapshot().VirtualServers[0].RealServers; len(rs) != 1 || rs[0].Reason != "connection refused" {
			t.Errorf("status %+v", rs)
		}
	})
}

// TestReload checks that a reload changes in place what it can, keeps what is
// known, and deletes what leaves.
func TestReload(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		other := www(web3)
		other.Name, other.Services[0].ServiceKey = "other", key("192.168.56.11:80")
		f.configure(www(web1, web2), other)
		f.good(web1)
		f.good(web2)
		f.start()
		f.wait(time.Second)
		f.kernel.Journal()
		f.log.take()

		changed := www(web3, web1)
		changed.Services[0].Scheduler = "mh"
		changed.RealServers[1].Weight = 3
		f.configure(changed)
		f.wait(20 * time.Millisecond)
		f.check("-A -t "+vip+" -s mh", "-a -t "+vip+" -r "+web1+" -m -w 3")
		f.checkJournal("SET_SERVICE "+vip, "SET_DEST "+vip+" "+web1, "DEL_DEST "+vip+" "+web2, "DEL_SERVICE 192.168.56.11:80")
		f.checkLog(`level=INFO msg="real server" virtual_server=www address=` + web2 + ` state=out reason="not configured any more"`)
		if diff := cmp.Diff([]lvs.ServiceKey{key(vip)}, f.Snapshot().Owned, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("owned (-want +got):\n%s", diff)
		}
	})
}

// TestSweep checks that services of a predecessor that are not configured are
// deleted, however often that fails, and that those of others are not.
func TestSweep(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held("192.168.56.20:80", "rr", web1)...)
		f.kernel.Edit(held("192.168.56.30:80", "rr", web2)...)
		f.kernel.Break("DEL_SERVICE 192.168.56.20:80", unix.EBUSY)
		f.Configure([]lvs.VirtualServerConfig{www(web1)}, []lvs.ServiceKey{key("192.168.56.20:80")})
		f.Configure([]lvs.VirtualServerConfig{www(web1)}, nil)
		f.start()
		f.wait(time.Second)
		owned := []lvs.ServiceKey{key(vip), key("192.168.56.20:80")}
		if diff := cmp.Diff(owned, f.Snapshot().Owned, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("owned (-want +got):\n%s", diff)
		}
		f.checkProblems("ipvs: delete service tcp 192.168.56.20:80: device or resource busy")
		f.kernel.Mend()
		f.wait(2 * time.Second)
		f.check("-A -t "+vip+" -s wrr", "-A -t 192.168.56.30:80 -s rr", "-a -t 192.168.56.30:80 -r "+web2+" -m -w 1")
		if diff := cmp.Diff(owned[:1], f.Snapshot().Owned, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("owned (-want +got):\n%s", diff)
		}
	})
}

// TestOwnedBeforeProgrammed checks that a service is shown as owned before the
// kernel has it, so that a successor knows of it whenever this process dies.
func TestOwnedBeforeProgrammed(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Fail(-1, unix.ENOBUFS)
		f.configure(www(web1))
		f.start()
		<-f.Ready()
		if diff := cmp.Diff([]lvs.ServiceKey{key(vip)}, f.Snapshot().Owned, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("owned (-want +got):\n%s", diff)
		}
	})
}

// TestStopLeavesTable checks that the end of Run changes nothing in the
// kernel, and that a successor finds it.
func TestStopLeavesTable(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1))
		f.good(web1)
		f.start()
		f.wait(time.Second)
		f.stop()
		before := f.kernel.String()
		f.kernel.Journal()
		successor := newFixture(t, f.kernel)
		successor.configure(www(web1))
		successor.start()
		successor.wait(time.Second)
		successor.checkJournal()
		if after := f.kernel.String(); after != before {
			t.Errorf("kernel before:\n%safter:\n%s", before, after)
		}
		successor.stop()
	})
}

// TestReloadAdoptsNothing checks that a real server that a check has put out
// is no member when it comes back into the configuration, although it could
// not be deleted from the kernel in between.
func TestReloadAdoptsNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1))
		f.good(web1)
		f.start()
		f.wait(time.Second)
		f.kernel.Break("DEL_DEST "+vip+" "+web1, unix.EBUSY)
		f.bad(web1, "connection refused")
		f.wait(time.Second)
		f.configure(www())
		f.wait(time.Second)
		f.configure(www(web1))
		f.wait(time.Second)
		f.kernel.Mend()
		f.wait(6 * time.Second)
		f.check("-A -t " + vip + " -s wrr")
	})
}

// TestLatestFact checks that of facts about one real server under two keys,
// which wait for the director together, the latest one counts.
func TestLatestFact(t *testing.T) {
	for range 20 {
		run(t, func(t *testing.T, f *fixture) {
			config := www(web1)
			second := config.Services[0]
			second.ServiceKey = key("192.168.56.10:443")
			config.Services = append(config.Services, second)
			f.configure(config)
			f.good(web1)
			f.Report(lvs.RealServerKey{Service: second.ServiceKey, Address: netipAddress(web1)}, lvs.Fact{Reason: "timeout"})
			f.start()
			f.wait(time.Second)
			if rs := f.Snapshot().VirtualServers[0].RealServers[0]; rs.State != lvs.Out || rs.Reason != "timeout" {
				t.Errorf("%+v, want it out by the latest fact", rs)
			}
		})
	}
}
