package checker

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"bascule/checker/internal/ordinary"
)

// becomeOrdinary puts off what the daemon has and a script must not inherit.
func becomeOrdinary() error {
	if err := ordinary.Scheduling(); err != nil {
		return err
	}
	if err := ordinary.Expendable(0); err != nil {
		return err
	}
	if err := fewProcesses(); err != nil {
		return fmt.Errorf("limit of processes: %w", err)
	}
	syscall.Umask(0o022)
	if err := ignoreNoSignal(); err != nil {
		return fmt.Errorf("ignored signals: %w", err)
	}
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	// Of this thread, and so of the script.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("ambient capabilities: %w", err)
	}
	if err := inheritNone(); err != nil {
		return fmt.Errorf("inheritable capabilities: %w", err)
	}
	// Processes whose parents have ended become children of this one, instead
	// of getting away.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("subreaper: %w", err)
	}
	return nil
}

// ignoreNoSignal gives signals that are ignored their default action. What has
// a handler, as the Go runtime gives to most, gets that by execve. Those that
// were ignored before are left so by the runtime, as nohup wants, or are
// unknown to it, such as those of threads, which make ignores.
func ignoreNoSignal() error {
	type action struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}
	const ignored, signals, size = 1, 64, 8 // SIG_IGN, and the number of signals in a mask of so many bytes
	for signal := uintptr(1); signal <= signals; signal++ {
		var is, byDefault action
		if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, signal, 0, uintptr(unsafe.Pointer(&is)), size, 0, 0); errno != 0 {
			return errno
		}
		if is.handler != ignored {
			continue
		}
		if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&byDefault)), 0, size, 0, 0); errno != 0 {
			return errno
		}
	}
	return nil
}

// maxProcesses is how many processes and threads the user of a script may have
// on this machine, whoever has started them. A script that starts ever more must
// not use up those of the daemon, which ends when it cannot start a thread.
const maxProcesses = 2048

// fewProcesses sets that limit, unless there is a lower one. It has no meaning
// for root, and so not for this process.
func fewProcesses() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return err
	}
	limit.Cur, limit.Max = min(limit.Cur, maxProcesses), min(limit.Max, maxProcesses)
	return unix.Setrlimit(unix.RLIMIT_NPROC, &limit)
}

// inheritNone empties the inheritable capabilities of this thread.
func inheritNone() error {
	header, data, err := ordinary.Capabilities()
	if err != nil {
		return err
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	return unix.Capset(&header, &data[0])
}

// canBecomeOthers says which capability is missing to run a script as another
// user, and to end it.
func canBecomeOthers() error {
	_, data, err := ordinary.Capabilities()
	if err != nil {
		return err
	}
	for name, number := range map[string]int{"CAP_SETUID": unix.CAP_SETUID, "CAP_SETGID": unix.CAP_SETGID, "CAP_KILL": unix.CAP_KILL} {
		if data[0].Effective&(1<<number) == 0 {
			return errors.New("to run as another user takes CAP_SETUID, CAP_SETGID and CAP_KILL: " + name + " is missing")
		}
	}
	return nil
}

// killChildren kills all children of this process, and those that become its
// children by that, until there are none.
func killChildren() error {
	for {
		var collected int
		err := retry(func() (err error) {
			collected, err = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			return err
		})
		switch {
		case errors.Is(err, syscall.ECHILD):
			return nil
		case err != nil:
			return err
		case collected > 0:
			continue
		}
		children, err := childrenOf(os.Getpid())
		if err != nil || len(children) == 0 {
			return err
		}
		for _, child := range children {
			_ = syscall.Kill(child, syscall.SIGKILL) // nobody else collects it, so it is the same still
		}
		err = retry(func() error {
			_, err := syscall.Wait4(-1, nil, 0, nil)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// childrenOf returns the processes with a parent.
func childrenOf(parent int) ([]int, error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, process := range processes {
		pid, err := strconv.Atoi(process.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + process.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		if parentIn(stat) == parent {
			children = append(children, pid)
		}
	}
	return children, nil
}

// parentIn returns the parent that stands in a /proc/PID/stat: the second
// field behind the name of the program, which may have any form.
func parentIn(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}
