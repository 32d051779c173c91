package checker

import (
	"errors"
	"fmt"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces is where ip(8) keeps the namespaces that have names.
const namespaces = "/run/netns"

// visits limits how many threads are in a namespace of a probe at once. A
// visit is a handful of system calls that wait for nothing, so more threads
// would only be more threads.
var visits = make(chan struct{}, 4)

// socketIn returns a new socket, close-on-exec and non-blocking, in a network
// namespace: a name, a path, or "" for that of this process.
//
// The namespace is looked up each time, because one that was deleted and made
// anew keeps its name. The visit has a goroutine of its own: what fails to
// come back must not be the thread of a check.
func socketIn(namespace string, domain, kind, protocol int) (fd int, err error) {
	if namespace == "" {
		return unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	}
	fd = -1
	visits <- struct{}{}
	defer func() { <-visits }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = visit(namespace, func() error {
			fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
			return err
		})
	}()
	<-done
	return fd, err
}

// visit calls f on a thread in a network namespace. It must be called by a
// goroutine that does nothing else. If the thread cannot return to where it
// was, it ends with the goroutine, because that has never been unlocked.
func visit(namespace string, f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = unix.Close(home) }()
	if err := enter(namespace); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if unix.Setns(home, unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// enter moves the present thread to a network namespace. If it fails, the
// thread is where it was.
func enter(namespace string) error {
	file := namespacePath(namespace)
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		_ = unix.Close(fd)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return &LocalError{Reason: fmt.Sprintf("network namespace %s does not exist on this director", file)}
	case errors.Is(err, unix.EINVAL):
		return &LocalError{Reason: file + " is no network namespace"}
	}
	return &LocalError{Reason: fmt.Sprintf("network namespace %s: %v on this director", file, err)}
}

// namespacePath is the file of a network namespace.
func namespacePath(namespace string) string {
	if path.IsAbs(namespace) {
		return namespace
	}
	return path.Join(namespaces, namespace)
}
