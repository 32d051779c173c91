package ipvs

import (
	"errors"
	"fmt"
	"io"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// ErrNoIPVS says that the kernel does not have IPVS, or has not loaded it. It
// is an lvs.ErrAbsent.
var ErrNoIPVS = fmt.Errorf("%w: modprobe ip_vs", lvs.ErrAbsent)

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
	client := NewClient(handle)
	if err := client.probe(handle.GetConfig); err != nil {
		_ = client.Close() // which always succeeds
		return nil, err
	}
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
func (c *Client) probe(getConfig func() (*ipvs.Config, error)) error {
	err := c.call(func() (err error) {
		defer func() {
			if recover() != nil {
				err = errStale
			}
		}()
		_, err = getConfig()
		return err
	})
	switch {
	case err == nil, errors.Is(err, errStale), errors.Is(err, errLost):
		return err
	case errors.Is(err, unix.ENOENT):
		return errStale
	}
	return fmt.Errorf("ipvs: read the timeouts: %v", err)
}
