package link

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// looped returns a conn without a network, and the other end of it, which also
// puts such packets into it as no raw socket of Linux would deliver.
func looped(t *testing.T) (c *conn, far *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	must(t, unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 1<<24))
	far = os.NewFile(uintptr(fds[1]), "far")
	t.Cleanup(func() { far.Close() })
	c, err = newConn(slog.New(slog.DiscardHandler), "looped", 0, wireIPv4(), fds[0])
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c, far
}

// put puts a packet into the other end that many times.
func put(t *testing.T, far *os.File, times int, packet []byte) {
	t.Helper()
	for range times {
		_, err := far.Write(packet)
		must(t, err)
	}
}

// TestConnReadBounds counts packets that are kept and packets that are
// refused apart, and says when the socket is empty.
func TestConnReadBounds(t *testing.T) {
	c, far := looped(t)
	put(t, far, refusedMax+1, []byte("junk"))
	put(t, far, 3, unhex(t, advertisement))
	for i, want := range []struct {
		limit, kept int
		dry         bool
	}{{0, 0, false}, {1, 0, false}, {1, 1, false}, {1, 1, false}, {9, 1, true}, {9, 0, true}} {
		var got []vrrp.Received
		var dry bool
		var failed error
		must(t, c.raw.Control(func(fd uintptr) { got, dry, failed = c.read(int(fd), nil, want.limit) }))
		if len(got) != want.kept || dry != want.dry || failed != nil {
			t.Errorf("read %d: %d packets, dry is %t (%v), want %+v", i, len(got), dry, failed, want)
		}
	}
}

// TestConnMuchJunk does not wait before the socket is empty, however much of
// what it holds is refused: no other packet may come to wake the reader.
func TestConnMuchJunk(t *testing.T) {
	c, far := looped(t)
	put(t, far, 4*refusedMax, []byte("junk"))
	put(t, far, 1, unhex(t, advertisement))
	heard := make(chan vrrp.Received, 1)
	go func() { _ = c.Receive(each(func(p vrrp.Received) { heard <- p })) }()
	select {
	case <-heard:
	case <-time.After(bound):
		t.Error("the packet behind the refused ones was never received")
	}
}

// numbered returns a packet whose payload ends with a number.
func numbered(t *testing.T, number int) []byte {
	packet := unhex(t, advertisement)
	packet[len(packet)-2], packet[len(packet)-1] = byte(number>>8), byte(number)
	return packet
}

// numberOf returns the number of a packet.
func numberOf(p vrrp.Received) int {
	end := p.Payload[len(p.Payload)-2:]
	return int(end[0])<<8 | int(end[1])
}

// TestConnBatches hands over together what is there, in batches of bounded
// length, and each packet with its own payload.
func TestConnBatches(t *testing.T) {
	c, far := looped(t)
	const packets = 2*batchMax + 5
	for i := range packets {
		put(t, far, 1, numbered(t, i))
	}
	batches := make(chan vrrp.Batch, packets)
	go func() { _ = c.Receive(func(b vrrp.Batch) { batches <- b }) }()
	next := 0
	for _, want := range []int{batchMax, batchMax, 5} {
		var b vrrp.Batch
		select {
		case b = <-batches:
		case <-time.After(bound):
			t.Fatalf("%d packets of %d were received", next, packets)
		}
		if len(b) != want {
			t.Errorf("a batch of %d packets, want %d", len(b), want)
		}
		for _, p := range b {
			if got := numberOf(p); got != next {
				t.Fatalf("received packet %d, want %d", got, next)
			}
			next++
		}
	}
}

// TestConnGathers looks at a socket once in every gatherTime while packets come
// one upon the other.
func TestConnGathers(t *testing.T) {
	c, far := looped(t)
	const packets = 2000
	batches := make(chan vrrp.Batch, packets)
	begun := time.Now()
	go func() { _ = c.Receive(func(b vrrp.Batch) { batches <- b }) }()
	go func() {
		for i := range packets {
			for end := time.Now().Add(20 * time.Microsecond); time.Now().Before(end); {
				continue
			}
			_, _ = far.Write(numbered(t, i))
		}
	}()
	looks := 0
	for next := 0; next < packets; {
		select {
		case b := <-batches:
			if len(b) < batchMax { // it ends a look
				looks++
			}
			for _, p := range b {
				if got := numberOf(p); got != next {
					t.Fatalf("received packet %d, want %d", got, next)
				}
				next++
			}
		case <-time.After(bound):
			t.Fatalf("%d packets of %d were received", next, packets)
		}
	}
	// The first two need not wait, and the count of the moments is rounded.
	if most := int(time.Since(begun)/gatherTime) + 3; looks > most {
		t.Errorf("%d looks, want %d at most", looks, most)
	}
}

