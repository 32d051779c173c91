package checker

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a connection of TCP. Whatever is done on it ends when its probe does.
type stream struct {
	*os.File
	target netip.AddrPort
	stop   func() bool
}

// connect makes a connection, on which everything ends at the deadline, if there
// is one, and with the context. Close resets it, as that of its socket does.
func (e endpoint) connect(ctx context.Context, deadline time.Time) (*stream, error) {
	fd, err := e.connected(ctx, deadline, complete)
	if err != nil {
		return nil, err
	}
	// Else what is said last may wait, and be lost in the reset.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		closeNow(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	// As it is non-blocking, the file waits as a connection of package net does.
	s := &stream{File: os.NewFile(uintptr(fd), "tcp"), target: e.AddrPort}
	_ = s.SetDeadline(deadline) // refused only by what cannot wait
	// The deadline in the past makes every call return when ctx ends.
	s.stop = context.AfterFunc(ctx, func() { _ = s.SetDeadline(longPast) })
	return s, nil
}

// Close ends the connection, without waiting for the target.
func (s *stream) Close() error {
	s.stop()
	return s.File.Close()
}

// LocalAddr returns the address of this end, as it was when it was asked for.
func (s *stream) LocalAddr() net.Addr {
	var own netip.AddrPort
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { own, _ = ownAddress(int(fd)) }) // not valid if it fails
	}
	return net.TCPAddrFromAddrPort(own)
}

// RemoteAddr returns the target.
func (s *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.target) }
