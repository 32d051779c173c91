package link

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// setFlags changes the flags of an address and notifies, as the kernel does
// when detection of duplicates ends.
func (s *fakeSystem) setFlags(p netip.Prefix, flags int) {
	s.mu.Lock()
	s.flags[p] = flags
	s.mu.Unlock()
	s.hints <- []hint{{index: 7}}
}

// configure sets net.ipv6.conf.eth0.NAME, of which the kernel tells nobody.
func (s *fakeSystem) configure(name string, value int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings["eth0."+name] = value
}

// refuseFamily makes sockets of a family fail from now on, or succeed if err
// is nil.
func (s *fakeSystem) refuseFamily(f vrrp.Family, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = map[vrrp.Family]error{f: err}
}

// states waits until nothing moves and returns the states that were reported
// since the last call, in words.
func (f *fakeNetwork) states() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, ev := range f.events {
		if s, ok := ev.(vrrp.LinkState); ok {
			line := s.Interface + " " + s.Family.String() + " " + s.Fault.String()
			for _, a := range s.Sources {
				line += " " + a.String()
			}
			out = append(out, line)
		}
	}
	f.events = nil
	return out
}

// expectStates compares the states that were reported since the last call.
func (f *fakeNetwork) expectStates(t *testing.T, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, f.states()); d != "" {
		t.Errorf("states (-want +got):\n%s", d)
	}
}

// families returns the families of the open sockets, sorted.
func (s *fakeSystem) families() []vrrp.Family {
	var out []vrrp.Family
	for _, f := range s.open() {
		out = append(out, f.family)
	}
	slices.Sort(out)
	return out
}

// TestFamilies reports and listens for the families that the wanted state has
// addresses of, be it only to remove them.
func TestFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("fe80::1/64")))
		f := startFake(t, s)
		f.Want(wantOne("eth0", prefixes("fe80::100/64"), nil))
		f.expectStates(t, "eth0 ipv6 none fe80::1")
		f.Want(wantOne("eth0", prefixes("fe80::100/64"), prefixes("10.0.0.10/24")))
		f.expectStates(t, "eth0 ipv4 none 10.0.0.1")
		if d := cmp.Diff([]vrrp.Family{vrrp.IPv4, vrrp.IPv6}, s.families()); d != "" {
			t.Errorf("sockets (-want +got):\n%s", d)
		}
		s.set("eth0", &device{index: 7})
		f.expectStates(t, "eth0 ipv4 link down", "eth0 ipv6 link down")
		s.set("eth0", &device{index: 7, up: true})
		f.expectStates(t, "eth0 ipv4 none 10.0.0.1", "eth0 ipv6 none fe80::1")
		s.set("eth0", nil)
		f.expectStates(t, "eth0 ipv4 interface missing", "eth0 ipv6 interface missing")
		s.set("eth0", &device{index: 7, up: true})
		f.expectStates(t, "eth0 ipv4 none 10.0.0.1", "eth0 ipv6 none fe80::1")

		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		f.expectStates(t)
		if d := cmp.Diff([]vrrp.Family{vrrp.IPv4}, s.families()); d != "" {
			t.Errorf("sockets (-want +got):\n%s", d)
		}
		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("fe80::2/64")))
		f.expectStates(t) // of a family that is not used
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24 fe80::100/64")))
		f.expectStates(t, "eth0 ipv6 none fe80::1 fe80::2")
	})
}

// TestFamiliesUsedAnew reports a family again that was not used for a moment,
// however short: who asks has forgotten.
func TestFamiliesUsedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		both, four := prefixes("10.0.0.10/24 fe80::100/64"), prefixes("10.0.0.10/24")
		f.Want(wantOne("eth0", nil, both))
		f.expectStates(t, "eth0 ipv4 none 10.0.0.1", "eth0 ipv6 none")
		f.Want(wantOne("eth0", nil, four))
		f.Want(wantOne("eth0", nil, both))
		f.expectStates(t, "eth0 ipv6 none")
	})
}

// TestFamilyFails shows the fault of one family, and the other works.
func TestFamilyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("fe80::1/64")))
		s.refuseFamily(vrrp.IPv6, errors.New("address family not supported"))
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24 fe80::100/64")))
		f.expectStates(t, "eth0 ipv4 none 10.0.0.1", "eth0 ipv6 socket error")
		if d := cmp.Diff([]string{"eth0: address family not supported"}, f.Problems()); d != "" {
			t.Errorf("problems (-want +got):\n%s", d)
		}
		if !f.isReady() {
			t.Error("not ready although both families are known")
		}
		if err := f.Send("eth0", netip.MustParseAddr("fe80::1"), vrrp.IPv6.MulticastAddress(), nil); !errors.Is(err, errNoSocket) {
			t.Errorf("Send without a socket: %v", err)
		}
		if err := f.Send("eth0", netip.MustParseAddr("10.0.0.1"), vrrp.IPv4.MulticastAddress(), nil); err != nil {
			t.Error(err)
		}
		s.refuseFamily(vrrp.IPv6, nil)
		time.Sleep(lastRetry)
		f.expectStates(t, "eth0 ipv6 none fe80::1")
		close(f.open(t, vrrp.IPv6).in) // the socket breaks
		time.Sleep(firstRetry)
		f.expectStates(t)
		if d := cmp.Diff([]vrrp.Family{vrrp.IPv4, vrrp.IPv6}, s.families()); d != "" {
			t.Errorf("sockets after one broke (-want +got):\n%s", d)
		}
	})
}

