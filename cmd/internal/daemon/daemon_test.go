package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"bascule/cmd/internal/control"
)

// isolated marks the process that is in a network namespace of its own.
const isolated = "BASCULE_DAEMON_TEST_ISOLATED"

// inNamespace runs the calling test again, alone, in a process with an empty
// network, and reports whether this is that process.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(isolated) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death of the thread would kill the child
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// running is a daemon in this process.
type running struct {
	t       *testing.T
	dir     string
	stop    context.CancelFunc
	ended   chan error
	client  *control.Client
	hangups chan os.Signal
}

// configuration is a lone director on the interface v0.
const configuration = `
nodes = ["lb"]
[group.web]
priority = 200
advertisement_interval = "100ms"
[group.web.router.public]
interface = "v0"
vrid = 9
addresses = [%s]
`

// write replaces the configuration file.
func (r *running) write(text string) {
	must(r.t, os.WriteFile(filepath.Join(r.dir, "bascule.toml"), []byte(text), 0o600))
}

// start runs a daemon with the files in dir.
func start(t *testing.T, dir, text string) *running {
	t.Helper()
	r := &running{t: t, dir: dir, ended: make(chan error, 1), client: control.NewClient(dir), hangups: make(chan os.Signal, 1)}
	t.Cleanup(r.client.Close)
	r.write(text)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	options := Options{Config: filepath.Join(dir, "bascule.toml"), Node: "lb", RuntimeDir: dir, StateDir: dir, Version: "test"}
	go func() { r.ended <- Run(ctx, options, r.hangups, slog.New(slog.NewTextHandler(t.Output(), nil))) }()
	return r
}

// cable makes the interface v0, with an address of its own.
func cable(t *testing.T) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}))
	for _, name := range []string{"v0", "v1"} {
		l, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(l))
	}
	add(t, "10.9.0.1/24")
}

// add puts an address on v0.
func add(t *testing.T, address string) {
	t.Helper()
	l, err := netlink.LinkByName("v0")
	must(t, err)
	a, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrAdd(l, a))
}

// has reports whether v0 has an address.
func has(t *testing.T, address string) bool {
	t.Helper()
	l, err := netlink.LinkByName("v0")
	must(t, err)
	list, err := netlink.AddrList(l, netlink.FAMILY_V4)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // the addresses changed meanwhile
		list, err = netlink.AddrList(l, netlink.FAMILY_V4)
	}
	must(t, err)
	for _, a := range list {
		if netip.MustParsePrefix(a.IPNet.String()).Addr() == netip.MustParseAddr(address) {
			return true
		}
	}
	return false
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// TestLife is a director's life on a real link: it sweeps what a predecessor
// left, becomes active, takes a new configuration and refuses faulty ones, and
// leaves nothing behind.
func TestLife(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	dir := t.TempDir()
	must(t, record{Addresses: map[string][]netip.Prefix{"v0": {netip.MustParsePrefix("10.9.0.99/24")}}}.write(dir))
	add(t, "10.9.0.99/24")
	r := start(t, dir, fmt.Sprintf(configuration, `"10.9.0.100/24"`))
	eventually(t, "take-over", func() bool { return has(t, "10.9.0.100") && !has(t, "10.9.0.99") })
	eventually(t, "a narrower record", func() bool {
		kept, err := readRecord(dir)
		return err == nil && len(kept.Addresses["v0"]) == 1
	})

	r.write(fmt.Sprintf(configuration, `"10.9.0.100/24", "10.9.0.101/24"`))
	result, err := r.client.Reload(t.Context())
	if err != nil || !result.Changed {
		t.Fatalf("reload = %v, %v", result, err)
	}
	eventually(t, "the second address", func() bool { return has(t, "10.9.0.101") })
	if result, err = r.client.Reload(t.Context()); err != nil || result.Changed {
		t.Errorf("reload of the same = %v, %v", result, err)
	}

	for faulty, why := range map[string]string{
		"nodes = 7": "nodes: 7 is an integer",
		fmt.Sprintf(configuration, `"10.9.0.100/24"`) + "[group.web.router.x]\ninterface = \"v7\"\nvrid = 10\naddresses = [\"10.9.1.1/24\"]": `group.web.router.x.interface: "v7": no such interface`,
	} {
		r.write(faulty)
		if _, err := r.client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("reload = %v, want %q", err, why)
		}
		status, err := r.client.Status(t.Context())
		must(t, err)
		if !strings.Contains(strings.Join(status.Problems, "\n"), why) || status.Groups[0].State != "active" || !has(t, "10.9.0.101") {
			t.Errorf("after a refused reload: %+v", status)
		}
	}
	r.write(fmt.Sprintf(configuration, `"10.9.0.100/24"`))
	r.hangups <- syscall.SIGHUP
	eventually(t, "the reload by signal", func() bool { return has(t, "10.9.0.100") && !has(t, "10.9.0.101") })

	begin := time.Now()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("end: %v", err)
	}
	t.Logf("stopped in %v", time.Since(begin))
	if has(t, "10.9.0.100") || !has(t, "10.9.0.1") {
		t.Error("the stop left the virtual address, or took the host's own")
	}
	if left, err := readRecord(dir); err != nil || len(left.Addresses) != 0 {
		t.Errorf("record after the end = %v, %v", left, err)
	}
}

