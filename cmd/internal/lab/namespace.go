package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaceDirectory is where ip-netns(8) keeps the named namespaces.
const namespaceDirectory = "/run/netns"

// testPrefix begins the names of the namespaces of tests; the process that
// owns them follows.
const testPrefix = "bascule-test"

// namespace is a named network namespace.
type namespace struct {
	name   string
	ns     netns.NsHandle
	handle *netlink.Handle // routing messages into it
}

// addNamespace makes a namespace that ip-netns(8) finds under the name.
func addNamespace(name string) (*namespace, error) {
	if _, err := os.Stat(filepath.Join(namespaceDirectory, name)); err == nil {
		return nil, fmt.Errorf("network namespace %s is there already (left by a laboratory that was killed?)", name)
	}
	var ns netns.NsHandle
	err := onThread(func() (err error) {
		ns, err = netns.NewNamed(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %v", name, err)
	}
	return openNamespace(name, ns)
}

// openNamespace wraps a namespace, which it owns from here on.
func openNamespace(name string, ns netns.NsHandle) (*namespace, error) {
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netlink in %s: %v", name, err), ns.Close(), netns.DeleteNamed(name))
	}
	return &namespace{name: name, ns: ns, handle: handle}, nil
}

// remove closes the namespace and takes its name away. The kernel ends it
// when the last process and the last socket in it have ended.
func (n *namespace) remove() error {
	n.handle.Close()
	return errors.Join(n.ns.Close(), netns.DeleteNamed(n.name))
}

// do calls a function on a thread that is inside the namespace.
func (n *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.ns); err != nil {
			return fmt.Errorf("enter network namespace %s: %v", n.name, err)
		}
		return f()
	})
}

// onThread calls a function on a thread of its own, which may change its
// network namespace. The thread is led back where it was; one that cannot be
// ends.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			result <- fmt.Errorf("own network namespace: %v", err)
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		home.Close()
		result <- err
	}()
	return <-result
}

// Remove takes away the namespaces of a laboratory that no process holds any
// more, and reports whether there were any.
func Remove(prefix string) (found bool, err error) {
	return removeWhere(func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// Sweep takes away the namespaces of tests whose process has ended.
func Sweep() error {
	_, err := removeWhere(func(name string) bool {
		rest, ours := strings.CutPrefix(name, testPrefix)
		pid, _, _ := strings.Cut(rest, "-")
		if _, err := strconv.Atoi(pid); !ours || err != nil {
			return false
		}
		_, err := os.Stat("/proc/" + pid)
		return errors.Is(err, os.ErrNotExist)
	})
	return err
}

// removeWhere takes away the named namespaces that a function chooses.
func removeWhere(chosen func(name string) bool) (found bool, err error) {
	entries, err := os.ReadDir(namespaceDirectory)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	errs := []error{err}
	for _, entry := range entries {
		if chosen(entry.Name()) {
			found = true
			// Two tests may sweep at once.
			if err := netns.DeleteNamed(entry.Name()); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, err)
			}
		}
	}
	return found, errors.Join(errs...)
}
