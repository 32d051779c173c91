package realserver

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// The virtual addresses and tunnels of the tests.
var (
	vip  = netip.MustParseAddr("192.0.2.10")
	vip2 = netip.MustParseAddr("192.0.2.20")
	vip6 = netip.MustParseAddr("2001:db8::10")
	ipip = Tunnel{Type: lvs.IPIP}
	gre  = Tunnel{Type: lvs.GRE}
	gue  = Tunnel{Type: lvs.GUE, Port: 5555}

	greChecksum = Tunnel{Type: lvs.GRE, Checksum: true}
)

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bench is a server on a kernel.
type bench struct {
	*Server
	t         testing.TB
	directory string
}

// newBench returns a server on a kernel, with a directory of its own.
func newBench(t testing.TB, k Kernel) *bench {
	directory := filepath.Join(t.TempDir(), "run")
	return &bench{New(k, directory), t, directory}
}

// up sets up addresses.
func (b *bench) up(addresses ...netip.Addr) {
	b.t.Helper()
	must(b.t, b.Up(addresses, nil))
}

// down gives addresses up, and checks the notes.
func (b *bench) down(notes []string, addresses ...netip.Addr) {
	b.t.Helper()
	got, err := b.Down(addresses)
	must(b.t, err)
	if !slices.Equal(got, notes) {
		b.t.Errorf("notes = %q, want %q", got, notes)
	}
}

// status checks what is missing and what is warned of.
func (b *bench) status(missing, warnings []string, expected ...netip.Addr) {
	b.t.Helper()
	got, err := b.Status(expected)
	must(b.t, err)
	if !slices.Equal(got.Missing, missing) || !slices.Equal(got.Warnings, warnings) {
		b.t.Errorf("missing %q, warnings %q\nwant %q and %q", got.Missing, got.Warnings, missing, warnings)
	}
}

// sysctl checks the values of arp_ignore and arp_announce of all interfaces.
func (b *bench) sysctl(ignore, announce int) {
	b.t.Helper()
	for name, want := range map[string]int{arpIgnore: ignore, arpAnnounce: announce} {
		if got, err := b.kernel.Sysctl(sysctlPath(confAll, name)); err != nil || got != want {
			b.t.Errorf("%s = %d, error %v, want %d", name, got, err, want)
		}
	}
}

// forgotten checks that there is nothing left to undo.
func (b *bench) forgotten() {
	b.t.Helper()
	if _, err := os.Stat(filepath.Join(b.directory, stateFile)); !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("state file: %v, want none", err)
	}
}

