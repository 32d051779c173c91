package checker

import (
	"context"
	"iter"
	"time"
)

// coroutine runs probes, one after the other. One that has to wait stops the
// coroutine, and whoever runs it goes on, without a change of goroutines that the
// scheduler would have to decide about.
type coroutine struct {
	task  *task // whose probe it runs; nil if that has ended
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

// newCoroutine returns a coroutine without a probe. It has to be stopped.
func newCoroutine() *coroutine {
	c := &coroutine{}
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		for more := true; more; more = yield(struct{}{}) {
			c.task.runner.probe(c.task)
			c.task = nil
		}
	})
	return c
}

// task is one check of a loop, and the context of its probes. All of it belongs to
// the goroutine of the loop.
type task struct {
	context.Context
	cancel context.CancelFunc
	loop   *loop
	runner *Runner
	done   chan struct{} // closed when the check has ended

	coroutine *coroutine // of its probe; nil if there is none
	at        time.Time  // when it goes on at the latest
	in        *queue     // where it waits for that; nil: nowhere
	index     int        // in there
	told      bool       // something has happened to the socket of the probe
	woken     wake       // why it goes on
}

// newTask returns the check of a runner, which is yet to begin.
func newTask(l *loop, r *Runner) *task {
	t := &task{loop: l, runner: r, done: make(chan struct{})}
	t.Context, t.cancel = context.WithCancel(context.Background())
	return t
}

// begin begins the check.
func (t *task) begin() { t.wait(&t.loop.idle, t.runner.first(time.Now())) }

// start starts a probe.
func (t *task) start() {
	t.coroutine = t.loop.coroutine()
	t.coroutine.task = t
	t.run()
}

// resume has a probe go on that waits.
func (t *task) resume(why wake) {
	t.woken = why
	t.run()
}

// run runs the probe until it waits or ends. Then the next one is due some time.
func (t *task) run() {
	if t.in != nil {
		t.in.remove(t)
	}
	t.coroutine.next()
	if t.coroutine.task != nil {
		return
	}
	t.loop.release(t.coroutine)
	t.coroutine, t.told = nil, false
	if t.Err() == nil {
		t.wait(&t.loop.idle, t.runner.next(time.Now()))
	}
}

// wait has the task wait in a queue.
func (t *task) wait(q *queue, until time.Time) {
	t.at = until
	q.add(t)
}

// repeat has what is known of the check reported once more.
func (t *task) repeat() {
	if t.Err() == nil {
		t.runner.repeat()
	}
}

// end ends the check, also within a probe.
func (t *task) end() {
	t.cancel()
	for t.coroutine != nil {
		t.resume(wakeEnded)
	}
	if t.in != nil {
		t.in.remove(t)
	}
	close(t.done)
}

// tell has the probe go on, or not wait at all, because something has happened to
// its socket.
func (t *task) tell() {
	if !t.told && t.in == &t.loop.waiting {
		t.in.remove(t)
		t.loop.ready = append(t.loop.ready, t)
	}
	t.told = true
}

// sleep implements sleeper, for the probe, which always has a deadline.
func (t *task) sleep(_ context.Context, until time.Time) wake {
	switch {
	case t.Err() != nil:
		return wakeEnded
	case !t.told:
		t.wait(&t.loop.waiting, until)
		t.coroutine.yield(struct{}{})
	default:
		t.woken = wakeTold
	}
	t.told = false
	return t.woken
}

// taskKey is the key of a task in the contexts that are made from it.
type taskKey struct{}

// Value returns the task itself for its key.
func (t *task) Value(key any) any {
	if key == (taskKey{}) {
		return t
	}
	return t.Context.Value(key)
}

// taskOf returns the task whose probe a context is of; nil if that has a goroutine
// of its own.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}
