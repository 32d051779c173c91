package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Respond has the host answer at an address, by "tcp", "udp" or "sctp", with
// its name: once for each connection, which it then leaves open until the
// client closes it, or for each datagram. The laboratory's Close ends it.
func (h *Host) Respond(protocol string, address netip.AddrPort) error {
	var socket io.Closer
	var serve func()
	err := h.Do(func() (err error) {
		switch protocol {
		case "udp":
			var conn net.PacketConn
			conn, err = new(net.ListenConfig).ListenPacket(context.Background(), "udp", address.String())
			socket, serve = conn, func() { h.answerDatagrams(conn) }
		case "sctp":
			var listener net.Listener
			listener, err = listenSCTP(address)
			socket, serve = listener, func() { h.answerConnections(listener) }
		default:
			var listener net.Listener
			listener, err = new(net.ListenConfig).Listen(context.Background(), protocol, address.String())
			socket, serve = listener, func() { h.answerConnections(listener) }
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("responder on %s: %s %v: %v", h.Name, protocol, address, err)
	}
	h.lab.onClose(socket.Close)
	go serve()
	return nil
}

// answerDatagrams answers until the socket is closed.
func (h *Host) answerDatagrams(conn net.PacketConn) {
	buffer := make([]byte, 2048)
	for {
		_, from, err := conn.ReadFrom(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil: // else: an answer was refused, which says nothing about the next
			_, _ = conn.WriteTo([]byte(h.Name+"\n"), from)
		}
	}
}

// answerConnections answers until the listener is closed.
func (h *Host) answerConnections(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if _, err := fmt.Fprintln(conn, h.Name); err == nil {
				_, _ = io.Copy(io.Discard, conn)
			}
		}()
	}
}

// listenSCTP opens a socket of SCTP that behaves as one of TCP does (RFC 6458
// section 4). The calling thread opens it.
func listenSCTP(address netip.AddrPort) (net.Listener, error) {
	file, err := socketSCTP(address)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd := int(file.Fd())
	if err := unix.Bind(fd, socketAddress(address)); err != nil {
		return nil, fmt.Errorf("bind: %v", err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, fmt.Errorf("listen: %v", err)
	}
	return net.FileListener(file)
}

// dialSCTP connects as net.Dialer does for TCP, and waits as long as the
// kernel does. The calling thread opens the socket.
func dialSCTP(source netip.Addr, target netip.AddrPort) (net.Conn, error) {
	file, err := socketSCTP(target)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd := int(file.Fd())
	if source.IsValid() {
		if err := unix.Bind(fd, socketAddress(netip.AddrPortFrom(source, 0))); err != nil {
			return nil, fmt.Errorf("bind: %v", err)
		}
	}
	limit := unix.NsecToTimeval(askTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return nil, fmt.Errorf("timeout: %v", err)
	}
	if err := unix.Connect(fd, socketAddress(target)); err != nil {
		return nil, fmt.Errorf("connect: %v", err)
	}
	return net.FileConn(file)
}

// socketSCTP opens a socket of the address's family.
func socketSCTP(address netip.AddrPort) (*os.File, error) {
	family := unix.AF_INET
	if address.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return nil, fmt.Errorf("socket of SCTP: %v", err)
	}
	return os.NewFile(uintptr(fd), "sctp"), nil
}

// socketAddress is an address as system calls have it.
func socketAddress(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
