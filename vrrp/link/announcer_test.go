package link

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// announcerTest is an announcer whose frames are recorded.
type announcerTest struct {
	a         *announcer
	goal      atomic.Pointer[goal]
	mu        sync.Mutex
	installed map[netip.Prefix]bool
	frames    []frame
	fail      error
	turns     bool // every second frame fails
	log       strings.Builder
	started   time.Time
}

// startAnnouncer runs an announcer until the end of the test.
func startAnnouncer(t *testing.T, s Schedule) *announcerTest {
	x := &announcerTest{installed: map[netip.Prefix]bool{}, started: time.Now()}
	x.goal.Store(nextGoal(nil, 1, vrrp.Wanted{}, false, false))
	installed := func(p netip.Prefix) bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.installed[p]
	}
	send := func(a netip.Addr) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.frames = append(x.frames, frame{time.Since(x.started), netip.PrefixFrom(a, 24)})
		if x.turns && len(x.frames)%2 == 1 {
			return fmt.Errorf("frame %d: %w", len(x.frames), unix.ENOBUFS)
		}
		return x.fail
	}
	x.a = newAnnouncer(slog.New(slog.NewTextHandler(&x.log, nil)), "eth0", s, &x.goal, installed, send)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { x.a.run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
	})
	return x
}

// want changes the goal.
func (x *announcerTest) want(present string) {
	old := x.goal.Load()
	x.goal.Store(nextGoal(old, old.generation+1, wanted(present, ""), false, true))
	x.a.look.ring()
}

// install says whether an address is on the interface.
func (x *announcerTest) install(p netip.Prefix, there bool) {
	x.mu.Lock()
	x.installed[p] = there
	x.mu.Unlock()
	x.a.look.ring()
}

// setFail makes frames fail from now on, or succeed if err is nil.
func (x *announcerTest) setFail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fail = err
}

// count waits until nothing moves and returns the number of frames so far.
func (x *announcerTest) count() int {
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.frames)
}

// logged waits until nothing moves and returns the number of lines logged.
func (x *announcerTest) logged() int {
	synctest.Wait()
	return strings.Count(x.log.String(), "\n")
}

// expectProblem waits until nothing moves and compares the problem shown.
func (x *announcerTest) expectProblem(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := x.a.problem.get(); got != want {
		t.Errorf("problem is %q, want %q", got, want)
	}
}

// expect compares the frames so far and forgets them.
func (x *announcerTest) expect(t *testing.T, want ...frame) {
	t.Helper()
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	if d := cmp.Diff(want, x.frames, addrs); d != "" {
		t.Errorf("frames (-want +got):\n%s", d)
	}
	x.frames = nil
}

func TestAnnouncer(t *testing.T) {
	const ms = time.Millisecond
	p := netip.MustParsePrefix("10.0.0.10/24")
	schedule := Schedule{Repeat: 2, Delay: 5 * time.Second, Interval: ms, Volley: 8}
	tests := []struct {
		name string
		do   func(t *testing.T, x *announcerTest)
	}{
		{"waits for the address", func(t *testing.T, x *announcerTest) {
			x.want(p.String())
			x.a.announce([]netip.Prefix{p})
			time.Sleep(time.Second)
			x.expect(t)
			x.install(p, true)
			time.Sleep(10 * time.Second)
			x.expect(t, frame{1000 * ms, p}, frame{1001 * ms, p}, frame{6000 * ms, p}, frame{6001 * ms, p})
		}},
		{"may be asked before the address is wanted", func(t *testing.T, x *announcerTest) {
			x.a.announce([]netip.Prefix{p})
			time.Sleep(time.Second)
			x.want(p.String())
			x.install(p, true)
			time.Sleep(ms)
			x.expect(t, frame{1000 * ms, p}, frame{1001 * ms, p})
		}},
		{"forgets what is given up before it is there", func(t *testing.T, x *announcerTest) {
			x.want(p.String())
			x.a.announce([]netip.Prefix{p})
			x.want("")
			synctest.Wait()
			x.want(p.String())
			x.install(p, true)
			time.Sleep(time.Minute)
			x.expect(t)
		}},
		{"stops between two frames when the address is given up", func(t *testing.T, x *announcerTest) {
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			x.expect(t, frame{0, p})
			x.want("")
			time.Sleep(time.Minute)
			x.expect(t)
		}},
		{"stops while the address is missing, although wanted", func(t *testing.T, x *announcerTest) {
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			time.Sleep(time.Second)
			x.expect(t, frame{0, p}, frame{ms, p})
			x.install(p, false)
			time.Sleep(time.Minute)
			x.expect(t)
		}},
		{"begins again when asked again", func(t *testing.T, x *announcerTest) {
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			time.Sleep(time.Second)
			x.a.announce([]netip.Prefix{p})
			time.Sleep(10 * time.Second)
			x.expect(t, frame{0, p}, frame{ms, p}, frame{1000 * ms, p}, frame{1001 * ms, p}, frame{6000 * ms, p}, frame{6001 * ms, p})
		}},
		{"sends again what failed, and shows it", func(t *testing.T, x *announcerTest) {
			x.setFail(unix.ENOBUFS)
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			x.expectProblem(t, "eth0: no buffer space available")
			time.Sleep(250 * ms)
			x.setFail(nil)
			time.Sleep(10 * time.Second)
			x.expect(t, frame{0, p}, frame{100 * ms, p}, frame{300 * ms, p}, frame{301 * ms, p}, frame{5300 * ms, p}, frame{5301 * ms, p})
			x.expectProblem(t, "")
		}},
		{"tries for as long as the address is wanted", func(t *testing.T, x *announcerTest) {
			x.setFail(unix.ENETDOWN)
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			time.Sleep(time.Hour)
			if tried := x.count(); tried < 700 || tried > 800 {
				t.Errorf("%d frames in an hour, want one every %s", tried, lastRetry)
			}
			x.expectProblem(t, "eth0: network is down")
			if lines := x.logged(); lines != 1 {
				t.Errorf("%d lines of log for one failure, want 1", lines)
			}
			x.want("")
			x.expectProblem(t, "")
			before := x.count()
			time.Sleep(time.Minute)
			if after := x.count(); after != before {
				t.Errorf("%d frames for an address that is not wanted", after-before)
			}
		}},
		{"shows nothing of an address that is not there", func(t *testing.T, x *announcerTest) {
			x.setFail(unix.ENOBUFS)
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			x.expectProblem(t, "eth0: no buffer space available")
			x.install(p, false)
			x.expectProblem(t, "")
		}},
		{"leaves a missing interface to its fault", func(t *testing.T, x *announcerTest) {
			x.setFail(unix.ENODEV)
			x.want(p.String())
			x.install(p, true)
			x.a.announce([]netip.Prefix{p})
			x.expectProblem(t, "")
			x.setFail(nil)
			time.Sleep(time.Second)
			x.expect(t, frame{0, p}, frame{100 * ms, p}, frame{101 * ms, p})
		}},
		{"logs little of failure and success by turns", func(t *testing.T, x *announcerTest) {
			x.want(p.String())
			x.install(p, true)
			x.mu.Lock()
			x.turns = true
			x.mu.Unlock()
			for range 20 {
				x.a.announce([]netip.Prefix{p})
				time.Sleep(500 * ms)
			}
			if lines := x.logged(); lines < 1 || lines > 2 {
				t.Errorf("%d lines of log for %d frames in 10 s", lines, x.count())
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.do(t, startAnnouncer(t, schedule)) })
		})
	}
}
