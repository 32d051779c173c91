package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"bascule/checker"
	"bascule/checker/worker"
	"bascule/cmd/internal/lab"
)

// asMain makes the test binary behave as bascule itself, so that tests in a
// laboratory run what they were built with.
const asMain = "BASCULE_TEST_AS_MAIN"

// TestMain runs the tests, or bascule.
func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" || len(os.Args) == 2 && (os.Args[1] == checker.Launcher || os.Args[1] == worker.Argument) {
		main()
	}
	if err := os.Setenv(asMain, "1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen at some time.
const patience = 60 * time.Second

// slack is what a slow machine may add to a bound of the protocol.
const slack = 500 * time.Millisecond

// bounded returns a context that ends with the patience.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// holdUps begins to measure how long this process is kept from running when it
// wants to. The function that it returns ends that and says how long it was:
// others on this machine, the directors among them, were kept so too.
func holdUps(ctx context.Context) func() time.Duration {
	const nap = 10 * time.Millisecond
	ctx, stop := context.WithCancel(ctx)
	total := make(chan time.Duration, 1)
	go func() {
		var held time.Duration
		for ctx.Err() == nil {
			start := time.Now()
			time.Sleep(nap)
			if late := time.Since(start) - nap; late > nap {
				held += late
			}
		}
		total <- held
	}()
	return func() time.Duration {
		stop()
		return <-total
	}
}

// timely checks what took so long against a bound, to which a slow machine may
// add, and what it was held up meanwhile.
func timely(t testing.TB, what string, took, bound, held time.Duration) {
	t.Helper()
	t.Logf("FIGURE %s: %v (bound %v)", what, took.Round(time.Millisecond), bound)
	if took > bound+slack+held {
		t.Errorf("%s: %v, want at most %v (and %v for a slow machine, and %v in which it did nothing)", what, took, bound, slack, held)
	}
}

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newDirector prepares bascule on a host. Its log is printed if the test
// fails.
func newDirector(t testing.TB, host *lab.Host, config string) *lab.Director {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	d, err := lab.NewDirector(host, self)
	must(t, err)
	must(t, d.WriteConfig(config))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", host.Name, d.Log())
		}
	})
	return d
}

// awaitVIPs waits until both virtual addresses are on a host, or on none of
// its interfaces.
func awaitVIPs(t testing.TB, host *lab.Host, present bool) {
	t.Helper()
	ctx := bounded(t)
	must(t, lab.AwaitAddress(ctx, host, lab.PublicVIP.Addr(), present))
	must(t, lab.AwaitAddress(ctx, host, lab.InternalVIP.Addr(), present))
}

// skew is Skew_Time at an advertisement interval of 1 s (RFC 9568 section
// 6.1).
func skew(priority int) time.Duration {
	return time.Second * time.Duration(256-priority) / 256
}

// noTwoActives fails the test if two directors were active at a time for
// longer than their packets need to cross.
func noTwoActives(t testing.TB, c *lab.Capture) {
	t.Helper()
	frames, err := c.Stop()
	must(t, err)
	if len(frames) == 0 {
		t.Error("nothing was captured")
	}
	for _, o := range lab.SimultaneousActives(frames) {
		t.Errorf("two active routers: %v", o)
	}
}