// TestConnPauses receives packets that come after a pause of any length.
func TestConnPauses(t *testing.T) {
	c, far := looped(t)
	heard := make(chan int, 1)
	go func() { _ = c.Receive(each(func(p vrrp.Received) { heard <- numberOf(p) })) }()
	for i := range 200 {
		put(t, far, 1, numbered(t, i))
		select {
		case got := <-heard:
			if got != i {
				t.Fatalf("received packet %d, want %d", got, i)
			}
		case <-time.After(bound):
			t.Fatalf("packet %d was never received", i)
		}
		time.Sleep(time.Duration(i) * gatherTime / 50)
	}
}

// TestConnFails ends Receive with the error of the socket, also one that comes
// while it waits.
func TestConnFails(t *testing.T) {
	for name, waits := range map[string]time.Duration{"at once": 0, "while it waits": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			c, far := looped(t)
			must(t, c.control(func(fd int) error { return unix.Send(fd, []byte("never read"), 0) }))
			ended := make(chan error, 1)
			time.AfterFunc(waits, func() { far.Close() }) // which resets the connection
			go func() { ended <- c.Receive(func(b vrrp.Batch) { t.Errorf("received %v", b) }) }()
			select {
			case err := <-ended:
				if !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("Receive ended with %v, want %v", err, unix.ECONNRESET)
				}
			case <-time.After(bound):
				t.Error("Receive goes on after an error")
			}
		})
	}
}

// TestConnOutlivesItsLink goes on while the interface is down, and hears again
// when it is up. When the interface is gone there is nothing to hear, and it
// can be closed.
func TestConnOutlivesItsLink(t *testing.T) {
	l := newLab(t, "outlive")
	link := l.link(l.here, l.name)
	here, err := listen(testLog(t), l.name, link.Attrs().Index, vrrp.IPv4)
	must(t, err)
	defer here.Close()
	there := l.peerConn()
	heard, ended := make(chan string, 64), make(chan error, 1)
	go func() { ended <- here.Receive(each(func(p vrrp.Received) { heard <- string(p.Payload) })) }()
	l.check(l.here.LinkSetDown(link))
	if err := here.Send(hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("down")); err == nil {
		t.Error("an interface that is down sends")
	}
	l.check(l.here.LinkSetUp(link))
	for limit := time.Now().Add(bound); len(heard) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("nothing is heard after the interface was down")
		}
		_ = there.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("up")) // may be early
	}
	l.check(l.here.LinkDel(link))
	if err := here.Send(hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), []byte("gone")); err == nil {
		t.Error("an interface that is gone sends")
	}
	here.Drain(func(vrrp.Batch) {})
	select {
	case err := <-ended:
		t.Logf("without its interface the socket fails: %v", err)
		return
	case <-time.After(10 * time.Millisecond):
	}
	must(t, here.Close())
	if err := <-ended; err == nil {
		t.Error("Receive ended without an error")
	}
}

// TestConnCloseRace closes sockets that are in use. Whoever still uses one has
// an error, and never the file that was opened with the same number next.
func TestConnCloseRace(t *testing.T) {
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	self := netip.MustParseAddr("127.0.0.1")
	for range 100 {
		c, err := listen(testLog(t), "lo", lo.Attrs().Index, vrrp.IPv4)
		must(t, err)
		must(t, c.Send(self, self, []byte("open")))
		var users sync.WaitGroup
		begun := make(chan struct{}, 3)
		users.Go(func() { begun <- struct{}{}; _ = c.Receive(func(vrrp.Batch) {}) })
		users.Go(func() {
			begun <- struct{}{}
			for c.Send(self, self, []byte("astray")) == nil {
				continue
			}
		})
		users.Go(func() {
			begun <- struct{}{}
			for c.control(func(int) error { return nil }) == nil {
				c.Drain(func(vrrp.Batch) {})
			}
		})
		for range cap(begun) {
			<-begun
		}
		must(t, c.Close())
		next := reuse(t)
		users.Wait()
		next.untouched()
		if err := c.Send(self, self, nil); err == nil {
			t.Error("a closed socket sends")
		}
	}
}

