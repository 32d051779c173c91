package link

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// owning is a wanted state of one address that is the interface's own.
func owning(present, absent string) vrrp.Wanted {
	w := wanted(present, absent)
	w.Owned = prefixes(present + " " + absent)
	return w
}

// TestAddresserOwned removes an address of the interface's own only if one of
// us has put it there.
func TestAddresserOwned(t *testing.T) {
	const vip = "10.0.0.10/24"
	p := netip.MustParsePrefix(vip)
	tests := []struct {
		name  string
		there bool // before we come
		do    func(t *testing.T, x *addresserTest)
		want  string
	}{
		{"others had it there", true, func(t *testing.T, x *addresserTest) {
			x.want(owning(vip, ""))
			synctest.Wait()
			x.want(owning("", vip))
		}, "10.0.0.1/24 [10.0.0.10/24]"},
		{"we put it there", false, func(t *testing.T, x *addresserTest) {
			x.want(owning(vip, ""))
			x.expect(t, "10.0.0.1/24 [10.0.0.10/24]", true)
			x.want(owning("", vip))
		}, "10.0.0.1/24"},
		{"we put it there, and the configuration forgets it", false, func(t *testing.T, x *addresserTest) {
			x.want(owning(vip, ""))
			synctest.Wait()
			x.want(vrrp.Wanted{})
		}, "10.0.0.1/24"},
		{"others had it there, and the configuration forgets it", true, func(t *testing.T, x *addresserTest) {
			x.want(owning(vip, ""))
			synctest.Wait()
			x.want(vrrp.Wanted{})
		}, "10.0.0.1/24 [10.0.0.10/24]"},
		{"others put it back", false, func(t *testing.T, x *addresserTest) {
			x.want(owning(vip, ""))
			time.Sleep(time.Minute)
			x.kernel.Fail("add", p, 2, unix.EBUSY) // so that they are faster
			must(t, x.kernel.Delete("eth0", p))
			synctest.Wait()
			x.kernel.Mend()
			must(t, x.kernel.Add("eth0", p))
			time.Sleep(time.Second)
			x.want(owning("", vip))
		}, "10.0.0.1/24 [10.0.0.10/24]"},
		{"others add it while it is absent", false, func(t *testing.T, x *addresserTest) {
			x.want(owning("", vip))
			synctest.Wait()
			must(t, x.kernel.Add("eth0", p))
			time.Sleep(time.Second)
			x.want(owning(vip, ""))
			synctest.Wait()
			x.want(owning("", vip))
		}, "10.0.0.1/24 [10.0.0.10/24]"},
		{"it was a plain virtual address before a reload", false, func(t *testing.T, x *addresserTest) {
			x.aim(vip, "")
			synctest.Wait()
			x.want(owning(vip, ""))
			synctest.Wait()
			x.want(owning("", vip))
		}, "10.0.0.1/24"},
		{"a predecessor left it, which is said first and not waited for", true, func(t *testing.T, x *addresserTest) {
			x.kernel.Fail("delete", p, -1, unix.EBUSY)
			x.aim("", vip)
			synctest.Wait()
			x.want(owning(vip, ""))
			synctest.Wait()
			x.kernel.Mend()
			x.want(owning("", vip))
		}, "10.0.0.1/24"},
		{"a predecessor left it, it was removed, and others added it", true, func(t *testing.T, x *addresserTest) {
			x.aim("", vip)
			x.expect(t, "10.0.0.1/24", true)
			x.want(owning("", vip))
			synctest.Wait()
			must(t, x.kernel.Add("eth0", p))
			time.Sleep(time.Second)
			x.want(owning(vip, ""))
			synctest.Wait()
			x.want(owning("", vip))
		}, "10.0.0.1/24 [10.0.0.10/24]"},
		{"it is a plain virtual address after a reload", true, func(t *testing.T, x *addresserTest) {
			x.want(owning(vip, ""))
			synctest.Wait()
			x.aim("", vip)
		}, "10.0.0.1/24"},
		{"the kernel says that it failed and has done it", false, func(t *testing.T, x *addresserTest) {
			x.a.kernel = lateKernel{x.kernel}
			x.want(owning(vip, ""))
			time.Sleep(time.Second)
			x.want(owning("", vip))
		}, "10.0.0.1/24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := startAddresser(t, "", "")
				must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24")))
				if tt.there {
					must(t, x.kernel.Add("eth0", p))
				}
				x.run(t)
				synctest.Wait()
				tt.do(t, x)
				time.Sleep(time.Minute)
				x.expect(t, tt.want, true)
			})
		})
	}
}

