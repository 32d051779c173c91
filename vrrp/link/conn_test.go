package link

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// pair returns sockets at both ends of a cable.
func pair(t *testing.T, name string) (here, there *conn) {
	t.Helper()
	l := newLab(t, name)
	here, err := listen(testLog(t), name, l.link(l.here, name).Attrs().Index, vrrp.IPv4)
	l.check(err)
	t.Cleanup(func() { here.Close() })
	return here, l.peerConn()
}

// shout sends numbered packets to the other end.
func shout(t *testing.T, c *conn, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := c.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// payloads returns a function that collects payloads, and the list.
func payloads() (func(vrrp.Batch), *[]string) {
	list := new([]string)
	return each(func(p vrrp.Received) { *list = append(*list, string(p.Payload)) }), list
}

// TestConnDrain hands over what the socket holds, without waiting, in order.
func TestConnDrain(t *testing.T) {
	here, there := pair(t, "drain")
	deliver, got := payloads()
	here.Drain(deliver)
	shout(t, there, 1, 3)
	here.Drain(deliver)
	here.Drain(deliver)
	if d := cmp.Diff([]string{"1", "2", "3"}, *got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	here.Close()
	here.Drain(deliver)
}

// TestConnDrainIdle drains while the reader waits for a packet, which it
// must go on doing.
func TestConnDrainIdle(t *testing.T) {
	here, there := pair(t, "idle")
	heard := make(chan string, 1)
	ended := make(chan error, 1)
	go func() { ended <- here.Receive(each(func(p vrrp.Received) { heard <- string(p.Payload) })) }()
	time.Sleep(50 * time.Millisecond) // let it wait; the test holds without, too
	here.Drain(func(b vrrp.Batch) { t.Errorf("drained %q out of nothing", b) })
	shout(t, there, 1, 1)
	select {
	case got := <-heard:
		if got != "1" {
			t.Errorf("received %q", got)
		}
	case <-time.After(bound):
		t.Fatal("the reader is deaf after Drain")
	}
	here.Close()
	if err := <-ended; err == nil {
		t.Error("Receive ended without an error")
	}
}

// TestConnDrainBusy drains while the reader hands over a packet: nothing may
// be overlooked, and what comes twice comes in its order.
func TestConnDrainBusy(t *testing.T) {
	here, there := pair(t, "busy")
	entered, leave := make(chan struct{}), make(chan struct{})
	heard := make(chan string, 16)
	go func() {
		_ = here.Receive(each(func(p vrrp.Received) {
			if string(p.Payload) == "1" {
				close(entered)
				<-leave
			}
			heard <- string(p.Payload)
		}))
	}()
	shout(t, there, 1, 3)
	<-entered
	deliver, got := payloads()
	here.Drain(deliver)
	if d := cmp.Diff([]string{"1", "2", "3"}, *got); d != "" {
		t.Errorf("drained (-want +got):\n%s", d)
	}
	shout(t, there, 4, 4)
	close(leave)
	for _, want := range []string{"1", "2", "3", "4"} {
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("received %q, want %q", got, want)
			}
		case <-time.After(bound):
			t.Fatalf("%q was never received", want)
		}
	}
}

// TestConnDrainBounded stops at a number of packets.
func TestConnDrainBounded(t *testing.T) {
	here, there := pair(t, "bound")
	shout(t, there, 1, drainMax+10)
	deliver, got := payloads()
	here.Drain(deliver)
	if len(*got) != drainMax {
		t.Fatalf("drained %d packets, want %d", len(*got), drainMax)
	}
	here.Drain(deliver)
	if len(*got) != drainMax+10 {
		t.Errorf("drained %d packets in all, want %d: the buffer holds them", len(*got), drainMax+10)
	}
}

