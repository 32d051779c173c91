package checker

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A pool has as many loops as its checks need, and as there are processors, and each has
// as much to do as the others, also when some checks have ended.
func TestPoolSpreads(t *testing.T) {
	noLeak(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	p := newPool(func(Spec, Known) {}, func(Spec) (Checker, error) { return taskFunc(good), nil })
	defer p.Close()
	const number = loopLoad / 2
	var specs []Spec // twice a second each, while things change
	for i := range 5 * number {
		spec := testSpec()
		spec.Interval, spec.Quick, spec.Delay, spec.Via.Mark = time.Hour, time.Second/2, time.Hour, uint32(i)
		specs = append(specs, spec)
	}
	for _, step := range []struct {
		checks int
		want   []float64
	}{
		{1, []float64{2}},
		{number, []float64{loopLoad}},
		{number + 10, []float64{loopLoad, 20}},
		{3 * number, []float64{loopLoad, loopLoad, loopLoad}},
		{3*number + 3, []float64{loopLoad + 2, loopLoad + 2, loopLoad + 2}},
		{2, []float64{4, 0, 0}},
	} {
		set(t, p, specs[:step.checks]...)
		var got []float64
		for _, l := range *p.loops.Load() {
			got = append(got, l.load)
		}
		if !slices.Equal(got, step.want) {
			t.Fatalf("%d checks: %v, want %v", step.checks, got, step.want)
		}
	}
	p.Close()
	set(t, p, specs...) // all at once
	for _, l := range *p.loops.Load() {
		if l.load < loopLoad*5/3-2 || l.load > loopLoad*5/3+2 {
			t.Errorf("%v starts a second, want a third of %d", l.load, 2*len(specs))
		}
	}
}

// Without a loop a check has a goroutine.
func TestPoolWithoutLoops(t *testing.T) {
	noLeak(t)
	news := make(chan Known, 1)
	p := newPool(func(_ Spec, known Known) { news <- known }, func(Spec) (Checker, error) { return taskFunc(good), nil })
	defer p.Close()
	withoutDescriptors(t, func() { set(t, p, testSpec()) })
	if n := len(*p.loops.Load()); n != 0 {
		t.Errorf("%d loops", n)
	}
	if known := <-news; known.State != Healthy {
		t.Errorf("%+v", known)
	}
}

// A pool says how late the checks of its loops start.
func TestPoolLoopsBehind(t *testing.T) {
	p := NewPool(func(Spec, Known) {})
	defer p.Close()
	set(t, p, tcpSpec(netip.MustParseAddrPort("127.0.0.1:1"), time.Second))
	now := time.Now()
	(*p.loops.Load())[0].behind.note(now.Add(time.Hour), now.Add(time.Hour-30*time.Second))
	want := "health checks start 30s late: this machine cannot make as many as are due"
	if problems := p.Problems(); !slices.Equal(problems, []string{want}) {
		t.Errorf("%q", problems)
	}
}

// A pool has its checks made in loops as it has them made by goroutines: what is
// found out is reported, what stays says once more what it knows, what is gone has
// ended when Set returns, and what begins with it knows what was known.
func TestPoolLoops(t *testing.T) {
	noLeak(t)
	var accepts atomic.Bool
	accepts.Store(true)
	works := serve(t, func(conn net.Conn) {
		if accepts.Load() {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		} else {
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Unavailable\r\n\r\n")
		}
		_, _ = io.Copy(io.Discard, conn)
	})
	changing, refused, hangs := httpSpec(works, patience), tcpSpec(unused(t), patience), tcpSpec(blackhole(t), patience)
	changing.Interval, changing.Jitter = 10*time.Millisecond, 10*time.Millisecond
	news := make(chan string, 100)
	p := NewPool(func(spec Spec, known Known) { news <- fmt.Sprintf("%s %s %s", spec.Target, known.State, known.Reason) })
	defer p.Close()
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			select {
			case text := <-news:
				got = append(got, text)
			case <-time.After(patience):
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	healthy, unhealthy := works.String()+" healthy ", works.String()+" unhealthy HTTP 503, wanted 200-399"
	no := refused.Target.String() + " unhealthy connection refused"
	set(t, p, changing, refused, hangs)
	if n := len(*p.loops.Load()); n == 0 {
		t.Fatal("there are no loops")
	}
	expect(healthy, no)
	set(t, p, changing, refused, hangs)
	expect(healthy, no)
	accepts.Store(false)
	expect(unhealthy)
	ended := *p.entries.Load()
	slower := changing
	slower.Interval, slower.Jitter = time.Hour, 0
	set(t, p, slower)
	for spec, e := range ended {
		select {
		case <-e.done:
		default:
			t.Errorf("%s has not ended", spec.Name())
		}
	}
	if known := p.Known(slower); known.State != Unhealthy {
		t.Errorf("%+v, want what was known", known)
	}
	expect(unhealthy)
	if n := len(p.History(slower)); n < 3 {
		t.Errorf("%d results, want those of the check before, too", n)
	}
	p.Close()
	p.Close()
	set(t, p, refused)
	expect(no)
}
