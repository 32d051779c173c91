package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Via is the way of probes to their target. The zero value leaves it to the
// routes of this machine.
type Via struct {
	Source netip.Addr // the address to probe from
	Device string     // the interface to probe through, as SO_BINDTODEVICE
	Mark   uint32     // the firewall mark of what is sent, as SO_MARK

	// Namespace is the network namespace to probe in: a name, as of ip(8), or
	// an absolute path. It is looked up for every probe.
	Namespace string
}

// maxDevice is the length of the longest name of an interface.
const maxDevice = unix.IFNAMSIZ - 1

// validate says what is wrong with the way to a target.
func (v Via) validate(target netip.Addr) error {
	if err := v.validateSource(target); err != nil {
		return err
	}
	if len(v.Device) > maxDevice || strings.ContainsFunc(v.Device, unprintable) || strings.ContainsAny(v.Device, "/:") {
		return fmt.Errorf("device %q is no name of an interface: at most %d letters, without spaces, \"/\" and \":\"", v.Device, maxDevice)
	}
	switch zone := target.Zone() + v.Source.Zone(); {
	case v.Namespace == "":
		return nil
	case zone != "":
		return fmt.Errorf("an address with a zone (%s) is not for a namespace: name the interface as device", zone)
	case path.IsAbs(v.Namespace) && !strings.Contains(v.Namespace, "\x00"):
		return nil
	case v.Namespace == "." || v.Namespace == ".." || strings.ContainsAny(v.Namespace, "/\x00"):
		return fmt.Errorf("namespace %q is neither a name below %s nor an absolute path", v.Namespace, namespaces)
	}
	return nil
}

// validateSource says what is wrong with the source.
func (v Via) validateSource(target netip.Addr) error {
	source := v.Source.Unmap()
	switch {
	case !source.IsValid():
		return nil
	case source.Is4() != target.Unmap().Is4():
		return fmt.Errorf("source %s and the target are not of the same family: both IPv4 or both IPv6", v.Source)
	case source.IsUnspecified() || source.IsMulticast():
		return fmt.Errorf("source %s is no address of a machine", v.Source)
	}
	return nil
}

// cooperates is whether a socket to the target is there without waiting. A namespace
// has to be entered first, whose file may be anywhere, and a zone to be looked up among
// all interfaces, for which the kernel may have others wait.
func (e endpoint) cooperates() bool {
	return e.via.Namespace == "" && e.Addr().Zone() == "" && e.via.Source.Zone() == ""
}

// dial makes a connection over "tcp" or "udp". Close resets a connection of
// TCP instead of leaving it in TIME_WAIT, where thousands of probes a second
// would use up the local ports.
func (e endpoint) dial(ctx context.Context, network string) (net.Conn, error) {
	conn, err := e.dialOnce(ctx, network)
	if err != nil {
		if network == "tcp" {
			err = e.rejected(ctx, err)
		}
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// rejected returns what another machine has said of a connection over TCP that
// was not made; without such words, the error.
func (e endpoint) rejected(ctx context.Context, err error) error {
	if rejected := rejection(err); rejected != nil && ofCall(err, "connect") && e.routed(ctx) {
		return rejected
	}
	return err
}

// ofCall is whether an error is one of a system call. About connect(2) other
// machines have a say, about making and preparing the socket they have none.
func ofCall(err error, name string) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == name
}

// routed is whether this director has a route to the target. To connect a
// socket of UDP looks that up, sends nothing and waits for nothing: there is time
// for it at the end of a probe too.
func (e endpoint) routed(ctx context.Context) bool {
	conn, err := e.dialOnce(context.WithoutCancel(ctx), "udp")
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// dialOnce makes a connection as package net has it.
func (e endpoint) dialOnce(ctx context.Context, network string) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1, Control: e.via.control} // a probe is too short for keep-alives
	if source := e.via.Source.Unmap(); source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		if network == "udp" {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
	}
	return dialer.DialContext(ctx, network, e.String())
}

// control prepares a socket before it connects.
func (v Via) control(network, _ string, raw syscall.RawConn) error {
	if v == (Via{}) {
		return nil
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = v.prepare(int(fd), network) }); err != nil {
		return err
	}
	return failed
}

// prepare moves a new socket to the namespace and sets its options.
func (v Via) prepare(fd int, network string) error {
	if v.Namespace != "" {
		if err := replace(fd, v.Namespace); err != nil {
			return err
		}
	}
	if v.Source.IsValid() && strings.HasPrefix(network, "tcp") {
		if err := portAtConnect(fd); err != nil {
			return err
		}
	}
	return v.options(fd)
}

// portAtConnect lets a socket of TCP that is bound to a source get its port
// when it connects: then that must be free for that target only.
func portAtConnect(fd int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// replace puts a new socket of the same kind, but in a network namespace, in
// the place of one. Package net has not begun to watch the old one: it does
// so when the socket connects.
func replace(fd int, namespace string) error {
	var like [3]int
	for i, option := range []int{unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_PROTOCOL} {
		value, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return err
		}
		like[i] = value
	}
	other, err := socketIn(namespace, like[0], like[1], like[2])
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(other) }()
	return unix.Dup3(other, fd, unix.O_CLOEXEC)
}

// socket returns a new socket, non-blocking, for what package net cannot dial.
func (v Via) socket(domain, kind, protocol int) (fd int, err error) {
	fd, err = socketIn(v.Namespace, domain, kind, protocol)
	if err != nil {
		return -1, err
	}
	if err := v.options(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// options sets the options of a socket.
func (v Via) options(fd int) error {
	if v.Device != "" {
		if err := unix.BindToDevice(fd, v.Device); err != nil {
			return err
		}
	}
	if v.Mark != 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(v.Mark))
	}
	return nil
}
