package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/cmd/internal/lab"
)

// TestReporter tells a story of three steps in virtual time, one of which
// fails, and compares all that a reader gets to see.
func TestReporter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := newReporter(&out)
		steps := []bool{
			r.step("Quick", "at once", func() (string, error) { return "done", nil }),
			r.step("Slow", "after 7 s", func() (string, error) {
				time.Sleep(5100 * time.Millisecond)
				r.note("half way")
				time.Sleep(1900 * time.Millisecond)
				return "done too", nil
			}),
			r.step("Bad", "nothing good", func() (string, error) {
				time.Sleep(time.Second)
				return "ignored", errors.New("it broke\nbadly")
			}),
		}
		if diff := cmp.Diff([]bool{true, true, false}, steps); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if err := r.summary(4); err == nil || err.Error() != "1 of 4 steps failed and 1 were not reached" {
			t.Errorf("summary: %v", err)
		}
		const want = `
1. Quick
   expected: at once
   observed: done

2. Slow
   expected: after 7 s
      ... 2 s
      ... 4 s
      half way
   observed: done too

3. Bad
   expected: nothing good
   FAILED:   it broke
badly

Summary
   ok      1. Quick: done
   ok      2. Slow: done too
   FAILED  3. Bad: it broke
   1 of 4 steps failed, 1 were not reached, after 8 s.
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

// TestSummaryOfSuccess says so, and only then is there no error.
func TestSummaryOfSuccess(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := newReporter(&out)
	r.step("One", "it", func() (string, error) { return "it", nil })
	if err := r.summary(1); err != nil || !strings.Contains(out.String(), "All 1 steps went as expected") {
		t.Errorf("%v, %s", err, out.String())
	}
}

// TestBeatIsNeverSilentForLong checks that no reader waits for more than 3 s,
// whatever else is printed when.
func TestBeatIsNeverSilentForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		var longest time.Duration
		r := newReporter(writerFunc(func() {
			if !last.IsZero() {
				longest = max(longest, time.Since(last))
			}
			last = time.Now()
		}))
		r.step("Long", "patience", func() (string, error) {
			for _, pause := range []time.Duration{100, 1900, 2100, 2499, 2501, 3900, 4100, 10000} {
				time.Sleep(pause * time.Millisecond)
				r.note("something")
			}
			return "", nil
		})
		if longest > 3*time.Second {
			t.Errorf("silent for %v", longest)
		}
	})
}

// writerFunc calls a function whenever something is written.
type writerFunc func()

// Write implements io.Writer.
func (w writerFunc) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

// TestShares prints counts in the order of names.
func TestShares(t *testing.T) {
	t.Parallel()
	for want, counts := range map[string]map[string]int{
		"none":                     nil,
		"web1 60, web2 20, web3 2": {"web3": 2, "web1": 60, "web2": 20},
	} {
		if got := shares(counts); got != want {
			t.Errorf("%v: %q, want %q", counts, got, want)
		}
	}
}

// TestWeighted finds the real servers of the web site that get requests.
func TestWeighted(t *testing.T) {
	t.Parallel()
	site := lab.ServiceAddress.String()
	services := []lab.IPVSService{
		{Address: "192.168.56.10:443", Destinations: []lab.IPVSDestination{{Address: "192.168.200.19:443", Weight: 1}}},
		{Address: site, Destinations: []lab.IPVSDestination{
			{Address: "192.168.200.13:80", Weight: 1}, {Address: "192.168.200.12:80"}, {Address: "192.168.200.11:80", Weight: 3}}},
	}
	want := []string{"192.168.200.11:80", "192.168.200.13:80"}
	if diff := cmp.Diff(want, weighted(services)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := weighted(nil); got != nil {
		t.Errorf("of an empty table: %v", got)
	}
}

// TestNearly allows for two requests more or less.
func TestNearly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b int
		want bool
	}{{60, 60, true}, {58, 60, true}, {62, 60, true}, {63, 60, false}, {57, 60, false}} {
		if got := nearly(tt.a, tt.b); got != tt.want {
			t.Errorf("%d and %d: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestLogTail indents the last lines.
func TestLogTail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ log, want string }{
		{"one\ntwo\nthree\n", "      two\n      three"},
		{"one\n", "      one"},
		{"", "      "},
	} {
		if got := logTail(tt.log, 2); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.log, got, tt.want)
		}
	}
}

// TestUsage tells what was typed wrongly (2) from what went wrong (1).
func TestUsage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"nothing"}, exitUsage},
		{[]string{"demo", "--unknown"}, exitUsage},
		{[]string{"up", "argument"}, exitUsage},
		{[]string{"demo", "--bascule", filepath.Join(folder, "absent")}, exitFailed},
		{[]string{"demo", "--bascule", folder}, exitFailed},
		{[]string{"demo", "--bascule", plain}, exitFailed},
		{[]string{"probe", "--prefix", "bascule-nowhere-"}, exitFailed},
		{[]string{"down", "--prefix", "bascule-nowhere-"}, 0},
		{[]string{"help"}, 0},
	} {
		if got := run(tt.args); got != tt.want {
			t.Errorf("%v: status %d, want %d", tt.args, got, tt.want)
		}
	}
}

// TestUpProbeDown builds a laboratory, has it probed by another command, and
// ends it as Ctrl-C does.
func TestUpProbeDown(t *testing.T) {
	t.Parallel()
	prefix := fmt.Sprintf("bascule-up%d-", os.Getpid())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ready := make(chan struct{})
	up := upCommand()
	up.SetArgs([]string{"--prefix", prefix})
	var text strings.Builder
	up.SetOut(writer(func(b []byte) {
		text.Write(b)
		if strings.Contains(string(b), "The network stands") {
			close(ready)
		}
	}))
	ended := make(chan error, 1)
	go func() { ended <- up.ExecuteContext(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("up ended: %v", err)
	}
	for _, want := range []string{
		"client  asks for the web site", "enp0s3 192.168.56.11/24    enp0s8 192.168.200.251/24\n", prefix + "lb bash",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("up printed %q; want %q in it", text.String(), want)
		}
	}

	var seen bytes.Buffer
	probe := probeCommand()
	probe.SetArgs([]string{"--prefix", prefix, "--for", "300ms"})
	probe.SetOut(&seen)
	if err := probe.ExecuteContext(ctx); err != nil {
		t.Error(err)
	}
	// Nobody has the virtual address.
	if !strings.Contains(seen.String(), "0 answers (none)") || !strings.Contains(seen.String(), "has not ended") {
		t.Errorf("probe printed %q", seen.String())
	}

	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if found, err := lab.Remove(prefix); found || err != nil {
		t.Errorf("left behind: %v, %v", found, err)
	}
}

// writer calls a function with what is written.
type writer func(b []byte)

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
