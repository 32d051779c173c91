package checker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inLoop has check make its probe in a loop.
var inLoop bool

// The kinds that can make their probes in a loop find out there what they find out
// elsewhere.
func TestLoopFindsTheSame(t *testing.T) {
	inLoop = true
	defer func() { inLoop = false }()
	for name, test := range map[string]func(*testing.T){
		"TCP": TestTCP, "TCPTimeout": TestTCPTimeout, "TCPNoRoute": TestTCPNoRoute, "TCPUnheard": TestTCPUnheard,
		"HTTP": TestHTTP, "HTTPClosedAtOnce": TestHTTPClosedAtOnce, "HTTPTimeout": TestHTTPTimeout, "HTTPRefused": TestHTTPRefused,
	} {
		t.Run(name, test)
	}
}

// checkInLoop makes one probe in a loop on this thread.
func checkInLoop(t *testing.T, spec Spec, c Checker) error {
	t.Helper()
	if !inLoops(c) {
		t.Fatalf("%s is not for a loop", spec.Name())
	}
	l, err := newLoop()
	if err != nil {
		t.Error(err)
		return err
	}
	var verdict error // of the probe, however late
	own := taskFunc(func(task *task, deadline time.Time) error {
		_, verdict = c.(timely).checkBy(task, deadline)
		return verdict
	})
	ended := false
	task := newTask(l, NewRunner(spec, own, Unknown, func(Result) { ended = true }))
	task.begin()
	for !ended {
		if !l.step(time.Now()) {
			l.sleep()
		}
	}
	task.end()
	l.closed = true
	l.run()
	return verdict
}

// taskFunc is a function as a cooperative Checker.
type taskFunc func(task *task, deadline time.Time) error

// Check is not for probes that need a loop.
func (f taskFunc) Check(context.Context) (Advice, error) { return Advice{}, errors.ErrUnsupported }

// checkBy implements timely.
func (f taskFunc) checkBy(ctx context.Context, deadline time.Time) (Advice, error) {
	return Advice{}, f(taskOf(ctx), deadline)
}

// cooperates implements cooperative.
func (f taskFunc) cooperates() bool { return true }

// good is a probe that does not wait.
func good(*task, time.Time) error { return nil }

// waitsInVain is a probe whose target says nothing.
func waitsInVain(task *task, deadline time.Time) error {
	task.sleep(task, deadline)
	return timeoutError{silent: true}
}

// steppedLoop returns a loop that a test runs step by step.
func steppedLoop(t *testing.T) *loop {
	t.Helper()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.closed = true
		l.run()
	})
	return l
}

// runningLoop returns a loop that runs until the test ends.
func runningLoop(t *testing.T) *loop {
	t.Helper()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	go l.run()
	t.Cleanup(l.close)
	return l
}

// taskFor returns a check of a loop, once a second, that ends with the test.
func taskFor(t *testing.T, l *loop, probe taskFunc, report func(Result)) *task {
	t.Helper()
	return newTask(l, NewRunner(testSpec(), probe, Unknown, report))
}

// What is most urgent comes first: who was told of something, in that order, then
// those at their deadlines, then the starts, the earliest first.
func TestLoopOrder(t *testing.T) {
	l := steppedLoop(t)
	var log []string
	note := func(text string) func(Result) { return func(Result) { log = append(log, text) } }
	begin := time.Now()
	add := func(name string, probe taskFunc, at time.Duration) *task {
		task := taskFor(t, l, probe, note(name))
		task.begin()
		task.in.remove(task)
		task.wait(&l.idle, begin.Add(at))
		return task
	}
	add("start 3", good, 3*time.Millisecond)
	add("start 1", good, time.Millisecond)
	add("start 2", good, 2*time.Millisecond)
	waits := func(name string) *task {
		task := add(name, waitsInVain, 0)
		task.runner.spec.Timeout = time.Hour
		l.step(begin) // it begins, and waits
		return task
	}
	late, early, second, first := waits("late"), waits("early"), waits("told 2"), waits("told 1")
	for task, at := range map[*task]time.Duration{late: 5 * time.Millisecond, early: 4 * time.Millisecond} {
		task.in.remove(task)
		task.wait(&l.waiting, begin.Add(at))
	}
	first.tell()
	second.tell()
	first.tell() // it knows
	now := begin.Add(time.Second / 2)
	for range 7 {
		if !l.step(now) {
			t.Fatal("nothing more to do")
		}
	}
	want := []string{"told 1", "told 2", "early", "late", "start 1", "start 2", "start 3"}
	if !slices.Equal(log, want) {
		t.Errorf("%q, want %q", log, want)
	}
	if l.step(now) {
		t.Error("something is left to do")
	}
	for _, task := range slices.Clone(l.idle) {
		task.end()
	}
	if len(l.idle)+len(l.waiting)+len(l.ready) != 0 {
		t.Errorf("%d, %d and %d tasks are left", len(l.idle), len(l.waiting), len(l.ready))
	}
}