// lateKernel adds addresses and says that it could not.
type lateKernel struct{ addressEditor }

// AddAt adds an address and fails.
func (k lateKernel) AddAt(index int, p netip.Prefix) error {
	if err := k.addressEditor.AddAt(index, p); err != nil {
		return err
	}
	return unix.EAGAIN
}

// TestAddresserOwnedSecondary puts an address of the interface's own back that
// the kernel deleted along with a virtual one, and still does not take it for
// one of ours.
func TestAddresserOwnedSecondary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := netip.MustParsePrefix("10.0.0.20/24")
		x := startAddresser(t, "10.0.0.10/24", "")
		x.run(t)
		x.expect(t, "10.0.0.10/24", true)
		must(t, x.kernel.Add("eth0", own)) // secondary to the virtual one
		w := wanted("10.0.0.10/24 10.0.0.20/24", "")
		w.Owned = []netip.Prefix{own}
		x.want(w)
		time.Sleep(time.Second)
		w = wanted("10.0.0.20/24", "10.0.0.10/24")
		w.Owned = []netip.Prefix{own}
		x.want(w)
		x.expect(t, "10.0.0.20/24", true)
		w = wanted("", "10.0.0.10/24 10.0.0.20/24")
		w.Owned = []netip.Prefix{own}
		x.want(w)
		time.Sleep(time.Second)
		x.expect(t, "10.0.0.20/24", true)
	})
}

// TestAddresserOwnedRename takes off a renamed interface what we have put
// there, and leaves what is its own.
func TestAddresserOwnedRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "", "")
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24")))
		x.want(owning("10.0.0.1/24 10.0.0.10/24", ""))
		x.run(t)
		x.expect(t, "10.0.0.1/24 [10.0.0.10/24]", true)
		must(t, x.kernel.Rename("eth0", "lan0"))
		time.Sleep(time.Second)
		x.state(t, "lan0: 10.0.0.1/24", true)
	})
}

// TestAddresserIPv6 puts the addresses back that Linux deletes when an
// interface is set down, changes the length of one, which IPv6 does not allow
// beside the other, and never takes those of others for lost along with a
// virtual one.
func TestAddresserIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startAddresser(t, "fe80::100/64 fd00::10/64", "")
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("fe80::1/64")))
		x.run(t)
		x.expect(t, "fd00::10/64 fe80::100/64 fe80::1/64", true)
		time.Sleep(time.Minute)
		x.kernel.SetDown("eth0")
		x.expect(t, "fd00::10/64 fe80::100/64", true)
		must(t, x.kernel.Add("eth0", netip.MustParsePrefix("fe80::1/64")))
		time.Sleep(time.Second)
		x.aim("fe80::100/64 fd00::10/128", "")
		x.expect(t, "fd00::10/128 fe80::1/64 fe80::100/64", true)
		x.kernel.Watch(func(string) { // the kernel's own goes at the same moment
			_ = x.kernel.Delete("eth0", netip.MustParsePrefix("fe80::1/64"))
		})
		x.aim("", "fe80::100/64 fd00::10/128")
		time.Sleep(time.Minute)
		x.expect(t, "", true)
	})
}

// TestRealOwned keeps an address that an administrator has put on the
// interface, uses it as the source, and removes one that was missing.
func TestRealOwned(t *testing.T) {
	l := newLab(t, "owned")
	n := New(testLog(t))
	e := start(t, n)
	w := vrrp.Wanted{Absent: []netip.Prefix{hereAddress, vip}, Owned: []netip.Prefix{hereAddress, vip}}
	n.Want(map[string]vrrp.Wanted{l.name: w})
	e.awaitSources(vrrp.IPv4, hereAddress)
	w.Present, w.Absent = w.Absent, nil
	n.Want(map[string]vrrp.Wanted{l.name: w})
	must(t, n.Settle(t.Context()))
	l.eventually(0, hereAddress, vip)
	w.Present, w.Absent = nil, w.Present
	n.Want(map[string]vrrp.Wanted{l.name: w})
	must(t, n.Settle(t.Context()))
	l.eventually(0, hereAddress)
}