// open returns the open socket of a family.
func (f *fakeNetwork) open(t *testing.T, family vrrp.Family) *fakeSocket {
	t.Helper()
	for _, s := range f.system.open() {
		if s.family == family {
			return s
		}
	}
	t.Fatalf("no socket of family %v is open", family)
	return nil
}

// TestWaitsForLinkLocal reports the address as soon as it can be used, and
// tells why if that takes long.
func TestWaitsForLinkLocal(t *testing.T) {
	local := netip.MustParsePrefix("fe80::1/64")
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		must(t, s.Kernel.Add("eth0", local))
		s.setFlags(local, unix.IFA_F_TENTATIVE)
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("fe80::100/64")))
		f.expectStates(t, "eth0 ipv6 none")
		time.Sleep(time.Second)
		s.setFlags(local, 0)
		f.expectStates(t, "eth0 ipv6 none fe80::1")
		time.Sleep(time.Hour)
		f.expectProblems(t)

		s.setFlags(local, unix.IFA_F_TENTATIVE)
		f.expectStates(t, "eth0 ipv6 none")
		time.Sleep(patience - time.Millisecond)
		f.expectProblems(t)
		time.Sleep(time.Millisecond)
		f.expectProblems(t, "eth0: the link-local address fe80::1 is not usable: it is still being looked for on other machines")
		s.setFlags(local, unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED)
		f.expectProblems(t, "eth0: the link-local address fe80::1 is not usable: another machine on the link has it too")
		must(t, s.Kernel.Delete("eth0", local))
		f.expectProblems(t, "eth0: no IPv6 address to send from")
		s.configure("addr_gen_mode", 1)
		time.Sleep(resyncInterval)
		f.expectProblems(t, "eth0: no IPv6 address to send from: net.ipv6.conf.eth0.addr_gen_mode is 1")
		s.configure("disable_ipv6", 1)
		time.Sleep(resyncInterval)
		f.expectProblems(t, "eth0: no IPv6 address to send from: net.ipv6.conf.eth0.disable_ipv6 is 1")
		f.expectStates(t)

		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("fd00::1/64"))) // enough for unicast
		f.expectStates(t, "eth0 ipv6 none fd00::1")
		f.expectProblems(t)
		must(t, s.Kernel.Delete("eth0", netip.MustParsePrefix("fd00::1/64")))
		time.Sleep(patience)
		f.states()
		f.expectProblems(t, "eth0: no IPv6 address to send from: net.ipv6.conf.eth0.disable_ipv6 is 1")
		s.set("eth0", &device{index: 7}) // a fault, which says enough
		f.expectProblems(t)
		s.set("eth0", nil)
		f.expectProblems(t)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		time.Sleep(time.Hour)
		f.expectProblems(t)
	})
}

// TestWaitsForLinkLocalBesideGlobal tells why a virtual router that uses
// multicast cannot send, although there is an address that unicast could use.
func TestWaitsForLinkLocalBesideGlobal(t *testing.T) {
	local := netip.MustParsePrefix("fe80::1/64")
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("fd00::1/64")))
		s.configure("addr_gen_mode", 1)
		f := startFake(t, s)
		multicast := wantOne("eth0", nil, prefixes("fe80::100/64"))
		unicast := maps.Clone(multicast)
		w := multicast["eth0"]
		w.LinkLocal = true
		multicast["eth0"] = w
		f.Want(multicast)
		f.expectStates(t, "eth0 ipv6 none fd00::1")
		time.Sleep(patience)
		f.expectProblems(t, "eth0: no link-local IPv6 address to send from: net.ipv6.conf.eth0.addr_gen_mode is 1")
		f.Want(unicast)
		f.expectProblems(t)
		f.Want(multicast)
		time.Sleep(patience)
		f.expectProblems(t, "eth0: no link-local IPv6 address to send from: net.ipv6.conf.eth0.addr_gen_mode is 1")
		must(t, s.Kernel.Add("eth0", local))
		s.setFlags(local, unix.IFA_F_TENTATIVE)
		f.expectProblems(t, "eth0: the link-local address fe80::1 is not usable: it is still being looked for on other machines")
		s.setFlags(local, 0)
		f.expectStates(t, "eth0 ipv6 none fe80::1 fd00::1")
		f.expectProblems(t)
	})
}

// expectProblems waits until nothing moves and compares the problems.
func (f *fakeNetwork) expectProblems(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if d := cmp.Diff(want, f.Problems()); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

// TestRouterFlag follows the setting of the interface that says whether it
// forwards.
func TestRouterFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		s.configure("forwarding", 1)
		f := startFake(t, s)
		router := func() bool {
			synctest.Wait()
			d, _ := (*f.ports.Load())["eth0"].observer.device()
			return d.router
		}
		f.Want(wantOne("eth0", nil, prefixes("fe80::100/64")))
		if !router() {
			t.Error("an interface that forwards is no router")
		}
		s.configure("forwarding", 0)
		time.Sleep(resyncInterval)
		if router() {
			t.Error("an interface that does not forward is a router")
		}
	})
}
