package link

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// Settings of the sockets.
const (
	advertisementTTL = 255  // RFC 9568 sections 5.1.1.3, 5.1.2.3
	internetControl  = 0xC0 // DSCP CS6: what routers tell each other
	controlPriority  = 7    // TC_PRIO_CONTROL: first in the queue of the interface
	receiveBuffer    = 1 << 20
	receiveLen       = 8192 // more than a signed advertisement of 255 IPv6 addresses
)

// conn is the raw socket for the advertisements of one family on one
// interface. Receive belongs to one goroutine; the other methods may be called
// by any.
type conn struct {
	log    *slog.Logger
	iface  string
	index  int
	wire   wire
	socket *os.File // never blocks; Go's poller does not watch it
	raw    syscall.RawConn
	ready  *readiness

	mu    sync.Mutex      // guards queue; held while the socket is read, never while waiting
	queue []vrrp.Received // read and not yet handed over by Receive, oldest first; drainMax at most
	buf   []byte          // one byte longer than what fits, which is how a longer packet shows
	oob   []byte          // control messages of the packet in buf
}

// wire is what differs between the families.
type wire struct {
	family  vrrp.Family
	domain  int
	options []option
	// join has the socket receive what is sent to the group of the family.
	join func(fd, index int) error
	// parcel returns the control message that sets the source, and the
	// destination.
	parcel func(index int, source, destination netip.Addr) (oob []byte, to unix.Sockaddr)
	// read reads a packet with its control messages, and does not wait.
	read func(fd int, b, oob []byte) (n, control int, from unix.Sockaddr, err error)
	// parse looks at what read has read. The payload is a part of b.
	parse func(b, oob []byte, from unix.Sockaddr) (vrrp.Received, error)
}

// option is a socket option.
type option struct {
	name              string
	level, opt, value int
}

// wireOf returns what is special of a family.
func wireOf(f vrrp.Family) wire {
	if f == vrrp.IPv6 {
		return wireIPv6()
	}
	return wireIPv4()
}

// listen opens the socket of a family on the interface with that index.
func listen(log *slog.Logger, iface string, index int, family vrrp.Family) (*conn, error) {
	w := wireOf(family)
	fd, err := unix.Socket(w.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, vrrp.Protocol)
	if err != nil {
		return nil, fmt.Errorf("open a raw %v socket: %w", family, os.NewSyscallError("socket", err))
	}
	c, err := newConn(log, iface, index, w, fd)
	if err != nil {
		return nil, fmt.Errorf("open a raw %v socket: %w", family, err)
	}
	if err := c.prepare(); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("prepare a raw %v socket: %w", family, err)
	}
	return c, nil
}

// newConn takes over a socket, which it closes also where it fails.
func newConn(log *slog.Logger, iface string, index int, w wire, fd int) (*conn, error) {
	// A file that may block when it is made is not given to Go's poller. That
	// would be woken by every packet, whether anybody waits for it or not.
	err := unix.SetNonblock(fd, false)
	socket := os.NewFile(uintptr(fd), "advertisements on "+iface)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	var raw syscall.RawConn
	if err == nil {
		raw, err = socket.SyscallConn()
	}
	var ready *readiness
	if err == nil {
		ready, err = newReadiness(raw)
	}
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return &conn{
		log: log, iface: iface, index: index, wire: w, socket: socket, raw: raw, ready: ready,
		buf: make([]byte, receiveLen+1), oob: make([]byte, unix.CmsgSpace(unix.SizeofInet6Pktinfo)+unix.CmsgSpace(4)),
	}, nil
}

// prepare binds the socket to the interface, and joins the group there.
func (c *conn) prepare() error {
	return c.control(func(fd int) error {
		if err := setOptions(fd, c.index, c.wire.options); err != nil {
			return err
		}
		c.forget(fd)
		// The index is all that the kernel needs, and unlike the name it
		// cannot mean another interface by now.
		if err := c.wire.join(fd, c.index); err != nil {
			return fmt.Errorf("join %s: %w", c.wire.family.MulticastAddress(), err)
		}
		return nil
	})
}

// control lends the socket to use, and returns its error, or that of a socket
// which has been closed.
func (c *conn) control(use func(fd int) error) error {
	var failed error
	if err := c.raw.Control(func(fd uintptr) { failed = use(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// setOptions binds the socket to its interface first.
func setOptions(fd, index int, options []option) error {
	own := option{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index}
	for _, o := range append([]option{own}, options...) {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	// Beyond the system's limit where the privilege allows it: the buffer is
	// what a paused machine remembers of its peers.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return nil
}

// forget drops what came in before the socket was bound, which may be from any
// interface: a raw socket hears from its first moment.
func (c *conn) forget(fd int) {
	for range refusedMax {
		if _, err := unix.Read(fd, c.buf); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Send transmits one packet from source, which must be an address of this
// host, and returns the error of the kernel if it cannot take the packet now.
// A packet that the queue of the interface drops later is lost without an
// error: the kernel reports that only to sockets that any host may disturb by
// a forged ICMP message.
func (c *conn) Send(source, destination netip.Addr, payload []byte) error {
	if !source.IsValid() || vrrp.FamilyOf(source) != c.wire.family || vrrp.FamilyOf(destination) != c.wire.family {
		return fmt.Errorf("send from %s to %s: both must be %v addresses", source, destination, c.wire.family)
	}
	oob, to := c.wire.parcel(c.index, source, destination)
	err := c.control(func(fd int) error {
		return unix.Sendmsg(fd, payload, oob, to, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if err != nil {
		return fmt.Errorf("send from %s to %s: %w", source, destination, err)
	}
	return nil
}

// Close ends Receive. The kernel leaves the multicast group.
func (c *conn) Close() error {
	return errors.Join(c.ready.close(), c.socket.Close())
}
