//go:build ipvs

package ipvs_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
	"bascule/lvs/ipvs/ipvstest"
)

// enterNamespace moves the test into a network namespace of its own, whose
// IPVS table is empty. The thread is not given back, and dies with the test;
// if it is the process's first one it does not, and the namespace stays: its
// table is emptied at the end, or it would keep modules from being unloaded.
func enterNamespace(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		flush(t)
	})
	addInterfaces(t)
}

// flush empties the table of the calling thread's namespace.
func flush(t testing.TB) {
	if out, err := exec.Command("ipvsadm", "-C").CombinedOutput(); err != nil {
		t.Errorf("ipvsadm -C: %v: %s", err, out)
	}
}

// addInterfaces adds the interfaces eth0 and eth1, with which sync daemons
// run, and sets them and lo up: without any address the kernel takes none for
// a unicast one, and refuses every destination.
func addInterfaces(t testing.TB) {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "eth1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lo", "eth0", "eth1"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"192.0.2.100/24", "2001:db8:1::1/64"} {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		parsed.Flags = unix.IFA_F_NODAD // or a daemon cannot send from it at once
		if err := netlink.AddrAdd(link, parsed); err != nil {
			t.Fatal(err)
		}
	}
}

// openHandle opens a connection in a namespace of the test's own.
func openHandle(t *testing.T) ipvs.Handle {
	t.Helper()
	enterNamespace(t)
	handle, err := ipvs.OpenHandle("")
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// kernelSchedulers returns the schedulers that the running kernel has, as its
// modules say, and loads them. Adding a service would load them too, but with
// the kernel's IPVS locked; lblc and lblcr register with all network
// namespaces, whose lock the deletion of a namespace holds while it waits for
// that of IPVS, and these tests delete namespaces.
func kernelSchedulers(t *testing.T) []string {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	pattern := "/lib/modules/" + unix.ByteSliceToString(uts.Release[:]) + "/kernel/net/netfilter/ipvs/ip_vs_*.ko*"
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no modules %s: %v", pattern, err)
	}
	var names []string
	for _, file := range files {
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(file), "ip_vs_"), ".")
		if name != "ftp" && name != "pe_sip" {
			names = append(names, name)
			if out, err := exec.Command("modprobe", "ip_vs_"+name).CombinedOutput(); err != nil {
				t.Fatalf("modprobe ip_vs_%s: %v: %s", name, err, out)
			}
		}
	}
	return names
}

// TestKernelSchedulers checks that all schedulers of the kernel are known.
func TestKernelSchedulers(t *testing.T) {
	names := kernelSchedulers(t)
	t.Logf("schedulers: %v", names)
	for _, name := range names {
		if !lvs.ValidScheduler(name) {
			t.Errorf("the kernel's scheduler %q is not valid in lvs", name)
		}
	}
}

// TestConformKernel runs the conformance test on the real kernel: as a program
// uses it, and without moby/ipvs.
func TestConformKernel(t *testing.T) {
	schedulers := kernelSchedulers(t)
	t.Run("moby", func(t *testing.T) {
		ipvstest.Conform(t, schedulers, func(t *testing.T) ipvs.Handle {
			h := openHandle(t)
			if !ipvs.UsesMoby(h) {
				t.Error("moby/ipvs is not used")
			}
			return h
		})
	})
	t.Run("messages", func(t *testing.T) {
		ipvstest.Conform(t, schedulers, func(t *testing.T) ipvs.Handle { return ipvs.WithoutMoby(openHandle(t)) })
	})
}

// TestClientKernel runs the tests of the client on the real kernel.
func TestClientKernel(t *testing.T) {
	for name, test := range clientTests {
		t.Run(name, func(t *testing.T) {
			others := openHandle(t)
			defer others.Close()
			c, err := ipvs.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			test(t, c, others)
		})
	}
}

// ipvsadm returns what ipvsadm prints in the namespace of the calling thread.
func ipvsadm(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("ipvsadm", arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm %v: %v: %s", arguments, err, out)
	}
	return string(out)
}

