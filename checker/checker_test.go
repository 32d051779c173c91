package checker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Probe = nil }, "check of 192.0.2.1:80: the kind of check is missing"},
		{func(s *Spec) { s.Target = netip.AddrPort{} }, "check of no target: the target needs an address"},
		{func(s *Spec) { s.Target = netip.MustParseAddrPort("192.0.2.1:0") }, "check of 192.0.2.1: the target needs a port, 1 to 65535, for a check of kind tcp"},
		{func(s *Spec) { s.Interval = 0 }, "check of 192.0.2.1:80: interval 0s is not positive"},
		{func(s *Spec) { s.Timeout = -1 }, "check of 192.0.2.1:80: timeout -1ns is not positive"},
		{func(s *Spec) { s.Quick = -1 }, "check of 192.0.2.1:80: quick interval -1ns must be 0 (none) or more, and at most the interval 1s"},
		{func(s *Spec) { s.Quick = 2 * time.Second }, "check of 192.0.2.1:80: quick interval 2s must be 0 (none) or more, and at most the interval 1s"},
		{func(s *Spec) { s.Delay = -1 }, "check of 192.0.2.1:80: delay -1ns is negative"},
		{func(s *Spec) { s.Jitter = -1 }, "check of 192.0.2.1:80: jitter -1ns is negative"},
		{func(s *Spec) { s.Rise = 0 }, "check of 192.0.2.1:80: rise 0 and fall 2 must be 1 or more"},
		{func(s *Spec) { s.Fall = 0 }, "check of 192.0.2.1:80: rise 2 and fall 0 must be 1 or more"},
		{func(s *Spec) { s.Probe = HTTP{} }, `check of 192.0.2.1:80: method "" is no HTTP method: a word in capitals, such as "GET" or "HEAD"`},
	}
	for _, test := range tests {
		spec := testSpec()
		test.change(&spec)
		c, err := New(spec)
		if c != nil || err == nil || err.Error() != test.want {
			t.Errorf("%+v: got %v, error %v, want %s", spec, c, err, test.want)
		}
	}
}

// still is a kind of check without a port.
type still struct{ TCP }

// portless marks it.
func (still) portless() {}

// A kind of check that has no use for a port needs none, and may have one.
func TestNewWithoutPort(t *testing.T) {
	for _, port := range []uint16{0, 80} {
		spec := testSpec()
		spec.Probe = still{}
		spec.Target = netip.AddrPortFrom(spec.Target.Addr(), port)
		if _, err := New(spec); err != nil {
			t.Errorf("port %d: %v", port, err)
		}
	}
	if NeedsPort(still{}) || !NeedsPort(TCP{}) || !NeedsPort(HTTP{}) {
		t.Error("only what says so needs no port")
	}
}

func TestDescribe(t *testing.T) {
	connect := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelLate()
	tests := []struct {
		name  string
		ctx   context.Context
		err   error
		want  string
		local bool
	}{
		{"refused", t.Context(), connect(syscall.ECONNREFUSED), "connection refused", false},
		{"no route", t.Context(), connect(syscall.EHOSTUNREACH), "no route to host", false},
		{"filtered here", t.Context(), connect(syscall.EPERM), "no verdict: operation not permitted on this director", true},
		{"prohibited here", t.Context(), connect(syscall.EACCES), "no verdict: permission denied on this director", true},
		{"into a black hole", t.Context(), connect(syscall.EINVAL), "no verdict: invalid argument on this director", true},
		{"no network", t.Context(), connect(syscall.ENETUNREACH), "no verdict: network is unreachable on this director", true},
		{"network down", t.Context(), connect(syscall.ENETDOWN), "no verdict: network is down on this director", true},
		{"no interface", t.Context(), connect(syscall.ENODEV), "no verdict: no such device on this director", true},
		{"the kernel's timeout", t.Context(), connect(syscall.ETIMEDOUT), "connection timed out", false},
		{"deadline of the connection", t.Context(), os.ErrDeadlineExceeded, "timed out after 1s", false},
		{"deadline of the context", late, connect(syscall.EINTR), "timed out after 1s", false},
		{"called off", ended, connect(syscall.ECONNREFUSED), "context canceled", false},
		{"other words", t.Context(), errors.New("HTTP header over 64 KiB"), "HTTP header over 64 KiB", false},
		{"no descriptors", t.Context(), connect(syscall.EMFILE), "no verdict: too many open files on this director", true},
		{"no local port", t.Context(), connect(syscall.EADDRNOTAVAIL), "no verdict: cannot assign requested address on this director", true},
		{"no IPv6", t.Context(), connect(syscall.EAFNOSUPPORT), "no verdict: address family not supported by protocol on this director", true},
		{"no memory", t.Context(), connect(syscall.ENOMEM), "no verdict: cannot allocate memory on this director", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := describe(test.ctx, test.err, time.Second)
			wantError(t, got, test.want)
			var local *LocalError
			if errors.As(got, &local) != test.local {
				t.Errorf("local: %t, want %t", !test.local, test.local)
			}
		})
	}
}

// The whole way: a real server goes, and comes back.
func TestPoolOverTheNetwork(t *testing.T) {
	noLeak(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := tcpSpec(addrPort(listener.Addr()), patience)
	spec.Interval, spec.Fall = 10*time.Millisecond, 2
	states := make(chan State, 10)
	pool := NewPool(func(_ Spec, known Known) { states <- known.State })
	defer pool.Close()
	if err := pool.Set([]Spec{spec}); err != nil {
		t.Fatal(err)
	}
	next(t, states, Healthy)
	_ = listener.Close()
	next(t, states, Unhealthy)
	listener, err = net.Listen("tcp4", spec.Target.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	next(t, states, Healthy)
}

// next demands the next state that is reported.
func next(t *testing.T, states <-chan State, want State) {
	t.Helper()
	select {
	case got := <-states:
		if got != want {
			t.Errorf("state %s, want %s", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("no state is reported, want %s", want)
	}
}
