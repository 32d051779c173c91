package director_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs/ipvstest"
)

// slow is a kernel that takes its time.
type slow struct {
	director.Kernel
	read, write time.Duration
}

// Read reads the table in the time that reading takes.
func (s slow) Read() (lvs.Reading, error) {
	time.Sleep(s.read)
	return s.Kernel.Read()
}

// ReadPart reads a part of the table in the same time.
func (s slow) ReadPart(known lvs.Table, limit int) (lvs.Reading, error) {
	time.Sleep(s.read)
	return s.Kernel.ReadPart(known, limit)
}

// ApplyAll carries out operations in the time that writing takes, however many
// they are.
func (s slow) ApplyAll(ops []lvs.Op) []error {
	time.Sleep(s.write)
	return s.Kernel.ApplyAll(ops)
}

// Close fails, which stops nothing.
func (s slow) Close() error {
	return errors.Join(s.Kernel.Close(), errors.New("not closed"))
}

// runSlow runs a director on a slow kernel, in a bubble of virtual time.
func runSlow(t *testing.T, read, write time.Duration, test func(kernel *ipvstest.Kernel, d *director.Director, calls *counter), options ...director.Option) {
	synctest.Test(t, func(t *testing.T) {
		kernel, log, calls := ipvstest.New(), &buffer{}, &counter{}
		d := director.New(func() (director.Kernel, error) {
			client, err := kernel.Dial()
			if err != nil {
				return nil, err
			}
			return slow{calls.on(client), read, write}, nil
		}, slog.New(slog.NewTextHandler(log, nil)), options...)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		test(kernel, d, calls)
		start := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(start); took > read+write {
			t.Errorf("Run ended %v after its context", took)
		}
		if !strings.Contains(log.take(), `msg="ipvs connection not closed"`) {
			t.Error("the connection was not closed, or its error is not logged")
		}
	})
}

// unchecked returns a virtual server with n real servers that are not checked.
func unchecked(n int) lvs.VirtualServerConfig {
	config := www()
	for i := range n {
		config.RealServers = append(config.RealServers, lvs.RealServerConfig{Address: numbered(i), Weight: 1})
	}
	return config
}

// TestManyServices checks that a large table is read less often, and that a
// slow answer does not matter for the period.
func TestManyServices(t *testing.T) {
	for services, passes := range map[int]uint64{1: 133, 1000: 80, 10000: 10} {
		runSlow(t, 100*time.Millisecond, 0, func(_ *ipvstest.Kernel, d *director.Director, calls *counter) {
			var servers []lvs.VirtualServerConfig
			for n := range services {
				vs := www()
				vs.Services[0].Address = numbered(n)
				servers = append(servers, vs)
			}
			d.Configure(servers, nil)
			time.Sleep(40 * time.Second)
			if got := calls.passes.Load(); got < passes-2 || got > passes+2 {
				t.Errorf("%d services: %d passes in 40 s, want about %d", services, got, passes)
			}
		})
	}
}

// paused is a kernel on a machine that takes a pause for processor time.
type paused struct{ director.Kernel }

// Read reads the table, with a pause of an hour.
func (p paused) Read() (lvs.Reading, error) {
	reading, err := p.Kernel.Read()
	reading.Spent = time.Hour
	return reading, err
}

