//go:build servers

// Package servers holds every kind of check against real servers of its kind,
// those of Debian, in good order and broken. It has nothing but tests, which
// testdata/servers/exec runs.
package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"bascule/checker"
)

const (
	// patience is the timeout of a check of a server that works, and bounds
	// every wait of a test. Nothing takes nearly as long.
	patience = 30 * time.Second
	// impatience is the timeout of a check that is to run into it.
	impatience = time.Second
)

// TestMain runs the tests, or the script of a check.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == checker.Launcher {
		_ = checker.Launch(os.Stdin, os.Stdout)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "these tests start servers: run them by testdata/servers/exec, as \"make test-servers\" does")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// clause is a probe of a server, and what it must come to.
type clause struct {
	name   string
	port   uint16
	probe  checker.Probe
	reason string // "": the server works; with "~" in front: a regular expression
}

// visitor is the address of somebody who is not from the server's own host.
var visitor = netip.AddrFrom4([4]byte{127, 0, 0, 2})

// from is a probe from another address than the server's.
type from struct {
	checker.Probe
	source netip.Addr
}

// run holds the probes, one after the other.
func run(t *testing.T, clauses ...clause) {
	t.Helper()
	runFor(t, patience, clauses...)
}

// runFor is run for probes that may end at their timeout.
func runFor(t *testing.T, timeout time.Duration, clauses ...clause) {
	t.Helper()
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			_, err := probe(t, c.port, c.probe, timeout)
			t.Logf("reason: %v", err)
			wantReason(t, err, c.reason)
		})
	}
}

// probe probes a port of the loopback address once.
func probe(t *testing.T, port uint16, p checker.Probe, timeout time.Duration) (checker.Advice, error) {
	t.Helper()
	c, err := newCheck(port, p, timeout)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return c.Check(ctx)
}

// newCheck returns the check of a port of the loopback address.
func newCheck(port uint16, p checker.Probe, timeout time.Duration) (checker.Checker, error) {
	spec := checker.Spec{
		Target: netip.AddrPortFrom(loopback, port), Probe: p,
		Interval: timeout, Timeout: timeout, Rise: 1, Fall: 1,
	}
	if other, ok := p.(from); ok {
		spec.Probe, spec.Via.Source = other.Probe, other.source
	}
	return checker.New(spec)
}

// loopback is where all servers are.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// wantReason demands a verdict, and one on the server.
func wantReason(t *testing.T, err error, want string) {
	t.Helper()
	var local *checker.LocalError
	if errors.As(err, &local) {
		t.Fatalf("no verdict on the server: %v", err)
	}
	got := ""
	if err != nil {
		got = err.Error()
	}
	pattern, isPattern := strings.CutPrefix(want, "~")
	if isPattern && !regexp.MustCompile("^(?:"+pattern+")$").MatchString(got) || !isPattern && got != want {
		t.Errorf("reason %q, wanted %q", got, want)
	}
}

// outage is a server that stops and goes on, and one that is ended, and what a
// probe says of each. Waiting is what it says behind "timed out after 1s".
func outage(t *testing.T, s *server, port uint16, p checker.Probe, waiting string) {
	t.Helper()
	t.Run("hanging", func(t *testing.T) {
		s.stop()
		defer s.signal(syscall.SIGCONT)
		_, err := probe(t, port, p, impatience)
		wantReason(t, err, "~(step [0-9]+: )?timed out after 1s"+regexp.QuoteMeta(waiting))
	})
	t.Run("going on", func(t *testing.T) {
		_, err := probe(t, port, p, patience)
		wantReason(t, err, "")
	})
	t.Run("ended", func(t *testing.T) {
		s.kill()
		for bound(port) { // by a process that is still dying
			time.Sleep(10 * time.Millisecond)
		}
		_, err := probe(t, port, p, patience)
		wantReason(t, err, "connection refused")
	})
}

// occupy holds a probe, over and over, until its context ends.
func occupy(ctx context.Context, port uint16, p checker.Probe) {
	c, err := newCheck(port, p, patience)
	for err == nil && ctx.Err() == nil {
		_, _ = c.Check(ctx)
	}
}

// verification holds probes that want to know whom they talk to, encrypted.
func verification(t *testing.T, ca *authority, port uint16, encrypted func(checker.TLSOptions) checker.Probe) {
	t.Helper()
	run(t,
		clause{"verified", port, encrypted(checker.TLSOptions{CA: ca.file, ServerName: site}), ""},
		clause{"verified by address", port, encrypted(checker.TLSOptions{CA: ca.file}), ""},
		clause{"other name", port, encrypted(checker.TLSOptions{CA: ca.file, ServerName: "other.example.org"}),
			"~(step [0-9]+: )?certificate is for www.example.org, 127.0.0.1, wanted other.example.org"},
		clause{"unknown authority", port, encrypted(checker.TLSOptions{Verify: checker.VerifyAlways}),
			"~(step [0-9]+: )?certificate signed by unknown authority"},
	)
	advice, err := probe(t, port, encrypted(checker.TLSOptions{ExpiryWarning: 500 * 24 * time.Hour}), patience)
	wantReason(t, err, "")
	if want := "certificate expires " + nextYear().UTC().Format(time.DateOnly); advice.Warning != want {
		t.Errorf("warning %q, wanted %q", advice.Warning, want)
	}
}

// crowd holds connections to a server, more than it takes, and demands the
// reason that a probe gives then. In the end there is room again.
func crowd(t *testing.T, s *server, port uint16, connections int, p checker.Probe, reason string) {
	t.Helper()
	t.Run("crowded", func(t *testing.T) {
		for range connections {
			conn, err := net.Dial("tcp", netip.AddrPortFrom(loopback, port).String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		got := ""
		s.await("no room", func() bool { // servers take connections one by one
			_, err := probe(t, port, p, patience)
			got = fmt.Sprint(err)
			return err != nil
		})
		if got != reason {
			t.Errorf("reason %q, wanted %q", got, reason)
		}
	})
	s.await("room", func() bool {
		_, err := probe(t, port, p, patience)
		return err == nil
	})
}