// testDirect is the life of a real server for direct routing, on whatever
// kernel: print shows all that may be changed.
func testDirect(t *testing.T, k Kernel, print func() string) {
	b := newBench(t, k)
	before := print()
	b.down(nil)
	b.status(nil, nil)
	b.status([]string{"192.0.2.10 is not on lo", "net.ipv4.conf.all.arp_ignore is 0, want 1", "net.ipv4.conf.all.arp_announce is 0, want 2"}, nil, vip)

	b.up(vip6)
	b.sysctl(0, 0)
	b.up(vip, vip6)
	b.sysctl(1, 2)
	b.status(nil, nil, vip, vip6)
	after := print()
	b.up(vip)
	if got := print(); got != after {
		t.Errorf("setting up again has changed\n%s\nto\n%s", after, got)
	}
	if info, err := os.Stat(filepath.Join(b.directory, stateFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file %v, error %v, want mode 0600", info, err)
	}
	b.up(vip2)
	b.down(nil, vip)
	b.sysctl(1, 2)
	b.status([]string{"192.0.2.10 is not on lo"}, nil, vip)
	b.down([]string{"192.0.2.10 is not set up"}, vip)
	b.down(nil, vip2)
	b.sysctl(0, 0)
	b.status(nil, nil)
	b.down(nil)
	if got := print(); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
	b.forgotten()

	// Somebody resets what was set, or takes away an address.
	b.up(vip, vip6)
	must(t, k.SetSysctl(sysctlPath(confAll, arpIgnore), 0))
	must(t, k.DeleteAddress(Place{loopback, vip6}))
	b.status([]string{"2001:db8::10 is not on lo", "net.ipv4.conf.all.arp_ignore is 0, want 1"}, nil)
	b.up(vip)
	b.status(nil, nil)
	must(t, k.SetSysctl(sysctlPath(confAll, arpIgnore), 2))
	b.status(nil, nil)
	must(t, k.SetSysctl(sysctlPath(confAll, arpAnnounce), 1))
	b.down([]string{"net.ipv4.conf.all.arp_announce is left alone: it was set to 2 and is 1 now; before, it was 0",
		"net.ipv4.conf.all.arp_ignore is left alone: it was set to 1 and is 2 now; before, it was 0"})
	b.sysctl(2, 1)
	b.forgotten()

	// An administrator's own address and settings stay.
	must(t, k.AddAddress(Place{loopback, vip}))
	b.up(vip)
	b.sysctl(2, 2)
	b.down(nil)
	b.sysctl(2, 1)
	must(t, k.DeleteAddress(Place{loopback, vip}))
}

// TestDirect is the life of a real server in memory.
func TestDirect(t *testing.T) {
	k := newFake()
	testDirect(t, k, k.String)
}

// TestHides goes through what the kernel does with values of arp_ignore
// (Documentation/networking/ip-sysctl.rst): those it does not know are as 0.
func TestHides(t *testing.T) {
	for value, want := range map[int]bool{0: false, 1: true, 2: true, 3: false, 4: false, 7: false, 8: true, 9: false} {
		if hides(value) != want {
			t.Errorf("hides(%d) = %t", value, !want)
		}
	}
}

// TestWarnings checks the warnings of what breaks direct routing.
func TestWarnings(t *testing.T) {
	k := newFake()
	k.addInterface(Interface{Name: "dummy0", Up: true})
	k.addInterface(Interface{Name: "eth1.5", Up: true, ARP: true})
	b := newBench(t, k)
	b.up(vip, vip6)
	k.addresses = append(k.addresses,
		Address{"eth0", netip.MustParsePrefix("192.0.2.10/24")},
		Address{"dummy0", netip.MustParsePrefix("192.0.2.10/32")},
		Address{"eth0", netip.MustParsePrefix("2001:db8::10/64")},
		Address{"lo", netip.MustParsePrefix("192.0.2.10/24")})
	k.sysctls[sysctlPath("eth1.5", arpIgnore)] = 4
	k.sysctls[sysctlPath("eth0", arpAnnounce)] = 3
	k.sysctls[sysctlPath("dummy0", arpIgnore)] = 4
	b.status(nil, []string{
		"eth0 has 192.0.2.10, too, and answers for it: right on an active director only",
		"eth0 has 2001:db8::10, too, and answers for it: right on an active director only",
		"lo has 192.0.2.10/24, which makes the whole subnet local",
		"net.ipv4.conf.eth0.arp_announce is 3, which tells the neighbours of virtual addresses: want 2",
		"net.ipv4.conf.eth1/5.arp_ignore is 4, which tells the neighbours of virtual addresses: want 1",
	})
	k.interfaces[0].Up = false
	got, err := b.Status(nil)
	must(t, err)
	if !slices.Equal(got.Missing, []string{"lo is down"}) {
		t.Errorf("missing = %q", got.Missing)
	}
}

// TestFailure sets up nothing in addition when something fails, and keeps what
// was set up earlier.
func TestFailure(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*fake)
		tunnels []Tunnel
		want    error
	}{
		{"no module", func(k *fake) { delete(k.modules, "ipip") }, []Tunnel{ipip}, ErrUnsupported},
		{"no module of the second", func(k *fake) { delete(k.modules, "ip_gre") }, []Tunnel{ipip, gre}, ErrUnsupported},
		{"no module of the second family", func(k *fake) { delete(k.modules, "ip6_tunnel") }, []Tunnel{ipip}, ErrUnsupported},
		{"no module of an own interface", func(k *fake) { delete(k.modules, "ip6_gre") }, []Tunnel{greChecksum}, ErrUnsupported},
		{"external interface of another", func(k *fake) { k.external["ip6tnl"] = "cilium_tunl" }, []Tunnel{gre, ipip}, unix.EEXIST},
		{"no ports", func(k *fake) { delete(k.modules, "fou") }, []Tunnel{gue}, ErrUnsupported},
		{"port in use", func(k *fake) { k.fail["AddPort"] = unix.EADDRINUSE }, []Tunnel{gue}, unix.EADDRINUSE},
		{"no address", func(k *fake) { k.fail["AddAddress"] = unix.EACCES }, []Tunnel{gue, gre}, unix.EACCES},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newFake()
			k.fallback = false
			b := newBench(t, k)
			for _, earlier := range [][]netip.Addr{nil, {vip}} {
				if earlier != nil {
					b.up(earlier...)
				}
				before := k.String()
				test.prepare(k)
				err := b.Up([]netip.Addr{vip2, vip6}, test.tunnels)
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if got := k.String(); got != before {
					t.Errorf("there is left\n%s\nof\n%s", got, before)
				}
				clear(k.fail)
				b.status(nil, nil, earlier...)
			}
			b.down(nil)
			b.forgotten()
		})
	}
}

