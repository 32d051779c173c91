package checker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// cabling is a director and a server, each in a namespace of its own, with
// two cables between them.
//
//	director: d1 192.0.2.1 and 192.0.2.3   server: s1 192.0.2.2
//	          d2 198.51.100.1                      s2 198.51.100.2
type cabling struct {
	t                *testing.T
	director, server *space
}

// space is a network namespace.
type space struct {
	handle netns.NsHandle
	link   *netlink.Handle
	path   string
}

// newCabling builds the namespaces, which end with the test.
func newCabling(t *testing.T) *cabling {
	t.Helper()
	c := &cabling{t: t, director: newSpace(t), server: newSpace(t)}
	c.cable("d1", "s1", "192.0.2.1/24", "192.0.2.2/24")
	c.cable("d2", "s2", "198.51.100.1/24", "198.51.100.2/24")
	c.address(c.director, "d1", "192.0.2.3/24")
	return c
}

// newSpace makes a network namespace with nothing but loopback, until the test
// ends.
func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{}
	var err error
	inNamespace(t, func() { s.handle, err = netns.Get() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.handle.Close() })
	if s.link, err = netlink.NewHandleAt(s.handle, unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.link.Close)
	s.path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(s.handle))
	return s
}

// do calls f on a thread in the namespace. Sockets made there stay there.
func (s *space) do(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends
		err := netns.Set(s.handle)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// check ends the test if something cannot be built.
func (c *cabling) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// cable connects the director with the server.
func (c *cabling) cable(here, there, hereAddress, thereAddress string) {
	c.t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = here
	c.check(c.director.link.LinkAdd(&netlink.Veth{
		LinkAttrs: attributes, PeerName: there, PeerNamespace: netlink.NsFd(int(c.server.handle)),
	}))
	c.address(c.server, there, thereAddress)
	c.address(c.director, here, hereAddress)
}

// address sets up an interface with one more address.
func (c *cabling) address(in *space, name, address string) {
	c.t.Helper()
	link, err := in.link.LinkByName(name)
	c.check(err)
	c.check(in.link.LinkSetUp(link))
	parsed, err := netlink.ParseAddr(address)
	c.check(err)
	c.check(in.link.AddrAdd(link, parsed))
}

// listen accepts connections at the server on every address, and returns the
// port and from where they come.
func (c *cabling) listen() (port uint16, from <-chan netip.Addr) {
	c.t.Helper()
	var listener net.Listener
	var err error
	c.server.do(c.t, func() { listener, err = net.Listen("tcp4", "0.0.0.0:0") })
	c.check(err)
	clients := make(chan netip.Addr, 1000)
	done := make(chan struct{})
	c.t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			clients <- addrPort(conn.RemoteAddr()).Addr()
			_ = conn.Close()
		}
	}()
	return addrPort(listener.Addr()).Port(), clients
}

