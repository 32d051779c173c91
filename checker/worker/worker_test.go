package worker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bascule/checker"
)

// TestMain runs the tests, or what a Pool in them starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case Argument:
			if err := Serve(os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case checker.Launcher:
			_ = checker.Launch(os.Stdin, os.Stdout)
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// limit is how long a test waits for what must happen at some time.
const limit = 30 * time.Second

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after %s: %s", limit, what)
		}
	}
}

// heard is what a Pool has reported.
type heard struct {
	mu     sync.Mutex
	latest map[checker.Spec]checker.Known
	count  map[checker.Spec]int
	report func(checker.Spec)
}

// observe is a checker.Report.
func (h *heard) observe(spec checker.Spec, known checker.Known) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest[spec] = known
	h.count[spec]++
	if h.report != nil {
		h.report(spec)
	}
}

// state is the state that was reported last.
func (h *heard) state(spec checker.Spec) checker.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latest[spec].State
}

// reports is how many there were.
func (h *heard) reports(spec checker.Spec) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count[spec]
}

// newTestPool returns a pool that is closed with the test.
func newTestPool(t *testing.T) (*Pool, *heard) {
	t.Helper()
	h := &heard{latest: map[checker.Spec]checker.Known{}, count: map[checker.Spec]int{}}
	p := NewPool(h.observe, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(p.Close)
	return p, h
}

// listen returns a target that works until it is closed.
func listen(t *testing.T) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).AddrPort()
}

// tcp is a quick check of a target.
func tcp(target netip.AddrPort) checker.Spec {
	return checker.Spec{
		Target: target, Probe: checker.TCP{}, Interval: 20 * time.Millisecond, Timeout: 10 * time.Second, Rise: 1, Fall: 1,
	}
}

// hit sends the present worker a signal, if there is one, and returns its
// process; 0 if there is none.
func hit(p *Pool, s syscall.Signal) int {
	w := p.running.Load()
	if w == nil {
		return 0
	}
	_ = w.Signal(s)
	return w.Pid
}

// A target is reported when it works, when it does not, and again after a Set;
// all that can be read of it is as it is of a checker.Pool.
func TestPool(t *testing.T) {
	p, h := newTestPool(t)
	l, target := listen(t)
	spec := tcp(target)
	must(t, p.Set([]checker.Spec{spec, spec}))
	await(t, "the target works", func() bool { return h.state(spec) == checker.Healthy })
	if p.Known(spec).State != checker.Healthy || p.Since(spec).IsZero() {
		t.Errorf("known %+v since %s", p.Known(spec), p.Since(spec))
	}
	before := h.reports(spec)
	must(t, p.Set([]checker.Spec{spec}))
	await(t, "it is reported again", func() bool { return h.reports(spec) > before })
	must(t, l.Close())
	await(t, "the target fails", func() bool { return h.state(spec) == checker.Unhealthy })
	await(t, "the history is full", func() bool { return len(p.History(spec)) == 20 })
	if last := p.History(spec)[19]; last.Reason != "connection refused" || last.Start.IsZero() || last.State != checker.Unhealthy {
		t.Errorf("the last result is %+v", last)
	}
	if problems := p.Problems(); len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}
	other := tcp(netip.MustParseAddrPort("127.0.0.1:1"))
	if p.Known(other) != (checker.Known{}) || !p.Since(other).IsZero() || p.History(other) != nil {
		t.Error("something is known of a check that there is not")
	}
}

// An invalid Spec changes nothing; every one is named.
func TestInvalid(t *testing.T) {
	p, h := newTestPool(t)
	_, target := listen(t)
	spec := tcp(target)
	must(t, p.Set([]checker.Spec{spec}))
	a, b := spec, spec
	a.Rise, b.Timeout = 0, 0
	err := p.Set([]checker.Spec{a, b})
	if err == nil || !strings.Contains(err.Error(), "rise 0") || !strings.Contains(err.Error(), "timeout 0s") {
		t.Errorf("error %v", err)
	}
	await(t, "the target works", func() bool { return h.state(spec) == checker.Healthy })
}

// A check of the same probe at another pace begins with what is known, at once.
func TestPace(t *testing.T) {
	p, h := newTestPool(t)
	_, target := listen(t)
	spec := tcp(target)
	must(t, p.Set([]checker.Spec{spec}))
	await(t, "the target works", func() bool { return h.state(spec) == checker.Healthy })
	slow := spec
	slow.Interval, slow.Delay = time.Hour, time.Hour
	since := p.Since(spec)
	must(t, p.Set([]checker.Spec{slow}))
	if p.Known(slow).State != checker.Healthy || !p.Since(slow).Equal(since) {
		t.Errorf("known %+v since %s, want since %s", p.Known(slow), p.Since(slow), since)
	}
}

