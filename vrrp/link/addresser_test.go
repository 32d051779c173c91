package link

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"bascule/vrrp"
	"bascule/vrrp/link/linktest"
)

// addresserTest is an addresser that runs on a kernel in memory.
type addresserTest struct {
	kernel   *linktest.Kernel
	goal     atomic.Pointer[goal]
	a        *addresser
	mu       sync.Mutex
	repaired []netip.Prefix
	started  time.Time
}

// startAddresser runs an addresser until the end of the test.
func startAddresser(t *testing.T, present, absent string) *addresserTest {
	x := &addresserTest{kernel: linktest.NewKernel("eth0"), started: time.Now()}
	x.goal.Store(nextGoal(nil, 1, wanted(present, absent), false, false))
	x.a = newAddresser(testLog(t), "eth0", x.kernel, &x.goal)
	x.a.onRepair = func(p []netip.Prefix) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.repaired = append(x.repaired, p...)
	}
	x.kernel.Watch(func(string) { x.a.touched.ring() })
	return x
}

// run starts it.
func (x *addresserTest) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { x.a.run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
	})
}

// aim changes the goal, as a port does.
func (x *addresserTest) aim(present, absent string) { x.want(wanted(present, absent)) }

// want changes the goal to a wanted state.
func (x *addresserTest) want(w vrrp.Wanted) {
	old := x.goal.Load()
	x.goal.Store(nextGoal(old, old.generation+1, w, false, x.a.reached(old)))
	x.a.changed.ring()
}

// expect waits until nothing moves and compares the addresses on eth0, and
// whether the goal is reached.
func (x *addresserTest) expect(t *testing.T, want string, reached bool) {
	t.Helper()
	synctest.Wait()
	if got := strings.TrimSpace(x.kernel.String()); got != strings.TrimSpace("eth0: "+want) {
		t.Errorf("after %s: %s, want %s", time.Since(x.started), got, want)
	}
	if got := x.a.reached(x.goal.Load()); got != reached {
		t.Errorf("after %s: reached is %t, want %t", time.Since(x.started), got, reached)
	}
}

// must is for edits by somebody else that cannot fail.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAddresserFollowsGoal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24 10.0.0.20/24", "10.0.0.30/24")
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24")))
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.30/24"))) // a predecessor's
		x.run(t)
		x.expect(t, "10.0.0.1/24 [10.0.0.10/24] [10.0.0.20/24]", true)
		if !x.a.installed(netip.MustParsePrefix("10.0.0.10/24")) || x.a.installed(netip.MustParsePrefix("10.0.0.1/24")) {
			t.Error("installed does not say which wanted addresses are there")
		}
		x.aim("10.0.0.30/24", "10.0.0.10/24 10.0.0.20/24")
		x.expect(t, "10.0.0.1/24 [10.0.0.30/24]", true)
		x.aim("", "")
		x.expect(t, "10.0.0.1/24", true)
		if x.a.installed(netip.MustParsePrefix("10.0.0.30/24")) {
			t.Error("an address that was removed counts as installed")
		}
		if len(x.repaired) > 0 {
			t.Errorf("what was wanted counts as repaired: %v", x.repaired)
		}
	})
}

// TestAddresserAdds before it deletes: a change of the prefix length never
// takes the address away.
func TestAddresserAddsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "")
		x.run(t)
		x.expect(t, "10.0.0.10/24", true)
		x.kernel.Watch(func(iface string) {
			list, _ := x.kernel.Addresses(iface)
			if !slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == netip.MustParseAddr("10.0.0.10") }) {
				t.Error("the address is gone for a moment")
			}
		})
		x.aim("10.0.0.10/32", "")
		x.expect(t, "10.0.0.10/32", true)
	})
}

func TestAddresserRepairs(t *testing.T) {
	vip := netip.MustParsePrefix("10.0.0.10/24")
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "10.0.0.20/24")
		x.run(t)
		x.expect(t, "10.0.0.10/24", true)
		time.Sleep(time.Minute)
		must(t, x.kernel.Delete("eth0", vip))
		x.expect(t, "10.0.0.10/24", true) // at once: no time has passed
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.20/24")))
		time.Sleep(repairPause)
		x.expect(t, "10.0.0.10/24", true)
		if d := cmp.Diff([]netip.Prefix{vip}, x.repaired, addrs); d != "" {
			t.Errorf("repaired (-want +got):\n%s", d)
		}
	})
}

