//go:build ipvs

package director_test

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs"
)

// ipvsadm returns what ipvsadm prints in the namespace of the calling thread.
func ipvsadm(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("ipvsadm", arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm %v: %v: %s", arguments, err, out)
	}
	return string(out)
}

// await waits until the kernel's table is, sorted, as given, and returns how
// long that took.
func await(t *testing.T, want ...string) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		got := strings.Split(strings.TrimSpace(ipvsadm(t, "-Sn")), "\n")
		for i, line := range got {
			got[i] = strings.TrimSpace(line)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return time.Since(start)
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("table after 30 s: %q, want %q", got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// newNamespace moves the calling goroutine to a new network namespace, for good,
// and returns the path of it. Loopback is up: without, the kernel takes no
// address for that of another machine.
func newNamespace(t *testing.T) (path string) {
	t.Helper()
	runtime.LockOSThread()
	there, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = there.Close() })
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", int(there))
}

// dialAt opens the kernel of a network namespace.
func dialAt(path string) func() (director.Kernel, error) {
	return func() (director.Kernel, error) { return ipvs.OpenAt(path) }
}

// begin lets a director run until end is called, which returns its error.
func begin(d *director.Director) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// TestKernel runs a director on the real kernel: it programs, repairs what
// ipvsadm undoes, leaves the table to a successor, and clears what is its own.
func TestKernel(t *testing.T) {
	path := newNamespace(t)
	log := &buffer{}
	var calls counter
	dial := func() (director.Kernel, error) {
		client, err := ipvs.OpenAt(path)
		if err != nil {
			return nil, err
		}
		return calls.on(client), nil
	}
	run := func() (d *director.Director, end func()) {
		d = director.New(dial, slog.New(slog.NewTextHandler(log, nil)))
		d.Configure([]lvs.VirtualServerConfig{www(web1, web2)}, nil)
		stop := begin(d)
		<-d.Ready()
		return d, func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
	service, member := "-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+web1+" -m -w 1"
	ipvsadm(t, "-A", "-u", "192.0.2.1:53", "-s", "rr")
	others := "-A -u 192.0.2.1:53 -s rr"

	d, end := run()
	await(t, service, others)
	d.Report(lvs.RealServerKey{Service: key(vip), Address: netipAddress(web1)}, lvs.Fact{Healthy: true})
	t.Logf("programmed %v after the first good check", await(t, service, others, member))
	ipvsadm(t, "-D", "-t", vip)
	t.Logf("repaired %v after ipvsadm -D", await(t, service, others, member))
	ipvsadm(t, "-C")
	t.Logf("repaired %v after ipvsadm -C", await(t, service, member))
	ipvsadm(t, "-E", "-t", vip, "-s", "rr", "-p", "300")
	t.Logf("repaired %v after ipvsadm -E", await(t, service, member))
	if problems := d.Snapshot().Problems; len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}
	end()
	await(t, service, member)

	calls.edits.Store(0)
	d, end = run()
	defer end()
	time.Sleep(time.Second)
	await(t, service, member)
	if edits := calls.edits.Load(); edits != 0 {
		t.Errorf("%d operations of the successor, want none", edits)
	}
	if err := d.Clear(t.Context()); err != nil {
		t.Error(err)
	}
	await(t, "")
}
