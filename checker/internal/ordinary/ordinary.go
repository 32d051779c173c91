// Package ordinary lets a process put off what it has inherited from a daemon
// with privileges and in real time.
package ordinary

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tasks has a directory for each thread of this process.
const tasks = "/proc/self/task"

// Scheduling gives all threads the policy SCHED_OTHER, and no more than
// ordinary niceness. What is nicer than that stays so.
func Scheduling() error {
	before, err := threads()
	for err == nil {
		for _, tid := range before {
			if err := schedule(tid); err != nil {
				return err
			}
		}
		// A thread that was started meanwhile may have inherited the policy of
		// one that had not been reached yet.
		var after []int
		if after, err = threads(); slices.Equal(before, after) {
			break
		}
		before = after
	}
	return err
}

// threads returns the threads of this process.
func threads() ([]int, error) {
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return nil, err
	}
	tids := make([]int, len(entries))
	for i, entry := range entries {
		if tids[i], err = strconv.Atoi(entry.Name()); err != nil {
			return nil, err
		}
	}
	return tids, nil
}

// schedule gives one thread, which may have ended, ordinary scheduling.
func schedule(tid int) error {
	priority := struct{ value int32 }{0}
	_, _, errno := syscall.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), unix.SCHED_NORMAL, uintptr(unsafe.Pointer(&priority)))
	if errno != 0 && errno != syscall.ESRCH {
		return fmt.Errorf("sched_setscheduler: %w", errno)
	}
	const plain = 20 // as the kernel counts: 20 less the niceness
	if nice, err := syscall.Getpriority(unix.PRIO_PROCESS, tid); err == nil && nice > plain {
		if err := syscall.Setpriority(unix.PRIO_PROCESS, tid, 0); err != nil {
			return fmt.Errorf("setpriority: %w", err)
		}
	}
	return nil
}

// Expendable lets the kernel kill this process at that score when memory is
// short. Anybody may ask to be killed sooner than before. The opposite may be
// forbidden, as in a container that is to be killed early; then nothing changes.
func Expendable(score int) error {
	err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(score)), 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// Capabilities returns those of this thread.
func Capabilities() (header unix.CapUserHeader, data [2]unix.CapUserData, err error) {
	header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&header, &data[0])
	return header, data, err
}