// A round is not longer than tasksAtOnce, so that what was asked for, and the rest
// of this process, has its turn.
func TestLoopRound(t *testing.T) {
	l := steppedLoop(t)
	probes := 0
	for range tasksAtOnce + 1 {
		taskFor(t, l, good, func(Result) { probes++ }).begin()
	}
	if more := l.round(); !more || probes != tasksAtOnce {
		t.Errorf("%d probes in a round, more %t", probes, more)
	}
	if more := l.round(); more || probes != tasksAtOnce+1 {
		t.Errorf("%d probes in two rounds, more %t", probes, more)
	}
}

// Who has been answered goes on in the next round, however many are to start.
func TestLoopRoundHears(t *testing.T) {
	l := steppedLoop(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	heard := false
	first := taskFor(t, l, func(task *task, deadline time.Time) error {
		s := socket{fd: pair[0]}
		if err := s.watched(task); err != nil {
			return err
		}
		defer s.watch.end()
		return s.watch.wait(task, deadline, &s.watch.in, readable, func() bool {
			heard = true
			return true
		})
	}, func(Result) {})
	first.begin()
	l.step(time.Now())
	for range 2 * tasksAtOnce {
		taskFor(t, l, good, func(Result) {}).begin()
	}
	if _, err := unix.Write(pair[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	if more := l.round(); !more || !heard {
		t.Errorf("heard %t, more %t", heard, more)
	}
}

// A check that ends within a probe has it end, reports nothing more, and does not
// come back, whatever it waits for or was told.
func TestTaskEnds(t *testing.T) {
	for name, prepare := range map[string]func(*task){
		"idle":    func(*task) {},
		"waiting": func(task *task) { task.loop.step(time.Now()) },
		"told":    func(task *task) { task.loop.step(time.Now()); task.tell() },
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			l := steppedLoop(t)
			woken := wakeTold
			task := taskFor(t, l, func(task *task, deadline time.Time) error {
				task.sleep(task, deadline)
				woken = task.sleep(task, deadline) // it does not give in at once
				return nil
			}, func(Result) { t.Error("it is reported") })
			task.begin()
			prepare(task)
			task.end()
			if name != "idle" && woken != wakeEnded {
				t.Errorf("the probe wakes up because of %d", woken)
			}
			select {
			case <-task.done:
			default:
				t.Error("it has not ended")
			}
			for l.step(time.Now().Add(time.Hour)) {
			}
		})
	}
}

// What a probe is told before it waits, it does not wait for, once; what one probe
// is told, the next one does not hear of.
func TestTaskTold(t *testing.T) {
	l := steppedLoop(t)
	var log []wake
	task := taskFor(t, l, func(task *task, _ time.Time) error {
		if len(log) == 0 {
			task.tell()
			log = append(log, task.sleep(task, time.Now().Add(time.Hour)))
			log = append(log, task.sleep(task, time.Now().Add(-time.Second)))
		} else {
			log = append(log, task.sleep(task, time.Now().Add(-time.Second)))
		}
		task.tell()
		return nil
	}, func(Result) {})
	task.begin()
	for i := range 4 { // starts and deadlines of two probes
		l.step(time.Now().Add(time.Duration(i) * time.Minute))
	}
	if want := []wake{wakeTold, wakeDue, wakeDue}; !slices.Equal(log, want) {
		t.Errorf("%v, want %v", log, want)
	}
	task.end()
}

// Not more coroutines than will be needed are kept.
func TestLoopSpare(t *testing.T) {
	noLeak(t)
	l := steppedLoop(t)
	var tasks []*task
	for range 2 * maxSpare {
		task := taskFor(t, l, waitsInVain, func(Result) {})
		task.begin()
		tasks = append(tasks, task)
	}
	for l.step(time.Now()) {
	}
	if n := len(l.waiting); n != 2*maxSpare {
		t.Errorf("%d probes wait for their targets", n)
	}
	for _, task := range tasks {
		task.end()
	}
	if n := len(l.spare); n != maxSpare {
		t.Errorf("%d coroutines without a probe, want %d", n, maxSpare)
	}
}

// That starts are late is known as long as they are.
func TestLoopBehind(t *testing.T) {
	l := steppedLoop(t)
	task := taskFor(t, l, good, func(Result) {})
	task.begin()
	l.awake = task.at.Add(-time.Hour)
	l.step(task.at.Add(paceBehind - 1))
	if late := l.behind.present(time.Now()); late != 0 {
		t.Errorf("starts are %s late", late)
	}
	now := task.at.Add(2 * paceBehind)
	l.step(now)
	for after, want := range map[time.Duration]time.Duration{0: 2 * paceBehind, 2 * paceBehind: 2 * paceBehind, 2*paceBehind + 1: 0} {
		if late := l.behind.present(now.Add(after)); late != want {
			t.Errorf("%s later starts are %s late, want %s", after, late, want)
		}
	}
	for _, late := range []time.Duration{0, time.Hour} { // in time, and after a pause
		l.awake = task.at.Add(late)
		l.step(l.awake)
		if late := l.behind.present(l.awake); late != 0 {
			t.Errorf("starts are %s late still", late)
		}
	}
	task.end()
}

// A loop sleeps until something is due, somebody asks it for something, or a target
// has answered; a probe that waits delays no other.
func TestLoopWakes(t *testing.T) {
	noLeak(t)
	l := runningLoop(t)
	begin := time.Now()
	var once atomic.Bool
	probes := make(chan time.Time)
	quick := newTask(l, NewRunner(Spec{Interval: 5 * time.Millisecond, Timeout: patience, Rise: 1, Fall: 1}, taskFunc(good), Unknown, func(r Result) {
		select {
		case probes <- r.Start:
		default:
		}
	}))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	waits, heard := make(chan bool), make(chan error, 1)
	slow := taskFor(t, l, func(task *task, _ time.Time) error {
		if once.Swap(true) {
			return nil
		}
		s := socket{fd: pair[0]}
		if err := s.watched(task); err != nil {
			return err
		}
		defer s.watch.end()
		close(waits)
		_, err := readNow(pair[0], make([]byte, 1))
		heard <- s.watch.wait(task, time.Now().Add(patience), &s.watch.in, readable, func() bool {
			_, err = readNow(pair[0], make([]byte, 1))
			return !errors.Is(err, unix.EAGAIN)
		})
		return err
	}, func(Result) {})
	l.ask(slow.begin)
	l.ask(quick.begin)
	<-waits
	for range 3 {
		<-probes
	}
	if _, err := unix.Write(pair[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Error(err)
	}
	l.ask(slow.end)
	l.ask(quick.end)
	<-slow.done
	<-quick.done
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("took %s", took)
	}
}

// The kinds of probes that a loop makes are those that nothing can hold up.
func TestCooperates(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Spec)
		want   bool
	}{
		"tcp":                 {func(s *Spec) { s.Probe = TCP{} }, true},
		"tcp from a source":   {func(s *Spec) { s.Probe, s.Via.Source = TCP{}, netip.MustParseAddr("127.0.0.1") }, true},
		"tcp in a namespace":  {func(s *Spec) { s.Probe, s.Via.Namespace = TCP{}, "blue" }, false},
		"http":                {func(*Spec) {}, true},
		"http in a namespace": {func(s *Spec) { s.Via.Namespace = "blue" }, false},
		"http with a body":    {func(s *Spec) { s.Probe = HTTP{Method: "GET", Path: "/", Status: "200", Body: Body{Contains: "ok"}} }, false},
		"http/2":              {func(s *Spec) { s.Probe = HTTP{Method: "GET", Path: "/", Status: "200", Version: "2"} }, false},
		"https":               {func(s *Spec) { s.Probe = HTTP{Method: "GET", Path: "/", Status: "200", Secure: true} }, false},
		"tls":                 {func(s *Spec) { s.Probe = TLS{} }, false},
		"grpc":                {func(s *Spec) { s.Probe = GRPC{} }, false},
	} {
		spec := httpSpec(netip.MustParseAddrPort("127.0.0.1:80"), time.Second)
		test.change(&spec)
		c, err := New(spec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := inLoops(c); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}
