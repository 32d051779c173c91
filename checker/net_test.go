package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience is a timeout that only failing tests reach.
const patience = 20 * time.Second

// serve accepts connections on loopback until the test ends and gives each to
// handle.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
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
			handle(conn)
			_ = conn.Close()
		}
	}()
	return addrPort(listener.Addr())
}

// addrPort is the IPv4 address of a TCP address.
func addrPort(addr net.Addr) netip.AddrPort {
	return unmapped(addr.(*net.TCPAddr).AddrPort())
}

// unused is an address of loopback where nobody listens.
func unused(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return addrPort(listener.Addr())
}

// fullListener returns a listener whose queue is full, its address, and how many
// connections are in its queue.
func fullListener(t *testing.T) (fd int, target netip.AddrPort, queued int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	if target, err = ownAddress(fd); err != nil {
		t.Fatal(err)
	}
	for queued = range 10 {
		conn, err := net.DialTimeout("tcp4", target.String(), 300*time.Millisecond)
		if err != nil {
			return fd, target, queued
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the queue of the listener does not fill")
	return fd, target, queued
}

// blackhole is an address of loopback that does not answer.
func blackhole(t *testing.T) netip.AddrPort {
	t.Helper()
	_, target, _ := fullListener(t)
	return target
}

// check makes one probe of a target with a timeout.
func check(t *testing.T, spec Spec) error {
	t.Helper()
	c, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if inLoop {
		return checkInLoop(t, spec, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), spec.Timeout)
	defer cancel()
	_, err = c.Check(ctx)
	return err
}

// tcpSpec is a TCP check of a target.
func tcpSpec(target netip.AddrPort, timeout time.Duration) Spec {
	return Spec{Probe: TCP{}, Target: target, Interval: time.Minute, Timeout: timeout, Rise: 1, Fall: 1}
}

// wantError compares the words of an error; "" stands for none.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// noLeak demands at the end of the test that no more goroutines are left than
// there are now.
func noLeak(t *testing.T) {
	t.Helper()
	if _, err := sharedPoller(); err != nil { // which stays
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
				return
			}
		}
	})
}

// inNamespace runs f on a thread of its own in a new network namespace, where
// only loopback is up.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		// Never unlocked, so that the thread ends with its namespace.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}})
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	switch err := <-done; {
	case err != nil && os.Geteuid() != 0:
		t.Skipf("making a network namespace needs root: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

func TestTCP(t *testing.T) {
	noLeak(t)
	tests := []struct {
		name   string
		target func(*testing.T) netip.AddrPort
		want   string
	}{
		{"listening", func(t *testing.T) netip.AddrPort { return serve(t, func(net.Conn) {}) }, ""},
		{"refused", unused, "connection refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, check(t, tcpSpec(test.target(t), patience)), test.want)
		})
	}
	t.Run("IPv4 in IPv6", func(t *testing.T) {
		target := serve(t, func(net.Conn) {})
		mapped := netip.AddrPortFrom(netip.AddrFrom16(target.Addr().As16()), target.Port())
		wantError(t, check(t, tcpSpec(mapped, patience)), "")
	})
}

func TestTCPTimeout(t *testing.T) {
	noLeak(t)
	target := blackhole(t)
	begin := time.Now()
	wantError(t, check(t, tcpSpec(target, 200*time.Millisecond)), "timed out after 200ms")
	if took := time.Since(begin); took < 200*time.Millisecond || took > patience {
		t.Errorf("took %s, want little more than 200ms", took)
	}
}

// A probe that is called off ends at once, with no verdict.
func TestTCPCalledOff(t *testing.T) {
	noLeak(t)
	c, err := New(tcpSpec(blackhole(t), patience))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("took %s after it was called off", took)
	}
}