// openClient opens a client in a namespace of the test's own.
func openClient(t testing.TB) *ipvs.Client {
	t.Helper()
	enterNamespace(t)
	c, err := ipvs.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestIpvsadm checks that ipvsadm sees what the client writes, and the client
// what ipvsadm writes: nothing is to be changed on a table that was restored
// from ipvsadm's own output, which leaves out thresholds.
func TestIpvsadm(t *testing.T) {
	c := openClient(t)
	memory := ipvstest.New()
	for _, o := range additions() {
		o.Destination.Upper, o.Destination.Lower = 0, 0
		apply(t, c, o)
		memory.Edit(o)
	}
	saved := ipvsadm(t, "-Sn")
	if got, want := sortedLines(saved), sortedLines(memory.String()); got != want {
		t.Errorf("ipvsadm -Sn:\n%s\nwant:\n%s", got, want)
	}
	ipvsadm(t, "-C")
	checkTable(t, c, lvs.Table{})
	for line := range strings.Lines(saved) {
		ipvsadm(t, strings.Fields(line)...)
	}
	checkTable(t, c, memory.Table())
}

// TestIpvsadmThresholds checks that ipvsadm sees thresholds.
func TestIpvsadmThresholds(t *testing.T) {
	c := openClient(t)
	s := service("192.0.2.1:80", "rr")
	add := op(lvs.AddDestination, s, "198.51.100.1:80", 1)
	add.Destination.Upper, add.Destination.Lower = 20, 10
	apply(t, c, op(lvs.AddService, s, "", 0), add)
	checkFields(t, ipvsadm(t, "-Ln", "--thresholds"), "-> 198.51.100.1:80 20 10 0 0")
}

// TestIpvsadmState checks that ipvsadm sees timeouts and daemons.
func TestIpvsadmState(t *testing.T) {
	c := openClient(t)
	receiver := daemonOp(lvs.SyncReceiver, 255)
	receiver.Daemon.Group = netip.MustParseAddr("ff02::81")
	apply(t, c, daemonOp(lvs.SyncSender, 7), receiver,
		lvs.Op{Kind: lvs.SetTimeouts, Timeouts: lvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: time.Second}})
	checkFields(t, ipvsadm(t, "-Ln", "--daemon"),
		"master sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.82, port=8849, ttl=2)",
		"backup sync daemon (mcast=eth0, syncid=255, maxlen=1400, group=ff02::81, port=8849, ttl=2)")
	checkFields(t, ipvsadm(t, "-Ln", "--timeout"), "Timeout (tcp tcpfin udp): 3600 60 1")
}

