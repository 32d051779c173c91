// Package ipvs reads and edits the kernel's IPVS table through moby/ipvs,
// fenced against what that library gets wrong:
//
//   - it reports success on a kernel without IPVS: see OpenAt;
//   - its receive loop never gives up, and two goroutines on one handle take
//     each other's replies: a Client belongs to one goroutine, and one that
//     waits too long for a reply is woken by closing the socket. That ends a
//     wait for a reply only: the kernel carries out an edit, and loads a
//     scheduler for it, before it returns from sending the request, and a call
//     that hangs there lasts until the kernel lets go;
//   - it does not read back all that it writes: every edit is built whole from
//     the wanted object, nothing is read, modified and written;
//   - it does not send the family of a destination, so that one of another
//     family than its service's would be installed with a wrong address;
//   - it reads 16 bits of the 32 of a weight.
package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// callTimeout is how long one call may take. The kernel answers in
// microseconds, except where it runs modprobe for a scheduler.
const callTimeout = 10 * time.Second

// errLost says that the client was closed because a call took too long.
var errLost = errors.New("ipvs: no answer from the kernel: connection closed")

// Client reads and edits the IPVS table of one network namespace. It belongs
// to one goroutine.
type Client struct {
	handle  Handle
	check   func() error // whether the handle still talks to IPVS
	timeout time.Duration
	lost    bool // a call took too long, the handle is closed
}

// NewClient returns a client on a handle, which it owns. It is for tests;
// Open is what a program wants.
func NewClient(handle Handle) *Client {
	return &Client{handle: handle, check: func() error { return nil }, timeout: callTimeout}
}

// Close closes the connection to the kernel. The table stays as it is.
func (c *Client) Close() error {
	if !c.lost {
		c.handle.Close()
	}
	return nil
}

// call makes one call of the handle. If no reply comes in time, closing the
// socket is the only thing that ends the wait: moby/ipvs takes the expiry of
// its own timeout for a reason to wait again. Whoever wants to know of a call
// that hangs while it sends must look from outside.
func (c *Client) call(fn func() error) error {
	if c.lost {
		return errLost
	}
	watchdog := time.AfterFunc(c.timeout, c.handle.Close)
	err := fn()
	if !watchdog.Stop() {
		c.lost = true
		return errLost
	}
	return err
}

// Table returns the services that lvs can express, with their destinations:
// those of TCP and UDP with an address. Another's edits while it reads can
// make it miss a part; the next call sees it.
func (c *Client) Table() (lvs.Table, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	services, err := c.services()
	if err != nil {
		return nil, err
	}
	table := make(lvs.Table, len(services))
	vacant := false
	for _, service := range services {
		entry, expressible := entryFrom(service)
		if !expressible {
			continue
		}
		if err := c.readDestinations(service, entry); err != nil {
			return nil, err
		}
		table[entry.Service.ServiceKey] = entry
		vacant = vacant || len(entry.Destinations) == 0
	}
	if vacant {
		return table, c.dropVanished(table)
	}
	return table, nil
}

