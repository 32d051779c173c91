package checker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pingSpec is a ping of a target.
func pingSpec(target string, via Via) Spec {
	return Spec{
		Probe: Ping{}, Target: netip.AddrPortFrom(netip.MustParseAddr(target), 0), Via: via,
		Interval: time.Minute, Timeout: patience, Rise: 1, Fall: 1,
	}
}

// allowPings allows "ping sockets" in the namespace, or forbids them.
func (s *space) allowPings(t *testing.T, allowed bool) {
	t.Helper()
	groups := "1 0" // none
	if allowed {
		groups = "0 2147483647"
	}
	s.do(t, func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(groups), 0o600); err != nil {
			t.Error(err)
		}
	})
}

// swallow gives the namespace a network in which nobody answers.
func (s *space) swallow(t *testing.T, addresses ...string) {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "void"
	nobody := newSpace(t)
	err := s.link.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "void", PeerNamespace: netlink.NsFd(int(nobody.handle))})
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []*netlink.Handle{nobody.link, s.link} {
		link, failed := end.LinkByName("void")
		if err = errors.Join(err, failed); err == nil {
			err = end.LinkSetUp(link)
		}
	}
	link, failed := s.link.LinkByName("void")
	err = errors.Join(err, failed)
	if err == nil {
		err = s.link.LinkSetARPOff(link)
	}
	for _, address := range addresses {
		parsed, failed := netlink.ParseAddr(address)
		if err = errors.Join(err, failed); err == nil {
			parsed.Flags = unix.IFA_F_NODAD
			err = s.link.AddrAdd(link, parsed)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// eachSocket runs a test with both kinds of sockets.
func eachSocket(t *testing.T, test func(t *testing.T, s *space)) {
	for name, allowed := range map[string]bool{"ping socket": true, "raw socket": false} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t)
			s.allowPings(t, allowed)
			test(t, s)
			p, err := openPinger(pingWay{via: Via{Namespace: s.path}})
			if err != nil {
				t.Fatal(err)
			}
			if p.isRaw == allowed {
				t.Errorf("raw: %t although ping sockets are allowed: %t", p.isRaw, allowed)
			}
			_ = p.file.Close()
			<-p.done
			demandNoPinger(t)
		})
	}
}

// demandNoPinger demands that no socket is left open.
func demandNoPinger(t *testing.T) {
	t.Helper()
	pingers.Lock()
	defer pingers.Unlock()
	if n := len(pingers.current); n != 0 {
		t.Errorf("%d sockets are open", n)
	}
}

func TestPing(t *testing.T) {
	noLeak(t)
	eachSocket(t, func(t *testing.T, s *space) {
		s.swallow(t, "192.0.2.1/24", "2001:db8::1/64")
		via := Via{Namespace: s.path}
		for target, want := range map[string]string{
			"127.0.0.1": "", "::1": "", "192.0.2.1": "", "::ffff:127.0.0.2": "",
			"192.0.2.2": "timed out after 200ms", "2001:db8::2": "timed out after 200ms",
			"198.51.100.1":  "no verdict: network is unreachable on this director",
			"2001:db8:1::1": "no verdict: network is unreachable on this director",
		} {
			spec := pingSpec(target, via)
			if want == "timed out after 200ms" {
				spec.Timeout = 200 * time.Millisecond
			}
			if err := check(t, spec); fmt.Sprint(err) != want && (err != nil || want != "") {
				t.Errorf("%s: error %v, want %q", target, err, want)
			}
		}
	})
}

// Each part of the way to a target is taken.
func TestPingVia(t *testing.T) {
	c := newCabling(t)
	c.forbid(7)
	for _, allowed := range []bool{true, false} {
		c.director.allowPings(t, allowed)
		inside := c.director.path
		for _, test := range []struct {
			name, target string
			via          Via
			want         string
		}{
			{"namespace", "192.0.2.2", Via{Namespace: inside}, ""},
			{"source", "192.0.2.2", Via{Namespace: inside, Source: netip.MustParseAddr("::ffff:192.0.2.3")}, ""},
			{"source of somebody else", "192.0.2.2", Via{Namespace: inside, Source: netip.MustParseAddr("203.0.113.1")},
				"no verdict: cannot assign requested address on this director"},
			{"device", "198.51.100.2", Via{Namespace: inside, Device: "d1"}, ""},
			{"missing device", "192.0.2.2", Via{Namespace: inside, Device: "d3"}, "no verdict: no such device on this director"},
			{"mark", "192.0.2.2", Via{Namespace: inside, Mark: 7}, "no route to host"},
			{"missing namespace", "192.0.2.2", Via{Namespace: "bascule-missing"},
				"no verdict: network namespace /run/netns/bascule-missing does not exist on this director"},
		} {
			t.Run(fmt.Sprintf("%s, ping sockets: %t", test.name, allowed), func(t *testing.T) {
				wantError(t, check(t, pingSpec(test.target, test.via)), test.want)
			})
		}
	}
}