// TestPauseWhileReading checks that the table is read again soon, whatever the
// latest reading seems to have taken.
func TestPauseWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel, calls := ipvstest.New(), &counter{}
		d := director.New(func() (director.Kernel, error) {
			client, err := kernel.Dial()
			if err != nil {
				return nil, err
			}
			return paused{calls.on(client)}, nil
		}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		d.Configure([]lvs.VirtualServerConfig{unchecked(1)}, nil)
		time.Sleep(9 * time.Second)
		if passes := calls.passes.Load(); passes != 1 {
			t.Errorf("%d readings at first, want one", passes)
		}
		time.Sleep(2 * time.Second)
		if passes := calls.passes.Load(); passes < 2 {
			t.Error("no other reading in 11 s")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestStopWhileEditing checks that the end does not wait for all edits.
func TestStopWhileEditing(t *testing.T) {
	runSlow(t, 0, time.Second, func(kernel *ipvstest.Kernel, d *director.Director, _ *counter) {
		d.Configure([]lvs.VirtualServerConfig{unchecked(5000)}, nil)
		time.Sleep(10500 * time.Millisecond)
		if members := len(kernel.Table()[key(vip)].Destinations); members == 0 || members > 4000 {
			t.Errorf("%d members after 10 s, want some and not all", members)
		}
	})
}

// TestReportDoesNotWait checks that neither facts nor a configuration wait for
// a busy kernel, and that the latest count.
func TestReportDoesNotWait(t *testing.T) {
	runSlow(t, 0, time.Second, func(kernel *ipvstest.Kernel, d *director.Director, _ *counter) {
		d.Configure([]lvs.VirtualServerConfig{unchecked(10)}, nil)
		time.Sleep(2 * time.Second)
		start := time.Now()
		d.Configure([]lvs.VirtualServerConfig{www(web1, web2)}, nil)
		for range 1000 {
			for _, address := range []string{web1, web2} {
				d.Report(lvs.RealServerKey{Service: key(vip), Address: netipAddress(address)}, lvs.Fact{Healthy: address == web1})
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("1000 reports and a configuration took %v", took)
		}
		time.Sleep(time.Minute)
		if got := kernel.String(); got != "-A -t "+vip+" -s wrr\n-a -t "+vip+" -r "+web1+" -m -w 1\n" {
			t.Errorf("kernel:\n%s", got)
		}
	})
}

// TestOptions checks that period and retry are as asked for.
func TestOptions(t *testing.T) {
	runSlow(t, 0, 0, func(kernel *ipvstest.Kernel, d *director.Director, calls *counter) {
		d.Configure([]lvs.VirtualServerConfig{unchecked(1)}, nil)
		time.Sleep(time.Minute)
		if passes := calls.passes.Load(); passes < 6 || passes > 8 {
			t.Errorf("%d passes in a minute, want one in 10 s", passes)
		}
		kernel.SetAbsent(true)
		time.Sleep(10 * time.Second)
		before := kernel.Dials()
		time.Sleep(time.Minute)
		if dials := kernel.Dials() - before; dials < 19 || dials > 21 {
			t.Errorf("%d attempts in a minute, want one in 3 s", dials)
		}
		kernel.SetAbsent(false)
		time.Sleep(5 * time.Second)
	}, director.WithPeriod(10*time.Second), director.WithRetry(3*time.Second, 3*time.Second))
}

// hung is a kernel that stops answering.
type hung struct {
	director.Kernel
	table, edit chan struct{} // closed when calls are answered again; nil is at once
}

// Read reads the table when the kernel answers.
func (h hung) Read() (lvs.Reading, error) {
	if h.table != nil {
		<-h.table
	}
	return h.Kernel.Read()
}

// ApplyAll carries out operations when the kernel answers.
func (h hung) ApplyAll(ops []lvs.Op) []error {
	if h.edit != nil {
		<-h.edit
	}
	return h.Kernel.ApplyAll(ops)
}

// TestHungKernel checks that a call of the kernel that hangs is a problem for
// as long as it does, next to those there were before, whatever call it is.
func TestHungKernel(t *testing.T) {
	for _, call := range []string{"dial", "table", "edit"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kernel, answer := ipvstest.New(), make(chan struct{})
				d := director.New(func() (director.Kernel, error) {
					h := hung{}
					switch call {
					case "dial":
						<-answer
					case "table":
						h.table = answer
					case "edit":
						h.edit = answer
					}
					client, err := kernel.Dial()
					h.Kernel = client
					return h, err
				}, slog.New(slog.DiscardHandler))
				d.Configure([]lvs.VirtualServerConfig{unchecked(1)}, nil)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- d.Run(ctx) }()
				for _, step := range []struct {
					wait time.Duration
					want []string
				}{
					{time.Second, nil},
					{11500 * time.Millisecond, []string{"ipvs: no answer from the kernel for 12s"}},
					{time.Hour, []string{"ipvs: no answer from the kernel for 1h0m12s"}},
				} {
					time.Sleep(step.wait)
					if got := d.Snapshot().Problems; !slices.Equal(got, step.want) {
						t.Errorf("problems %q, want %q", got, step.want)
					}
				}
				close(answer)
				time.Sleep(5 * time.Second)
				if got := d.Snapshot().Problems; len(got) > 0 || len(kernel.Table()) != 1 {
					t.Errorf("after an answer: problems %q, kernel\n%v", got, kernel)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// TestHungKernelKeepsProblems checks that what was a problem before the kernel
// stopped answering is shown still, and that Clear names both.
func TestHungKernelKeepsProblems(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.kernel.Break("NEW_SERVICE "+vip, unix.ENOMEM)
		f.configure(www(web1))
		f.start()
		f.wait(time.Second)
		problem := "ipvs: add service tcp " + vip + " scheduler wrr: cannot allocate memory"
		f.checkProblems(problem)
		answer := make(chan struct{})
		f.hang(answer)
		f.wait(5 * time.Second)
		f.checkProblems("ipvs: no answer from the kernel for 4s", problem)
		f.checkProblems("ipvs: no answer from the kernel for 4s", problem)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := f.Clear(ctx); err == nil || !strings.Contains(err.Error(), "no answer from the kernel for 5s; ipvs: add service") {
			t.Errorf("Clear: %v", err)
		}
		close(answer)
		f.wait(time.Second)
		f.checkProblems()
	})
}