// A fault of this machine's own network says nothing about a real server;
// that nobody answers at its address does.
func TestTCPNoRoute(t *testing.T) {
	inNamespace(t, func() {
		target := netip.MustParseAddrPort("192.0.2.1:80")
		wantError(t, check(t, tcpSpec(target, patience)), "no verdict: network is unreachable on this director")
		_, network, err := net.ParseCIDR("192.0.2.0/24")
		if err != nil {
			t.Error(err)
			return
		}
		for _, test := range []struct {
			kind int
			want string
		}{
			{unix.RTN_UNREACHABLE, "no route to host"},
			{unix.RTN_PROHIBIT, "no verdict: permission denied on this director"},
			{unix.RTN_BLACKHOLE, "no verdict: invalid argument on this director"},
			{unix.RTN_THROW, "no verdict: network is unreachable on this director"},
		} {
			if err := netlink.RouteReplace(&netlink.Route{Dst: network, Type: test.kind}); err != nil {
				t.Error(err)
				return
			}
			wantError(t, check(t, tcpSpec(target, patience)), test.want)
		}
	})
}

// A director that loses its network takes out no real server.
func TestRunnerWithoutRoute(t *testing.T) {
	inNamespace(t, func() {
		spec := tcpSpec(netip.MustParseAddrPort("192.0.2.1:80"), patience)
		spec.Interval = time.Millisecond
		c, err := New(spec)
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		probes := 0
		NewRunner(spec, c, Healthy, func(r Result) {
			if r.State != Healthy {
				t.Errorf("%s after probe %d: %v", r.State, probes, r.Err)
			}
			if probes++; probes == 5 {
				cancel()
			}
		}).Run(ctx)
	})
}

// The program of the target does not hear of a check that is in time, and the
// connection does not stay in TIME_WAIT.
func TestTCPUnheard(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		target, late := addrPort(listener.Addr()), 0
		for range 10 {
			begin := time.Now()
			wantError(t, check(t, tcpSpec(target, patience)), "")
			if time.Since(begin) > 100*time.Millisecond { // near to what the kernel waits for
				late++
			}
		}
		client, err := net.Dial("tcp", target.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		for heard := 0; ; heard++ {
			conn, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if conn.RemoteAddr().String() == client.LocalAddr().String() {
				break
			}
			if heard == late {
				t.Errorf("%s: the server accepts a connection from %s before that from %s", loopback, conn.RemoteAddr(), client.LocalAddr())
			}
		}
		if n := timeWait(t, target); n != 0 {
			t.Errorf("%d connections in TIME_WAIT", n)
		}
	}
}

// A connection that is talked on is reset at its end, so that it does not stay in
// TIME_WAIT either.
func TestStreamReset(t *testing.T) {
	ended := make(chan error, 1)
	target := serve(t, func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	s, err := endpoint{AddrPort: target}.connect(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "connection reset by peer") {
		t.Errorf("the server sees %v, want a reset", err)
	}
	if n := timeWait(t, target); n != 0 {
		t.Errorf("%d connections in TIME_WAIT", n)
	}
}

// timeWait counts the connections to or from a target in TIME_WAIT.
func timeWait(t *testing.T, target netip.AddrPort) int {
	t.Helper()
	path := "/proc/net/tcp"
	if target.Addr().Is6() {
		path += "6"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const stateTimeWait = "06"
	port := fmt.Sprintf("%04X", target.Port())
	count := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[3] == stateTimeWait &&
			(strings.HasSuffix(fields[1], ":"+port) || strings.HasSuffix(fields[2], ":"+port)) {
			count++
		}
	}
	return count
}

// withoutDescriptors calls f while this process gets no more file descriptors.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 0, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// Without file descriptors nothing is learnt about the target.
func TestTCPWithoutDescriptors(t *testing.T) {
	target := serve(t, func(net.Conn) {})
	var err error
	withoutDescriptors(t, func() { err = check(t, tcpSpec(target, patience)) })
	var local *LocalError
	if !errors.As(err, &local) {
		t.Errorf("error is a %T, want a *LocalError", err)
	}
	wantError(t, err, "no verdict: too many open files on this director")
}

// eventually waits until nothing is wrong.
func eventually(t *testing.T, wrong func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := wrong()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Error(err)
			return
		}
	}
}
