package link

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// isolatedVariable marks the process that runs inside its own network namespace.
const isolatedVariable = "BASCULE_LINK_TEST_ISOLATED"

// TestMain runs the tests in a network namespace of their own, in a second
// process: a goroutine can be moved to any thread, so that only a whole
// process can be in a namespace. Without root, a user namespace gives the
// privileges.
func TestMain(m *testing.M) {
	flag.Parse()
	fuzzing := flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true"
	if os.Getenv(isolatedVariable) != "" || fuzzing {
		os.Exit(m.Run())
	}
	os.Exit(isolate())
}

// isolate runs this test binary again in new namespaces and returns its exit status.
func isolate() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolatedVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // the death of the thread would kill the child
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintf(os.Stderr, "run the tests in a network namespace: %v\n", err)
		return 1
	}
	return 0
}

// lab is two ends of a cable: an interface here and one in the namespace of a
// peer. Both hang on a bridge of the peer, so that the cable can be pulled.
type lab struct {
	t     *testing.T
	name  string // of the interface here
	peer  netns.NsHandle
	here  *netlink.Handle
	there *netlink.Handle
}

// The addresses of a lab.
var (
	hereAddress  = netip.MustParsePrefix("192.0.2.11/24")
	thereAddress = netip.MustParsePrefix("192.0.2.12/24")
	vip          = netip.MustParsePrefix("192.0.2.10/24")
	vip2         = netip.MustParsePrefix("192.0.2.20/24")
)

// newLab builds a lab, which the end of the test removes. The name may have
// ten letters at most.
func newLab(t *testing.T, name string) *lab {
	t.Helper()
	l := &lab{t: t, name: name}
	var err error
	l.here, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	l.check(err)
	t.Cleanup(l.here.Close)
	inThread(t, func() { l.peer, err = netns.New() })
	l.check(err)
	t.Cleanup(func() { l.peer.Close() })
	l.there, err = netlink.NewHandleAt(l.peer, unix.NETLINK_ROUTE)
	l.check(err)
	t.Cleanup(l.there.Close)
	l.plug(hereAddress)
	t.Cleanup(func() {
		if link, err := l.here.LinkByName(name); err == nil {
			_ = l.here.LinkDel(link)
		}
	})
	return l
}

// plug creates the cable, with an address at each end.
func (l *lab) plug(address netip.Prefix) {
	l.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = l.name
	l.check(l.here.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "p" + l.name}))
	peer, err := l.here.LinkByName("p" + l.name)
	l.check(err)
	l.check(l.here.LinkSetNsFd(peer, int(l.peer)))
	l.setUp(l.there, "p"+l.name)
	l.check(l.there.AddrReplace(l.link(l.there, "p"+l.name), &netlink.Addr{IPNet: ipNetOf(thereAddress)}))
	if address.IsValid() {
		l.add(address)
	}
	l.setUp(l.here, l.name)
}

// check ends the test if err is not nil.
func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// link returns an interface.
func (l *lab) link(h *netlink.Handle, name string) netlink.Link {
	l.t.Helper()
	link, err := h.LinkByName(name)
	if err != nil {
		l.t.Fatalf("interface %s: %v", name, err)
	}
	return link
}

// setUp sets an interface up.
func (l *lab) setUp(h *netlink.Handle, name string) {
	l.t.Helper()
	l.check(h.LinkSetUp(l.link(h, name)))
}

// setDown sets an interface down.
func (l *lab) setDown(h *netlink.Handle, name string) {
	l.t.Helper()
	l.check(h.LinkSetDown(l.link(h, name)))
}

// unplug deletes the cable.
func (l *lab) unplug() {
	l.t.Helper()
	l.check(l.here.LinkDel(l.link(l.here, l.name)))
}

// add adds an address here, as an administrator would.
func (l *lab) add(p netip.Prefix) {
	l.t.Helper()
	l.check(l.here.AddrAdd(l.link(l.here, l.name), &netlink.Addr{IPNet: ipNetOf(p)}))
}

// del deletes an address here, as an administrator would.
func (l *lab) del(p netip.Prefix) {
	l.t.Helper()
	l.check(l.here.AddrDel(l.link(l.here, l.name), &netlink.Addr{IPNet: ipNetOf(p)}))
}

// list lists the addresses of an interface.
func (l *lab) list(h *netlink.Handle, name string, family int) []netlink.Addr {
	l.t.Helper()
	list, err := h.AddrList(l.link(h, name), family)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // the addresses changed meanwhile
		list, err = h.AddrList(l.link(h, name), family)
	}
	l.check(err)
	return list
}

