package checker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bascule/checker/internal/self"
)

// Launcher is the only argument that this program gives itself to run a
// script. Its main calls Launch then, before anything else.
const Launcher = "launch-script"

// launchRequest is what a launcher is to run.
type launchRequest struct {
	User, Group string
	Namespace   string // the network namespace; empty: that of this process
	Argv, Env   []string
}

// Launch runs one script: control has the request, and its end is the order to
// kill the script; report takes what became of it.
//
// Launch changes the process that it is called in, and is for one of its own.
func Launch(control io.Reader, report io.Writer) error {
	// The script inherits from this thread what is not of the whole process.
	runtime.LockOSThread()
	_ = self.Name("bascule-script") // for who lists processes, and nothing depends on it
	o, err := launchScript(control)
	if err != nil {
		o = outcome{kind: outcomeCannot, output: err.Error()}
	}
	_, err = report.Write(o.report())
	return err
}

// launchScript runs the script that is asked for.
func launchScript(control io.Reader) (outcome, error) {
	decoder := json.NewDecoder(control)
	var request launchRequest
	if err := decoder.Decode(&request); err != nil {
		return outcome{}, err
	}
	if len(request.Argv) == 0 {
		return outcome{}, errors.New("no program")
	}
	if err := becomeOrdinary(); err != nil {
		return outcome{}, err
	}
	credential, err := credentialOf(request)
	if err != nil {
		return outcome{}, err
	}
	if request.Namespace != "" { // of this thread, and so of the script
		var none *LocalError
		if err := enter(request.Namespace); errors.As(err, &none) {
			return outcome{}, errors.New(none.Reason)
		}
	}
	s, err := startScript(request, credential)
	if err != nil {
		return outcome{}, err
	}
	go func() {
		_, _ = io.Copy(io.Discard, control) // until the daemon closes it, or ends
		s.kill()
	}()
	return s.wait()
}

// credentialOf is whom to run a script as, if that may be.
func credentialOf(request launchRequest) (*syscall.Credential, error) {
	credential, err := accountOf(request.User, request.Group)
	if err != nil {
		return nil, err
	}
	if request.User == rootUser {
		if err := onlyRootWrites(request.Argv[0]); err != nil {
			return nil, err
		}
	}
	if int(credential.Uid) == os.Geteuid() {
		credential.NoSetGroups = true
		return credential, nil
	}
	return credential, canBecomeOthers()
}

// script is a script that runs.
type script struct {
	pid    int
	pipe   *os.File // what it writes
	output *firstBytes
	done   chan struct{} // closed when output is complete

	mutex  sync.Mutex
	ended  bool // its number may be somebody else's
	killed bool
}

// startScript starts the program of a request.
func startScript(request launchRequest, credential *syscall.Credential) (*script, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = write.Close() }()
	pid, err := syscall.ForkExec(request.Argv[0], request.Argv, &syscall.ProcAttr{
		Env: request.Env, Files: []uintptr{null.Fd(), write.Fd(), write.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: credential, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		_ = read.Close()
		return nil, startError(request.Argv[0], err)
	}
	s := &script{pid: pid, pipe: read, output: &firstBytes{}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_, _ = io.Copy(s.output, read)
	}()
	return s, nil
}

// startError puts into words why a program did not start. The kernel says of
// an interpreter that is missing what it says of a missing program.
func startError(program string, err error) error {
	if errors.Is(err, syscall.ENOENT) && unix.Access(program, unix.F_OK) == nil {
		return fmt.Errorf("its interpreter is missing: %w", err)
	}
	return err
}

// kill ends the script and its process group, if it still runs.
func (s *script) kill() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ended {
		return
	}
	s.killed = true
	_ = syscall.Kill(-s.pid, syscall.SIGKILL)
	_ = syscall.Kill(s.pid, syscall.SIGKILL) // it may have left its group
}

// wait waits until the script has ended, and ends what it has left behind.
func (s *script) wait() (outcome, error) {
	// Not collected yet, its number stays its own, and that of its group.
	err := retry(func() error { return unix.Waitid(unix.P_PID, s.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) })
	if err != nil {
		return outcome{}, err
	}
	s.mutex.Lock()
	s.ended = true
	killed := s.killed
	s.mutex.Unlock()
	_ = syscall.Kill(-s.pid, syscall.SIGKILL)
	var status syscall.WaitStatus
	err = retry(func() error {
		_, err := syscall.Wait4(s.pid, &status, 0, nil)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	if err := killChildren(); err != nil {
		return outcome{}, err
	}
	// Nobody is left who could write, unless /proc hides processes.
	_ = s.pipe.SetReadDeadline(time.Now().Add(launchGrace / 2))
	<-s.done
	o := outcome{kind: outcomeExit, number: status.ExitStatus(), output: string(s.output.kept)}
	switch {
	case killed:
		o.kind, o.number = outcomeKilled, 0
	case status.Signaled():
		o.kind, o.number = outcomeSignal, int(status.Signal())
	}
	return o, nil
}

// firstBytes keeps the beginning of what is written to it.
type firstBytes struct{ kept []byte }

// Write takes all, and keeps what there is room for.
func (f *firstBytes) Write(data []byte) (int, error) {
	f.kept = append(f.kept, data[:min(len(data), maxOutput-len(f.kept))]...)
	return len(data), nil
}

// retry calls a function until it is not interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
