package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// Settings of the socket for advertisements.
const (
	advertisementTTL = 255  // RFC 9568 section 5.1.1.3
	internetControl  = 0xC0 // DSCP CS6: what routers tell each other
	controlPriority  = 7    // TC_PRIO_CONTROL: first in the queue of the interface
	receiveBuffer    = 1 << 20
	receiveLen       = 4096 // more than an advertisement of 255 addresses
	drainMax         = 1024 // packets, so that a flood cannot hold up the caller of Drain
	refusedMax       = 1024 // packets, so that a flood of what cannot be parsed cannot either
)

// conn is the raw socket for advertisements on one interface. Receive belongs
// to one goroutine; the other methods may be called by any.
type conn struct {
	log   *slog.Logger
	iface string
	index int
	ip    *net.IPConn
	raw   syscall.RawConn

	mu    sync.Mutex      // guards queue; held while the socket is read, never while waiting
	queue []vrrp.Received // read and not yet handed over by Receive, oldest first; drainMax at most
	buf   []byte
}

// listen opens the socket on the interface with that index.
func listen(log *slog.Logger, iface string, index int) (*conn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = setOptions(int(fd), index) })
		if err != nil {
			return err
		}
		return failed
	}}
	pc, err := lc.ListenPacket(context.Background(), fmt.Sprintf("ip4:%d", vrrp.Protocol), "0.0.0.0")
	if err != nil {
		return nil, fmt.Errorf("open a raw socket: %w", err)
	}
	// The index is all that the kernel needs, and unlike the name it cannot
	// mean another interface by now.
	group := vrrp.IPv4.MulticastAddress()
	if err := ipv4.NewPacketConn(pc).JoinGroup(&net.Interface{Index: index}, &net.IPAddr{IP: group.AsSlice()}); err != nil {
		pc.Close()
		return nil, fmt.Errorf("join %s: %w", group, err)
	}
	ip := pc.(*net.IPConn)
	raw, err := ip.SyscallConn()
	if err != nil {
		pc.Close()
		return nil, fmt.Errorf("open a raw socket: %w", err)
	}
	return &conn{log: log, iface: iface, index: index, ip: ip, raw: raw, buf: make([]byte, receiveLen)}, nil
}

// setOptions prepares the socket before it is bound, so that it never hears
// another interface.
func setOptions(fd, index int) error {
	for _, o := range []struct {
		name              string
		level, opt, value int
	}{
		{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index},
		{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, advertisementTTL},
		{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, advertisementTTL},
		{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, internetControl},
		{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority}, // after IP_TOS, which sets another
		{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
	} {
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

// Send transmits one packet from source, which must be an address of this
// host, and returns the error of the kernel if it cannot take the packet now.
// A packet that the queue of the interface drops later is lost without an
// error: the kernel reports that only to sockets that any host may disturb by
// a forged ICMP message.
func (c *conn) Send(source, destination netip.Addr, payload []byte) error {
	if !source.Is4() || !destination.Is4() {
		return fmt.Errorf("send from %s to %s: both must be IPv4 addresses", source, destination)
	}
	oob := unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(c.index), Spec_dst: source.As4()})
	to := &unix.SockaddrInet4{Addr: destination.As4()}
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		failed = unix.Sendmsg(int(fd), payload, oob, to, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("send from %s to %s: %w", source, destination, err)
	}
	return nil
}

// Receive hands over packets until the socket is closed or fails. It waits
// only once the socket is empty: the poller tells of packets that arrive, not
// of those that are there.
func (c *conn) Receive(deliver func(vrrp.Received)) error {
	for {
		var failed error
		err := c.raw.Read(func(fd uintptr) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			var dry bool
			c.queue, dry, failed = c.read(int(fd), c.queue, 1)
			return len(c.queue) > 0 || failed != nil || !dry
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
		c.handOver(deliver)
	}
}

// handOver empties the queue. A packet leaves it only once it was delivered,
// so that Drain never overlooks one that is on its way.
func (c *conn) handOver(deliver func(vrrp.Received)) {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.queue = nil
			c.mu.Unlock()
			return
		}
		next := c.queue[0]
		c.mu.Unlock()
		deliver(next)
		c.mu.Lock()
		c.queue = c.queue[1:]
		c.mu.Unlock()
	}
}

// Drain hands over the packets that have arrived and were not delivered yet,
// without waiting, although another goroutine may wait in Receive. It hands
// over in the order of arrival, and so does Receive; between the two there is
// no order. Packets that Receive is still handing over come by both, and
// again by each Drain until then. Who handles what Receive has delivered
// before what Drain hands over hears the packet that arrived last also last.
func (c *conn) Drain(deliver func(vrrp.Received)) {
	for _, p := range c.collect() {
		deliver(p)
	}
}

// collect reads what has arrived. If Receive is still handing over an older
// packet, it hands over the newer ones after it once more, so that the older
// one is not the last that is heard. What such a queue has no room for stays
// in the socket, whose buffer bounds it.
func (c *conn) collect() []vrrp.Received {
	c.mu.Lock()
	defer c.mu.Unlock()
	underWay := len(c.queue)
	all := slices.Clone(c.queue)
	// A socket that has been closed has nothing more to say.
	_ = c.raw.Control(func(fd uintptr) { all, _, _ = c.read(int(fd), all, drainMax-underWay) })
	if underWay > 0 {
		c.queue = append(c.queue, all[underWay:]...)
	}
	return all
}

// read appends up to limit packets that the socket holds to list. Those that
// cannot be parsed do not count, but have a limit of their own. It does not
// wait: dry says that the socket holds no more. The error is never EAGAIN.
func (c *conn) read(fd int, list []vrrp.Received, limit int) (out []vrrp.Received, dry bool, err error) {
	for kept, refused := 0, 0; kept < limit && refused < refusedMax; {
		n, _, err := unix.Recvfrom(fd, c.buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case err == nil:
		case errors.Is(err, unix.EAGAIN):
			return list, true, nil
		case errors.Is(err, unix.EINTR):
			continue
		default:
			return list, false, os.NewSyscallError("recvfrom", err)
		}
		p, err := parseIPv4(c.buf[:min(n, len(c.buf))])
		if err != nil {
			c.log.Debug("dropped a packet", "interface", c.iface, "error", err)
			refused++
			continue
		}
		p.Interface, p.Payload = c.iface, slices.Clone(p.Payload)
		list = append(list, p)
		kept++
	}
	return list, false, nil
}

// Close ends Receive. The kernel leaves the multicast group.
func (c *conn) Close() error { return c.ip.Close() }