// checkFields checks that text has lines, however they are spaced.
func checkFields(t *testing.T, text string, lines ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(text) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	for _, line := range lines {
		if !slices.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

// TestTraffic checks that what a destination does is read, as ipvsadm reads
// it, and that zeroing leaves its connections.
func TestTraffic(t *testing.T) {
	c := openClient(t)
	s := service("192.0.2.100:7", "rr")
	s.Protocol = lvs.UDP
	apply(t, c, op(lvs.AddService, s, "", 0), op(lvs.AddDestination, s, "192.0.2.100:9", 1))
	client, err := net.Dial("udp", s.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 3 {
		// That nobody listens at the destination is told the next time.
		_, _ = client.Write(make([]byte, 100))
	}
	key := lvs.RealServerKey{Service: s.ServiceKey, Address: netip.MustParseAddrPort("192.0.2.100:9")}
	usage := func() lvs.Usage {
		reading, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		if reading.Spent <= 0 {
			t.Errorf("reading takes %s of processor time", reading.Spent)
		}
		usage, _ := reading.Usage.Of(key)
		return usage
	}
	got := usage()
	// The kernel sums its counters up every two seconds.
	for range 600 {
		if got.Connections != 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		got = usage()
	}
	if got.Connections != 1 || got.PacketsIn == 0 || got.BytesIn != 128*got.PacketsIn || got.Inactive != 1 || got.Idle() {
		t.Errorf("%+v, want one connection with packets of 128 bytes; ipvsadm:\n%s", got, ipvsadm(t, "-Ln", "--stats", "--exact"))
	}
	if err := c.Zero(s.ServiceKey); err != nil {
		t.Fatal(err)
	}
	if got := usage(); got != (lvs.Usage{Inactive: 1}) {
		t.Errorf("zeroed: %+v, want one connection and nothing else", got)
	}
}

// sortedLines returns text with its lines sorted.
func sortedLines(text string) string {
	lines := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(text, " ", "\x00"), "\x00\n", "\n"))
	slices.Sort(lines)
	return strings.ReplaceAll(strings.Join(lines, "\n"), "\x00", " ")
}

// TestOpenAt checks that a client works on the namespace that it was opened
// at, not on the one of its caller.
func TestOpenAt(t *testing.T) {
	enterNamespace(t)
	there, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	enterNamespace(t)
	c, err := ipvs.OpenAt(fmt.Sprintf("/proc/self/fd/%d", int(there)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	here, err := ipvs.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	apply(t, c, op(lvs.AddService, service("192.0.2.1:80", "rr"), "", 0), daemonOp(lvs.SyncSender, 1),
		op(lvs.AddDestination, service("192.0.2.1:80", "rr"), "198.51.100.1:80", 1))
	checkTable(t, here, lvs.Table{})
	if got, err := c.Read(); err != nil || len(got.Table) != 1 || len(got.Daemons) != 1 {
		t.Errorf("%+v, error %v; want a service and a daemon", got.State, err)
	}
}

// large are the operations that add n services with m destinations each, of
// which a part does not fit one message.
func large(n, m int) (ops []lvs.Op) {
	for i := range n {
		s := service(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1+i)).String(), "wrr")
		ops = append(ops, op(lvs.AddService, s, "", 0))
		for j := range m {
			ops = append(ops, op(lvs.AddDestination, s, fmt.Sprintf("198.51.%d.%d:80", j/200, 1+j%200), uint32(j)))
		}
	}
	return ops
}

// TestLarge checks tables of which parts do not fit one message.
func TestLarge(t *testing.T) {
	for _, size := range [][2]int{{1, 400}, {200, 1}, {60, 2}} {
		c, want := openClient(t), lvs.Table{}
		ops := large(size[0], size[1])
		if err := errors.Join(c.ApplyAll(ops)...); err != nil {
			t.Fatal(err)
		}
		for _, o := range ops {
			want.Apply(o)
		}
		checkTable(t, c, want)
	}
}

// TestSmallBuffer checks that answers are not missed that do not fit into the
// receive buffer.
func TestSmallBuffer(t *testing.T) {
	h := openHandle(t)
	defer h.Close()
	if err := ipvs.SetReceiveBuffer(h, 1); err != nil {
		t.Fatal(err)
	}
	c, want := ipvs.NewClient(h), lvs.Table{}
	ops := large(3, 200)
	if err := errors.Join(c.ApplyAll(ops)...); err != nil {
		t.Error(err)
	}
	for _, o := range ops {
		want.Apply(o)
	}
	checkTable(t, c, want)
}

// BenchmarkProgram measures how long it takes to program services with 50
// destinations each, 1000 and 5000 in all.
func BenchmarkProgram(b *testing.B) {
	for _, test := range []struct {
		name    string
		program func(ipvs.Handle, []lvs.Op) error
	}{
		{"one by one, by moby", applyEach},
		{"one by one, by messages", func(h ipvs.Handle, ops []lvs.Op) error { return applyEach(ipvs.WithoutMoby(h), ops) }},
		{"all at once", func(h ipvs.Handle, ops []lvs.Op) error { return errors.Join(ipvs.NewClient(h).ApplyAll(ops)...) }},
	} {
		for _, services := range []int{20, 100} {
			b.Run(fmt.Sprint(50*services, ", ", test.name), func(b *testing.B) {
				enterNamespace(b)
				ops := large(services, 50)
				for b.Loop() {
					h, err := ipvs.OpenHandle("")
					if err == nil {
						err = test.program(h, ops)
					}
					if err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					h.Close()
					flush(b)
					b.StartTimer()
				}
			})
		}
	}
}

// applyEach carries out operations one by one.
func applyEach(h ipvs.Handle, ops []lvs.Op) error {
	c := ipvs.NewClient(h)
	for _, op := range ops {
		if err := c.Apply(op); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkRead measures how long it takes to read 1000 services with 10
// destinations each.
func BenchmarkRead(b *testing.B) {
	c := openClient(b)
	if err := errors.Join(c.ApplyAll(large(1000, 10))...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
