package checker

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pingerAge is how long a socket takes new probes. The next one finds a
	// namespace or an interface that was made anew.
	pingerAge = time.Second
	// pingBuffer is room for the replies to some thousand requests at once.
	pingBuffer = 4 << 20
	// pingReply is what one reply takes of it, however a driver keeps it.
	pingReply = 4 << 10
)

// pinger is a socket for echo requests that the probes of one way share, for
// as long as there are any. With one socket a probe is one message out and one
// in. A socket for each would be several system calls more, and the kernel
// shows every message to every raw socket: with thousands of probes at once,
// millions of times.
type pinger struct {
	way     pingWay
	file    *os.File
	raw     syscall.RawConn
	isRaw   bool   // not a "ping socket": the identifier and the IPv4 header are ours
	ident   uint16 // of the requests of a raw socket
	nonce   uint64 // of the requests, so that no reply can be guessed
	opened  time.Time
	done    chan struct{} // closed when nobody reads any more
	users   int           // guarded by pingers.Mutex
	room    int           // for the replies to so many probes
	mu      sync.Mutex    // guards what follows
	number  uint64        // of the latest request
	waiting map[uint64]pingWait
}

// pingers are the sockets that take new probes. Probes know nothing of each
// other, so the sockets that they share are not theirs.
var pingers struct {
	sync.Mutex
	current map[pingWay]*pinger
}

// takePinger returns the socket of a way, which the caller releases.
func takePinger(way pingWay) (*pinger, error) {
	pingers.Lock()
	defer pingers.Unlock()
	p := pingers.current[way]
	if p == nil || p.users >= p.room || time.Since(p.opened) > pingerAge {
		var err error
		if p, err = openPinger(way); err != nil {
			return nil, err
		}
		if pingers.current == nil {
			pingers.current = map[pingWay]*pinger{}
		}
		pingers.current[way] = p
	}
	p.users++
	return p, nil
}

// release gives the socket back. The last one closes it.
func (p *pinger) release() {
	pingers.Lock()
	p.users--
	last := p.users == 0
	if last && pingers.current[p.way] == p {
		delete(pingers.current, p.way)
	}
	pingers.Unlock()
	if last {
		_ = p.file.Close()
		<-p.done
	}
}

// openPinger opens a socket and reads from it until it is closed.
func openPinger(way pingWay) (*pinger, error) {
	p := &pinger{
		way: way, ident: uint16(rand.Uint32()), nonce: rand.Uint64(), number: rand.Uint64(), opened: time.Now(),
		done: make(chan struct{}), waiting: map[uint64]pingWait{},
	}
	fd, err := p.socket()
	if err != nil {
		return nil, err
	}
	if err := p.prepare(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	p.file = os.NewFile(uintptr(fd), "ping")
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	go p.read()
	return p, nil
}

// socket opens a "ping socket", which needs no privilege where the sysctl
// net.ipv4.ping_group_range allows it, or else a raw one.
func (p *pinger) socket() (fd int, err error) {
	domain, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if p.way.six {
		domain, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err = p.way.via.socket(domain, unix.SOCK_DGRAM, protocol)
	if !errors.Is(err, unix.EACCES) {
		return fd, err
	}
	p.isRaw = true
	fd, err = p.way.via.socket(domain, unix.SOCK_RAW, protocol)
	if errors.Is(err, unix.EPERM) {
		return -1, &LocalError{Reason: "a ping needs CAP_NET_RAW or the sysctl net.ipv4.ping_group_range on this director"}
	}
	return fd, err
}

// prepare sets the source and the buffer of a socket, and has the kernel pass
// only replies that may be ours.
func (p *pinger) prepare(fd int) error {
	if source := p.way.via.Source; source.IsValid() {
		address, err := sockaddr(source)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, address); err != nil {
			return err
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, pingBuffer) != nil { // without CAP_NET_ADMIN
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, pingBuffer)
	}
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return err
	}
	p.room = max(1, granted/pingReply)
	if !p.isRaw {
		return nil
	}
	return p.filter(fd)
}

// sockaddr is an address for the system calls.
func sockaddr(addr netip.Addr) (unix.Sockaddr, error) {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4()}, nil
	}
	address := &unix.SockaddrInet6{Addr: addr.As16()}
	if addr.Zone() == "" {
		return address, nil
	}
	if index, err := strconv.ParseUint(addr.Zone(), 10, 32); err == nil {
		address.ZoneId = uint32(index)
		return address, nil
	}
	link, err := net.InterfaceByName(addr.Zone())
	if err != nil {
		return nil, unix.ENODEV
	}
	address.ZoneId = uint32(link.Index)
	return address, nil
}

// send sends a request. The channel is closed with the reply, unless the
// number that is returned is forgotten before.
func (p *pinger) send(target netip.Addr, answered chan<- struct{}) (number uint64, err error) {
	address, err := sockaddr(target)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	p.number++
	number = p.number
	p.waiting[number] = pingWait{target: target.WithZone(""), answered: answered}
	p.mu.Unlock()
	request := p.echo(number).request(p.way.six)
	control := p.raw.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), request[:], 0, address)
		for errors.Is(err, unix.EINTR) {
			err = unix.Sendto(int(fd), request[:], 0, address)
		}
	})
	switch {
	case errors.Is(err, unix.EAGAIN):
		err = unix.ENOBUFS // to wait would delay the others
	case err == nil:
		err = control
	}
	if err != nil {
		p.forget(number)
	}
	return number, err
}

// echo is the content of a request.
func (p *pinger) echo(number uint64) pingEcho {
	return pingEcho{ident: p.ident, nonce: p.nonce, number: number}
}

// forget ends the wait for a reply.
func (p *pinger) forget(number uint64) {
	p.mu.Lock()
	delete(p.waiting, number)
	p.mu.Unlock()
}

// read takes replies until the socket is closed.
func (p *pinger) read() {
	defer close(p.done)
	var buffer [256]byte // a reply is 64 bytes, after an IPv4 header of 60 at most
	receive := func(fd uintptr) (done bool) {
		for {
			n, from, err := unix.Recvfrom(int(fd), buffer[:], 0)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false // until there is more
			case err != nil:
				return true // of one message: the next one may be good
			}
			p.take(buffer[:n], from)
		}
	}
	for p.raw.Read(receive) == nil {
	}
}

// take wakes the probe that a message is the reply to.
func (p *pinger) take(message []byte, from unix.Sockaddr) {
	if p.isRaw && !p.way.six {
		message = withoutHeader(message)
	}
	echo, ok := parseEcho(message, p.way.six)
	if !ok || echo.nonce != p.nonce || p.isRaw && echo.ident != p.ident {
		return
	}
	var source netip.Addr
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		source = netip.AddrFrom4(from.Addr)
	case *unix.SockaddrInet6:
		source = netip.AddrFrom16(from.Addr)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wait, waits := p.waiting[echo.number]
	if !waits || wait.target != source {
		return
	}
	delete(p.waiting, echo.number)
	close(wait.answered)
}
