package director_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// TestZero checks whose counters are zeroed, and what who asks hears if they
// are not.
func TestZero(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		const ftp, others = "192.168.56.20:21", "192.168.56.99:80"
		f.kernel.Edit(held(others, "rr", web3)...)
		second := www(web1)
		second.Name, second.Services[0].ServiceKey = "ftp", key(ftp)
		f.configure(www(web1), second)
		check := func(ctx context.Context, name, want string, edits ...string) {
			t.Helper()
			got := ""
			if err := f.Zero(ctx, name); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("zero %q: %q, want %q", name, got, want)
			}
			f.checkJournal(edits...)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check(short, "", "not known whether the counters are zeroed: context deadline exceeded")
		f.start()
		f.wait(time.Second)
		f.kernel.Journal()
		check(t.Context(), "", "", "ZERO "+vip, "ZERO "+ftp)
		check(t.Context(), "ftp", "", "ZERO "+ftp)
		check(t.Context(), "mail", `no virtual server "mail" is configured, there are "www", "ftp"`)
		f.kernel.Break("ZERO "+ftp, unix.EBUSY)
		check(t.Context(), "ftp", "ipvs: zero the counters of tcp "+ftp+": device or resource busy", "ZERO "+ftp+": device or resource busy")
		f.kernel.Mend()
		f.kernel.Break("NEW_SERVICE "+ftp, unix.EBUSY)
		f.kernel.Edit(lvs.Op{Kind: lvs.DeleteService, Service: second.Services[0]})
		f.wait(time.Second)
		f.kernel.Journal()
		check(t.Context(), "", "", "ZERO "+vip)
		f.kernel.SetAbsent(true)
		f.wait(time.Second)
		f.kernel.Journal()
		check(t.Context(), "", "kernel has no IPVS: modprobe ip_vs")
		f.stop()
		check(t.Context(), "", "counters not zeroed: the director has ended")
	})
}

// TestZeroNothing checks that a director without virtual servers has nothing to
// zero, and needs no kernel for that.
func TestZeroNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.SetAbsent(true)
		f.start()
		if err := f.Zero(t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}
