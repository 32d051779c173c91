package link

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// readiness tells when a socket has something to read, once each time it is
// asked: until then Go's poller sleeps, however much arrives. What the poller
// waits for is an epoll instance of the socket's own.
type readiness struct {
	socket syscall.RawConn
	file   *os.File // the epoll instance
	raw    syscall.RawConn
}

// armed is what an epoll instance is to tell of a socket, once.
const armed = unix.EPOLLIN | unix.EPOLLONESHOT

// newReadiness watches a socket, which stays the caller's.
func newReadiness(socket syscall.RawConn) (*readiness, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Only a file that does not block when it is made is given to the poller.
	err = unix.SetNonblock(fd, true)
	r := &readiness{socket: socket, file: os.NewFile(uintptr(fd), "epoll")}
	if err == nil {
		r.raw, err = r.file.SyscallConn()
	}
	if err == nil {
		// Errors are always told of, but once only.
		err = r.tell(fd, unix.EPOLL_CTL_ADD, unix.EPOLLONESHOT)
	}
	if err != nil {
		_ = r.file.Close()
		return nil, err
	}
	return r, nil
}

// tell has the instance watch the socket for events.
func (r *readiness) tell(instance, operation int, events uint32) error {
	var failed error
	err := r.socket.Control(func(fd uintptr) {
		failed = unix.EpollCtl(instance, operation, int(fd), &unix.EpollEvent{Events: events})
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", failed)
}

// wait returns when the socket has something to read, or an error to tell. Its
// own error says that it cannot wait: the socket or this was closed.
func (r *readiness) wait() error {
	var failed error
	waits := false
	err := r.raw.Read(func(instance uintptr) bool {
		if !waits {
			// From here on the poller does not miss that the instance has
			// something to tell, also if the socket had something all along.
			waits = true
			// What is still in the instance, such as an error from before the
			// first wait, would not be told of again.
			if _, failed = fetch(int(instance)); failed == nil {
				failed = r.tell(int(instance), unix.EPOLL_CTL_MOD, armed)
			}
			return failed != nil
		}
		var told bool
		told, failed = fetch(int(instance))
		return told || failed != nil
	})
	if err != nil {
		return err
	}
	return failed
}

// fetch takes the event out of the instance, if there is one. Only what was
// taken out is told no more, and is told anew when it is asked for again.
func fetch(instance int) (told bool, err error) {
	var events [1]unix.EpollEvent
	for {
		n, err := unix.EpollWait(instance, events[:], 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0, os.NewSyscallError("epoll_wait", err)
		}
	}
}

// close ends wait.
func (r *readiness) close() error { return r.file.Close() }
