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
// out of file descriptors or processor time must not take out every real
// server.
type LocalError struct{ Reason string }

// Error returns the reason.
func (e *LocalError) Error() string { return "no verdict: " + e.Reason }

// timeoutError is a probe that took too long.
type timeoutError struct{ after time.Duration }

// Error returns the words for an administrator.
func (e timeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.after) }

// Timeout returns true, as for the timeouts of package net.
func (timeoutError) Timeout() bool { return true }

// lateness is how much later than its timeout a probe may be noticed to have
// timed out. Go's timers are at most 30 ms late on a machine that is not
// overloaded; on one that is, or that was paused, the answer may have been
// there in time.
func lateness(timeout time.Duration) time.Duration {
	return max(timeout/10, 50*time.Millisecond)
}

// judge replaces a timeout that was noticed too late by a LocalError.
func judge(err error, took, timeout time.Duration) error {
	var waited interface{ Timeout() bool }
	if !errors.As(err, &waited) || !waited.Timeout() || took <= timeout+lateness(timeout) {
		return err
	}
	return &LocalError{Reason: fmt.Sprintf("this director is overloaded and woke up %s too late", (took - timeout).Round(time.Millisecond))}
}

// localErrnos are the errors of connect and socket that blame this director:
// descriptors, memory, and (EADDRNOTAVAIL) local ports.
var localErrnos = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL,
}

// describe turns an error of the network into a few words. A probe that was
// called off keeps context.Canceled, because that is no verdict.
func describe(ctx context.Context, err error, timeout time.Duration) error {
	var errno syscall.Errno
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return timeoutError{timeout}
	case !errors.As(err, &errno):
		return err
	case slices.Contains(localErrnos, errno):
		return &LocalError{Reason: errno.Error() + " on this director"}
	}
	return errors.New(errno.Error())
}
