package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWide builds a laboratory of three LANs, on each of which the directors
// hear each other, and counts virtual addresses.
func TestWide(t *testing.T) {
	t.Parallel()
	w := NewWideT(t, 3)
	ctx := deadline(t)
	if diff := cmp.Diff([]string{"lan0", "lan1", "lan2"}, w.LB2.Interfaces()); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	for lan := range 3 {
		if _, err := w.LB.Output(ctx, "ping", "-c", "1", "-W", "5", wideAddress(lan, wideLB+1).Addr().String()); err != nil {
			t.Errorf("the other director on LAN %d: %v", lan, err)
		}
	}
	for lan := range 2 {
		if err := w.LB.addAddress(w.names[lan], wideAddress(lan, wideRouters)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AwaitVirtualAddresses(ctx, w.LB, 2); err != nil {
		t.Error(err)
	}
	if n, err := w.VirtualAddresses(w.LB2); n != 0 || err != nil {
		t.Errorf("lb2 has %d virtual addresses, %v; want none", n, err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := w.AwaitVirtualAddresses(short, w.LB, 3); err == nil || !strings.Contains(err.Error(), "lb has 2 virtual addresses, want 3") {
		t.Errorf("waiting in vain: %v", err)
	}
	if _, err := NewWide(testPrefix, wideLANs+1); err == nil {
		t.Error("a laboratory of too many LANs was built")
	}
}

// TestWideKeepalived has keepalived take the generated configuration: all
// addresses come, its advertisements are captured, and what it uses is summed
// up over its processes.
func TestWideKeepalived(t *testing.T) {
	t.Parallel()
	w := NewWideT(t, 2)
	capture, err := w.Capture()
	if err != nil {
		t.Fatal(err)
	}
	config := WideConfig{LANs: 2, Routers: 3, Interval: 100 * time.Millisecond}
	k, err := StartKeepalivedWith(w.LB, config.Keepalived("lb", "vrrp_rt_priority 1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AwaitVirtualAddresses(deadline(t), w.LB, config.Total()); err != nil {
		t.Fatalf("%v\n%s", err, k.Log())
	}
	// A router may have its address before its first advertisement is captured.
	want := map[routerID]bool{}
	for _, lan := range []string{"lan0", "lan1"} {
		for vrid := range uint8(3) {
			want[routerID{lan, vrid + 1, false}] = true
		}
	}
	for ctx := deadline(t); !maps.Equal(advertisedBy(capture.Frames(), config), want); time.Sleep(holderInterval) {
		if ctx.Err() != nil {
			t.Fatalf("virtual routers (-want +got):\n%s", cmp.Diff(want, advertisedBy(capture.Frames(), config), cmp.AllowUnexported(routerID{})))
		}
	}
	whole, err := k.Usage()
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	parent, err := parseUsage("1 (x) S"+strings.Repeat(" 0", 20), string(status))
	if err != nil || whole.RSS <= parent.RSS {
		t.Errorf("keepalived uses %d bytes, its first process alone %d, %v", whole.RSS, parent.RSS, err)
	}
	if memory, err := k.Memory(); err != nil || memory <= 0 || memory >= whole.RSS {
		t.Errorf("keepalived has %d bytes of memory, of which %d are resident, %v", memory, whole.RSS, err)
	}
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Memory(); err == nil {
		t.Error("a process that has ended has memory")
	}
	if _, err := k.Usage(); err == nil {
		t.Error("a process that has ended uses something")
	}
	if _, err := capture.Stop(); err != nil {
		t.Error(err)
	}
}

// advertisedBy returns the virtual routers that the first director of a Wide
// laboratory has advertised.
func advertisedBy(frames []Frame, config WideConfig) map[routerID]bool {
	seen := map[routerID]bool{}
	for _, f := range frames {
		if f.Kind == Advertisement && f.Priority == widePriorityLB && f.Interval == config.Interval {
			seen[routerID{f.LAN, f.VRID, false}] = true
		}
	}
	return seen
}

// TestWideTOML looks at the last virtual router of a configuration.
func TestWideTOML(t *testing.T) {
	t.Parallel()
	text := WideConfig{LANs: 2, Routers: 250, Interval: 10 * time.Millisecond}.TOML()
	if n := strings.Count(text, ".router.only]"); n != 500 {
		t.Errorf("%d routers, want 500", n)
	}
	want := `
[group.lan1-250]
priority = { lb = 150, lb2 = 100 }
advertisement_interval = "10ms"

[group.lan1-250.router.only]
interface = "lan1"
vrid = 250
addresses = ["10.1.1.250/24"]
`
	if !strings.HasSuffix(text, want) {
		t.Errorf("the end of the configuration is %s\nwant %s", text[len(text)-len(want):], want)
	}
}

// TestParseUsage reads /proc as the kernel writes it, with a name that is
// made to confuse, and refuses what is no such file.
func TestParseUsage(t *testing.T) {
	t.Parallel()
	const stat = "7 (a) R (b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 8 0 100 1000 200"
	const status = "Name:\ta) R (b\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t8\n"
	tests := []struct {
		name, stat, status string
		want               Usage
		fails              string
	}{
		{"whole", stat, status, Usage{CPU: 2 * time.Second, RSS: 1 << 20}, ""},
		{"a zombie has no memory", stat, "Name:\tx\nState:\tZ\n", Usage{}, "no VmRSS"},
		{"cut short", stat[:40], status, Usage{}, "fields after the name"},
		{"no number", strings.Replace(stat, "150", "x", 1), status, Usage{}, "time in stat"},
		{"empty", "", "", Usage{}, "fields after the name"},
		{"no memory at all", stat, "VmRSS:", Usage{}, "no VmRSS"},
		{"no number of memory", stat, "x\nVmRSS: x kB", Usage{}, "status: VmRSS: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseUsage(test.stat, test.status)
			if got != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("got %+v, %v; want %+v, an error with %q", got, err, test.want, test.fails)
			}
		})
	}
}

// TestUnitLauncher reads the scheduling of units.
func TestUnitLauncher(t *testing.T) {
	t.Parallel()
	tests := []struct {
		unit, want, fails string
	}{
		{"[Service]\nExecStart=/x\n", "", ""},
		{"[Service]\n#Nice=1\nNice=-5\nNice=-10\n", "renice -n -10 -p $$ >/dev/null\n", ""},
		{"CPUSchedulingPolicy=rr\n", "chrt --rr -p 1 $$\n", ""},
		{"Nice=-1\nCPUSchedulingPriority=7\nCPUSchedulingPolicy=fifo", "renice -n -1 -p $$ >/dev/null\nchrt --fifo -p 7 $$\n", ""},
		{"CPUSchedulingPolicy=idle\n", "", "CPUSchedulingPolicy=idle, want"},
		{"CPUSchedulingPriority=7\n", "", "without a policy"},
	}
	for _, test := range tests {
		got, err := unitLauncher(test.unit)
		if got != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%q: got %q, %v; want %q, an error with %q", test.unit, got, err, test.want, test.fails)
		}
	}
}

// TestAsUnit runs a program as a unit of real time does: it has the
// scheduling, its own arguments, and the process is its own.
func TestAsUnit(t *testing.T) {
	t.Parallel()
	w := NewWideT(t, 1)
	unit := filepath.Join(t.TempDir(), "x.service")
	if err := os.WriteFile(unit, []byte("[Service]\nNice=-3\nCPUSchedulingPolicy=rr\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	launcher, err := AsUnit(w.LB, unit, "/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.LB.Output(deadline(t), launcher, "-c", `chrt -p $$ | sed 's/.*: //'; nice; echo "$1"`, "sh", "two words")
	if want := "SCHED_RR\n1\n-3\ntwo words\n"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := AsUnit(w.LB, unit+".none", "/bin/sh"); err == nil {
		t.Error("a unit that is not there was read")
	}
}