// TestConnLongPacket drops a packet that does not fit.
func TestConnLongPacket(t *testing.T) {
	here, there := pair(t, "long")
	if err := there.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), make([]byte, receiveLen)); err != nil {
		t.Fatal(err)
	}
	shout(t, there, 1, 1)
	deliver, got := payloads()
	for limit := time.Now().Add(bound); len(*got) == 0 && time.Now().Before(limit); {
		here.Drain(deliver)
	}
	if d := cmp.Diff([]string{"1"}, *got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestConnJunkFirst receives a packet that arrived behind one that is refused.
func TestConnJunkFirst(t *testing.T) {
	here, there := pair(t, "junk")
	if err := there.Send(thereAddress.Addr(), vrrp.IPv4.MulticastAddress(), make([]byte, receiveLen)); err != nil {
		t.Fatal(err)
	}
	shout(t, there, 1, 1)
	time.Sleep(50 * time.Millisecond) // both are there before anybody waits; the test holds without, too
	heard := make(chan string, 1)
	go func() { _ = here.Receive(each(func(p vrrp.Received) { heard <- string(p.Payload) })) }()
	select {
	case got := <-heard:
		if got != "1" {
			t.Errorf("received %q", got)
		}
	case <-time.After(bound):
		t.Error("the packet behind the refused one was never received")
	}
}

// TestConnDrainFlood drains again and again while the reader hands over one
// packet of a flood: what is kept is bounded, and in the end every packet that
// arrived was received, once and in order.
func TestConnDrainFlood(t *testing.T) {
	here, there := pair(t, "flood")
	entered, leave := make(chan struct{}), make(chan struct{})
	heard := make(chan string, 4*drainMax)
	shout(t, there, 1, 1)
	go func() {
		_ = here.Receive(each(func(p vrrp.Received) {
			if string(p.Payload) == "1" {
				close(entered)
				<-leave
			}
			heard <- string(p.Payload)
		}))
	}()
	<-entered
	last := 1
	for range 3 {
		shout(t, there, last+1, last+drainMax/2)
		last += drainMax / 2
		n := 0
		here.Drain(func(b vrrp.Batch) { n += len(b) })
		here.mu.Lock()
		queued := len(here.queue)
		here.mu.Unlock()
		if n > drainMax || queued > drainMax {
			t.Errorf("after %d packets Drain handed over %d and keeps %d, want %d at most", last, n, queued, drainMax)
		}
	}
	close(leave)
	for i := range last {
		select {
		case got := <-heard:
			if want := fmt.Sprint(i + 1); got != want {
				t.Fatalf("received %q, want %q", got, want)
			}
		case <-time.After(bound):
			t.Fatalf("packet %d was never received", i+1)
		}
	}
}

// captured sends by the IPv6 socket here, and returns the packet of protocol
// 112 that arrives at the peer.
func (l *lab) captured(send func(c *conn, source netip.Addr)) []byte {
	l.t.Helper()
	source := l.linkLocal(l.here, l.name).Addr()
	var sniffer *packet.Conn
	var err error
	l.inPeer(func() {
		sniffer, err = packet.Listen(interfaceAt(l.link(l.there, "p"+l.name)), packet.Datagram, unix.ETH_P_IPV6, nil)
	})
	l.check(err)
	defer sniffer.Close()
	c, err := listen(testLog(l.t), l.name, l.link(l.here, l.name).Attrs().Index, vrrp.IPv6)
	l.check(err)
	defer c.Close()
	send(c, source)
	l.check(sniffer.SetReadDeadline(time.Now().Add(bound)))
	for buf := make([]byte, 4096); ; {
		n, _, err := sniffer.ReadFrom(buf)
		if err != nil {
			l.t.Fatalf("no advertisement was captured: %v", err)
		}
		if n >= 40 && buf[6] == vrrp.Protocol {
			return buf[:n]
		}
	}
}

// TestConnIPv6Bytes sends what it was given behind the header, checksum and
// all: the kernel's idea of the checksum is not asked for.
func TestConnIPv6Bytes(t *testing.T) {
	l := newLab(t, "bytes")
	payload := []byte{0x31, 1, 100, 0, 0, 100, 0xab, 0xcd, 1, 2, 3}
	got := l.captured(func(c *conn, source netip.Addr) {
		must(t, c.Send(source, vrrp.IPv6.MulticastAddress(), payload))
	})
	if d := cmp.Diff(payload, got[40:]); d != "" || got[7] != 255 {
		t.Errorf("hop limit %d (-want +got):\n%s", got[7], d)
	}
}

// TestConnIPv6LongPacket drops a packet that does not fit, which has no header
// that says so.
func TestConnIPv6LongPacket(t *testing.T) {
	l := newLab(t, "long6")
	source, here := l.linkLocal(l.there, "p"+l.name).Addr(), l.linkLocal(l.here, l.name).Addr()
	c, err := listen(testLog(t), l.name, l.link(l.here, l.name).Attrs().Index, vrrp.IPv6)
	must(t, err)
	defer c.Close()
	there := l.peerConnOf(vrrp.IPv6)
	must(t, there.Send(source, here, make([]byte, receiveLen+1)))
	must(t, there.Send(source, here, []byte("1")))
	deliver, got := payloads()
	for limit := time.Now().Add(bound); len(*got) == 0 && time.Now().Before(limit); {
		c.Drain(deliver)
	}
	if d := cmp.Diff([]string{"1"}, *got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestConnSendErrors has the kernel refuse what must not be sent. For a source
// that the host does not have, some versions of Linux say that it is invalid,
// later ones that no route begins there.
func TestConnSendErrors(t *testing.T) {
	here, _ := pair(t, "refuse")
	six := netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name                string
		source, destination netip.Addr
		size                int
		want                []error // one of these; none: any
	}{
		{"foreign source", netip.MustParseAddr("203.0.113.1"), vrrp.IPv4.MulticastAddress(), 20, []error{unix.ENETUNREACH, unix.EINVAL}},
		{"IPv6 source", six, vrrp.IPv4.MulticastAddress(), 20, nil},
		{"IPv6 destination", hereAddress.Addr(), six, 20, nil},
		{"no source", netip.Addr{}, vrrp.IPv4.MulticastAddress(), 20, nil},
		{"too long", hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), 1 << 16, []error{unix.EMSGSIZE}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := here.Send(tt.source, tt.destination, make([]byte, tt.size))
			right := func(want error) bool { return errors.Is(err, want) }
			if err == nil || tt.want != nil && !slices.ContainsFunc(tt.want, right) {
				t.Errorf("error %v, want one of %v", err, tt.want)
			}
		})
	}
	here.Close()
	if err := here.Send(hereAddress.Addr(), vrrp.IPv4.MulticastAddress(), nil); err == nil {
		t.Error("a closed socket sends")
	}
}

// TestListenErrors leaves no socket behind where one cannot be opened.
func TestListenErrors(t *testing.T) {
	c, err := listen(testLog(t), "none", 1<<30, vrrp.IPv4)
	if err == nil {
		c.Close()
		t.Fatal("a socket on an interface that does not exist")
	}
}

// BenchmarkConnSend sends an advertisement of one address.
func BenchmarkConnSend(b *testing.B) {
	c, err := listen(testLog(b), "lo", 1, vrrp.IPv4)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	payload, source := make([]byte, 12), netip.MustParseAddr("127.0.0.1")
	for b.Loop() {
		_ = c.Send(source, source, payload)
	}
}