// Each part of the way to a target is taken.
func TestVia(t *testing.T) {
	c := newCabling(t)
	port, from := c.listen()
	c.forbid(7)
	inside := c.director.path
	for _, test := range []struct {
		name, target string
		via          Via
		from, want   string
	}{
		{"namespace", "192.0.2.2", Via{Namespace: inside}, "192.0.2.1", ""},
		{"another namespace", "192.0.2.2", Via{Namespace: newSpace(t).path}, "", "no verdict: network is unreachable on this director"},
		{"source", "192.0.2.2", Via{Namespace: inside, Source: netip.MustParseAddr("192.0.2.3")}, "192.0.2.3", ""},
		{"mapped source", "192.0.2.2", Via{Namespace: inside, Source: netip.MustParseAddr("::ffff:192.0.2.3")}, "192.0.2.3", ""},
		{"source of somebody else", "192.0.2.2", Via{Namespace: inside, Source: netip.MustParseAddr("203.0.113.1")}, "",
			"no verdict: cannot assign requested address on this director"},
		{"usual device", "198.51.100.2", Via{Namespace: inside}, "198.51.100.1", ""},
		{"device", "198.51.100.2", Via{Namespace: inside, Device: "d1"}, "192.0.2.1", ""},
		{"missing device", "192.0.2.2", Via{Namespace: inside, Device: "d3"}, "", "no verdict: no such device on this director"},
		{"mark", "192.0.2.2", Via{Namespace: inside, Mark: 7}, "", "no route to host"},
		{"another mark", "192.0.2.2", Via{Namespace: inside, Mark: 8}, "192.0.2.1", ""},
		{"missing namespace", "192.0.2.2", Via{Namespace: "bascule-missing"}, "",
			"no verdict: network namespace /run/netns/bascule-missing does not exist on this director"},
		{"a file", "192.0.2.2", Via{Namespace: "/dev/null"}, "", "no verdict: /dev/null is no network namespace"},
		{"a file that may not be opened", "192.0.2.2", Via{Namespace: "/proc/self/mem/x"}, "",
			"no verdict: network namespace /proc/self/mem/x: not a directory on this director"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := tcpSpec(netip.AddrPortFrom(netip.MustParseAddr(test.target), port), patience)
			spec.Via = test.via
			wantError(t, check(t, spec), test.want)
			if test.from == "" {
				return
			}
			// The server hears only of a connection that is completed.
			stream, err := endpoint{AddrPort: spec.Target, via: test.via}.connect(t.Context(), time.Now().Add(patience))
			c.check(err)
			if client := <-from; client.String() != test.from {
				t.Errorf("the server sees %s, want %s", client, test.from)
			}
			c.check(stream.Close())
		})
	}
}

// forbid makes the director's routes refuse what has a mark.
func (c *cabling) forbid(mark uint32) {
	c.t.Helper()
	const table = 1007
	_, all, err := net.ParseCIDR("0.0.0.0/0")
	c.check(err)
	c.check(c.director.link.RouteAdd(&netlink.Route{Dst: all, Type: unix.RTN_UNREACHABLE, Table: table}))
	rule := netlink.NewRule()
	rule.Family, rule.Mark, rule.Table, rule.Priority = netlink.FAMILY_V4, mark, table, 100
	c.check(c.director.link.RuleAdd(rule))
}

// A namespace has a name, and both families of addresses; a UDP socket is in
// it too, and what is read from it is watched as any other.
func TestViaNamespaceByName(t *testing.T) {
	noLeak(t)
	s := newSpace(t)
	name := fmt.Sprintf("bascule-test-%d", os.Getpid())
	if err := os.MkdirAll(namespaces, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.path, filepath.Join(namespaces, name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(filepath.Join(namespaces, name)) })
	for _, address := range []string{"127.0.0.1", "::1"} {
		var server *net.UDPConn
		var err error
		s.do(t, func() { server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(address)}) })
		if err != nil {
			t.Fatal(err)
		}
		target := unmapped(server.LocalAddr().(*net.UDPAddr).AddrPort())
		conn, err := endpoint{AddrPort: target, via: Via{Namespace: name}}.dial(t.Context(), "udp")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan string)
		go func() {
			buffer := make([]byte, 10)
			n, err := conn.Read(buffer) // there is nothing yet: it waits
			got <- fmt.Sprint(string(buffer[:n]), err)
		}()
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Error(err)
		}
		buffer := make([]byte, 10)
		n, client, err := server.ReadFrom(buffer)
		if err != nil || string(buffer[:n]) != "ping" {
			t.Errorf("the server reads %q, error %v", buffer[:n], err)
		}
		if _, err := server.WriteTo([]byte("pong"), client); err != nil {
			t.Error(err)
		}
		if text := <-got; text != "pong<nil>" {
			t.Errorf("the probe reads %q", text)
		}
		_, _ = conn.Close(), server.Close()
	}
}

// A deadline ends what goes through a namespace, as elsewhere.
func TestViaNamespaceTimeout(t *testing.T) {
	noLeak(t)
	c := newCabling(t)
	spec := tcpSpec(netip.MustParseAddrPort("192.0.2.99:80"), 0)
	spec.Via.Namespace, spec.Timeout = c.director.path, 100_000_000
	wantError(t, check(t, spec), "timed out after 100ms")
}