// TestStartRefusesFaultyFile: nothing is started with a configuration that is
// not valid.
func TestStartRefusesFaultyFile(t *testing.T) {
	r := start(t, t.TempDir(), "nodes = 7")
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "nodes: 7") {
		t.Errorf("end: %v", err)
	}
	if _, err := r.client.Status(t.Context()); err == nil {
		t.Error("the control socket answers")
	}
}

// TestControlSocketIsMended gives the daemon a control socket that has failed:
// it opens another and goes on.
func TestControlSocketIsMended(t *testing.T) {
	dir := t.TempDir()
	d := &daemon{options: Options{RuntimeDir: dir}, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	server, err := control.Listen(t.Context(), dir, service{d})
	must(t, err)
	dead, kill := context.WithCancel(t.Context())
	kill()
	must(t, server.Run(dead))
	d.reloads, d.done = make(chan reloadRequest), make(chan struct{})
	close(d.done)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.serveControl(ctx, server) }()
	client := control.NewClient(dir)
	defer client.Close()
	eventually(t, "an answer", func() bool {
		_, err := client.Reload(t.Context())
		return err != nil && err.Error() == errStopping.Error()
	})
	cancel()
	<-ended
}

// TestTasksOutliveEachOther: one that fails says so, and the others go on
// until they are told to end.
func TestTasksOutliveEachOther(t *testing.T) {
	var ts tasks
	ctx, cancel := context.WithCancel(t.Context())
	want := errors.New("broken")
	failed := ts.start(
		func() error { return want },
		func() error { <-ctx.Done(); return nil },
	)
	if err := <-failed; !errors.Is(err, want) {
		t.Errorf("failed = %v", err)
	}
	begin := time.Now()
	ts.waitBriefly()
	if time.Since(begin) < tasksTimeout {
		t.Error("the other task has ended too")
	}
	cancel()
	ts.running.Wait()
}

// TestDaemonChecks follows what a check finds out, from a file that says what
// its target is like to the status of a real server, through reloads.
func TestDaemonChecks(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "state")
	say(t, file, "50%")
	configuration := func(more string) string {
		return fmt.Sprintf("nodes = [\"lb\"]\n[virtual_server.www]\naddress = \"10.9.0.100:80\"\n"+
			"check = { type = \"file\", path = %q, wanted = \"content\", interval = \"50ms\"%s }\n"+
			"[[virtual_server.www.real_server]]\naddress = \"10.9.0.11:80\"\nweight = 10\n", file, more)
	}
	r := start(t, dir, configuration(""))
	defer func() {
		r.stop()
		if err := <-r.ended; err != nil {
			t.Errorf("end: %v", err)
		}
	}()
	shows := func(what string) {
		t.Helper()
		eventually(t, what, func() bool {
			status, err := r.client.Status(t.Context())
			if err != nil || len(status.VirtualServers) == 0 {
				return false // not yet
			}
			rs := status.VirtualServers[0].RealServers[0]
			return fmt.Sprintf("%s %d %s; %s", rs.State, rs.EffectiveWeight, rs.Reason, rs.WeightReason) == what
		})
	}
	shows("member 5 check passed; weight 50 % by its check")
	must(t, r.client.Override(t.Context(), control.OverrideRequest{VirtualServer: "www", RealServer: "10.9.0.11", Action: "weight", Weight: 7}))
	shows("member 7 check passed; weight 7 set by the administrator")
	must(t, r.client.Override(t.Context(), control.OverrideRequest{VirtualServer: "www", RealServer: "10.9.0.11", Action: "enable"}))
	r.write(configuration(", fall = 7"))
	_, err := r.client.Reload(t.Context())
	must(t, err)
	shows("member 5 check passed; weight 50 % by its check")
	say(t, file, "down # too hot")
	shows("out 0 file says down: too hot; ")
	checks, err := r.client.Checks(t.Context(), control.ChecksRequest{Match: []string{"www"}, Results: true})
	must(t, err)
	if len(checks) != 1 || checks[0].State != "unhealthy" || len(checks[0].Results) < 7 || checks[0].Reason != "file says down: too hot" {
		t.Errorf("checks: %+v", checks)
	}
}
