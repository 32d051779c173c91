package ipvs

import (
	"errors"
	"fmt"
	"io"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoIPVS says that the kernel does not have IPVS, or has not loaded it.
var ErrNoIPVS = errors.New("kernel has no IPVS: modprobe ip_vs")

// errStale says that moby/ipvs has another generic netlink family in mind
// than the kernel.
var errStale = errors.New("the ip_vs module was loaded anew since this process started: restart it")

// Open returns a client for the IPVS of the network namespace of the calling
// thread. The error is ErrNoIPVS if the kernel has none.
func Open() (*Client, error) {
	return OpenAt("")
}

// OpenAt returns a client for the IPVS of the network namespace at path, for
// example "/run/netns/lb"; the empty path is the calling thread's namespace.
// The error is ErrNoIPVS if the kernel has none.
func OpenAt(path string) (*Client, error) {
	// The family is asked for before anything else is: without it moby/ipvs
	// sends its requests to family 0, which the kernel acknowledges and
	// ignores, so that every edit seems to succeed. Recent kernels load the
	// module on this question.
	id, err := familyID()
	if err != nil {
		return nil, err
	}
	// moby/ipvs tells the global logger what is returned here as an error.
	logrus.SetOutput(io.Discard)
	handle, err := ipvs.New(path)
	if err != nil {
		return nil, fmt.Errorf("ipvs: open a socket: %v", err)
	}
	if err := probe(handle); err != nil {
		handle.Close()
		return nil, err
	}
	client := NewClient(handle)
	client.check = func() error { return sameFamily(id) }
	return client, nil
}

// familyID returns the number that the kernel gave to IPVS when the module
// was loaded.
func familyID() (uint16, error) {
	family, err := netlink.GenlFamilyGet("IPVS")
	if errors.Is(err, unix.ENOENT) {
		return 0, ErrNoIPVS
	}
	if err != nil {
		return 0, fmt.Errorf("ipvs: ask the kernel for the IPVS family: %v", err)
	}
	return family.ID, nil
}

// sameFamily checks that IPVS still has the given number: with another one
// moby/ipvs would talk to nobody, or to somebody else.
func sameFamily(id uint16) error {
	now, err := familyID()
	if err == nil && now != id {
		err = errStale
	}
	return err
}

// probe checks that moby/ipvs itself knows the family. It asks once in the
// life of the process and remembers a failure for ever, as family 0; the one
// call that notices is GetConfig, which panics on the empty reply.
func probe(handle *ipvs.Handle) (err error) {
	defer func() {
		if recover() != nil {
			err = errStale
		}
	}()
	if _, err := handle.GetConfig(); errors.Is(err, unix.ENOENT) {
		return errStale
	} else if err != nil {
		return fmt.Errorf("ipvs: read the timeouts: %v", err)
	}
	return nil
}
