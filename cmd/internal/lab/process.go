package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs on a host until it is stopped.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	skip int64         // the length of what was in the log before
	done chan struct{} // closed when the program has ended
	err  error         // how it ended, once done is closed
}

// Start runs a program on the host. What it writes is appended to a log of
// its name in the host's directory. The laboratory's Close kills it.
func (h *Host) Start(name string, args ...string) (*Process, error) {
	return h.startAs(filepath.Base(name), name, args...)
}

// startAs runs a program as Start does, under another name: one of a shell or
// of another wrapper that becomes the program in the end.
func (h *Host) startAs(name, program string, args ...string) (*Process, error) {
	directory, err := h.Directory()
	if err != nil {
		return nil, err
	}
	p := &Process{
		name: fmt.Sprintf("%s on %s", name, h.Name),
		cmd:  h.Command(context.Background(), program, args...),
		log:  filepath.Join(directory, name+".log"),
		done: make(chan struct{}),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %v", p.name, err)
	}
	defer log.Close()
	if p.skip, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("log of %s: %v", p.name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %v", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	h.lab.onClose(p.Kill)
	return p, nil
}

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns what the process, and those of its name before it on its host,
// have written.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ownLog returns what the process itself has written.
func (p *Process) ownLog() string {
	text := p.Log()
	return text[min(int(p.skip), len(text)):]
}

// awaitLog waits until what the process has written fulfils a condition. Its
// end, and that of the context, are errors that say what was waited for.
func (p *Process) awaitLog(ctx context.Context, what string, holds func(text string) bool) error {
	for !holds(p.ownLog()) {
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended while waiting for %s: %s", p.name, what, p.ownLog())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s of %s: %v: %s", what, p.name, ctx.Err(), p.ownLog())
		case <-time.After(holderInterval):
		}
	}
	return nil
}

// Signal sends a signal to the process; one that has ended is an error.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("%v to %s: %v", signal, p.name, err)
	}
	return nil
}

// Stop asks the process to end (SIGTERM) and waits until it has ended with
// status 0. One that has not done so when the context ends is killed.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s has not ended after SIGTERM: %v", p.name, ctx.Err()), p.Kill())
	}
	if p.err != nil {
		return fmt.Errorf("%s ended badly after SIGTERM: %v", p.name, p.err)
	}
	return nil
}

// Kill ends the process and its descendants without giving them the time to
// do anything (SIGKILL). A process that has ended is no error.
//
// All are stopped first, and the process itself is the last to die: else it
// could start new children, and a child that notices its parent's death could
// clean up.
func (p *Process) Kill() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	family, err := freeze(p.PID())
	errs := []error{err}
	for _, pid := range slices.Backward(family) {
		errs = append(errs, sendSignal(pid, syscall.SIGKILL))
	}
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		errs = append(errs, fmt.Errorf("%s has not ended after SIGKILL", p.name))
	}
	return errors.Join(errs...)
}

// freeze stops a process and its descendants and returns them, each after its
// parent.
func freeze(pid int) ([]int, error) {
	family, errs := []int{pid}, []error{sendSignal(pid, syscall.SIGSTOP)}
	for _, child := range children(pid) {
		more, err := freeze(child)
		family, errs = append(family, more...), append(errs, err)
	}
	return family, errors.Join(errs...)
}

// sendSignal sends a signal to a process, if it is still there.
func sendSignal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%v to process %d: %v", s, pid, err)
	}
	return nil
}

// children returns the child processes of a process, of whichever thread.
func children(pid int) []int {
	var found []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // an error: the thread has just ended
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// dieWithParent has the kernel kill a child process when this one ends. It is
// for commands that start and output start.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// starts takes what a thread is to do that does not end before this process:
// the parent with which a child dies is the thread that has started it
// (PR_SET_PDEATHSIG), and others end with the goroutine that is locked to them.
var starts = sync.OnceValue(func() chan<- func() {
	functions := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range functions {
			f()
		}
	}()
	return functions
})

// start starts a command on that thread.
func start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	starts() <- func() { started <- cmd.Start() }
	return <-started
}

// output runs a command and returns its standard output; an error has its
// standard error.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A daemon that the command has left behind would hold the pipes open.
	cmd.WaitDelay = time.Second
	err := start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s: %v: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
