// Package worker runs a checker.Pool in a process of its own. Thousands of
// checks a second take all the processor time they get, and what they read
// comes from anywhere: beside the election in one process they would delay it,
// and an error in them would end it.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"bascule/checker"
)

// How a worker that ends by itself is replaced: after that time, twice as long
// each time that it happens again soon.
const (
	restartMin = 200 * time.Millisecond
	restartMax = 10 * time.Second
	soon       = time.Minute
)

// patience is how long a worker may take to answer, on a machine that is busy,
// what it answers at once or after newsInterval.
const patience = 30 * time.Second

// Pool is a checker.Pool that lives in a worker: another process of this
// program. A worker that ends is replaced; what is known of the checks stays
// known meanwhile.
//
// Set and Close are for one goroutine at a time; what only reads is for any.
type Pool struct {
	report  checker.Report
	log     *slog.Logger
	wanted  atomic.Pointer[table] // replaced, never changed
	trouble atomic.Pointer[trouble]
	last    ID

	changing sync.Mutex              // held while wanted, running and what the worker has to do change
	running  atomic.Pointer[process] // nil while there is no worker

	telling sync.Mutex // held while reports are passed on, and when wanted is replaced

	patience time.Duration // how long a worker may take to answer

	stop  context.CancelFunc // nil until there was something to check
	ended chan struct{}
}

// table is the checks that are wanted.
type table struct {
	bySpec map[checker.Spec]*check
	byID   map[ID]*check
}

// check is one of them.
type check struct {
	id      ID
	spec    checker.Spec
	finding atomic.Pointer[Finding]
}

// trouble is what keeps checks from being made.
type trouble struct {
	worker string   // why there is no worker; "" if there is one
	faulty []string // checks that the worker cannot make
}

// NewPool returns a pool without checks. It calls report as a checker.Pool does,
// except that changes which follow each other closely may be reported as one.
// What goes wrong with the worker is logged.
func NewPool(report checker.Report, log *slog.Logger) *Pool {
	p := &Pool{report: report, log: log, patience: patience, ended: make(chan struct{})}
	p.wanted.Store(&table{})
	p.trouble.Store(&trouble{})
	return p
}