// What is gone is not reported when Set has returned.
func TestGone(t *testing.T) {
	p, h := newTestPool(t)
	_, target := listen(t)
	spec := tcp(target)
	spec.Interval = time.Millisecond
	var wanted sync.Map
	h.report = func(spec checker.Spec) {
		if _, ok := wanted.Load(spec); !ok {
			t.Errorf("%s is reported when it is gone", spec.Name())
		}
	}
	for i := range 50 {
		spec.Fall = i + 1
		wanted.Store(spec, true)
		must(t, p.Set([]checker.Spec{spec}))
		if i%2 == 0 {
			await(t, "it is reported", func() bool { return h.reports(spec) > 0 })
		}
		must(t, p.Set(nil))
		wanted.Delete(spec)
	}
}

// Without a worker, too, a check of the same probe begins with what is known.
func TestPaceWithoutWorker(t *testing.T) {
	p, h := newTestPool(t)
	_, target := listen(t)
	spec := tcp(target)
	must(t, p.Set([]checker.Spec{spec}))
	await(t, "the target works", func() bool { return h.state(spec) == checker.Healthy })
	slow := spec
	slow.Interval, slow.Delay = time.Hour, time.Hour
	first := hit(p, syscall.SIGKILL)
	must(t, p.Set([]checker.Spec{slow}))
	if known := p.Known(slow); known.State != checker.Healthy {
		t.Errorf("known %+v", known)
	}
	await(t, "another worker goes on at once", func() bool {
		return hit(p, 0) != first && h.state(slow) == checker.Healthy
	})
}

// Of news that comes together, all is known before any of it is reported: a
// real server with any of two checks is not without one that works between.
func TestNewsTogether(t *testing.T) {
	p, _ := newTestPool(t)
	a, b := tcp(netip.MustParseAddrPort("192.0.2.1:1")), tcp(netip.MustParseAddrPort("192.0.2.1:2"))
	table, _ := p.plan(p.wanted.Load(), []checker.Spec{a, b})
	p.wanted.Store(table)
	p.report = func(spec checker.Spec, _ checker.Known) {
		if p.Known(a).State != checker.Unhealthy || p.Known(b).State != checker.Healthy {
			t.Errorf("with the report of %s: %+v, %+v", spec.Name(), p.Known(a), p.Known(b))
		}
	}
	p.tell([]Finding{
		{ID: table.bySpec[a].id, Known: checker.Known{State: checker.Unhealthy}},
		{ID: table.bySpec[b].id, Known: checker.Known{State: checker.Healthy}},
	})
}

// A worker that does not read what it is to do is given up as one that does not
// answer.
func TestWorkerDoesNotRead(t *testing.T) {
	w, err := start()
	must(t, err)
	must(t, w.call(limit, methodProblems, None(false), new([]string)))
	must(t, w.Signal(syscall.SIGSTOP))
	var change Change
	for i := range 5000 { // more than a pipe holds
		spec := tcp(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), 1))
		change.Add = append(change.Add, Assignment{Finding{ID: ID(i)}, spec})
	}
	if err := w.call(100*time.Millisecond, methodChange, change, new([]string)); err == nil {
		t.Error("it has answered")
	}
	err = w.call(100*time.Millisecond, methodNews, None(false), new([]Finding))
	if err == nil {
		t.Error("it has news")
	}
	w.give(err)
	if why := w.end(); why == nil || why.Error() != "no answer for 100ms" {
		t.Errorf("it has ended: %v", why)
	}
}

// A worker that dies is replaced. What is known stays known, nothing is
// reported to be worse for it, and what changes meanwhile is found out.
func TestWorkerDies(t *testing.T) {
	p, h := newTestPool(t)
	_, good := listen(t)
	l, bad := listen(t)
	specs := []checker.Spec{tcp(good), tcp(bad)}
	for i := range specs {
		specs[i].Delay = time.Nanosecond
	}
	must(t, p.Set(specs))
	await(t, "both work", func() bool {
		return h.state(specs[0]) == checker.Healthy && h.state(specs[1]) == checker.Healthy
	})
	since := p.Since(specs[0])
	h.report = func(spec checker.Spec) {
		if spec == specs[0] && h.latest[spec].State != checker.Healthy {
			t.Errorf("%+v", h.latest[spec])
		}
	}
	first := hit(p, syscall.SIGKILL)
	await(t, "there is no worker", func() bool { return hit(p, 0) != first })
	must(t, l.Close())
	third := tcp(netip.MustParseAddrPort("127.0.0.1:1"))
	must(t, p.Set(append(specs, third)))
	if p.Known(specs[0]).State != checker.Healthy {
		t.Errorf("without a worker, known is %+v", p.Known(specs[0]))
	}
	await(t, "the closed one fails, and so does the new one", func() bool {
		return h.state(specs[1]) == checker.Unhealthy && h.state(third) == checker.Unhealthy
	})
	if got := p.Since(specs[0]); !got.Equal(since) {
		t.Errorf("since %s, want %s", got, since)
	}
	await(t, "there are no problems", func() bool { return len(p.Problems()) == 0 })
}