// Thousands of probes share a few threads, and leave all of them at home.
func TestViaNamespaceThreads(t *testing.T) {
	s := newSpace(t)
	spec := tcpSpec(netip.MustParseAddrPort("127.0.0.1:1"), patience)
	spec.Via.Namespace = s.path
	_ = check(t, spec)
	before := len(threads(t))
	const probes, atOnce = 3000, 30
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for range probes / atOnce {
				wantError(t, check(t, spec), "connection refused")
			}
		})
	}
	group.Wait()
	if after := len(threads(t)); after-before > 3*atOnce {
		t.Errorf("%d threads after %d probes, %d before", after, probes, before)
	}
	s.demandEmpty(t)
}

// A thread that cannot come back ends.
func TestVisitWithoutReturn(t *testing.T) {
	s := newSpace(t)
	ended := make(chan int)
	go func() {
		defer func() { ended <- unix.Gettid() }()
		err := visit(s.path, func() error {
			// Of this thread alone.
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var none [2]unix.CapUserData
			return unix.Capset(&header, &none[0])
		})
		if err != nil {
			t.Error(err)
		}
	}()
	tid := fmt.Sprint(<-ended)
	eventually(t, func() error {
		if _, lives := threads(t)[tid]; lives && tid != fmt.Sprint(os.Getpid()) {
			return errors.New("the thread lives")
		}
		return nil
	})
}

// threads lists the threads of this process with their network namespaces.
func threads(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, entry := range entries {
		in, err := os.Readlink(filepath.Join("/proc/self/task", entry.Name(), "ns/net"))
		if err == nil { // it may have ended meanwhile
			list[entry.Name()] = in
		}
	}
	return list
}

// demandEmpty demands that no thread of this process stays in the namespace.
func (s *space) demandEmpty(t *testing.T) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(int(s.handle), &stat); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		for thread, in := range threads(t) {
			if strings.Contains(in, fmt.Sprint(stat.Ino)) {
				return fmt.Errorf("thread %s stays in the namespace", thread)
			}
		}
		return nil
	})
}

func TestViaValidate(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		via    Via
		target netip.Addr
		want   string
	}{
		{Via{}, four, ""},
		{Via{Source: four, Device: "enp0s31f6.4094", Mark: 1, Namespace: "blue"}, four, ""},
		{Via{Source: netip.MustParseAddr("::ffff:192.0.2.1"), Namespace: "/run/docker/netns/x"}, four, ""},
		{Via{Source: six}, six, ""},
		{Via{Source: six}, four, "source 2001:db8::1 and the target are not of the same family: both IPv4 or both IPv6"},
		{Via{Source: four}, six, "source 192.0.2.1 and the target are not of the same family: both IPv4 or both IPv6"},
		{Via{Source: netip.IPv4Unspecified()}, four, "source 0.0.0.0 is no address of a machine"},
		{Via{Source: netip.MustParseAddr("ff02::1")}, six, "source ff02::1 is no address of a machine"},
		{Via{Device: "enp0s31f6.409400"}, four,
			`device "enp0s31f6.409400" is no name of an interface: at most 15 letters, without spaces, "/" and ":"`},
		{Via{Device: "a b"}, four, `device "a b" is no name of an interface: at most 15 letters, without spaces, "/" and ":"`},
		{Via{Namespace: "blue"}, netip.MustParseAddr("fe80::1%eth0"),
			"an address with a zone (eth0) is not for a namespace: name the interface as device"},
		{Via{Namespace: "blue", Device: "eth0"}, netip.MustParseAddr("fe80::1"), ""},
		{Via{}, netip.MustParseAddr("fe80::1%eth0"), ""},
		{Via{Namespace: "a/b"}, four, `namespace "a/b" is neither a name below /run/netns nor an absolute path`},
		{Via{Namespace: ".."}, four, `namespace ".." is neither a name below /run/netns nor an absolute path`},
		{Via{Namespace: "/a\x00b"}, four, `namespace "/a\x00b" is neither a name below /run/netns nor an absolute path`},
	} {
		wantError(t, test.via.validate(test.target), test.want)
	}
	spec := testSpec()
	spec.Via.Namespace = "."
	_, err := New(spec)
	wantError(t, err, `check of 192.0.2.1:80: namespace "." is neither a name below /run/netns nor an absolute path`)
}
