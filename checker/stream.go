package checker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a connection of TCP. Whatever is done on it ends when its probe does.
//
// A check that only connects is made thousands of times a second, and package
// net takes a third more for it: it asks for both addresses of a connection,
// looks up what need not be looked up, and has a deep stack.
type stream struct {
	*os.File
	target netip.AddrPort
	stop   func() bool
}

// connect makes a connection, on which everything ends at the deadline, if there
// is one, and with the context. Close resets it instead of leaving it in
// TIME_WAIT, where thousands of probes a second would use up the local ports.
func (e endpoint) connect(ctx context.Context, deadline time.Time) (*stream, error) {
	fd, err := e.socket()
	if err != nil {
		return nil, err
	}
	address, err := socketAddress(e.AddrPort)
	if err == nil {
		err = unix.Connect(fd, address)
	}
	waiting := errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR)
	if err != nil && !waiting {
		_ = unix.Close(fd)
		return nil, e.rejected(ctx, os.NewSyscallError("connect", err))
	}
	// As it is non-blocking, the file waits as a connection of package net does.
	s := &stream{File: os.NewFile(uintptr(fd), "tcp"), target: e.AddrPort}
	_ = s.SetDeadline(deadline) // refused only by what cannot wait
	// The deadline in the past makes every call return when ctx ends.
	s.stop = context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	if waiting {
		err = s.await(address)
	}
	if err == nil {
		err = s.refuseItself(fd)
	}
	if err != nil {
		_ = s.Close()
		return nil, e.rejected(ctx, err)
	}
	return s, nil
}

// socket returns a new socket that is ready to connect.
func (e endpoint) socket() (fd int, err error) {
	domain := unix.AF_INET
	if e.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err = e.via.socket(domain, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if err == nil { // else what is said last may wait, and be lost in the reset
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = e.via.bind(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bind gives a new socket of TCP its source, if there is one.
func (v Via) bind(fd int) error {
	source := v.Source.Unmap()
	if !source.IsValid() {
		return nil
	}
	if err := portAtConnect(fd); err != nil {
		return err
	}
	address, err := socketAddress(netip.AddrPortFrom(source, 0))
	if err != nil {
		return err
	}
	return unix.Bind(fd, address)
}

// socketAddress is an address as the kernel has it.
func socketAddress(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	address := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		index, err := strconv.ParseUint(zone, 10, 32)
		if err != nil {
			device, err := net.InterfaceByName(zone)
			if err != nil {
				return nil, syscall.ENODEV
			}
			index = uint64(device.Index)
		}
		address.ZoneId = uint32(index)
	}
	return address, nil
}

// await waits until the connection is made.
func (s *stream) await(address unix.Sockaddr) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		// Asked again, the kernel says what has become of it. The first time
		// is before any wait, because what was ready before that is forgotten.
		failed = unix.Connect(int(fd), address)
		return !errors.Is(failed, unix.EALREADY) && !errors.Is(failed, unix.EINTR)
	})
	if err != nil {
		return err
	}
	if errors.Is(failed, unix.EISCONN) {
		return nil
	}
	return os.NewSyscallError("connect", failed)
}

// refuseItself fails if the connection is one of the socket with itself: where
// nobody listens at a port of this machine, the kernel may give the socket that
// port as its own.
func (s *stream) refuseItself(fd int) error {
	if s.target.Port() < firstEphemeral {
		return nil
	}
	own, err := ownAddress(fd)
	if err == nil && own == netip.AddrPortFrom(s.target.Addr().WithZone(""), s.target.Port()) {
		return syscall.ECONNREFUSED
	}
	return err
}

// ownAddress is what a socket is bound to, without a zone.
func ownAddress(fd int) (netip.AddrPort, error) {
	own, err := syscall.Getsockname(fd) // that of package unix asks for the protocol too
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch own := own.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port)), nil
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(own.Addr), uint16(own.Port)), nil
	}
	return netip.AddrPort{}, syscall.EAFNOSUPPORT
}

// firstEphemeral is the lowest port that the kernel gives to sockets without
// one, where that was set to as many as possible.
const firstEphemeral = 1024

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