// An address that holds on one link only is reached over a device.
func TestPingLinkLocal(t *testing.T) {
	c := newCabling(t)
	link, err := c.server.link.LinkByName("s1")
	c.check(err)
	var addresses []netlink.Addr
	eventually(t, func() error { // when the kernel has seen the cable
		addresses, err = c.server.link.AddrList(link, netlink.FAMILY_V6)
		if err == nil && len(addresses) != 1 {
			err = fmt.Errorf("addresses %v, want that of the link", addresses)
		}
		return err
	})
	if t.Failed() {
		return
	}
	spec := pingSpec(addresses[0].IP.String(), Via{Namespace: c.director.path, Device: "d1"})
	spec.Timeout = 500 * time.Millisecond
	eventually(t, func() error { return check(t, spec) }) // when the kernel has found it unique
}

func TestSockaddr(t *testing.T) {
	for text, want := range map[string]uint32{"fe80::1": 0, "fe80::1%7": 7, "fe80::1%lo": 1} {
		address, err := sockaddr(netip.MustParseAddr(text))
		if six, ok := address.(*unix.SockaddrInet6); !ok || err != nil || six.ZoneId != want {
			t.Errorf("%s: %+v, error %v, want zone %d", text, address, err, want)
		}
	}
	wantError(t, check(t, pingSpec("fe80::1%absent", Via{})), "no verdict: no such device on this director")
}

// Thousands of probes at once get each their own verdict.
func TestPingThousands(t *testing.T) {
	noLeak(t)
	eachSocket(t, func(t *testing.T, s *space) {
		s.swallow(t, "192.0.2.1/24")
		const good, silent = 2000, 200
		var group sync.WaitGroup
		for n := range good + silent {
			// The good ones are done before the silent ones time out.
			addr, want := netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), ""
			spec := pingSpec(addr.String(), Via{Namespace: s.path})
			if n%11 == 0 {
				addr, want = netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + n/11)}), "timed out after 1s"
				spec = pingSpec(addr.String(), Via{Namespace: s.path})
				spec.Timeout = time.Second
			}
			group.Go(func() { wantError(t, check(t, spec), want) })
		}
		group.Wait()
	})
}

// Without any privilege the reason says what is missing.
func TestPingWithoutPrivilege(t *testing.T) {
	inNamespace(t, func() { // on a thread that ends
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("1 0"), 0o600); err != nil {
			t.Error(err)
		}
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
			return
		}
		wantError(t, check(t, pingSpec("127.0.0.1", Via{})),
			"no verdict: a ping needs CAP_NET_RAW or the sysctl net.ipv4.ping_group_range on this director")
	})
}