// addresses lists the IPv4 addresses here.
func (l *lab) addresses() []netip.Prefix { return l.prefixes(netlink.FAMILY_V4) }

// prefixes lists the addresses here.
func (l *lab) prefixes(family int) []netip.Prefix {
	l.t.Helper()
	out := []netip.Prefix{}
	for _, a := range l.list(l.here, l.name, family) {
		p, _ := prefixOf(a.IPNet)
		out = append(out, p)
	}
	return out
}

// eventually waits until the IPv4 addresses here are those, in any order, and
// returns how long that took.
func (l *lab) eventually(bound time.Duration, want ...netip.Prefix) time.Duration {
	l.t.Helper()
	return l.await(bound, netlink.FAMILY_V4, want...)
}

// await waits until the addresses of a family here are those, in any order,
// and returns how long that took.
func (l *lab) await(bound time.Duration, family int, want ...netip.Prefix) time.Duration {
	l.t.Helper()
	slices.SortFunc(want, netip.Prefix.Compare)
	start := time.Now()
	for {
		have := l.prefixes(family)
		slices.SortFunc(have, netip.Prefix.Compare)
		if slices.Equal(have, want) {
			return time.Since(start)
		}
		if time.Since(start) > bound {
			l.t.Fatalf("after %s the addresses of %s are %v, want %v", bound, l.name, have, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// inPeer runs f on a thread in the namespace of the peer. Sockets opened
// there stay there.
func (l *lab) inPeer(f func()) {
	l.t.Helper()
	inThread(l.t, func() {
		if err := netns.Set(l.peer); err != nil {
			l.t.Errorf("enter the namespace of the peer: %v", err)
			return
		}
		f()
	})
}

// inThread runs f on a thread of its own that ends with it, so that what f
// does to the thread's namespace touches nobody else.
func inThread(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		f()
	}()
	<-done
}

// peerConn opens a socket for IPv4 advertisements in the namespace of the peer.
func (l *lab) peerConn() *conn {
	l.t.Helper()
	return l.peerConnOf(vrrp.IPv4)
}

// peerConnOf opens a socket for advertisements in the namespace of the peer.
func (l *lab) peerConnOf(family vrrp.Family) *conn {
	l.t.Helper()
	var c *conn
	var err error
	index := l.link(l.there, "p"+l.name).Attrs().Index
	l.inPeer(func() { c, err = listen(testLog(l.t), "p"+l.name, index, family) })
	l.check(err)
	l.t.Cleanup(func() { c.Close() })
	return c
}

// events collects what a Network delivers.
type events struct {
	t  *testing.T
	ch chan vrrp.Event
}

// start runs a Network until the end of the test.
func start(t *testing.T, n *Network) *events {
	t.Helper()
	e := &events{t: t, ch: make(chan vrrp.Event, 4096)}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := n.Run(ctx, e.add); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		run.Wait()
	})
	return e
}

// add adds an event, and those of a batch one by one.
func (e *events) add(ev vrrp.Event) {
	if b, ok := ev.(vrrp.Batch); ok {
		each(func(p vrrp.Received) { e.ch <- p })(b)
		return
	}
	e.ch <- ev
}

// each returns what hands over the packets of a batch one by one.
func each(deliver func(vrrp.Received)) func(vrrp.Batch) {
	return func(b vrrp.Batch) {
		for _, p := range b {
			deliver(p)
		}
	}
}

// linkState waits for the next LinkState.
func (e *events) linkState(bound time.Duration) vrrp.LinkState {
	e.t.Helper()
	return next[vrrp.LinkState](e, bound)
}

// received waits for the next packet.
func (e *events) received(bound time.Duration) vrrp.Received {
	e.t.Helper()
	return next[vrrp.Received](e, bound)
}

// next waits for an event of one kind, and passes over others.
func next[E vrrp.Event](e *events, bound time.Duration) E {
	e.t.Helper()
	limit := time.After(bound)
	for {
		select {
		case ev := <-e.ch:
			if ev, ok := ev.(E); ok {
				return ev
			}
		case <-limit:
			var none E
			e.t.Fatalf("no %T within %s", none, bound)
			return none
		}
	}
}

// testLog logs to the test.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// interfaceAt is an interface for libraries that look at the index only.
func interfaceAt(link netlink.Link) *net.Interface {
	a := link.Attrs()
	return &net.Interface{Index: a.Index, Name: a.Name, HardwareAddr: a.HardwareAddr, MTU: a.MTU}
}
