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

// connected returns a socket of TCP that is connected, or the error of what
// came before: of the deadline, if there is one, as of the context it is
// os.ErrDeadlineExceeded. To close the socket resets the connection, which
// TIME_WAIT would keep: thousands of probes a second would use up the ports.
//
// A check that only connects is made thousands of times a second, and package
// net takes twice the processor time for it: it makes a file of the socket, asks
// for both addresses, and lets other threads of this process run while it closes.
func (e endpoint) connected(ctx context.Context, deadline time.Time, how handshake) (fd int, err error) {
	fd, err = e.socket()
	if err != nil {
		return -1, err
	}
	if how == unanswered {
		// Where the kernel does not know that, the handshake is completed.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	}
	if err = e.join(ctx, fd, deadline); err == nil {
		err = e.refuseItself(fd)
	}
	if err != nil {
		closeNow(fd)
		return -1, e.rejected(ctx, err)
	}
	return fd, nil
}

// join connects a socket.
func (e endpoint) join(ctx context.Context, fd int, deadline time.Time) error {
	address, err := socketAddress(e.AddrPort)
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	to := newRawAddress(address)
	pending := func() bool {
		err = connectNow(fd, to) // asked again, the kernel says what has become of it
		return errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EALREADY) || errors.Is(err, unix.EINTR)
	}
	waits := pending()
	if waits { // what is near has answered by now, which costs less to ask than to wait for
		waits = pending()
	}
	if waits {
		poller, failed := sharedPoller()
		if failed == nil {
			failed = poller.wait(ctx, fd, deadline, func() bool { return !pending() })
		}
		if failed != nil {
			return failed
		}
	}
	if err != nil && !errors.Is(err, unix.EISCONN) {
		return os.NewSyscallError("connect", err)
	}
	if !deadline.IsZero() && time.Now().After(deadline) && !connectedBy(fd, deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// connectedBy is whether a socket was connected at a moment, as far as the
// kernel knows when the target spoke last (TCP_INFO, tcp(7)): a director that is
// busy looks late, and must not take for good what was not there in time.
func connectedBy(fd int, moment time.Time) bool {
	const tick = 10 * time.Millisecond // of the coarsest clock of a kernel
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false
	}
	spoke := time.Now().Add(-time.Duration(info.Last_ack_recv) * time.Millisecond)
	return !spoke.After(moment.Add(tick))
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