// TestAddresserQuarrel lets another program delete the address whenever it
// comes back: the repairs must not become a busy loop, and the address must
// be back as soon as the other one gives up.
func TestAddresserQuarrel(t *testing.T) {
	vip := netip.MustParsePrefix("10.0.0.10/24")
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "")
		log := new(strings.Builder)
		x.a.log = slog.New(slog.NewTextHandler(log, nil))
		var angry atomic.Bool
		angry.Store(true)
		opponent := newBell()
		x.kernel.Watch(func(string) { opponent.ring() })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for angry.Load() {
				select {
				case <-opponent:
				case <-ctx.Done():
					return
				}
				time.Sleep(time.Millisecond)
				_ = x.kernel.Delete("eth0", vip)
			}
		}()
		x.run(t)
		time.Sleep(10 * time.Second)
		angry.Store(false)
		time.Sleep(repairPause + time.Millisecond)
		x.expect(t, "10.0.0.10/24", true)
		if edits := x.kernel.Edits(); edits < 100 || edits > 500 {
			t.Errorf("%d edits in 10 s, want about 2 every %s", edits, repairPause)
		}
		if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 3 {
			t.Errorf("%d lines of log in 10 s:\n%s", lines, log)
		}
	})
}

// TestAddresserRetries keeps failing edits and reads going with growing
// pauses, for ever, shows them, and does not let one address stop another.
func TestAddresserRetries(t *testing.T) {
	bad := netip.MustParsePrefix("10.0.0.10/24")
	tests := []struct {
		name, op string
		present  string
		absent   string
		meantime string // what is possible in spite of the failure
		end      string
		problem  string
	}{
		{"add", "add", "10.0.0.10/24 10.0.0.20/24", "10.0.0.30/24", "10.0.0.20/24", "10.0.0.20/24 [10.0.0.10/24]", "eth0: add 10.0.0.10/24: no buffer space available"},
		{"delete", "delete", "10.0.0.20/24", "10.0.0.10/24 10.0.0.30/24", "10.0.0.10/24 [10.0.0.20/24]", "10.0.0.20/24", "eth0: delete 10.0.0.10/24: no buffer space available"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := startAddresser(t, tt.present, tt.absent)
				if tt.op == "delete" {
					must(t, x.kernel.Add("eth0", bad))
				}
				must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.30/24")))
				x.kernel.Fail(tt.op, bad, -1, unix.ENOBUFS)
				x.run(t)
				time.Sleep(time.Hour)
				if tt.op == "add" { // the order of arrival depends on the predecessor's
					tt.meantime = "10.0.0.20/24"
				}
				x.expect(t, tt.meantime, false)
				if got := x.a.problem.get(); got != tt.problem {
					t.Errorf("problem is %q, want %q", got, tt.problem)
				}
				x.kernel.Mend()
				time.Sleep(lastRetry)
				x.expect(t, tt.end, true)
				if got := x.a.problem.get(); got != "" {
					t.Errorf("problem is still %q", got)
				}
			})
		})
	}
}

func TestAddresserCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "")
		x.run(t)
		x.expect(t, "10.0.0.10/24", true)
		x.kernel.Fail("list", netip.Prefix{}, -1, unix.EAGAIN)
		must(t, x.kernel.Delete("eth0", netip.MustParsePrefix("10.0.0.10/24")))
		time.Sleep(repairPause)
		synctest.Wait()
		if x.a.problem.get() == "" {
			t.Error("no problem is shown")
		}
		time.Sleep(time.Hour)
		x.kernel.Mend()
		time.Sleep(lastRetry)
		x.expect(t, "10.0.0.10/24", true)
	})
}

