package checker

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for all sockets of probes over TCP. The runtime could wait for
// each of them, but only as for a file, which costs as much as the connection
// does. What the poller waits with is itself a file that the runtime waits for, so
// that it takes no thread.
type poller struct {
	file *os.File // of epoll(7)
	fd   int      // the same

	mu      sync.Mutex
	turn    int32
	watches map[ticket]*watch
}

// ticket tells whose socket it is. A number of a socket that is closed is soon
// another's, and what has happened to the first may come late.
type ticket struct{ fd, turn int32 }

// thePoller is the one of this process, once there is one.
var thePoller struct {
	sync.Mutex
	*poller
}

// sharedPoller returns the poller of this process. It is there until the
// process ends. The error is a *LocalError, and may be over soon.
func sharedPoller() (*poller, error) {
	thePoller.Lock()
	defer thePoller.Unlock()
	if thePoller.poller == nil {
		p, err := newPoller()
		if err != nil {
			return nil, err
		}
		thePoller.poller = p
		go p.run()
	}
	return thePoller.poller, nil
}

// newPoller returns a poller that is yet to run.
func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, cannotWait(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else the runtime would not wait for it
		_ = unix.Close(fd)
		return nil, cannotWait(err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	// That the runtime could not watch it, it says only of what cannot wait.
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		_ = file.Close()
		return nil, cannotWait(err)
	}
	return &poller{file: file, fd: fd, watches: map[ticket]*watch{}}, nil
}

// cannotWait is the error of a system call without which nothing can be waited
// for. Whatever it is, no target has a part in it.
func cannotWait(err error) error {
	return &LocalError{Reason: "epoll: " + err.Error() + " on this director"}
}

// atOnce is how many events are read at once.
const atOnce = 128

// run tells those who wait what has happened, until the file is closed.
func (p *poller) run() {
	raw, err := p.file.SyscallConn()
	if err == nil {
		_ = raw.Read(func(uintptr) bool {
			p.poll()
			return false // wait for more
		})
	}
}

// poll tells those who wait what has happened so far.
func (p *poller) poll() {
	var events [atOnce]unix.EpollEvent
	for n := len(events); n == len(events); {
		n = eventsNow(p.fd, events[:])
		p.tell(events[:n])
	}
}

// catchUp tells those who wait what has happened so far. The runtime looks for it
// when it has nothing else to do, which on a director that is busy comes late:
// probes would begin, and none would end.
func catchUp() {
	thePoller.Lock()
	p := thePoller.poller
	thePoller.Unlock()
	if p != nil {
		p.poll()
	}
}

// tell wakes up those whose sockets something has happened to.
func (p *poller) tell(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		if w := p.watches[ticket{e.Fd, e.Pad}]; w != nil { // else its socket is closed
			w.tell(e.Events)
		}
	}
}

// watch begins to watch a socket. It asks the kernel for nothing yet.
func (p *poller) watch(fd int) *watch {
	w := watches.Get().(*watch)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	w.poller, w.ticket = p, ticket{int32(fd), p.turn}
	p.watches[w.ticket] = w
	return w
}

// leave forgets a socket.
func (p *poller) leave(t ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watches, t)
}
