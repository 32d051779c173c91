package ipvs

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// ErrNoIPVS says that the kernel does not have IPVS, or has not loaded it. It
// is an lvs.ErrAbsent.
var ErrNoIPVS = fmt.Errorf("%w: modprobe ip_vs", lvs.ErrAbsent)

// Open returns a client for the IPVS of the network namespace of the calling
// thread. The error is ErrNoIPVS if the kernel has none.
func Open() (*Client, error) {
	return OpenAt("")
}

// OpenAt returns a client for the IPVS of the network namespace at path, for
// example "/run/netns/lb"; the empty path is the calling thread's namespace.
// The error is ErrNoIPVS if the kernel has none.
func OpenAt(path string) (*Client, error) {
	handle, err := OpenHandle(path)
	if err != nil {
		return nil, err
	}
	c := NewClient(handle)
	c.spent = ofThread
	return c, nil
}

// ofThread returns the processor time of this thread; 0 if the kernel does not say.
func ofThread() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// OpenHandle is OpenAt without the client around the connection.
func OpenHandle(path string) (Handle, error) {
	s, err := openSocket(path)
	if err != nil {
		return nil, fmt.Errorf("ipvs: open a socket: %v", err)
	}
	k := &kernel{conn: newConn(s), names: make(names)}
	// The family is asked for before anything else is: without it moby/ipvs
	// sends its requests to family 0, which the kernel acknowledges and
	// ignores, so that every edit seems to succeed.
	if _, err := k.refresh(); err != nil {
		_ = k.Close() // which always succeeds
		if errors.Is(err, ErrNoIPVS) {
			return nil, ErrNoIPVS
		}
		return nil, fmt.Errorf("ipvs: ask the kernel for the IPVS family: %v", err)
	}
	if err := k.useMoby(path); err != nil {
		_ = k.Close() // which always succeeds
		return nil, fmt.Errorf("ipvs: open a socket: %v", err)
	}
	return k, nil
}

// useMoby opens moby/ipvs's handle, unless that library has a family in mind
// that is not IPVS's any more.
func (k *kernel) useMoby(path string) error {
	// What it logs is returned as an error too.
	logrus.SetOutput(io.Discard)
	handle, err := ipvs.New(path)
	if err != nil {
		return err
	}
	k.moby = &moby{handle: handle}
	if !k.moby.knows() {
		k.forgetMoby()
	}
	return nil
}