// TestAddresserNewGoalAtOnce checks that a new goal does not wait for the
// pause that an old failure has earned.
func TestAddresserNewGoalAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "10.0.0.20/24")
		x.kernel.Fail("add", netip.MustParsePrefix("10.0.0.10/24"), -1, unix.EPERM)
		x.run(t)
		time.Sleep(time.Hour)
		x.aim("10.0.0.20/24", "10.0.0.10/24")
		x.expect(t, "10.0.0.20/24", true)
	})
}

// TestAddresserEditsRace has somebody else do the same edits just before:
// neither EEXIST nor EADDRNOTAVAIL is a failure.
func TestAddresserEditsRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "")
		x.kernel.Fail("add", netip.Prefix{}, 1, unix.EEXIST)
		x.run(t)
		synctest.Wait()
		x.expect(t, "10.0.0.10/24", true)
		x.kernel.Fail("delete", netip.Prefix{}, 1, unix.EADDRNOTAVAIL)
		x.aim("", "10.0.0.10/24")
		x.expect(t, "", true)
		if got := x.a.problem.get(); got != "" {
			t.Errorf("problem: %s", got)
		}
	})
}

// TestAddresserInterface follows an interface that is missing, appears,
// vanishes and returns. A missing interface has no addresses to remove.
func TestAddresserInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "")
		x.kernel.Unplug("eth0")
		x.run(t)
		synctest.Wait()
		if x.a.reached(x.goal.Load()) || x.a.problem.get() != "" {
			t.Errorf("without an interface: reached is %t, problem %q", x.a.reached(x.goal.Load()), x.a.problem.get())
		}
		time.Sleep(time.Minute)
		x.kernel.Plug("eth0")
		x.expect(t, "10.0.0.10/24", true)
		x.kernel.Unplug("eth0")
		time.Sleep(repairPause)
		synctest.Wait()
		if x.a.installed(netip.MustParsePrefix("10.0.0.10/24")) {
			t.Error("an address is installed on an interface that is missing")
		}
		x.kernel.Plug("eth0")
		time.Sleep(lastRetry)
		x.expect(t, "10.0.0.10/24", true)
		if len(x.repaired) != 1 {
			t.Errorf("repaired %v, want the address once: other hosts may have forgotten it", x.repaired)
		}
		x.kernel.Unplug("eth0")
		x.aim("", "10.0.0.10/24")
		synctest.Wait()
		if !x.a.reached(x.goal.Load()) {
			t.Error("nothing can be left on a missing interface, but the goal is not reached")
		}
	})
}

// TestAddresserSecondaries removes a virtual address that is the primary one
// of its subnet: the kernel takes the others of the subnet with it, virtual
// ones and the host's own, and all of them must be back.
func TestAddresserSecondaries(t *testing.T) {
	for _, promote := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x := startAddresser(t, "10.0.0.10/24 10.0.0.20/24", "")
			x.kernel.PromoteSecondaries(promote)
			x.run(t)
			synctest.Wait()
			must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24"))) // by DHCP, late
			must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.1.1/24")))
			time.Sleep(time.Minute)
			x.expect(t, "10.0.0.10/24 10.0.1.1/24 [10.0.0.20/24] [10.0.0.1/24]", true)
			x.aim("10.0.0.20/24", "10.0.0.10/24")
			synctest.Wait()
			list, _ := x.kernel.Addresses("eth0")
			slices.SortFunc(list, netip.Prefix.Compare)
			if d := cmp.Diff(prefixes("10.0.0.1/24 10.0.0.20/24 10.0.1.1/24"), list, addrs); d != "" {
				t.Errorf("promote_secondaries %t (-want +got):\n%s", promote, d)
			}
			if want := !promote; (len(x.repaired) == 1) != want {
				t.Errorf("promote_secondaries %t: repaired %v", promote, x.repaired)
			}
		})
	}
}