// services returns what the kernel says of all services.
func (c *Client) services() (services []*ipvs.Service, err error) {
	err = c.call(func() error {
		services, err = c.handle.GetServices()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ipvs: read the services: %w", err)
	}
	return services, nil
}

// readDestinations puts the destinations of a service into its entry.
func (c *Client) readDestinations(service *ipvs.Service, entry lvs.Entry) error {
	var found []*ipvs.Destination
	err := c.call(func() (err error) {
		found, err = c.handle.GetDestinations(service)
		return err
	})
	if err != nil {
		return fmt.Errorf("ipvs: read the destinations of %v: %w", entry.Service.ServiceKey, err)
	}
	for _, d := range found {
		destination := destinationFrom(d)
		entry.Destinations[destination.Address] = destination
	}
	return nil
}

// dropVanished reads the services once more and drops those that are gone: a
// service that is deleted after it was listed answers with no destinations,
// not with an error.
func (c *Client) dropVanished(table lvs.Table) error {
	services, err := c.services()
	if err != nil {
		return err
	}
	present := make(map[lvs.ServiceKey]bool, len(services))
	for _, service := range services {
		if entry, expressible := entryFrom(service); expressible {
			present[entry.Service.ServiceKey] = true
		}
	}
	for key := range table {
		if !present[key] {
			delete(table, key)
		}
	}
	return nil
}

// Apply carries out one operation. Adding what is there changes it, deleting
// what is not there succeeds: the state that the operation is meant to lead
// to counts, and somebody else may have led to it. The errno of the kernel is
// in the error.
func (c *Client) Apply(op lvs.Op) error {
	if err := expressible(op); err != nil {
		return fmt.Errorf("ipvs: %v: %w", op, err)
	}
	if err := c.apply(op); err != nil {
		return fmt.Errorf("ipvs: %v: %w", op, explain(op, err))
	}
	return nil
}

// apply makes the calls for an operation.
func (c *Client) apply(op lvs.Op) error {
	service, destination := serviceOf(op.Service), destinationOf(op.Destination)
	switch op.Kind {
	case lvs.AddService:
		return c.either(unix.EEXIST,
			func() error { return c.handle.NewService(service) },
			func() error { return c.handle.UpdateService(service) })
	case lvs.UpdateService:
		return c.call(func() error { return c.handle.UpdateService(service) })
	case lvs.DeleteService:
		return gone(c.call(func() error { return c.handle.DelService(service) }))
	case lvs.AddDestination:
		return c.either(unix.EEXIST,
			func() error { return c.handle.NewDestination(service, destination) },
			func() error { return c.handle.UpdateDestination(service, destination) })
	case lvs.UpdateDestination:
		return c.either(unix.ENOENT,
			func() error { return c.handle.UpdateDestination(service, destination) },
			func() error { return c.handle.NewDestination(service, destination) })
	case lvs.DeleteDestination:
		return gone(c.call(func() error { return c.handle.DelDestination(service, destination) }))
	}
	return fmt.Errorf("invalid kind of operation %d", op.Kind)
}

// either makes the first call, and the second one if the first fails with the
// given errno.
func (c *Client) either(errno unix.Errno, first, second func() error) error {
	err := c.call(first)
	if errors.Is(err, errno) {
		err = c.call(second)
	}
	return err
}

// gone takes the errors that say that the object is not there for success.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// explain says what an errno means where the kernel's word for it misleads.
func explain(op lvs.Op, err error) error {
	switch {
	case op.OnService() && errors.Is(err, unix.ENOENT):
		return fmt.Errorf("scheduler %q: the kernel does not have it: modprobe ip_vs_%s: %w", op.Service.Scheduler, op.Service.Scheduler, err)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("the service is not in the kernel: %w", err)
	case op.Destination.Address.IsValid() && errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel does not take the address for a unicast one: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("CAP_NET_ADMIN is needed: %w", err)
	}
	return err
}

// expressible returns an error for an operation that would not do what it
// says if it went through moby/ipvs.
func expressible(op lvs.Op) error {
	address := op.Service.Address
	if address.Addr().Is4In6() || !address.IsValid() {
		return fmt.Errorf("service address %v: an IPv4 or IPv6 address is needed", address)
	}
	if op.OnService() {
		return nil
	}
	destination := op.Destination
	switch {
	case !sameFamilies(address, destination.Address):
		return fmt.Errorf("destination %v is not of the address family of the service", destination.Address)
	case destination.Weight > lvs.MaxWeight:
		return fmt.Errorf("weight %d: at most %d is allowed", destination.Weight, lvs.MaxWeight)
	case destination.Forwarding != lvs.Masquerade:
		return fmt.Errorf("%v", destination.Forwarding)
	}
	return nil
}

// sameFamilies says whether two addresses are of one family.
func sameFamilies(a, b netip.AddrPort) bool {
	return b.IsValid() && a.Addr().BitLen() == b.Addr().BitLen() && !b.Addr().Is4In6()
}
