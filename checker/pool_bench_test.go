package checker

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How a pool of many checks is measured.
const (
	poolInterval = time.Second
	poolSettle   = 3 * time.Second // all of them have had a verdict by then
	poolWindow   = 5 * time.Second
	poolReply    = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
)

// BenchmarkPool measures many checks a second, each of a target of its own: how
// many are good, what one costs of processor time, the kernel's part of it
// included, how many allocations it makes, and the memory of this process at the
// end.
func BenchmarkPool(b *testing.B) {
	for _, c := range []struct {
		name  string
		count int
		reply string
		probe Probe
	}{
		{"tcp-1000", 1000, "", TCP{}},
		{"tcp-5000", 5000, "", TCP{}},
		{"http-2000", 2000, poolReply, HTTP{Method: "GET", Path: "/", Status: "200-399"}},
	} {
		b.Run(c.name, func(b *testing.B) { benchPool(b, c.count, c.reply, c.probe) })
	}
}

// benchPool measures one kind of check.
func benchPool(b *testing.B, count int, reply string, probe Probe) {
	b.Helper()
	targets := newTargets(b, reply)
	pool := NewPool(func(Spec, Known) {})
	defer pool.Close()
	var good atomic.Int64
	pool.create = func(spec Spec) (Checker, error) {
		c, err := New(spec)
		return counted{c, &good}, err
	}
	specs := make([]Spec, count)
	for i := range specs {
		specs[i] = Spec{
			Target: targets.address(i), Probe: probe, Interval: poolInterval, Timeout: time.Second,
			Jitter: poolInterval, Rise: 1, Fall: 1,
		}
	}
	if err := pool.Set(specs); err != nil {
		b.Fatal(err)
	}
	time.Sleep(poolSettle)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	completed, used, start := good.Load(), ownTime(b, unix.RUSAGE_SELF)-targets.used(), time.Now()
	for b.Loop() {
		time.Sleep(poolWindow)
	}
	checks := float64(good.Load() - completed)
	used = ownTime(b, unix.RUSAGE_SELF) - targets.used() - used
	b.ReportMetric(0, "ns/op") // not what is measured
	b.ReportMetric(checks/time.Since(start).Seconds(), "checks/s")
	b.ReportMetric(float64(used.Microseconds())/checks, "cpu-µs/check")
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/checks, "allocs/check")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/checks, "B/check")
	b.ReportMetric(float64(residentMemory(b))/1e6, "rss-MB")
	unhealthy := 0
	for _, spec := range specs {
		if pool.Known(spec).State != Healthy {
			unhealthy++
		}
	}
	b.ReportMetric(float64(unhealthy), "unhealthy-n")
}

// counted counts the good probes of a Checker.
type counted struct {
	Checker
	good *atomic.Int64
}

// cooperates implements cooperative, for those that do and those that do not.
func (c counted) cooperates() bool { return inLoops(c.Checker) }

// checkBy implements timely, for those that do and those that do not.
func (c counted) checkBy(ctx context.Context, deadline time.Time) (Advice, error) {
	advice, err := checkBy(ctx, c.Checker, deadline)
	if err == nil {
		c.good.Add(1)
	}
	return advice, err
}

// targets are servers at all addresses of loopback. One thread, whose
// processor time is known, accepts for all of them, and answers with a text if
// there is one.
type targets struct {
	port  uint16
	usage atomic.Int64 // nanoseconds
}

// newTargets starts the servers. They end with the benchmark.
func newTargets(b *testing.B, reply string) *targets {
	b.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	if reply != "" { // so that a request is there when a connection is
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1); err != nil {
			b.Fatal(err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		b.Fatal(err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		b.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		b.Fatal(err)
	}
	t := &targets{port: uint16(bound.(*unix.SockaddrInet4).Port)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.serve(fd, []byte(reply))
	}()
	b.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		<-done
		_ = unix.Close(fd)
	})
	return t
}

// serve answers until the socket is shut down.
func (t *targets) serve(fd int, reply []byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buffer := make([]byte, maxPacket)
	for accepted := 1; ; accepted++ {
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if len(reply) > 0 {
			_, _ = unix.Read(conn, buffer)
			_, _ = unix.Write(conn, reply)
		}
		_ = unix.Close(conn)
		if accepted%256 == 0 {
			var u unix.Rusage
			if unix.Getrusage(unix.RUSAGE_THREAD, &u) == nil {
				t.usage.Store(u.Utime.Nano() + u.Stime.Nano())
			}
		}
	}
}

// used is the processor time of the servers, a little behind.
func (t *targets) used() time.Duration { return time.Duration(t.usage.Load()) }

// address returns that of one of 65000 targets.
func (t *targets) address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)}), t.port)
}

// ownTime is processor time of this process.
func ownTime(b *testing.B, who int) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMemory is that of this process, in bytes.
func residentMemory(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}
