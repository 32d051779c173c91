package link

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// state waits until nothing moves and compares all interfaces, and whether the
// goal is reached.
func (x *addresserTest) state(t *testing.T, want string, reached bool) {
	t.Helper()
	synctest.Wait()
	if got := strings.ReplaceAll(strings.TrimSpace(x.kernel.String()), "\n", "; "); got != want {
		t.Errorf("after %s: %s, want %s", time.Since(x.started), got, want)
	}
	if got := x.a.reached(x.goal.Load()); got != reached {
		t.Errorf("after %s: reached is %t, want %t", time.Since(x.started), got, reached)
	}
}

// TestAddresserRename takes the virtual addresses off an interface that was
// renamed while it had them: it would go on answering for them.
func TestAddresserRename(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, x *addresserTest)
	}{
		{"while active", func(t *testing.T, x *addresserTest) {
			must(t, x.kernel.Rename("eth0", "lan0"))
			time.Sleep(repairPause)
			synctest.Wait()
			x.state(t, "lan0: 10.0.0.1/24", true) // the goal was reached before
			if x.a.installed(netip.MustParsePrefix("10.0.0.10/24")) {
				t.Error("an address is installed on an interface that is missing")
			}
			x.aim("", "10.0.0.10/24")
			x.state(t, "lan0: 10.0.0.1/24", true)
		}},
		{"the stop fails until they are gone", func(t *testing.T, x *addresserTest) {
			x.kernel.Fail("delete", netip.Prefix{}, -1, unix.EPERM)
			must(t, x.kernel.Rename("eth0", "lan0"))
			x.aim("", "10.0.0.10/24")
			x.state(t, "lan0: 10.0.0.1/24 [10.0.0.10/24]", false)
			if got, want := x.a.problem.get(), "eth0: interface 1, which had this name: delete 10.0.0.10/24: operation not permitted"; got != want {
				t.Errorf("problem is %q, want %q", got, want)
			}
			x.kernel.Mend()
			time.Sleep(lastRetry)
			x.state(t, "lan0: 10.0.0.1/24", true)
			if got := x.a.problem.get(); got != "" {
				t.Errorf("problem is still %q", got)
			}
		}},
		{"another interface has the name at once", func(t *testing.T, x *addresserTest) {
			must(t, x.kernel.Rename("eth0", "lan0"))
			x.kernel.Plug("eth0")
			time.Sleep(repairPause)
			x.state(t, "eth0: 10.0.0.10/24; lan0: 10.0.0.1/24", true)
		}},
		{"what cannot be removed there does not keep the new one from its addresses", func(t *testing.T, x *addresserTest) {
			x.kernel.Fail("delete", netip.Prefix{}, -1, unix.EPERM)
			must(t, x.kernel.Rename("eth0", "lan0"))
			x.kernel.Plug("eth0")
			x.aim("10.0.0.10/24", "10.0.0.20/24")
			x.state(t, "eth0: 10.0.0.10/24; lan0: 10.0.0.1/24 [10.0.0.10/24]", false)
			x.kernel.Mend()
			time.Sleep(lastRetry)
			x.state(t, "eth0: 10.0.0.10/24; lan0: 10.0.0.1/24", true)
		}},
		{"renamed back", func(t *testing.T, x *addresserTest) {
			x.kernel.Fail("delete", netip.Prefix{}, -1, unix.EPERM)
			must(t, x.kernel.Rename("eth0", "lan0"))
			time.Sleep(time.Minute)
			must(t, x.kernel.Rename("lan0", "eth0"))
			x.kernel.Mend()
			time.Sleep(lastRetry)
			x.state(t, "eth0: 10.0.0.1/24 [10.0.0.10/24]", true)
			if edits := x.kernel.Edits(); edits != 2 {
				t.Errorf("%d edits, want the first 2: the address was where it belongs", edits)
			}
		}},
		{"once only", func(t *testing.T, x *addresserTest) {
			must(t, x.kernel.Rename("eth0", "lan0"))
			x.aim("", "10.0.0.10/24")
			x.state(t, "lan0: 10.0.0.1/24", true)
			must(t, x.kernel.Add("lan0", netip.MustParsePrefix("10.0.0.10/24"))) // an administrator
			time.Sleep(time.Minute)
			x.state(t, "lan0: 10.0.0.1/24 [10.0.0.10/24]", true)
		}},
		{"and deleted", func(t *testing.T, x *addresserTest) {
			must(t, x.kernel.Rename("eth0", "lan0"))
			x.kernel.Unplug("lan0")
			x.aim("", "10.0.0.10/24")
			x.state(t, "", true)
		}},
		{"addresses of others stay", func(t *testing.T, x *addresserTest) {
			must(t, x.kernel.Delete("eth0", netip.MustParsePrefix("10.0.0.1/24")))
			time.Sleep(time.Minute)
			must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24")))
			x.state(t, "eth0: 10.0.0.10/24 [10.0.0.1/24]", true)
			must(t, x.kernel.Rename("eth0", "lan0"))
			time.Sleep(repairPause)
			x.state(t, "lan0: 10.0.0.1/24", true)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := startAddresser(t, "10.0.0.10/24", "")
				must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24")))
				x.run(t)
				x.expect(t, "10.0.0.1/24 [10.0.0.10/24]", true)
				time.Sleep(time.Minute)
				tt.do(t, x)
			})
		})
	}
}

// TestRealRenameWhileActive does the same to Linux: the renamed interface has
// no virtual address by the time the stop is complete.
func TestRealRenameWhileActive(t *testing.T) {
	l := newLab(t, "away")
	n := New(testLog(t))
	start(t, n)
	n.Want(wantOne(l.name, []netip.Prefix{vip}, nil))
	l.eventually(bound, hereAddress, vip)
	link := l.link(l.here, l.name)
	l.setDown(l.here, l.name)
	l.check(l.here.LinkSetName(link, "lan0"))
	t.Cleanup(func() { _ = l.here.LinkDel(link) })
	l.name = "lan0"
	l.setUp(l.here, l.name)
	if !slices.Contains(l.addresses(), hereAddress) {
		t.Fatal("the addresses did not follow the interface, the test proves nothing")
	}
	n.Want(wantOne("away", nil, []netip.Prefix{vip}))
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	if err := n.Settle(ctx); err != nil {
		t.Error(err)
	}
	l.eventually(0, hereAddress)
}
