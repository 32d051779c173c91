package director_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/lvs"
	"bascule/lvs/director"
	"bascule/lvs/ipvs/ipvstest"
)

const (
	vip  = "192.168.56.10:80"
	web1 = "192.168.200.11:80"
	web2 = "192.168.200.12:80"
	web3 = "192.168.200.13:80"
)

// buffer is a log that goroutines may write to and read.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends to the log.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// take returns what was logged since the last call.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

// counter counts the calls of the kernels that it is put in front of, and can
// hold them up.
type counter struct {
	passes  atomic.Uint64 // tables read, as a whole or in part
	wholes  atomic.Uint64 // tables read as a whole
	batches atomic.Uint64 // calls that edit
	edits   atomic.Uint64 // operations, also those that failed

	part    atomic.Int64                  // how many destinations are read at a time; 0: as many as are asked for
	answers atomic.Pointer[chan struct{}] // closed when tables can be read; nil is now
	beyond  atomic.Pointer[beyond]        // what is not in the table
}

// beyond is what a kernel holds and says beyond its table.
type beyond struct {
	busy     bool // whether every destination has a connection
	daemons  map[lvs.SyncRole]lvs.SyncDaemon
	timeouts lvs.Timeouts
}

// change changes what the kernel holds beyond its table.
func (c *counter) change(change func(*lvs.State, *bool)) {
	next := beyond{daemons: map[lvs.SyncRole]lvs.SyncDaemon{}}
	if old := c.beyond.Load(); old != nil {
		next.busy, next.timeouts = old.busy, old.timeouts
		maps.Copy(next.daemons, old.daemons)
	}
	state := lvs.State{Daemons: next.daemons, Timeouts: next.timeouts}
	change(&state, &next.busy)
	for role, d := range next.daemons {
		next.daemons[role] = started(d)
	}
	next.timeouts = state.Timeouts
	c.beyond.Store(&next)
}

// started returns a sync daemon as the kernel has it: what was not said, it
// has chosen.
func started(d lvs.SyncDaemon) lvs.SyncDaemon {
	d.Index = 0 // it does not say
	d.MaxLength, d.Port, d.TTL = cmp.Or(d.MaxLength, 1460), cmp.Or(d.Port, 8848), cmp.Or(d.TTL, 1)
	if !d.Group.IsValid() {
		d.Group = netip.MustParseAddr("224.0.0.81")
	}
	return d
}

// fill adds to a reading what is not in the table.
func (c *counter) fill(reading *lvs.Reading) {
	b := c.beyond.Load()
	if b == nil {
		b = &beyond{}
	}
	reading.Daemons, reading.Timeouts = maps.Clone(b.daemons), b.timeouts
	for _, destinations := range reading.Usage {
		for address := range destinations {
			destinations[address] = lvs.Usage{}
			if b.busy {
				destinations[address] = lvs.Usage{Active: 1}
			}
		}
	}
}

// spent is the processor time of a reading on some machine: 4 us a service, and 2 a
// destination.
func spent(reading lvs.Reading) time.Duration {
	took := time.Duration(len(reading.Table)) * 4 * time.Microsecond
	for _, counted := range reading.Usage {
		took += time.Duration(len(counted)) * 2 * time.Microsecond
	}
	return took
}

// hang makes the reading of tables wait until a channel is closed.
func (c *counter) hang(answer chan struct{}) {
	c.answers.Store(&answer)
}

// on returns a kernel whose calls are counted.
func (c *counter) on(kernel director.Kernel) director.Kernel {
	return counted{kernel, c}
}

// counted is a kernel whose calls are counted.
type counted struct {
	director.Kernel
	counter *counter
}

// Read counts a table that was read.
func (c counted) Read() (lvs.Reading, error) {
	c.counter.wholes.Add(1)
	return c.read(c.Kernel.Read)
}

// ReadPart counts a table that was read in part.
func (c counted) ReadPart(known lvs.Table, limit int) (lvs.Reading, error) {
	limit = cmp.Or(int(c.counter.part.Load()), limit)
	return c.read(func() (lvs.Reading, error) { return c.Kernel.ReadPart(known, limit) })
}

// read is either.
func (c counted) read(read func() (lvs.Reading, error)) (lvs.Reading, error) {
	if answer := c.counter.answers.Load(); answer != nil {
		<-*answer
	}
	reading, err := read()
	if err == nil {
		c.counter.passes.Add(1)
		c.counter.fill(&reading)
		reading.Spent = spent(reading)
	}
	return reading, err
}

// ApplyAll counts operations, and does itself what is beyond the table.
func (c counted) ApplyAll(ops []lvs.Op) []error {
	c.counter.batches.Add(1)
	c.counter.edits.Add(uint64(len(ops)))
	errs := make([]error, len(ops))
	for start, i := 0, 0; i <= len(ops); i++ {
		if i < len(ops) && !beyondTable(ops[i]) {
			continue
		}
		copy(errs[start:i], c.Kernel.ApplyAll(ops[start:i]))
		if i < len(ops) {
			c.counter.change(func(state *lvs.State, _ *bool) { state.Apply(ops[i]) })
		}
		start = i + 1
	}
	return errs
}