// TestAddresserConverges throws goals, failures and interference at an
// addresser; when they end, the interface must be as wanted, and what is
// foreign untouched.
func TestAddresserConverges(t *testing.T) {
	pool := prefixes("10.0.0.10/24 10.0.0.20/24 10.0.0.20/32 10.0.1.1/24 192.0.2.1/32 fe80::100/64 fd00::10/64")
	own := netip.MustParsePrefix("10.0.0.1/24")
	own6 := prefixes("fe80::1/64 fd00::1/64")        // gone with the link, and back when it is
	foreign := netip.MustParsePrefix("10.0.0.30/24") // configured as owned, and really the interface's
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 1, 30).Draw(rt, "script")
		synctest.Test(t, func(t *testing.T) {
			x := startAddresser(t, "", "")
			x.a.log = slog.New(slog.DiscardHandler)
			must(t, x.kernel.Add("eth0", own))
			must(t, x.kernel.Add("eth0", foreign))
			x.want(vrrp.Wanted{Absent: []netip.Prefix{foreign}, Owned: []netip.Prefix{foreign}})
			x.run(t)
			for _, step := range script {
				p, bits := pool[step%len(pool)], step/9
				switch step % 9 {
				case 0, 1, 2:
					var present, absent []string
					for i, p := range pool {
						if bits>>i&1 == 1 {
							present = append(present, p.String())
						} else {
							absent = append(absent, p.String())
						}
					}
					w := wanted(strings.Join(present, " "), strings.Join(absent, " ")+" "+foreign.String())
					w.Owned = []netip.Prefix{foreign, pool[0]}
					if bits>>len(pool)&1 == 1 {
						w.Present = append(w.Present, foreign)
					}
					x.want(w)
				case 3:
					_ = x.kernel.Delete("eth0", p)
				case 4:
					if bits%4 == 0 { // with another prefix length, by another program
						p = netip.PrefixFrom(p.Addr(), p.Addr().BitLen()-1)
					}
					_ = x.kernel.Add("eth0", p)
				case 5:
					x.kernel.Fail([]string{"add", "delete", "list"}[bits%3], netip.Prefix{}, bits%5, unix.ENOBUFS)
				case 6:
					x.kernel.PromoteSecondaries(bits%2 == 0)
				case 7:
					time.Sleep(time.Duration(bits%200) * time.Millisecond)
				case 8:
					x.kernel.SetDown("eth0")
				}
			}
			x.kernel.Mend()
			for _, p := range own6 {
				must(t, x.kernel.Add("eth0", p))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			g := x.goal.Load()
			list, _ := x.kernel.Addresses("eth0")
			if add, remove := diff(list, g, true, x.a.ledger.added); len(add)+len(remove) > 0 || !x.a.reached(g) {
				rt.Fatalf("on eth0 %v: still to add %v, to remove %v, reached is %t", list, add, remove, x.a.reached(g))
			}
			if !slices.Contains(list, own) || !slices.Contains(list, foreign) {
				rt.Fatalf("the own addresses %s and %s are gone: %v", own, foreign, list)
			}
			for _, p := range g.wanted.Present {
				if !x.a.installed(p) {
					rt.Fatalf("%s is there and does not count as installed", p)
				}
			}
		})
	})
}

// restless is a kernel whose every edit comes too late: the goal changes
// meanwhile, a number of times.
type restless struct {
	*linktest.Kernel
	x     *addresserTest
	moves int
}

// AddAt changes the goal, then does what was asked for.
func (r *restless) AddAt(index int, p netip.Prefix) error {
	if r.moves > 0 {
		r.moves--
		if r.moves%2 == 0 {
			r.x.aim("10.0.0.10/24", "10.0.0.20/24")
		} else {
			r.x.aim("10.0.0.20/24", "10.0.0.10/24")
		}
	}
	return r.Kernel.AddAt(index, p)
}

// TestAddresserFollowsAGoalThatMoves: a goal that changes faster than it can
// be reached is nobody's interference.
func TestAddresserFollowsAGoalThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "10.0.0.10/24", "10.0.0.20/24")
		x.a.kernel = &restless{Kernel: x.kernel, x: x, moves: 4 * reconcilePasses}
		x.run(t)
		x.expect(t, "10.0.0.10/24", true)
		if got := time.Since(x.started); got > 0 {
			t.Errorf("reached after %v, with pauses in between", got)
		}
	})
}
