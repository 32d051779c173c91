package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// CrowdServers are the real servers of a Crowd at work: one socket on web1
// answers at all addresses. How many checks a director completes is counted
// here, which is the same for all programs, and does not depend on what they
// say of themselves.
type CrowdServers struct {
	lab       *Lab
	fd        int
	reply     []byte // empty: a connection is all that is wanted
	completed atomic.Int64
}

// Death is what a real server no longer does when it has died.
type Death uint8

// The ways to die.
const (
	Refuse  Death = iota // the program has ended: connections are reset
	Silence              // the machine has ended
)

// String returns the word of a figure.
func (d Death) String() string { return [...]string{"refused", "silent"}[d] }

// crowdReply is what a real server answers to an HTTP request.
const crowdReply = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

// StartCrowdServers starts all real servers of a Crowd: they accept
// connections, or answer HTTP requests. Close of the laboratory ends them.
func (l *Lab) StartCrowdServers(kind CheckKind) (*CrowdServers, error) {
	s := &CrowdServers{lab: l, fd: -1}
	if kind == CheckHTTP {
		s.reply = []byte(crowdReply)
	}
	err := errors.Join(
		l.LB.replaceRoute(crowdNetwork, unix.RTN_UNICAST, l.Web[0].OwnAddresses()[0].Addr()),
		// In the main table: else nothing could be routed past it.
		l.Web[0].replaceRoute(crowdNetwork, unix.RTN_LOCAL, netip.Addr{}),
		l.Web[1].replaceRoute(crowdNetwork, unix.RTN_LOCAL, netip.Addr{}),
		l.Web[0].Sysctl("net/ipv4/ip_forward", "1"),
		l.Web[0].Sysctl("net/ipv4/tcp_max_syn_backlog", "16384"),
		l.Web[0].Sysctl("net/core/somaxconn", "16384"),
	)
	if err == nil {
		err = l.Web[0].Do(s.listen)
	}
	if err != nil {
		return nil, fmt.Errorf("servers of a crowd: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	l.onClose(func() error {
		err := unix.Shutdown(s.fd, unix.SHUT_RDWR)
		<-done
		return errors.Join(err, unix.Close(s.fd))
	})
	return s, nil
}

// Completed returns how many checks have been answered: connections that were
// accepted, and those that the client has reset when they were answered, before
// there was anything to accept. With a reply it is the replies.
func (s *CrowdServers) Completed() (int64, error) {
	if len(s.reply) > 0 {
		return s.completed.Load(), nil
	}
	var resets int64
	err := s.lab.Web[0].Do(func() (err error) {
		resets, err = embryonicResets()
		return err
	})
	return s.completed.Load() + resets, err
}

// embryonicResets returns how many connections were reset in this network
// namespace after a SYN-ACK and before anything else (netstat(8)).
func embryonicResets() (int64, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || len(names) != len(fields) || names[0] != fields[0] { // a line of names comes first
			names = fields
			continue
		}
		if n := slices.Index(names, "EmbryonicRsts"); n >= 0 {
			return strconv.ParseInt(fields[n], 10, 64)
		}
	}
	return 0, errors.New("netstat has no EmbryonicRsts")
}

// Kill has one real server die. The packets to it go where nobody listens, or
// nowhere.
func (s *CrowdServers) Kill(address netip.Addr, death Death) error {
	kind, gateway := unix.RTN_BLACKHOLE, netip.Addr{}
	if death == Refuse {
		kind, gateway = unix.RTN_UNICAST, s.lab.Web[1].OwnAddresses()[0].Addr()
	}
	return s.lab.Web[0].replaceRoute(netip.PrefixFrom(address, address.BitLen()), kind, gateway)
}

// listen opens the socket, by way of the calling thread.
func (s *CrowdServers) listen() (err error) {
	if s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %v", err)
	}
	if len(s.reply) > 0 { // a connection that is accepted has sent its request
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1); err != nil {
			return errors.Join(fmt.Errorf("deferred accept: %v", err), unix.Close(s.fd))
		}
	}
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Port: crowdPort}); err != nil {
		return errors.Join(fmt.Errorf("bind: %v", err), unix.Close(s.fd))
	}
	const backlog = 16384
	if err := unix.Listen(s.fd, backlog); err != nil {
		return errors.Join(fmt.Errorf("listen: %v", err), unix.Close(s.fd))
	}
	return nil
}

// serve answers, on a thread of its own, until the socket is shut down. The
// thread comes before all programs of this machine, because the servers are
// other machines in truth, which the directors' work does not slow down.
func (s *CrowdServers) serve() {
	runtime.LockOSThread() // and never unlocked: the thread ends with its priority
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 2}, 0)
	request := make([]byte, 4096)
	for {
		conn, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			return
		}
		if s.answer(conn, request) {
			s.completed.Add(1)
		}
		_ = unix.Close(conn)
	}
}

// answer returns whether a check is completed.
func (s *CrowdServers) answer(conn int, request []byte) bool {
	if len(s.reply) == 0 {
		return true
	}
	// A client that says nothing must not stop the others.
	if n, _, err := unix.Recvfrom(conn, request, unix.MSG_DONTWAIT); err != nil || n == 0 {
		return false
	}
	n, err := unix.Write(conn, s.reply)
	return err == nil && n == len(s.reply)
}

// replaceRoute sets a route of a host's main table, through a gateway if there
// is one.
func (h *Host) replaceRoute(to netip.Prefix, kind int, gateway netip.Addr) error {
	route := &netlink.Route{Dst: ipNet(to), Type: kind, Table: unix.RT_TABLE_MAIN}
	if gateway.IsValid() {
		route.Gw = net.IP(gateway.AsSlice())
	}
	if kind == unix.RTN_LOCAL {
		loopback, err := h.link("lo")
		if err != nil {
			return err
		}
		route.LinkIndex, route.Scope = loopback.Attrs().Index, netlink.SCOPE_HOST
	}
	if err := h.space.handle.RouteReplace(route); err != nil {
		return fmt.Errorf("route of %s to %v: %v", h.Name, to, err)
	}
	return nil
}
