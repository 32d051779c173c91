package ipvs

import (
	"errors"
	"os"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// receiveBuffer is how much a socket holds of what was not received yet. The
// kernel fills it with answers to a batch, each of which takes about a
// kilobyte of it, and drops what does not fit.
const receiveBuffer = 1 << 20

// socket is a netlink socket that talks to the kernel. nl.NetlinkSocket opens
// it, in the right namespace; but it allocates 128 kilobytes for each message
// that it receives, and sends one at a time.
type socket struct {
	*nl.NetlinkSocket
	closed bool
}

// openSocket opens a socket in the network namespace at path, or in that of
// the calling thread.
func openSocket(path string) (*socket, error) {
	namespace := netns.None()
	if path != "" {
		var err error
		if namespace, err = netns.GetFromPath(path); err != nil {
			return nil, err
		}
		defer namespace.Close()
	}
	opened, err := nl.GetNetlinkSocketAt(namespace, netns.None(), unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	// These make losses rare: that they are not to be had is no failure. The
	// larger buffer takes a privilege, and so do edits. An answer that says
	// what failed need not repeat the request.
	_ = opened.SetReceiveBufferSize(receiveBuffer, true)
	_ = unix.SetsockoptInt(opened.GetFd(), unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &socket{NetlinkSocket: opened}, nil
}

// Send sends messages to the kernel. When it returns, the kernel has carried
// them out, and answered: generic netlink has no queue for requests.
func (s *socket) Send(messages []byte) error {
	if s.closed {
		return os.ErrClosed
	}
	return uninterrupted(func() error {
		return unix.Sendto(s.GetFd(), messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
}

// Receive puts what the kernel has sent into buf and returns its length. The
// error is EAGAIN if there is nothing (more).
func (s *socket) Receive(buf []byte) (length int, err error) {
	if s.closed {
		return 0, os.ErrClosed
	}
	for {
		var from unix.Sockaddr
		err := uninterrupted(func() (err error) {
			// With MSG_TRUNC the length is that of the message, even if buf is shorter.
			length, from, err = unix.Recvfrom(s.GetFd(), buf, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
			return err
		})
		sender, _ := from.(*unix.SockaddrNetlink)
		switch {
		case err != nil:
			return 0, err
		case length > len(buf):
			return 0, unix.EMSGSIZE
		case sender != nil && sender.Pid == nl.PidKernel:
			return length, nil
		}
	}
}

// Close closes the socket.
func (s *socket) Close() error {
	if !s.closed {
		s.closed = true
		s.NetlinkSocket.Close()
	}
	return nil
}

// uninterrupted makes a system call again until no signal interrupts it.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