// beyondTable says whether an operation is not about the table.
func beyondTable(op lvs.Op) bool {
	return op.Kind == lvs.SetTimeouts || op.Kind == lvs.StartDaemon || op.Kind == lvs.StopDaemon
}

// fixture is a director on a kernel in memory, in a bubble of virtual time.
type fixture struct {
	*director.Director
	counter
	t      *testing.T
	kernel *ipvstest.Kernel
	log    *buffer
	stop   func() // ends Run and waits for it

	refusal atomic.Pointer[error] // why no connection to the kernel can be made
}

// refuse makes connections to the kernel fail, or not any more if err is nil.
func (f *fixture) refuse(err error) {
	if err == nil {
		f.refusal.Store(nil)
		return
	}
	f.refusal.Store(&err)
}

// run runs a test with a director that is not running yet.
func run(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, ipvstest.New())
		test(t, f)
		f.stop()
	})
}

// newFixture returns a director that is not running yet.
func newFixture(t *testing.T, kernel *ipvstest.Kernel) *fixture {
	f := &fixture{t: t, kernel: kernel, log: &buffer{}, stop: func() {}}
	handler := slog.NewTextHandler(f.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	dial := func() (director.Kernel, error) {
		if refusal := f.refusal.Load(); refusal != nil {
			return nil, *refusal
		}
		client, err := kernel.Dial()
		if err != nil {
			return nil, err
		}
		return f.on(client), nil
	}
	f.Director = director.New(dial, slog.New(handler))
	return f
}

// start runs the director until stop is called.
func (f *fixture) start() {
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
}

// wait lets virtual time pass.
func (f *fixture) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// check compares the kernel's table with lines of ipvsadm -Sn.
func (f *fixture) check(want ...string) {
	f.t.Helper()
	got := strings.Split(strings.TrimSpace(f.kernel.String()), "\n")
	if len(want) == 0 {
		want = []string{""}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		f.t.Errorf("kernel (-want +got):\n%s", diff)
	}
}

// checkJournal compares the edits asked of the kernel since the last time.
func (f *fixture) checkJournal(want ...string) {
	f.t.Helper()
	if diff := gocmp.Diff(want, f.kernel.Journal()); diff != "" {
		f.t.Errorf("edits (-want +got):\n%s", diff)
	}
}

// checkLog compares what was logged since the last time.
func (f *fixture) checkLog(want ...string) {
	f.t.Helper()
	got := strings.Split(strings.TrimSpace(f.log.take()), "\n")
	if diff := gocmp.Diff(want, got); diff != "" {
		f.t.Errorf("log (-want +got):\n%s", diff)
	}
}

// checkProblems compares the problems of the snapshot.
func (f *fixture) checkProblems(want ...string) {
	f.t.Helper()
	if diff := gocmp.Diff(want, f.Snapshot().Problems); diff != "" {
		f.t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// www returns a virtual server with checked real servers of weight 1.
func www(addresses ...string) lvs.VirtualServerConfig {
	config := lvs.VirtualServerConfig{Name: "www", Services: []lvs.Service{{ServiceKey: key(vip), Scheduler: "wrr"}}}
	for _, address := range addresses {
		config.RealServers = append(config.RealServers, lvs.RealServerConfig{
			Address: netip.MustParseAddrPort(address), Weight: 1, Checked: true,
		})
	}
	return config
}

// key returns the key of a TCP service.
func key(address string) lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.TCP, Address: netip.MustParseAddrPort(address)}
}

// configure configures virtual servers with nothing owned.
func (f *fixture) configure(servers ...lvs.VirtualServerConfig) {
	f.Configure(servers, nil)
}

// good reports a good check of a real server of www.
func (f *fixture) good(address string) {
	f.Report(lvs.RealServerKey{Service: key(vip), Address: netip.MustParseAddrPort(address)}, lvs.Fact{Healthy: true})
}

// bad reports a failed check.
func (f *fixture) bad(address, reason string) {
	f.Report(lvs.RealServerKey{Service: key(vip), Address: netip.MustParseAddrPort(address)}, lvs.Fact{Reason: reason})
}

// held returns the operations that put a service with destinations into the
// kernel.
func held(address, scheduler string, destinations ...string) []lvs.Op {
	service := lvs.Service{ServiceKey: key(address), Scheduler: scheduler}
	ops := []lvs.Op{{Kind: lvs.AddService, Service: service}}
	for _, d := range destinations {
		ops = append(ops, lvs.Op{Kind: lvs.AddDestination, Service: service,
			Destination: lvs.Destination{Address: netip.MustParseAddrPort(d), Weight: 1}})
	}
	return ops
}

// netipComparer lets cmp compare addresses, whose fields are not exported.
var netipComparer = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

// ignoreTimes lets cmp compare states whatever their times.
var ignoreTimes = gocmp.Comparer(func(time.Time, time.Time) bool { return true })

// netipAddress returns an address with its port.
func netipAddress(address string) netip.AddrPort {
	return netip.MustParseAddrPort(address)
}

// numbered returns the address of the nth of many real servers.
func numbered(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80)
}
