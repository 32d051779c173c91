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
	"maps"
	"slices"
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

const (
	// patience is how long a worker may take, on a machine that is busy, to
	// answer what it answers at once or after newsInterval.
	patience = 30 * time.Second
	// changePatience is the same for a change, which ends checks and begins
	// thousands.
	changePatience = 5 * time.Minute
	// questionPatience is how long somebody who looks waits.
	questionPatience = 2 * time.Second
	// retryFaulty is how often a worker tries again to make checks that it could
	// not make.
	retryFaulty = 10 * time.Second
)

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
	earlier := ending(old, specs)
	var change Change
	for _, spec := range specs {
		if next.bySpec[spec] != nil {
			continue
		}
		c := old.bySpec[spec]
		if c == nil {
			p.last++
			c = &check{id: p.last, spec: spec}
			before := earlier[spec.WithoutPace()]
			c.finding.Store(&Finding{ID: c.id, Known: before.Known, Since: before.Since})
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

// ending returns what is known of checks that end, by the probes that they make.
func ending(old *table, specs []checker.Spec) map[checker.Spec]Finding {
	ended := make(map[checker.Spec]Finding, len(old.bySpec))
	for spec, c := range old.bySpec {
		ended[spec] = *c.finding.Load()
	}
	for _, spec := range specs {
		delete(ended, spec)
	}
	return checker.Undisputed(maps.All(ended), func(f Finding) checker.State { return f.Known.State })
}

// assignment is a check as a worker takes it.
func (c *check) assignment() Assignment { return Assignment{*c.finding.Load(), c.spec} }

// change has the worker take a change, with changing held. If it cannot, it is
// ended: the next one takes all that is wanted.
func (p *Pool) change(change Change) {
	var faulty []string
	// It may take long: that the worker lives is seen by its news.
	w := p.running.Load()
	if err := w.call(changePatience, methodChange, change, &faulty); err != nil {
		w.give(fmt.Errorf("it does not take what is to be checked: %w", err))
		return
	}
	before := p.trouble.Swap(&trouble{faulty: faulty})
	if len(faulty) > 0 && !slices.Equal(faulty, before.faulty) {
		p.log.Error("checks cannot be made", "number", len(faulty), "first", faulty[0])
	}
}

// retry has the worker try again to make the checks that it could not make,
// such as one whose certificate was being renewed.
func (p *Pool) retry() {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.running.Load() != nil && len(p.trouble.Load().faulty) > 0 {
		p.change(Change{})
	}
}

// Close ends the worker with all checks. The pool cannot be used after that.
func (p *Pool) Close() {
	if p.stop != nil { // without changing, which may be held until the worker has ended
		p.stop()
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
		p.log.Error("the process of the health checks has ended", "error", err.Error(), "restart_in", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// work starts a worker, gives it all that is wanted and passes on what it
// finds out, until it ends or ctx does. It returns why.
func (p *Pool) work(ctx context.Context) (err error) {
	w, err := start()
	if err != nil {
		p.suffer(err)
		return err
	}
	stop := context.AfterFunc(ctx, func() { w.give(ctx.Err()) })
	defer stop()
	var assigning sync.WaitGroup
	assigning.Go(func() { p.assign(w) })
	defer func() {
		if err = w.end(); ctx.Err() == nil {
			p.suffer(err)
		}
		assigning.Wait()
		p.withdraw()
	}()
	again := time.Now()
	for {
		var news []Finding
		if err := w.call(p.patience, methodNews, None(false), &news); err != nil {
			w.give(err)
			return err
		}
		p.tell(news)
		if time.Since(again) > retryFaulty {
			again = time.Now()
			assigning.Go(p.retry)
		}
	}
}

// suffer shows that there is no worker.
func (p *Pool) suffer(err error) {
	p.trouble.Store(&trouble{worker: noWorker + err.Error()})
}

// noWorker is how it is put into words that there is no worker; the reason
// follows.
const noWorker = "health checks are not made, and real servers stay as they are: the process for them has ended: "

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

// tell passes on what a worker has found out. All of it is known before any of
// it is reported: what is reported of one check may depend on others.
func (p *Pool) tell(news []Finding) {
	p.telling.Lock()
	defer p.telling.Unlock()
	wanted := p.wanted.Load()
	for _, f := range news {
		if c := wanted.byID[f.ID]; c != nil {
			c.finding.Store(&f)
		}
	}
	for _, f := range news {
		if c := wanted.byID[f.ID]; c != nil {
			p.report(c.spec, f.Known)
		}
	}
}
