package checker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a connection of TCP. Whatever is done on it ends when its probe does.
type stream struct {
	socket
	target   endpoint
	ctx      context.Context
	deadline time.Time // if there is one
	closed   atomic.Bool
	begin    time.Time
	spoke    atomic.Int64 // when something was said or heard last: so long after begin

	reading sync.Mutex

	writing sync.Mutex
	said    int // how often something was said
}

// connect makes a connection, on which everything ends at the deadline, if there
// is one, and with the context.
func (e endpoint) connect(ctx context.Context, deadline time.Time) (*stream, error) {
	socket, err := e.connected(ctx, deadline, complete)
	if err != nil {
		return nil, err
	}
	if err := socket.watched(ctx); err != nil {
		socket.close()
		return nil, err
	}
	return &stream{socket: socket, target: e, ctx: ctx, deadline: deadline, begin: time.Now()}, nil
}

// Read reads what is there, or waits for it. What comes after the deadline is not
// there.
func (s *stream) Read(b []byte) (n int, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	err = s.transfer("read", &s.watch.in, readable, func() (err error) {
		n, err = readNow(s.fd, b)
		return err
	})
	if err == nil {
		err = inTime(s.fd, s.deadline, n > 0)
	}
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	s.speaks()
	return n, nil
}

// speaks notes that one of both has spoken: the other one's turn begins.
func (s *stream) speaks() { s.spoke.Store(int64(time.Since(s.begin))) }

// Write writes all of a text.
func (s *stream) Write(b []byte) (n int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.said++; s.said == 2 && !s.closed.Load() { // what is said first does not wait for anything
		// Else what is said last may wait, and be lost in the reset.
		if err := optionNow[int32](s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
	}
	for n < len(b) {
		err := s.transfer("write", &s.watch.out, writable, func() error {
			written, err := writeNow(s.fd, b[n:])
			if n += written; written > 0 {
				s.speaks()
			}
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// transfer makes a system call, and again whenever the waiter is told of events,
// until it need not wait any more.
func (s *stream) transfer(name string, waiter *waiter, events uint32, call func() error) (err error) {
	done := func() bool {
		if s.closed.Load() {
			err = net.ErrClosed
		} else {
			err = call()
		}
		return !errors.Is(err, unix.EAGAIN)
	}
	switch {
	case errors.Is(s.ctx.Err(), context.Canceled):
		return os.ErrDeadlineExceeded
	case done():
		return os.NewSyscallError(name, err)
	}
	if failed := s.watch.wait(s.ctx, s.deadline, waiter, events, done); failed != nil {
		return s.target.silence(failed, s.begin.Add(time.Duration(s.spoke.Load())))
	}
	return os.NewSyscallError(name, err)
}

// Close ends the connection with a reset, without waiting for the target.
func (s *stream) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	s.watch.in.tell()
	s.watch.out.tell()
	s.reading.Lock() // nobody uses the socket any more
	defer s.reading.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.socket.close()
	return nil
}

// LocalAddr returns the address of this end until it is closed.
func (s *stream) LocalAddr() net.Addr {
	s.writing.Lock()
	defer s.writing.Unlock()
	var own netip.AddrPort
	if !s.closed.Load() {
		own, _ = ownAddress(s.fd) // not valid if it fails
	}
	return net.TCPAddrFromAddrPort(own)
}

// RemoteAddr returns the target.
func (s *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.target.AddrPort) }

// SetDeadline does nothing: the deadline is that of the probe.
func (s *stream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing, as SetDeadline.
func (s *stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing, as SetDeadline.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
