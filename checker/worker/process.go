package worker

import (
	"errors"
	"net/rpc"
	"os"
	"sync/atomic"
	"syscall"
	"time"
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
	*os.Process
	client *rpc.Client
}

// start starts a worker without checks.
func start() (*process, error) {
	request, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = request.Close() }()
	read, answer, err := os.Pipe()
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	// A session of its own keeps the signals of a terminal away.
	p, err := os.StartProcess("/proc/self/exe", []string{"bascule", Argument}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{request, answer, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		_, _ = write.Close(), read.Close()
		return nil, err
	}
	register()
	// Its end is that of both pipes: the worker sees the end of its requests.
	client := rpc.NewClient(duplex{read, write, func() error {
		_ = write.Close()
		return read.Close()
	}})
	return &process{p, client}, nil
}

// end ends the worker if it has not ended by itself, and returns why it has.
func (p *process) end(why error) error {
	_ = p.client.Close()
	var killed atomic.Bool
	kill := time.AfterFunc(grace, func() {
		killed.Store(true)
		_ = p.Kill()
	})
	defer kill.Stop()
	switch state, err := p.Wait(); {
	case err != nil:
		return err
	case state.Success() || killed.Load():
		return why
	default:
		return errors.New(state.String())
	}
}