// A probe that is called off ends at once, with no verdict.
func TestPingCalledOff(t *testing.T) {
	noLeak(t)
	s := newSpace(t)
	s.swallow(t, "192.0.2.1/24")
	c, err := New(pingSpec("192.0.2.2", Via{Namespace: s.path}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	demandNoPinger(t)
}

// However busy a way is, its socket is replaced now and then, so that a
// namespace that was made anew is found; who waits with the old one goes on.
func TestPingerIsReplaced(t *testing.T) {
	noLeak(t)
	old, renewed := newSpace(t), newSpace(t)
	renewed.swallow(t, "192.0.2.1/24")
	path := filepath.Join(t.TempDir(), "namespace")
	if err := os.Symlink(old.path, path); err != nil {
		t.Fatal(err)
	}
	way := pingWay{via: Via{Namespace: path}}
	first, err := takePinger(way)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink(renewed.path, path)); err != nil {
		t.Fatal(err)
	}
	wantError(t, check(t, pingSpec("192.0.2.1", way.via)), "no verdict: network is unreachable on this director")
	pingers.Lock()
	first.opened = first.opened.Add(-2 * pingerAge)
	pingers.Unlock()
	wantError(t, check(t, pingSpec("192.0.2.1", way.via)), "")
	answered := make(chan struct{})
	if _, err := first.send(netip.MustParseAddr("127.0.0.1"), answered); err != nil {
		t.Error(err)
	}
	select {
	case <-answered:
	case <-time.After(patience):
		t.Error("the old socket takes no reply")
	}
	first.release()
	demandNoPinger(t)
}

// Only the reply to the very request wakes a probe.
func TestPingerTake(t *testing.T) {
	for _, six := range []bool{false, true} {
		target, other, reply := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), byte(echoReply)
		if six {
			target, other, reply = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), echoReply6
		}
		p := &pinger{way: pingWay{six: six}, isRaw: true, ident: 5, nonce: 1 << 63, waiting: map[uint64]pingWait{}}
		ours := p.echo(70000)
		answer := func(e pingEcho, change func(message []byte)) []byte {
			message := e.request(six)
			message[0] = reply
			if change != nil {
				change(message[:])
			}
			if six {
				return message[:]
			}
			header := make([]byte, 24) // with an option
			header[0] = 0x46
			return append(header, message[:]...)
		}
		for _, test := range []struct {
			name    string
			message []byte
			from    netip.Addr
			want    bool
		}{
			{"the reply", answer(ours, nil), target, true},
			{"of somebody else", answer(ours, nil), other, false},
			{"to another request", answer(p.echo(70001), nil), target, false},
			{"with the same sequence number", answer(p.echo(70000+1<<16), nil), target, false},
			{"of another process", answer(pingEcho{ident: 6, nonce: p.nonce, number: 70000}, nil), target, false},
			{"of another socket", answer(pingEcho{ident: 5, nonce: 1, number: 70000}, nil), target, false},
			{"with another sequence number", answer(ours, func(m []byte) { m[7]++ }), target, false},
			{"with other data", answer(ours, func(m []byte) { m[63]++ }), target, false},
			{"the request", answer(ours, func(m []byte) { m[0] = ours.request(six)[0] }), target, false},
			{"of another code", answer(ours, func(m []byte) { m[1] = 1 }), target, false},
			{"too short", answer(ours, nil)[:60], target, false},
			{"too long", append(answer(ours, nil), 0), target, false},
			{"nothing", nil, target, false},
		} {
			answered := make(chan struct{})
			p.waiting[70000] = pingWait{target: target, answered: answered}
			from, err := sockaddr(test.from)
			if err != nil {
				t.Fatal(err)
			}
			p.take(test.message, from)
			select {
			case <-answered:
				if !test.want {
					t.Errorf("IPv6 %t: a reply %s is taken", six, test.name)
				}
				p.take(test.message, from) // a second one changes nothing
			default:
				if test.want {
					t.Errorf("IPv6 %t: %s is not taken", six, test.name)
				}
			}
		}
	}
}

// The kernel keeps from a raw socket what is not for it.
func TestPingerFilter(t *testing.T) {
	s := newSpace(t)
	s.allowPings(t, false)
	for target, six := range map[string]bool{"127.0.0.1": false, "::1": true} {
		way := pingWay{six: six, via: Via{Namespace: s.path}}
		mine, err := openPinger(way)
		if err != nil {
			t.Fatal(err)
		}
		// A second socket, which nobody reads from.
		p := &pinger{way: way, isRaw: true, ident: mine.ident + 1}
		fd, err := p.socket()
		if err == nil {
			err = p.prepare(fd)
		}
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan struct{})
		if _, err := mine.send(netip.MustParseAddr(target), answered); err != nil {
			t.Error(err)
		}
		select {
		case <-answered:
		case <-time.After(patience):
			t.Errorf("no reply of %s", target)
		}
		var buffer [256]byte
		if n, _, err := unix.Recvfrom(fd, buffer[:], 0); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("the other socket receives %x, error %v", buffer[:max(n, 0)], err)
		}
		_, _ = unix.Close(fd), mine.file.Close()
		<-mine.done
	}
	runtime.KeepAlive(s)
}

// Whatever arrives, the reader survives it, and takes only what was sent.
func FuzzEcho(f *testing.F) {
	for _, six := range []bool{false, true} {
		message := pingEcho{ident: 1, nonce: 2, number: 3}.request(six)
		message[0] = echoReply
		f.Add(message[:], six)
		f.Add(append([]byte{0x45, 19: 0}, message[:]...), six)
	}
	f.Fuzz(func(t *testing.T, message []byte, six bool) {
		if inner := withoutHeader(message); len(inner) > max(len(message)-20, 0) {
			t.Errorf("%d of %d bytes are behind the header", len(inner), len(message))
		}
		e, ok := parseEcho(message, six)
		if !ok {
			return
		}
		sent := e.request(six)
		sent[0], sent[2], sent[3] = message[0], message[2], message[3]
		if string(sent[:]) != string(message) {
			t.Errorf("%x is taken as %+v", message, e)
		}
	})
}

// A socket takes no more probes than it has room for the replies.
func TestPingerRoom(t *testing.T) {
	way := pingWay{via: Via{Mark: 4711}} // of this test alone
	first, err := takePinger(way)
	if err != nil {
		t.Fatal(err)
	}
	defer first.release()
	pingers.Lock()
	first.room = 1
	pingers.Unlock()
	second, err := takePinger(way)
	if err != nil {
		t.Fatal(err)
	}
	defer second.release()
	if second == first || second.room < 1 {
		t.Errorf("the second probe has the same socket: %t; room for %d", second == first, second.room)
	}
}