// A problem says what is the matter while there is no worker.
func TestProblems(t *testing.T) {
	p, h := newTestPool(t)
	_, target := listen(t)
	spec := tcp(target)
	must(t, p.Set([]checker.Spec{spec}))
	await(t, "it works", func() bool { return h.state(spec) == checker.Healthy })
	for killed := 0; ; { // until a pause is long enough to look at
		if id := hit(p, 0); id != killed {
			killed = hit(p, syscall.SIGKILL)
		}
		if problems := p.Problems(); len(problems) == 1 {
			if !strings.HasPrefix(problems[0], noWorker) {
				t.Errorf("problem %q, want %q…", problems[0], noWorker)
			}
			if strings.HasSuffix(problems[0], ": signal: killed") { // before that, its pipes have ended
				break
			}
		}
		time.Sleep(time.Millisecond)
	}
	await(t, "there are no problems", func() bool { return len(p.Problems()) == 0 })
}

// A worker that does not answer is replaced.
func TestWorkerHangs(t *testing.T) {
	p, h := newTestPool(t)
	p.patience = 6 * time.Second // more than news may take
	l, target := listen(t)
	spec := tcp(target)
	must(t, p.Set([]checker.Spec{spec}))
	await(t, "it works", func() bool { return h.state(spec) == checker.Healthy })
	hit(p, syscall.SIGSTOP)
	must(t, l.Close())
	await(t, "it fails", func() bool { return h.state(spec) == checker.Unhealthy })
}

// What a worker cannot make, though it could be made before, is shown, and
// nothing else is the worse for it.
func TestFaulty(t *testing.T) {
	p, h := newTestPool(t)
	_, target := listen(t)
	good, faulty := tcp(target), tcp(target)
	ca := t.TempDir() + "/ca.pem"
	faulty.Probe = checker.TLS{Options: checker.TLSOptions{CA: ca}}
	write(t, ca)
	must(t, p.Set([]checker.Spec{good, faulty}))
	await(t, "it works", func() bool { return h.state(good) == checker.Healthy })
	must(t, os.Remove(ca))
	before := h.reports(good)
	hit(p, syscall.SIGKILL)
	await(t, "it works again", func() bool { return h.reports(good) > before })
	await(t, "the other one is shown", func() bool {
		problems := strings.Join(p.Problems(), "\n")
		return strings.HasPrefix(problems, "a check cannot be made: ") && strings.Contains(problems, ca)
	})
	write(t, ca)
	p.retry()
	if problems := p.Problems(); len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}
	await(t, "it is checked", func() bool { return h.reports(faulty) > 0 })
}

// Ended with its daemon, a worker leaves nothing running: it sees the end of
// its requests.
func TestEnd(t *testing.T) {
	w, err := start()
	must(t, err)
	kill := time.AfterFunc(limit, func() { _ = w.Kill() })
	defer kill.Stop()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		var none []string
		must(t, w.client.Call(methodProblems, None(false), &none)) // it ignores them by now
		must(t, w.Signal(s))
	}
	must(t, w.client.Call(methodProblems, None(false), new([]string)))
	w.client.Go(methodNews, None(false), new([]Finding), nil)
	w.give(nil)
	if <-w.ended; w.state != nil {
		t.Error(w.state)
	}
}

// A worker runs as ordinary work, whatever the daemon runs as, and under a name of
// its own.
func TestOrdinary(t *testing.T) {
	must(t, unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0))
	defer func() {
		must(t, unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0))
	}()
	w, err := start()
	must(t, err)
	defer func() { _ = w.end() }()
	must(t, w.client.Call(methodProblems, None(false), new([]string)))
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", w.Pid))
	must(t, err)
	if string(comm) != name+"\n" {
		t.Errorf("it is called %q", comm)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.Pid))
	must(t, err)
	for _, entry := range entries {
		var tid int
		_, err := fmt.Sscan(entry.Name(), &tid)
		must(t, err)
		attr, err := unix.SchedGetAttr(tid, 0)
		if err != nil || attr.Policy != unix.SCHED_NORMAL {
			t.Errorf("thread %d: policy %+v, %v", tid, attr, err)
		}
	}
}

// write makes a file of an authority.
func write(t *testing.T, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}
