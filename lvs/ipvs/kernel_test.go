//go:build ipvs

package ipvs_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	moby "github.com/moby/ipvs"
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
func enterNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		handle, err := moby.New("")
		if err == nil {
			err = handle.Flush()
			handle.Close()
		}
		if err != nil {
			t.Error(err)
		}
	})
	// Without any address the kernel takes none for a unicast one, and refuses
	// every destination.
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
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

// TestConformKernel runs the conformance test on the real kernel.
func TestConformKernel(t *testing.T) {
	ipvstest.Conform(t, kernelSchedulers(t), func(t *testing.T) ipvs.Handle {
		enterNamespace(t)
		handle, err := moby.New("")
		if err != nil {
			t.Fatal(err)
		}
		return handle
	})
}

// TestClientKernel runs the tests of the client on the real kernel.
func TestClientKernel(t *testing.T) {
	for name, test := range clientTests {
		t.Run(name, func(t *testing.T) {
			enterNamespace(t)
			c, err := ipvs.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			others, err := moby.New("")
			if err != nil {
				t.Fatal(err)
			}
			defer others.Close()
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

// tutorial are the operations that build the table of two web servers.
func tutorial() []lvs.Op {
	www := service("192.168.56.10:80", "wrr")
	dns := service("[2001:db8::1]:53", "rr")
	dns.Protocol = lvs.UDP
	return []lvs.Op{
		op(lvs.AddService, www, "", 0),
		op(lvs.AddDestination, www, "192.168.200.11:80", 3),
		op(lvs.AddDestination, www, "192.168.200.12:8080", 1),
		op(lvs.AddService, dns, "", 0),
		op(lvs.AddDestination, dns, "[2001:db8::2]:53", 1),
	}
}

// TestIpvsadm checks that ipvsadm sees what the client writes, and the client
// what ipvsadm writes: nothing is to be changed on a table that was restored
// from ipvsadm's own output.
func TestIpvsadm(t *testing.T) {
	enterNamespace(t)
	c, err := ipvs.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, o := range tutorial() {
		if err := c.Apply(o); err != nil {
			t.Fatal(err)
		}
	}
	saved := ipvsadm(t, "-Sn")
	memory := ipvstest.New()
	memory.Edit(tutorial()...)
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
	for _, o := range tutorial() {
		if err := c.Apply(o); err != nil {
			t.Fatal(err)
		}
	}
	checkTable(t, here, lvs.Table{})
	if table, err := c.Table(); err != nil || len(table) != 2 {
		t.Errorf("table %v, error %v; want two services", table, err)
	}
}

// TestLarge checks a table of which no part fits one message, and logs how
// long it takes to write and to read it.
func TestLarge(t *testing.T) {
	enterNamespace(t)
	c, err := ipvs.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := lvs.Table{}
	start := time.Now()
	apply := func(o lvs.Op) {
		if err := c.Apply(o); err != nil {
			t.Fatal(err)
		}
		want.Apply(o)
	}
	for n := range 60 {
		s := service(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1+n)).String(), "wrr")
		apply(op(lvs.AddService, s, "", 0))
		destinations := 2
		if n == 0 {
			destinations = 400
		}
		for m := range destinations {
			apply(op(lvs.AddDestination, s, fmt.Sprintf("198.51.%d.%d:80", m/200, 1+m%200), uint32(m)))
		}
	}
	t.Logf("written in %v", time.Since(start))
	start = time.Now()
	checkTable(t, c, want)
	t.Logf("read in %v", time.Since(start))
}

// reloadVariable makes the test binary run reloadModule instead of the tests.
const reloadVariable = "BASCULE_TEST_RELOAD"

// TestMain runs the tests, and after them, if no test was picked by name, the
// one that leaves nothing for others to test.
func TestMain(m *testing.M) {
	if os.Getenv(reloadVariable) != "" {
		fmt.Print(reloadModule())
		return
	}
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && !checkModuleReload() {
		code = 1
	}
	os.Exit(code)
}

// checkModuleReload checks that a process whose ip_vs module is loaded anew
// says so, rather than that every edit succeeds.
func checkModuleReload() bool {
	self, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return false
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), reloadVariable+"=1")
	out, err := command.CombinedOutput()
	want := "reload: done\ntable: the ip_vs module was loaded anew since this process started: restart it\n" +
		"open: the ip_vs module was loaded anew since this process started: restart it\n"
	if err != nil || string(out) != want {
		fmt.Printf("--- FAIL: module reload: error %v, output:\n%swant:\n%s", err, out, want)
		return false
	}
	fmt.Println("--- PASS: module reload")
	return true
}

// reloadModule opens a client, unloads the module and loads it again, and
// returns what the client says then. It poisons moby/ipvs for the rest of the
// process.
func reloadModule() string {
	c, err := ipvs.Open()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	script := "for n in $(seq 100); do modprobe -r $(lsmod | grep -o '^ip_vs_[a-z]*') ip_vs 2>/dev/null && modprobe ip_vs && echo done && exit; sleep 0.1; done; lsmod | grep ip_vs"
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("reload: %v: %s", err, out)
	}
	_, tableErr := c.Table()
	_, openErr := ipvs.Open()
	return fmt.Sprintf("reload: %stable: %v\nopen: %v\n", out, tableErr, openErr)
}