// TestFailureToUndo keeps what could not be undone, to be tried again, and
// stays silent about an address that is still there.
func TestFailureToUndo(t *testing.T) {
	k := newFake()
	before := k.String()
	b := newBench(t, k)
	b.up(vip)
	k.fail["DeleteAddress"] = unix.EPERM
	if _, err := b.Down(nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("error %v, want %v", err, unix.EPERM)
	}
	b.sysctl(1, 2)
	clear(k.fail)
	b.down(nil)
	if got := k.String(); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
}

// TestStartedAgain finds what was recorded in another network namespace, as in
// a container that was started again: it restores none of the values from then,
// and starts afresh.
func TestStartedAgain(t *testing.T) {
	k := newFake()
	k.sysctls[sysctlPath(confAll, arpAnnounce)] = 1
	b := newBench(t, k)
	must(t, b.Up([]netip.Addr{vip}, []Tunnel{ipip}))
	k = newFake()
	k.network = 2
	k.sysctls[sysctlPath(confAll, arpAnnounce)] = 2 // by sysctl.conf
	before := k.String()
	for _, addresses := range [][]netip.Addr{nil, {vip2}} {
		again := &bench{New(k, b.directory), t, b.directory}
		again.status(nil, nil)
		if addresses != nil {
			again.up(addresses...)
		}
		again.down(nil)
		if got := k.String(); got != before {
			t.Errorf("the kernel has\n%s\nwant\n%s", got, before)
		}
		again.forgotten()
		must(t, b.Up([]netip.Addr{vip}, []Tunnel{ipip}))
	}
}

// TestNotRecorded keeps what is recorded when there is no room for more, and
// changes nothing.
func TestNotRecorded(t *testing.T) {
	k := newFake()
	before := k.String()
	b := newBench(t, k)
	b.up(vip)
	after := k.String()
	// What cannot be written is still there to be renamed.
	next := filepath.Join(b.directory, stateFile+".next")
	must(t, os.Symlink("/dev/full", next))
	if err := b.Up([]netip.Addr{vip2}, nil); err == nil || !strings.Contains(err.Error(), unix.ENOSPC.Error()) {
		t.Errorf("error %v, want %v", err, unix.ENOSPC)
	}
	if got := k.String(); got != after {
		t.Errorf("the kernel has\n%s\nwant\n%s", got, after)
	}
	must(t, os.Remove(next))
	b.down(nil)
	if got := k.String(); got != before {
		t.Errorf("there is left\n%s\nof\n%s", got, before)
	}
}

