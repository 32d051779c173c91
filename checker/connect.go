package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handshake is how much of the handshake of TCP is made (RFC 9293, section 3.5).
type handshake bool

// The handshakes.
const (
	complete handshake = true
	// unanswered leaves out the ACK that follows the target's SYN-ACK: it may wait
	// 200 ms for data to go with it, and the reset comes before, unless this process
	// is later than that. The kernel of the target has answered for its program by
	// then, and does not tell that program of a client that says nothing, about
	// which it would complain to its log.
	unanswered handshake = false
)

// socket is one of TCP that does not block, in the hands of one probe.
type socket struct {
	fd    int
	watch *watch // nil until there is something to wait for
}

// close ends the connection with a reset, without waiting for the target.
func (s *socket) close() {
	if s.watch != nil {
		s.watch.end()
	}
	closeNow(s.fd)
}

// watched begins to watch the socket for a probe, if nobody does.
func (s *socket) watched(ctx context.Context) error {
	if s.watch != nil {
		return nil
	}
	if t := taskOf(ctx); t != nil {
		s.watch = t.loop.poller.watch(s.fd)
		s.watch.task = t
		return nil
	}
	poller, err := sharedPoller()
	if err != nil {
		return err
	}
	s.watch = poller.watch(s.fd)
	return nil
}

// connected returns a socket that is connected, or the error of what came
// before: of the deadline, if there is one, as of the context it is
// os.ErrDeadlineExceeded. To close it resets the connection, which TIME_WAIT
// would keep: thousands of probes a second would use up the ports.
//
// It is made thousands of times a second, and package net takes twice the
// processor time for it: it makes a file of the socket, asks for both addresses,
// and lets other threads of this process run while it closes.
func (e endpoint) connected(ctx context.Context, deadline time.Time, how handshake) (socket, error) {
	fd, err := e.socket()
	if err != nil {
		return socket{}, err
	}
	if how == unanswered {
		// Where the kernel does not know that, the handshake is completed.
		_ = optionNow[int32](fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	}
	s := socket{fd: fd}
	if err = e.join(ctx, &s, deadline); err == nil {
		err = e.refuseItself(fd)
	}
	if err != nil {
		s.close()
		return socket{}, e.rejected(ctx, err)
	}
	return s, nil
}

// join connects a socket.
func (e endpoint) join(ctx context.Context, s *socket, deadline time.Time) error {
	address, err := socketAddress(e.AddrPort)
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	to := newRawAddress(address)
	done := func() bool {
		err = connectNow(s.fd, to) // asked again, the kernel says what has become of it
		return !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EALREADY) && !errors.Is(err, unix.EINTR)
	}
	arrived := done()
	begin := time.Now()
	if !arrived { // what is near has answered by now, which costs less to ask than to wait for
		arrived = done()
	}
	if !arrived {
		if failed := s.watched(ctx); failed != nil {
			return failed
		}
		// Reading comes next, if anything does.
		if failed := s.watch.wait(ctx, deadline, &s.watch.out, readable|writable, done); failed != nil {
			return e.silence(failed, begin)
		}
	}
	if err != nil && !errors.Is(err, unix.EISCONN) {
		return os.NewSyscallError("connect", err)
	}
	return inTime(s.fd, deadline, false)
}

// errSilent says that a target had all the time of a probe, and said nothing,
// however late this process looks.
var errSilent = fmt.Errorf("silent: %w", os.ErrDeadlineExceeded)

// silence returns errSilent if that is why a wait has ended for what the target was
// to say to what it was told at a moment; otherwise, the error.
func (e endpoint) silence(failed error, since time.Time) error {
	if errors.Is(failed, os.ErrDeadlineExceeded) && time.Since(since) >= e.timeout {
		return errSilent
	}
	return failed
}

// inTime returns os.ErrDeadlineExceeded if the data that the target sent last, or
// else what made or ended the connection, came after the deadline, if there is one:
// a director that is busy must not take for good what was not there in time, nor
// for bad what was.
func inTime(fd int, deadline time.Time, data bool) error {
	if !deadline.IsZero() && time.Now().After(deadline) && !heardBy(fd, deadline, data) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// heardBy is whether the data that the target of a socket sent last were there at
// a moment, or else the latest packet that acknowledged something, as far as the
// kernel knows (TCP_INFO, tcp(7)). Data need not acknowledge anything.
func heardBy(fd int, moment time.Time, data bool) bool {
	const tick = 10 * time.Millisecond // of the coarsest clock of a kernel
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false
	}
	ago := info.Last_ack_recv
	if data {
		ago = info.Last_data_recv
	}
	return !time.Now().Add(-time.Duration(ago) * time.Millisecond).After(moment.Add(tick))
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
	err = optionNow(fd, unix.SOL_SOCKET, unix.SO_LINGER, unix.Linger{Onoff: 1})
	if err == nil {
		err = e.via.bind(fd)
	}
	if err != nil {
		closeNow(fd)
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

// refuseItself fails if the connection is one of the socket with itself: where
// nobody listens at a port of this machine, the kernel may give the socket that
// port as its own.
func (e endpoint) refuseItself(fd int) error {
	if e.Port() < firstEphemeral {
		return nil
	}
	own, err := ownAddress(fd)
	if err == nil && own == netip.AddrPortFrom(e.Addr().WithZone(""), e.Port()) {
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
