package director_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// TestBatchWithFailures checks that operations that fail in the middle of a
// batch stop no other, are tried again alone, and are shown until they succeed.
func TestBatchWithFailures(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		const members = 600 // more than two batches
		broken := []int{0, 255, 256, 400}
		var problems []string
		for _, n := range broken {
			f.kernel.Break(fmt.Sprintf("NEW_DEST %s %v", vip, numbered(n)), unix.ENOBUFS)
			problems = append(problems, fmt.Sprintf("ipvs: add destination %v of tcp %s weight 1: no buffer space available", numbered(n), vip))
		}
		f.configure(unchecked(members))
		f.start()
		f.wait(20 * time.Millisecond)
		if got := len(f.kernel.Table()[key(vip)].Destinations); got != members-len(broken) {
			t.Errorf("%d members, want all of %d but %d", got, members, len(broken))
		}
		f.checkProblems(problems...)
		f.kernel.Journal()
		f.wait(time.Second)
		for _, line := range f.kernel.Journal() {
			if !strings.HasSuffix(line, ": no buffer space available") {
				t.Errorf("%s: was done already", line)
			}
		}
		f.checkProblems(problems...)
		f.kernel.Mend()
		f.wait(6 * time.Second)
		f.checkProblems()
		if got := len(f.kernel.Table()[key(vip)].Destinations); got != members {
			t.Errorf("%d members after the failures, want %d", got, members)
		}
	})
}

// TestManyFailures checks that of very many operations that fail the first are
// shown, and how many more there are.
func TestManyFailures(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		const failing = 500
		var problems []string
		for n := range failing {
			f.kernel.Break(fmt.Sprintf("NEW_DEST %s %v", vip, numbered(n)), unix.ENOMEM)
			if n < 20 {
				problems = append(problems, fmt.Sprintf("ipvs: add destination %v of tcp %s weight 1: cannot allocate memory", numbered(n), vip))
			}
		}
		f.configure(unchecked(failing + 1))
		f.start()
		f.wait(20 * time.Millisecond)
		f.checkProblems(append(problems, "ipvs: 480 more operations are failing")...)
		f.kernel.Mend()
		f.wait(6 * time.Second)
		f.checkProblems()
	})
}

// TestBatchWithFailingService checks that a service that fails in a batch is
// one problem, though its destinations were on their way with it, and that the
// services after it are programmed.
func TestBatchWithFailingService(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Break("NEW_SERVICE "+vip, unix.ENOMEM)
		other := unchecked(2)
		other.Name, other.Services[0].ServiceKey = "other", key("192.168.56.11:80")
		f.configure(unchecked(400), other)
		f.start()
		f.wait(20 * time.Millisecond)
		f.checkProblems("ipvs: add service tcp " + vip + " scheduler wrr: cannot allocate memory")
		if got := len(f.kernel.Table()[other.Services[0].ServiceKey].Destinations); got != 2 {
			t.Errorf("%d members of the other service, want 2", got)
		}
		f.kernel.Mend()
		f.wait(time.Second)
		f.checkProblems()
		if got := len(f.kernel.Table()[key(vip)].Destinations); got != 400 {
			t.Errorf("%d members after the failure, want 400", got)
		}
	})
}

// TestFailureOutlastsChanges checks that an operation which waits for another
// attempt is not forgotten over changes of another service.
func TestFailureOutlastsChanges(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Break("NEW_DEST "+vip+" "+web1, unix.ENOMEM)
		other := www(web2)
		other.Name, other.Services[0].ServiceKey = "other", key("192.168.56.11:80")
		f.configure(www(web1), other)
		f.good(web1)
		f.start()
		f.wait(2 * time.Second)
		problem := "ipvs: add destination " + web1 + " of tcp " + vip + " weight 1: cannot allocate memory"
		f.log.take()
		f.kernel.Journal()
		for range 10 {
			f.Report(other.Services[0].Key(netipAddress(web2)), lvs.Fact{Healthy: true})
			f.wait(20 * time.Millisecond)
			f.checkProblems(problem)
			f.Report(other.Services[0].Key(netipAddress(web2)), lvs.Fact{Reason: "timeout"})
			f.wait(20 * time.Millisecond)
			f.checkProblems(problem)
		}
		if log := f.log.take(); strings.Contains(log, "failing") {
			t.Errorf("a failure has ended, or begun:\n%s", log)
		}
		if attempts := len(f.kernel.Journal()) - 20; attempts > 1 {
			t.Errorf("%d attempts in 0.4 s, after 2 s of failure", attempts)
		}
	})
}