// TestSubnet refuses an address that lo has with a subnet.
func TestSubnet(t *testing.T) {
	k := newFake()
	k.addresses = append(k.addresses, Address{"lo", netip.MustParsePrefix("192.0.2.10/24")})
	b := newBench(t, k)
	err := b.Up([]netip.Addr{vip}, nil)
	if err == nil || !strings.Contains(err.Error(), "lo has it as 192.0.2.10/24") {
		t.Errorf("error %v", err)
	}
	b.forgotten()
}

// TestParse reads addresses and tunnels.
func TestParse(t *testing.T) {
	for _, text := range []string{"", "192.0.2.10/32", "example.org", "127.0.0.1", "::1", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:192.0.2.1", "2001:db8::1%eth0"} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("address %q is %v", text, a)
		}
	}
	for _, want := range []netip.Addr{vip, vip6} {
		if got, err := ParseAddress(want.String()); err != nil || got != want {
			t.Errorf("address %v is %v, error %v", want, got, err)
		}
	}
	for _, text := range []string{"", "ip", "ipip:1", "gre:", "gue:", "gue:0", "gue:65536", "GUE", "gre:5", "gre:checksum:1", "ipip:checksum", "ipip/", "ipip/6", "/ipv4"} {
		if got, err := ParseTunnel(text); err == nil {
			t.Errorf("tunnel %q is %v", text, got)
		}
	}
	for text, want := range map[string]Tunnel{
		"ipip": ipip, "gre": gre, "gue:5555": gue, "gue": {Type: lvs.GUE, Port: DefaultPort}, "gre:checksum": greChecksum,
		"ipip/ipv6": ipip.around(OuterIPv6), "gue:5555/ipv4": gue.around(OuterIPv4), "gre:checksum/ipv6": greChecksum.around(OuterIPv6),
		"gue/ipv6": {Type: lvs.GUE, Port: DefaultPort, Outer: OuterIPv6},
	} {
		got, err := ParseTunnel(text)
		if err != nil || got != want {
			t.Errorf("tunnel %q is %v, error %v", text, got, err)
		}
		if again, err := ParseTunnel(got.String()); err != nil || again != want {
			t.Errorf("tunnel %q is printed as %q", text, got)
		}
	}
}

// TestTable prints what is set up, for people.
func TestTable(t *testing.T) {
	k := newFake()
	k.sysctls[sysctlPath("all", rpFilter)] = 1
	k.sysctls[sysctlPath("all", arpAnnounce)] = 2
	b := newBench(t, k)
	print := func() string {
		s, err := b.Status(nil)
		must(t, err)
		var text strings.Builder
		must(t, s.WriteTable(&text))
		return text.String()
	}
	if got := print(); got != "Nothing is set up.\n" {
		t.Errorf("printed %q", got)
	}
	must(t, b.Up([]netip.Addr{vip, vip6}, []Tunnel{ipip}))
	must(t, k.DeleteAddress(Place{loopback, vip6}))
	want := `MISSING: 2001:db8::10 is not on lo

ADDRESS       INTERFACE  PRESENT
192.0.2.10    lo         yes
192.0.2.10    tunl0      yes
2001:db8::10  lo         no

SETTING                                    VALUE  BEFORE
net.ipv4.conf.all.arp_ignore               1      0
net.ipv4.conf.all.arp_announce             2      unchanged
net.ipv4.conf.tunl0.rp_filter              2      0
net.ipv6.conf.bascule-ip6tnl.disable_ipv6  0      unchanged

TUNNEL  DEVICE          UP
ipip    tunl0           yes
ipip    bascule-ip6tnl  yes
`
	if got := print(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}
