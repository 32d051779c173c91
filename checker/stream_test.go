package checker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stream knows both its ends, carries bytes both ways, and says when the
// other side has closed.
func TestStream(t *testing.T) {
	noLeak(t)
	peer := make(chan string, 1)
	target := serve(t, func(conn net.Conn) {
		peer <- conn.RemoteAddr().String()
		_, _ = io.CopyN(conn, conn, 4)
	})
	s, err := endpoint{AddrPort: target, via: Via{Source: netip.MustParseAddr("127.0.0.2")}}.connect(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got := s.LocalAddr().String(); got != <-peer || s.RemoteAddr().String() != target.String() {
		t.Errorf("from %s to %s, want to %s", got, s.RemoteAddr(), target)
	}
	if _, err := io.WriteString(s, "ping"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); string(got) != "ping" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A stream ends at its deadline and with its context, whether that is called off
// or its time is over, and while it connects as well as later.
func TestStreamEnds(t *testing.T) {
	silent := serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for name, target := range map[string]netip.AddrPort{"connecting": blackhole(t), "reading": silent} {
		for end, limit := range map[string]func() (context.Context, context.CancelFunc){
			"late": func() (context.Context, context.CancelFunc) { return t.Context(), func() {} },
			"called off": func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				return ctx, cancel
			},
			"over": func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 50*time.Millisecond)
			},
		} {
			t.Run(name+" "+end, func(t *testing.T) {
				noLeak(t)
				ctx, cancel := limit()
				defer cancel()
				deadline := time.Time{}
				if end == "late" {
					deadline = time.Now().Add(50 * time.Millisecond)
				}
				s, err := endpoint{AddrPort: target}.connect(ctx, deadline)
				if err == nil {
					_, err = s.Read(make([]byte, 1))
					_ = s.Close()
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v, want that the deadline is over", err)
				}
			})
		}
	}
}

// A socket that is connected with itself is no server.
func TestStreamWithItself(t *testing.T) {
	for _, own := range []string{"127.0.0.1", "::1"} {
		free, err := net.Listen("tcp", net.JoinHostPort(own, "0"))
		if err != nil {
			t.Fatal(err)
		}
		target := addrPort(free.Addr())
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		fd, err := endpoint{AddrPort: target}.socket()
		if err != nil {
			t.Fatal(err)
		}
		address, err := socketAddress(target)
		if err := errors.Join(err, unix.Bind(fd, address)); err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			t.Fatal(err)
		}
		if err := (endpoint{AddrPort: target}).refuseItself(fd); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: connected with itself: %v", own, err)
		}
		other := netip.AddrPortFrom(target.Addr(), target.Port()^1)
		if err := (endpoint{AddrPort: other}).refuseItself(fd); err != nil {
			t.Errorf("%s: connected with another: %v", own, err)
		}
		_ = unix.Close(fd)
	}
}

// slowTarget returns the address of a server that has no room for another
// connection until a while has passed. A client asks again a second after it
// asked first (RFC 6298, section 2).
func slowTarget(t *testing.T, while time.Duration) netip.AddrPort {
	t.Helper()
	listener, target, queued := fullListener(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(while)
		for range queued + 1 {
			if conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC); err == nil {
				defer func() { _ = unix.Close(conn) }()
			}
		}
	}()
	t.Cleanup(func() {
		_ = unix.Shutdown(listener, unix.SHUT_RDWR)
		<-done
	})
	return target
}

// A connection that takes its time is waited for, and told as soon as it is there.
func TestConnectSlowly(t *testing.T) {
	const limit = 20 * time.Second
	begin := time.Now()
	s, err := endpoint{AddrPort: slowTarget(t, 100*time.Millisecond)}.connected(t.Context(), begin.Add(limit), unanswered)
	if took := time.Since(begin); err != nil || took > limit/2 {
		t.Fatalf("%v after %s", err, took)
	}
	s.close()
}

