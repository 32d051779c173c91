package worker

import (
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"sync"
	"syscall"
	"time"

	"bascule/checker/internal/self"
)

// Argument is the only argument that this program gives itself to run checks.
// Its main calls Serve then, before anything else.
const Argument = "run-checks"

// grace is how long a worker may take to end after it was told to. What it
// leaves behind ends by itself: the launcher of a script kills it when nobody
// waits for it any more.
const grace = 100 * time.Millisecond

// process is a worker.
type process struct {
	*self.Process
	client *rpc.Client
	ended  chan struct{} // closed when it has ended
	state  error         // how it ended by itself, once ended is closed; nil if it did what it was told

	once  sync.Once
	cause error // why it is to end; of once
}

// start starts a worker without checks.
func start() (*process, error) {
	p, err := self.Start(Argument, nil, os.Stderr)
	if err != nil {
		return nil, err
	}
	register()
	// Its end is that of both pipes: the worker sees the end of its requests.
	client := rpc.NewClient(duplex{p.Out, p.In, func() error { return errors.Join(p.In.Close(), p.Out.Close()) }})
	w := &process{Process: p, client: client, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		state, err := p.Wait()
		switch {
		case err != nil:
			w.state = err
		case state.Success(), state.Sys().(syscall.WaitStatus).Signal() == syscall.SIGPIPE: // it was told to end while it answered
		default:
			w.state = errors.New(state.String())
		}
	}()
	return w, nil
}

// call has the worker do something, and gives up when patience is over.
func (p *process) call(patience time.Duration, method string, argument, answer any) error {
	// Not rpc.Client.Go, which waits for a worker that does not read.
	done := make(chan error, 1)
	go func() { done <- p.client.Call(method, argument, answer) }()
	// In many parts: a machine that was paused for all of the time must not find
	// that it is over before the worker could say a word.
	const parts = 32
	for range parts {
		select {
		case err := <-done:
			return err
		case <-time.After(patience / parts):
		}
	}
	return fmt.Errorf("%w for %s", errSilent, patience)
}

// errSilent is the error of a worker that does not answer.
var errSilent = errors.New("no answer")

// give gives the worker up, for a reason. It is told to end.
func (p *process) give(reason error) {
	p.once.Do(func() { p.cause = reason })
	_ = p.client.Close()
}

// end waits until a worker that was given up has ended, and returns why. One
// that does not end by itself is killed; one that the kernel does not let go, as
// with a disk that hangs, is left to it.
func (p *process) end() error {
	p.give(nil)
	select {
	case <-p.ended:
		if p.state != nil {
			return p.state
		}
		return p.cause
	case <-time.After(grace):
	}
	_ = p.Kill()
	select {
	case <-p.ended:
		return p.cause
	case <-time.After(time.Second):
		return fmt.Errorf("%w, and it cannot be killed", p.cause)
	}
}
