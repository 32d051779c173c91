// Package ipvs reads and edits the kernel's IPVS: services, destinations,
// daemons of connection synchronization and timeouts.
//
// What moby/ipvs can express is written through that library, fenced against
// what it gets wrong; everything is read, and the rest is written, by messages
// of this package's own. Whoever writes an object writes the whole of it,
// built from the wanted one: nothing is read, modified and written.
package ipvs

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// Client reads and edits the IPVS of one network namespace. It belongs to one
// goroutine. A call waits for an answer for at most some seconds; but the
// kernel carries out an edit, and loads a scheduler for it, before it returns
// from taking the request, and a call that hangs there lasts until the kernel
// lets go.
type Client struct {
	handle       Handle
	services     []Service              // reused by every reading
	destinations []Destination          // likewise
	turn         lvs.ServiceKey         // of ReadPart: services behind it have their turn next
	doubtful     map[ServiceID]struct{} // services in which an edit found something else than it expected; to be read
	spent        func() time.Duration   // processor time of this thread
}

// NewClient returns a client on a handle, which it owns. It is for tests;
// Open is what a program wants.
func NewClient(handle Handle) *Client {
	return &Client{handle: handle, doubtful: make(map[ServiceID]struct{}), spent: func() time.Duration { return 0 }}
}

// Close closes the connection to the kernel. The table stays as it is.
func (c *Client) Close() error {
	return c.handle.Close()
}

// Read returns what IPVS holds, as far as lvs can express it: services of
// other protocols than TCP, UDP and SCTP are left out. Another's edits while
// it reads can make it miss destinations; the next call sees them. Counters lag behind
// by up to two seconds, for the kernel sums them up so often; connections do
// not.
func (c *Client) Read() (lvs.Reading, error) {
	return c.ReadPart(nil, 0)
}

// ReadPart is Read for a caller who knows what the table held: it asks for the
// destinations only of services that are not in known as they are, or in which
// an edit has found something else than it expected, and of others, in turn,
// until these have as many destinations as limit. What known has of the rest is
// in the reading as it is, and stays the caller's. So every call takes a
// bounded time, and some calls see everything.
func (c *Client) ReadPart(known lvs.Table, limit int) (reading lvs.Reading, err error) {
	runtime.LockOSThread() // the kernel answers by way of the thread that asks
	defer runtime.UnlockOSThread()
	before := c.spent()
	if err = c.readTable(&reading, known, limit); err != nil {
		return lvs.Reading{}, err
	}
	daemons, err := c.handle.Daemons()
	if err != nil {
		return lvs.Reading{}, fmt.Errorf("ipvs: read the sync daemons: %w", err)
	}
	reading.Daemons = make(map[lvs.SyncRole]lvs.SyncDaemon, len(daemons))
	for _, d := range daemons {
		reading.Daemons[d.Role] = d.SyncDaemon
	}
	reading.Timeouts, err = c.handle.Timeouts()
	if err != nil {
		return lvs.Reading{}, fmt.Errorf("ipvs: read the timeouts: %w", err)
	}
	reading.Spent = c.spent() - before
	return reading, nil
}

// readServices reads all services.
func (c *Client) readServices() (err error) {
	c.services, err = c.handle.Services(c.services[:0])
	switch {
	case errors.Is(err, ErrNoIPVS):
		return err
	case err != nil:
		return fmt.Errorf("ipvs: read the services: %w", err)
	}
	return nil
}

// Zero sets the counters of services and of their destinations to zero, as far
// as it gets: the error is that of the first one that fails, ESRCH for one
// that is not in the kernel. Connections are left as they are.
func (c *Client) Zero(keys ...lvs.ServiceKey) error {
	requests := make([]Request, len(keys))
	for i, key := range keys {
		requests[i] = Request{Command: Zero, Service: Service{ServiceID: idOf(key)}}
	}
	for i, err := range c.handle.Edit(requests...) {
		if err != nil {
			return fmt.Errorf("ipvs: zero the counters of %v: %w", keys[i], err)
		}
	}
	return nil
}

// Apply carries out one operation. Adding what is there changes it, deleting
// what is not there succeeds: the state that the operation is meant to lead
// to counts, and somebody else may have led to it. A sync daemon that runs is
// stopped for one with other settings to start: the kernel changes none in
// place. The errno of the kernel is in the error.
func (c *Client) Apply(op lvs.Op) error {
	first, err := requestOf(op)
	if err == nil {
		err = c.follow(first, c.handle.Edit(first)[0])
	}
	return describe(op, err)
}

// ApplyAll carries out operations as Apply does, many at a time, whatever
// becomes of each, and returns the error of each. No two of them may be about
// the same object, or one of them depend on another that finds something
// other than it expects: that is how lvs.Diff makes them.
func (c *Client) ApplyAll(ops []lvs.Op) []error {
	errs := make([]error, len(ops))
	requests, indices := make([]Request, 0, len(ops)), make([]int, 0, len(ops))
	for i, op := range ops {
		request, err := requestOf(op)
		if err != nil {
			errs[i] = describe(op, err)
			continue
		}
		requests, indices = append(requests, request), append(indices, i)
	}
	for n, err := range c.handle.Edit(requests...) {
		i := indices[n]
		errs[i] = describe(ops[i], c.follow(requests[n], err))
	}
	return errs
}

// follow makes the requests that take a first one to its goal when it found
// something else than it expects, and returns what has become of it.
func (c *Client) follow(first Request, err error) error {
	if err == nil {
		return nil
	}
	if first.Command.OnService() {
		c.doubtful[first.Service.ServiceID] = struct{}{}
	}
	var then []Command
	switch {
	case gone(first.Command, err):
		return nil
	case errors.Is(err, unix.EEXIST) && first.Command == NewService:
		then = []Command{SetService}
	case errors.Is(err, unix.EEXIST) && first.Command == NewDest:
		then = []Command{SetDest}
	case errors.Is(err, unix.ENOENT) && first.Command == SetDest:
		then = []Command{NewDest}
	case errors.Is(err, unix.EEXIST) && first.Command == NewDaemon:
		then = []Command{DelDaemon, NewDaemon}
	}
	for _, command := range then {
		next := first
		next.Command = command
		if err = c.handle.Edit(next)[0]; err != nil && !gone(command, err) {
			return err
		}
	}
	return err
}

// gone says whether an error means that what was to be deleted is not there.
func gone(command Command, err error) bool {
	switch command {
	case DelService, DelDest, DelDaemon:
		return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT)
	}
	return false
}
