package checker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// LocalError is a probe without a verdict, for reasons of this director. It
// says nothing about the target, so it changes no health: a director that runs
// out of file descriptors or processor time, or whose own network fails, must
// not take out every real server.
type LocalError struct {
	Reason string // not empty
}

// Error returns the reason.
func (e *LocalError) Error() string { return "no verdict: " + e.Reason }

// timeoutError is a probe that took too long.
type timeoutError struct {
	after  time.Duration
	silent bool // the target had that much time, and said nothing
}

// Error returns the words for an administrator.
func (e timeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.after) }

// Timeout returns true, as for the timeouts of package net.
func (timeoutError) Timeout() bool { return true }

// lateness is how much later than its timeout a probe may end. Go's timers are
// at most 30 ms late on a machine that is not overloaded; on one that is, or
// that was paused, the answer may have been there in time, or the target may
// have given up on this director.
func lateness(timeout time.Duration) time.Duration {
	return max(timeout/10, 50*time.Millisecond)
}

// ofSilence is whether a probe has failed because the target said nothing in all the
// time that it had.
func ofSilence(err error) bool {
	var timeout timeoutError
	return errors.As(err, &timeout) && timeout.silent
}

// maxLate is how many failures in a row may be noticed too late before they
// count. A pause makes one, and load that comes and goes a few, until a probe
// gets through to a target that works. If none does for longer, the load is
// there to stay, and a dead target must not be a member for as long.
const maxLate = 5

// errLate is the verdict on a failure that was noticed too late. It has no
// figures: checks with the same reason are counted together.
var errLate = &LocalError{Reason: "this director is overloaded or was paused, and noticed too late how probes ended"}

// localErrnos are the errors of connect and socket that blame this director:
// descriptors, memory, local ports (EADDRNOTAVAIL, with a source EADDRINUSE, of
// UDP EAGAIN), a family of addresses that is switched off (EAFNOSUPPORT), its
// interfaces and routes (EACCES is a prohibited one, EINVAL a black hole), and
// its packet filter (EPERM). EHOSTUNREACH is not among them: a real server that is switched off
// and does not answer ARP ends in it.
var localErrnos = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAGAIN, syscall.EAFNOSUPPORT,
	syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENODEV, syscall.EPERM, syscall.EACCES, syscall.EINVAL,
}

// rejection is the error of a probe if it may be what a router or a packet
// filter on the way has said in ICMP; nil if it is something else. That it has
// no route, a router says with the number of a director that has none (RFC
// 792, code 0; RFC 4443, code 0), and that it must not, with that of a
// prohibited route (RFC 4443, code 1).
func rejection(err error) error {
	switch {
	case errors.Is(err, syscall.ENETUNREACH):
		return errors.New(syscall.ENETUNREACH.Error())
	case errors.Is(err, syscall.EACCES):
		return errors.New("administratively prohibited")
	}
	return nil
}

// describe turns an error of the network into a few words. A probe that was
// called off keeps context.Canceled, because that is no verdict.
func describe(ctx context.Context, err error, timeout time.Duration) error {
	var errno syscall.Errno
	var local *LocalError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.As(err, &local):
		return local
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return timeoutError{after: timeout, silent: errors.Is(err, errSilent)}
	case !errors.As(err, &errno):
		return err
	case ofCall(err, "read") && rejection(err) != nil: // to read takes no route
		return rejection(err)
	case slices.Contains(localErrnos, errno):
		return &LocalError{Reason: errno.Error() + " on this director"}
	}
	return errors.New(errno.Error())
}