// What connects after the deadline is not connected, however late that is
// noticed; what did before is.
func TestHeardBy(t *testing.T) {
	target := serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	if _, err := (endpoint{AddrPort: target}).connected(t.Context(), time.Now().Add(-time.Second), complete); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connected a second too late: %v", err)
	}
	begin := time.Now()
	s, err := endpoint{AddrPort: target}.connected(t.Context(), time.Time{}, complete)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	end := time.Now()
	time.Sleep(100 * time.Millisecond)
	if heardBy(s.fd, begin.Add(-100*time.Millisecond), false) || !heardBy(s.fd, end, false) {
		t.Error("not known when it was connected")
	}
}

// What came before the deadline is read, however late; what came after is not,
// however early the target has acknowledged what it was asked.
func TestStreamReadsInTime(t *testing.T) {
	const thinks = 300 * time.Millisecond // longer than an acknowledgment waits for data to go with it
	target := serve(t, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			time.Sleep(thinks)
			_, _ = io.WriteString(conn, "pong")
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	for name, test := range map[string]struct {
		deadline time.Duration // from the answer
		want     error
	}{
		"in time": {100 * time.Millisecond, nil}, "too late": {-thinks / 2, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := endpoint{AddrPort: target}.connect(t.Context(), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if _, err := s.Write([]byte("p")); err != nil {
				t.Fatal(err)
			}
			ready := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(ready, int(patience.Milliseconds())); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			s.deadline = time.Now().Add(test.deadline)
			time.Sleep(2 * max(test.deadline, 0))
			n, err := s.Read(make([]byte, 8))
			if !errors.Is(err, test.want) || (n == 4) != (test.want == nil) {
				t.Errorf("%d bytes, %v, want the error %v", n, err, test.want)
			}
		})
	}
}

// Silence is what a target is to blame for: it had all the time of the probe, and
// nothing came, or what came was not enough.
func TestStreamSilence(t *testing.T) {
	const timeout = 200 * time.Millisecond
	target := serve(t, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			_, _ = io.WriteString(conn, "part")
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	for name, test := range map[string]struct {
		target netip.AddrPort
		pause  time.Duration // of this process, before it asked
		want   bool
	}{
		"connecting": {blackhole(t), 0, true}, "reading": {target, 0, true}, "asked late": {target, 150 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			const late = 50 * time.Millisecond // which does not matter
			e := endpoint{AddrPort: test.target, timeout: timeout}
			s, err := e.connect(t.Context(), time.Now().Add(timeout+late))
			if err == nil {
				_, _ = s.Write([]byte("?"))
				s.deadline = time.Now().Add(timeout + late - test.pause)
				_, err = io.ReadAll(s)
				_ = s.Close()
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errSilent) != test.want {
				t.Errorf("%v, want silence: %t", err, test.want)
			}
			if got := ofSilence(describe(t.Context(), err, timeout)); got != test.want {
				t.Errorf("described as silence: %t, want %t", got, test.want)
			}
		})
	}
}

// Of every kind of check that says how long it listens, silence is known as such.
func TestSilenceOfAllKinds(t *testing.T) {
	noLeak(t)
	const timeout = 200 * time.Millisecond
	silent := serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	get := HTTP{Method: "GET", Path: "/", Status: "200"}
	https, h2, h2s := get, get, get
	https.Secure, h2.Version, h2s.Secure, h2s.Version = true, "2", true, "2"
	for name, probe := range map[string]Probe{
		"http": get, "https": https, "http2": h2, "http2 over TLS": h2s,
		"tls": TLS{}, "grpc": GRPC{}, "grpc over TLS": GRPC{Secure: true},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(probeSpec(probe, silent, timeout))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.(timely).checkBy(t.Context(), time.Now().Add(timeout+50*time.Millisecond))
			wantError(t, err, "timed out after 200ms")
			if !ofSilence(err) {
				t.Errorf("%#v is not known as silence", err)
			}
		})
	}
}