// Set makes the checks equal to specs, as checker.Pool.Set does. Without a
// worker they run when there is one.
func (p *Pool) Set(specs []checker.Spec) error {
	old := p.wanted.Load()
	var problems []error
	for _, spec := range specs {
		if old.bySpec[spec] == nil {
			if _, err := checker.New(spec); err != nil {
				problems = append(problems, err)
			}
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	next, change := p.plan(old, specs)
	p.telling.Lock() // what is gone has been reported for the last time
	p.wanted.Store(next)
	p.telling.Unlock()
	switch {
	case p.running.Load() != nil:
		p.change(change)
	case p.stop == nil && len(specs) > 0:
		ctx, stop := context.WithCancel(context.Background())
		p.stop = stop
		go p.supervise(ctx)
	}
	return nil
}

// plan returns the table for some checks, and how it differs from the old one.
func (p *Pool) plan(old *table, specs []checker.Spec) (*table, Change) {
	next := &table{make(map[checker.Spec]*check, len(specs)), make(map[ID]*check, len(specs))}
	var change Change
	for _, spec := range specs {
		if next.bySpec[spec] != nil {
			continue
		}
		c := old.bySpec[spec]
		if c == nil {
			p.last++
			c = &check{id: p.last, spec: spec}
			c.finding.Store(&Finding{ID: c.id})
			change.Add = append(change.Add, c.assignment())
		}
		next.bySpec[spec], next.byID[c.id] = c, c
	}
	for id := range old.byID {
		if next.byID[id] == nil {
			change.Remove = append(change.Remove, id)
		}
	}
	return next, change
}

// assignment is a check as a worker takes it.
func (c *check) assignment() Assignment { return Assignment{*c.finding.Load(), c.spec} }

// change has the worker take a change, with changing held. If it cannot, it is
// ended: the next one takes all that is wanted.
func (p *Pool) change(change Change) {
	var changed Changed
	// However long that takes: whether the worker lives is seen by its news.
	w := p.running.Load()
	if err := w.client.Call(methodChange, change, &changed); err != nil {
		_ = w.client.Close()
		return
	}
	wanted := p.wanted.Load()
	p.telling.Lock()
	defer p.telling.Unlock()
	for _, f := range changed.Known {
		if c := wanted.byID[f.ID]; c != nil && c.finding.Load().Known.State == checker.Unknown { // else there is news already
			c.finding.Store(&f)
		}
	}
	p.trouble.Store(&trouble{faulty: changed.Faulty})
	for _, fault := range changed.Faulty {
		p.log.Error("a check cannot be made", "error", fault)
	}
}

// ask has the worker answer something, and says whether it did. One that does
// not is ended.
func (p *Pool) ask(method string, argument, answer any) bool {
	w := p.running.Load()
	if w == nil {
		return false
	}
	if err := p.call(w, method, argument, answer); err != nil {
		_ = w.client.Close()
		return false
	}
	return true
}

// call has a worker do something, and gives up on one that does not answer.
func (p *Pool) call(w *process, method string, argument, answer any) error {
	select {
	case done := <-w.client.Go(method, argument, answer, make(chan *rpc.Call, 1)).Done:
		return done.Error
	case <-time.After(p.patience):
		return fmt.Errorf("no answer for %s", p.patience)
	}
}

// Close ends the worker with all checks. The pool cannot be used after that.
func (p *Pool) Close() {
	p.changing.Lock()
	stop := p.stop
	p.changing.Unlock()
	if stop != nil {
		stop()
		<-p.ended
	}
	p.telling.Lock()
	defer p.telling.Unlock()
	p.wanted.Store(&table{})
}

// supervise keeps a worker running until ctx ends.
func (p *Pool) supervise(ctx context.Context) {
	defer close(p.ended)
	for wait := restartMin; ; wait = min(2*wait, restartMax) {
		began := time.Now()
		err := p.work(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > soon {
			wait = restartMin
		}
		text := "health checks are not made, and real servers stay as they are: the process for them has ended: " + err.Error()
		p.trouble.Store(&trouble{worker: text})
		p.log.Error("the process of the health checks has ended", "error", err.Error(), "restart_in", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// work starts a worker, gives it all that is wanted and passes on what it
// finds out, until it ends or ctx does.
func (p *Pool) work(ctx context.Context) (err error) {
	w, err := start()
	if err != nil {
		return err
	}
	defer func() { err = w.end(err) }()
	stop := context.AfterFunc(ctx, func() { _ = w.client.Close() })
	defer stop()
	var assigning sync.WaitGroup
	assigning.Go(func() { p.assign(w) })
	defer func() {
		_ = w.client.Close()
		assigning.Wait()
		p.withdraw()
	}()
	for {
		var news []Finding
		if err := p.call(w, methodNews, None(false), &news); err != nil {
			return err
		}
		p.tell(news)
	}
}

// assign gives a new worker all that is wanted.
func (p *Pool) assign(w *process) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.running.Store(w)
	var change Change
	for _, c := range p.wanted.Load().byID {
		change.Add = append(change.Add, c.assignment())
	}
	p.change(change)
}

// withdraw takes the worker away from the others, who would wait for it.
func (p *Pool) withdraw() {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.running.Store(nil)
}

// tell passes on what a worker has found out.
func (p *Pool) tell(news []Finding) {
	p.telling.Lock()
	defer p.telling.Unlock()
	wanted := p.wanted.Load()
	for _, f := range news {
		if c := wanted.byID[f.ID]; c != nil {
			c.finding.Store(&f)
			p.report(c.spec, f.Known)
		}
	}
}