// reused is pairs of sockets that have been given numbers which were free. Each
// holds one packet.
type reused struct {
	t   *testing.T
	fds []int
}

// reuse opens them.
func reuse(t *testing.T) reused {
	t.Helper()
	r := reused{t: t}
	for range 2 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		must(t, err)
		r.fds = append(r.fds, fds[:]...)
	}
	for _, fd := range r.fds {
		must(t, unix.Send(fd, []byte("own"), 0))
	}
	return r
}

// untouched closes them. None may hold another packet than its own.
func (r reused) untouched() {
	r.t.Helper()
	buf := make([]byte, 16)
	for _, fd := range r.fds {
		n, err := unix.Read(fd, buf)
		if err != nil || string(buf[:n]) != "own" {
			r.t.Errorf("a file of somebody else holds %q (%v)", buf[:max(n, 0)], err)
		}
		if n, err := unix.Read(fd, buf); !errors.Is(err, unix.EAGAIN) {
			r.t.Errorf("a file of somebody else holds %q (%v) too much", buf[:max(n, 0)], err)
		}
	}
	for _, fd := range r.fds {
		must(r.t, unix.Close(fd))
	}
}

// TestConnOptions reads back what the kernel was told.
func TestConnOptions(t *testing.T) {
	l := newLab(t, "options")
	index := l.link(l.here, l.name).Attrs().Index
	both := []option{
		{"SO_TYPE", unix.SOL_SOCKET, unix.SO_TYPE, unix.SOCK_RAW},
		{"SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL, 112},
		{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index},
		{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, 7},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 2 << 20}, // the kernel doubles it for its own needs
	}
	for family, own := range map[vrrp.Family][]option{
		vrrp.IPv4: {
			{"SO_DOMAIN", unix.SOL_SOCKET, unix.SO_DOMAIN, unix.AF_INET},
			{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
			{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
			{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255},
			{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, 255},
			{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, 0xC0},
			{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
			{"IP_HDRINCL", unix.IPPROTO_IP, unix.IP_HDRINCL, 0},
			{"IP_RECVERR", unix.IPPROTO_IP, unix.IP_RECVERR, 0},
		},
		vrrp.IPv6: {
			{"SO_DOMAIN", unix.SOL_SOCKET, unix.SO_DOMAIN, unix.AF_INET6},
			{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
			{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255},
			{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255},
			{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xC0},
			{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT},
			{"IPV6_CHECKSUM", unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, -1},
			{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{"IPV6_RECVERR", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 0},
		},
	} {
		t.Run(fmt.Sprint(family), func(t *testing.T) {
			c, err := listen(testLog(t), l.name, index, family)
			must(t, err)
			defer c.Close()
			must(t, c.control(func(fd int) error {
				for _, o := range append(own, both...) {
					if got, err := unix.GetsockoptInt(fd, o.level, o.opt); err != nil || got != o.value {
						t.Errorf("%s is %d (%v), want %d", o.name, got, err, o.value)
					}
				}
				return nil
			}))
			for name, flags := range map[string][2]int{
				"non-blocking": {unix.F_GETFL, unix.O_NONBLOCK}, "closed by a program that is executed": {unix.F_GETFD, unix.FD_CLOEXEC},
			} {
				must(t, c.control(func(fd int) error {
					got, err := unix.FcntlInt(uintptr(fd), flags[0], 0)
					if got&flags[1] == 0 {
						t.Errorf("the socket is not %s (%#x, %v)", name, got, err)
					}
					return nil
				}))
			}
		})
	}
}

// TestConnIPv6TrafficClass sends with the traffic class of what routers tell
// each other.
func TestConnIPv6TrafficClass(t *testing.T) {
	l := newLab(t, "class")
	got := l.captured(func(c *conn, source netip.Addr) {
		must(t, c.Send(source, vrrp.IPv6.MulticastAddress(), []byte{0x31, 1, 100, 0, 0, 100, 0xab, 0xcd}))
	})
	if d := cmp.Diff([]byte{0x6c, 0x00}, []byte{got[0], got[1] & 0xf0}); d != "" {
		t.Errorf("version and traffic class (-want +got):\n%s", d)
	}
}
