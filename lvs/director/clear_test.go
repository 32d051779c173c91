package director_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClear checks that our services go, failures included, that those of
// others stay, and that nothing brings ours back.
func TestClear(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Edit(held("192.168.56.30:80", "rr", web2)...)
		f.configure(www(web1))
		f.good(web1)
		f.start()
		f.wait(time.Second)
		f.log.take()
		f.kernel.Fail(4, unix.ENOBUFS)
		start := time.Now()
		if err := f.Clear(t.Context()); err != nil {
			t.Errorf("Clear: %v", err)
		}
		if took := time.Since(start); took < 100*time.Millisecond || took > 5*time.Second {
			t.Errorf("Clear took %v with four failures", took)
		}
		f.checkProblems()
		f.good(web1)
		f.configure(www(web1, web2))
		f.wait(time.Minute)
		f.check("-A -t 192.168.56.30:80 -s rr", "-a -t 192.168.56.30:80 -r "+web2+" -m -w 1")
		if owned := f.Snapshot().Owned; len(owned) != 0 {
			t.Errorf("owned: %v", owned)
		}
		if err := f.Clear(t.Context()); err != nil {
			t.Errorf("Clear again: %v", err)
		}
	})
}

// TestClearFails checks the errors of Clear.
func TestClearFails(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Break("DEL_SERVICE "+vip, unix.EBUSY)
		f.configure(www(web1))
		f.start()
		f.wait(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := f.Clear(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "device or resource busy") {
			t.Errorf("error %v, want the deadline and the problem", err)
		}
		f.stop()
		if err := f.Clear(t.Context()); err == nil {
			t.Error("no error after the end of Run")
		}
	})
}

// TestClearWithoutIPVS checks that there is nothing to clear in a kernel
// without IPVS, whether it never had it or has lost it, and that an attempt to
// reach it is not waited for.
func TestClearWithoutIPVS(t *testing.T) {
	for _, lost := range []time.Duration{0, time.Minute} {
		run(t, func(t *testing.T, f *fixture) {
			f.kernel.SetAbsent(lost == 0)
			f.configure(www(web1))
			f.start()
			f.wait(lost)
			f.kernel.SetAbsent(true)
			f.wait(time.Minute)
			f.checkProblems("kernel has no IPVS: modprobe ip_vs")
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := f.Clear(ctx); err != nil {
				t.Errorf("Clear: %v", err)
			}
			f.wait(time.Second)
			f.checkProblems()
			if owned := f.Snapshot().Owned; len(owned) != 0 {
				t.Errorf("owned: %v", owned)
			}
		})
	}
}

// TestClearOutlastsOutage checks that Clear retries to reach the kernel, at
// once and not when an outage that has lasted would have been retried, and
// that its context bounds that.
func TestClearOutlastsOutage(t *testing.T) {
	for _, test := range []struct {
		after   time.Duration // from the call to the end of the outage
		cleared bool
	}{
		{0, true},
		{250 * time.Millisecond, true},
		{time.Hour, false},
	} {
		run(t, func(t *testing.T, f *fixture) {
			f.configure(www(web1))
			f.start()
			f.wait(time.Second)
			f.refuse(errors.New("ipvs: open a socket: too many open files"))
			f.kernel.Fail(1, unix.ENOBUFS)
			f.wait(time.Minute)
			f.checkProblems("ipvs: open a socket: too many open files")
			if test.after == 0 {
				f.refuse(nil)
			} else {
				time.AfterFunc(test.after, func() { f.refuse(nil) })
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := f.Clear(ctx)
			if test.cleared && err != nil || !test.cleared && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("outage over %v after the call: error %v", test.after, err)
			}
			if gone := f.kernel.String() == ""; gone != test.cleared {
				t.Errorf("outage over %v after the call: kernel\n%v", test.after, f.kernel)
			}
			if !test.cleared && !strings.Contains(err.Error(), "too many open files") {
				t.Errorf("error %v does not name the problem", err)
			}
		})
	}
}