// What does not fit is written as the target makes room.
func TestStreamWritesAll(t *testing.T) {
	noLeak(t)
	const size = 32 << 20 // more than the kernel keeps
	received := make(chan int64, 1)
	target := serve(t, func(conn net.Conn) {
		time.Sleep(50 * time.Millisecond)
		n, _ := io.CopyN(io.Discard, conn, size)
		received <- n
	})
	s, err := endpoint{AddrPort: target}.connect(t.Context(), time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if n, err := s.Write(make([]byte, size)); n != size || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	if n := <-received; n != size {
		t.Errorf("%d bytes received, want %d", n, size)
	}
}

// Close ends what others do on a stream, and afterwards nothing is done on its
// socket, which is another's.
func TestStreamClose(t *testing.T) {
	noLeak(t)
	target := serve(t, func(conn net.Conn) {
		time.Sleep(patience / 10) // reads nothing meanwhile
		_, _ = io.Copy(io.Discard, conn)
	})
	s, err := endpoint{AddrPort: target}.connect(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() {
		_, err := s.Read(make([]byte, 1))
		ended <- err
	}()
	go func() {
		_, err := s.Write(make([]byte, 64<<20))
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want that the stream is closed", err)
		}
	}
	_, read := s.Read(make([]byte, 1))
	_, write := s.Write(make([]byte, 1))
	for name, err := range map[string]error{"read": read, "write": write, "close": s.Close()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v, want that the stream is closed", name, err)
		}
	}
	if own := addrPort(s.LocalAddr()); own.IsValid() && own.Port() != 0 {
		t.Errorf("a closed stream has the address %s", own)
	}
}

// A port is in the order of the network, and what follows where the kernel looks.
func TestRawAddress(t *testing.T) {
	for text, want := range map[string][]byte{
		"192.0.2.1:258":        {1, 2, 192, 0, 2, 1},
		"[2001:db8::1%3]:8080": {0x1f, 0x90, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
	} {
		address, err := socketAddress(netip.MustParseAddrPort(text))
		if err != nil {
			t.Fatal(err)
		}
		raw := newRawAddress(address)
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&raw.buffer)), raw.length)
		if got := bytes[2 : 2+len(want)]; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// An address of the kernel has the number of its zone.
func TestSocketAddress(t *testing.T) {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]uint32{
		"[2001:db8::1]:80": 0, "[fe80::1%lo]:80": uint32(loopback.Index), "[fe80::1%7]:80": 7,
	} {
		address, err := socketAddress(netip.MustParseAddrPort(text))
		if got, ok := address.(*unix.SockaddrInet6); !ok || got.ZoneId != want || got.Port != 80 || err != nil {
			t.Errorf("%s: %+v, %v, want zone %d", text, address, err, want)
		}
	}
	address, err := socketAddress(netip.MustParseAddrPort("192.0.2.1:80"))
	if got, ok := address.(*unix.SockaddrInet4); !ok || got.Addr != [4]byte{192, 0, 2, 1} || got.Port != 80 || err != nil {
		t.Errorf("IPv4: %+v, %v", address, err)
	}
	_, err = endpoint{AddrPort: netip.MustParseAddrPort("[fe80::1%nosuch]:80")}.connect(t.Context(), time.Time{})
	var local *LocalError
	if err := describe(t.Context(), err, time.Second); !errors.As(err, &local) {
		t.Errorf("a zone that does not exist: %v, want that it is this director's fault", err)
	}
}

// A probe that keeps its deadline by itself times out as all do, and is called
// off with its check.
func TestRunnerTimely(t *testing.T) {
	noLeak(t)
	spec := tcpSpec(blackhole(t), 100*time.Millisecond)
	checker, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := checker.(timely); !ok {
		t.Fatalf("%T is not timely", checker)
	}
	results := make(chan Result, 1)
	r := NewRunner(spec, checker, Unknown, func(result Result) { results <- result })
	_, err = r.check(t.Context(), time.Now().Add(spec.Timeout))
	wantError(t, err, "timed out after 100ms")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.spec.Timeout = patience
	begin := time.Now()
	r.probe(ctx)
	if len(results) != 0 || time.Since(begin) > patience/2 {
		t.Errorf("after %s a probe that was called off has %d results", time.Since(begin), len(results))
	}
}