// TestChangeReadsNothing checks that a change between two readings of the
// table makes one edit and reads nothing, however many changes there are, and
// that the table is read as often as ever.
func TestChangeReadsNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.configure(www(web1, web2))
		f.good(web1)
		f.good(web2)
		f.start()
		f.wait(210 * time.Millisecond) // the table was read at 0 and at 200 ms
		passes, edits := f.passes.Load(), f.edits.Load()
		for n := range 3 {
			config := www(web1, web2)
			config.RealServers[1].Weight = uint32(2 + n)
			f.configure(config)
			f.wait(20 * time.Millisecond)
			if got := f.kernel.Table()[key(vip)].Destinations[netipAddress(web2)].Weight; got != uint32(2+n) {
				t.Errorf("weight %d after a reload, want %d", got, 2+n)
			}
		}
		if got := f.edits.Load() - edits; got != 3 {
			t.Errorf("%d operations for 3 changes", got)
		}
		if got := f.passes.Load() - passes; got != 0 {
			t.Errorf("the table was read %d times for 3 changes", got)
		}
		for n := range 100 {
			f.bad(web1, "timeout")
			f.wait(10 * time.Millisecond)
			f.good(web1)
			f.wait(10 * time.Millisecond)
			if n == 50 {
				f.kernel.Flush()
			}
		}
		if got := f.passes.Load() - passes; got < 8 || got > 12 {
			t.Errorf("the table was read %d times in 2 s, want about 10", got)
		}
		if got := len(f.kernel.Table()[key(vip)].Destinations); got != 2 {
			t.Errorf("%d members, want 2", got)
		}
	})
}

// TestChangedBetweenEdits checks that what others have done since the table
// was read is found out by the edit that it makes fail, that the table is made
// as wanted at once, and that this is no failure.
func TestChangedBetweenEdits(t *testing.T) {
	service := lvs.Service{ServiceKey: key(vip), Scheduler: "wrr"}
	for _, tc := range []struct {
		name      string
		interfere func(f *fixture)
		change    func(f *fixture)
		want      []string // the members
		repaired  int      // operations that undo what others have done
	}{
		{
			name:      "service deleted, member added",
			interfere: func(f *fixture) { f.kernel.Flush() },
			change:    func(f *fixture) { f.good(web3) },
			want:      []string{web1, web2, web3}, repaired: 3,
		},
		{
			name:      "service deleted, member deleted",
			interfere: func(f *fixture) { f.kernel.Flush() },
			change:    func(f *fixture) { f.bad(web1, "timeout"); f.good(web3) },
			want:      []string{web2, web3}, repaired: 2,
		},
		{
			name:      "member added that is added",
			interfere: func(f *fixture) { f.kernel.Edit(held(vip, "wrr", web3)[1:]...) },
			change:    func(f *fixture) { f.good(web3) },
			want:      []string{web1, web2, web3},
		},
		{
			name: "member deleted that is deleted",
			interfere: func(f *fixture) {
				f.kernel.Edit(lvs.Op{Kind: lvs.DeleteDestination, Service: service, Destination: lvs.Destination{Address: netipAddress(web2)}})
			},
			change: func(f *fixture) { f.bad(web2, "timeout") },
			want:   []string{web1},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, func(t *testing.T, f *fixture) {
				f.configure(www(web1, web2, web3))
				f.good(web1)
				f.good(web2)
				f.start()
				f.wait(210 * time.Millisecond)
				f.log.take()
				tc.interfere(f)
				tc.change(f)
				f.wait(20 * time.Millisecond)
				want := []string{"-A -t " + vip + " -s wrr"}
				for _, address := range tc.want {
					want = append(want, "-a -t "+vip+" -r "+address+" -m -w 1")
				}
				f.check(want...)
				f.checkProblems()
				log := f.log.take()
				if strings.Contains(log, "failing") {
					t.Errorf("a failure is logged:\n%s", log)
				}
				line := fmt.Sprintf(`msg="ipvs table repaired" operations=%d`, tc.repaired)
				if got := strings.Contains(log, line); got != (tc.repaired > 0) {
					t.Errorf("log has %q: %v\n%s", line, got, log)
				}
			})
		})
	}
}

// TestLogBound checks that of many real servers that change at once twenty are
// logged one by one, and of the others how many there are in which state.
func TestLogBound(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		var addresses []string
		for n := range 120 {
			addresses = append(addresses, numbered(n).String())
		}
		f.configure(www(addresses...))
		f.start()
		f.wait(50 * time.Millisecond)
		for _, step := range []struct {
			change func(address string)
			count  int
			want   string // the line about the rest; "": none
		}{
			{f.good, 120, `level=INFO msg="more real servers" member=100`},
			{func(address string) { f.bad(address, "timeout") }, 21, `level=INFO msg="more real servers" out=1`},
			{f.good, 20, ""},
		} {
			f.log.take()
			for _, address := range addresses[:step.count] {
				step.change(address)
			}
			f.wait(50 * time.Millisecond)
			lines := strings.Split(strings.TrimSpace(f.log.take()), "\n")
			single := 0
			for _, line := range lines {
				if strings.HasPrefix(line, `level=INFO msg="real server" `) {
					single++
				}
			}
			if single != 20 {
				t.Errorf("%d changes: %d lines of single ones, want 20", step.count, single)
			}
			switch last := lines[len(lines)-1]; {
			case step.want == "" && len(lines) != 20, step.want != "" && (last != step.want || len(lines) != 21):
				t.Errorf("%d changes: %d lines, the last one %q, want %q", step.count, len(lines), last, step.want)
			}
		}
	})
}
