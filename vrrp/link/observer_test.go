package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
	"bascule/vrrp/link/linktest"
)

// fakeSystem is a kernel in memory for a whole Network: linktest.Kernel keeps
// the addresses, this keeps the rest.
type fakeSystem struct {
	*linktest.Kernel
	mu       sync.Mutex
	devices  map[string]device
	settings map[string]int        // by interface, dot, name
	flags    map[netip.Prefix]int  // of addresses, as the kernel shows them
	fail     error                 // of Device
	refuse   error                 // of listen
	refused  map[vrrp.Family]error // of listen, by family
	sockets  []*fakeSocket
	hints    chan []hint
	closed   bool  // the seams were closed
	broken   error // of subscribe
	started  time.Time
}

// newFakeSystem returns a system with one interface that works.
func newFakeSystem() *fakeSystem {
	s := &fakeSystem{
		Kernel: linktest.NewKernel("eth0"), started: time.Now(), hints: make(chan []hint, 1024),
		settings: make(map[string]int), flags: make(map[netip.Prefix]int),
		devices: map[string]device{"eth0": {index: 7, up: true, hardware: net.HardwareAddr{2, 0, 0, 0, 0, 7}}},
	}
	_ = s.Kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24"))
	s.Kernel.Watch(func(iface string) {
		s.mu.Lock()
		index := s.devices[iface].index
		s.mu.Unlock()
		s.hints <- []hint{{index: index}}
	})
	return s
}

// system returns the seams of a Network.
func (s *fakeSystem) system() system {
	return system{
		devices: s, editor: s.Kernel, close: func() { s.closed = true },
		listen: func(iface string, index int, family vrrp.Family) (socket, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := errors.Join(s.refuse, s.refused[family]); err != nil {
				return nil, err
			}
			f := &fakeSocket{iface: iface, index: index, family: family, in: make(chan vrrp.Received, 16), closed: make(chan struct{})}
			s.sockets = append(s.sockets, f)
			return f, nil
		},
		frames: func(d device, _ ethernet.EtherType) (frameWriter, error) { return &frameLog{index: d.index}, nil },
		subscribe: func() (subscription, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.broken != nil {
				return nil, s.broken
			}
			return &fakeSubscription{hints: s.hints, closed: make(chan struct{})}, nil
		},
	}
}

// Device returns an interface.
func (s *fakeSystem) Device(name string) (device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[name]
	switch {
	case s.fail != nil:
		return device{}, s.fail
	case !ok:
		return device{}, unix.ENODEV
	}
	return d, nil
}

// DeviceAddresses lists an interface by its index. The lock is not held while
// the kernel takes its time.
func (s *fakeSystem) DeviceAddresses(index int) ([]address, error) {
	list, err := s.Kernel.Addresses(s.nameOf(index))
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []address
	for _, p := range list {
		out = append(out, newAddress(p, s.flags[p], 0))
	}
	if errors.Is(err, unix.ENODEV) {
		err = nil // like Linux, which knows no address of that index
	}
	return out, err
}

// IPv6Setting returns what the test has set, 0 otherwise.
func (s *fakeSystem) IPv6Setting(iface, name string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings[iface+"."+name], nil
}

// nameOf returns the name of the interface with that index.
func (s *fakeSystem) nameOf(index int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, d := range s.devices {
		if d.index == index {
			return name
		}
	}
	return ""
}

// set changes an interface, or deletes it if d is nil, and notifies.
func (s *fakeSystem) set(name string, d *device) {
	s.mu.Lock()
	h := hint{index: s.devices[name].index, name: name}
	if d == nil {
		delete(s.devices, name)
	} else {
		s.devices[name] = *d
		h.index = d.index
	}
	s.mu.Unlock()
	s.hints <- []hint{h}
}

// open returns the sockets that are open.
func (s *fakeSystem) open() []*fakeSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*fakeSocket
	for _, f := range s.sockets {
		select {
		case <-f.closed:
		default:
			out = append(out, f)
		}
	}
	return out
}

// fakeSocket is a socket in memory.
type fakeSocket struct {
	iface  string
	index  int
	family vrrp.Family
	in     chan vrrp.Received
	once   sync.Once
	closed chan struct{}
}

// Send accepts everything.
func (f *fakeSocket) Send(netip.Addr, netip.Addr, []byte) error { return nil }

// Receive delivers what is put into the channel.
func (f *fakeSocket) Receive(deliver func(vrrp.Batch)) error {
	for {
		select {
		case p, ok := <-f.in:
			if !ok {
				return unix.ENETDOWN
			}
			deliver(vrrp.Batch{p})
		case <-f.closed:
			return net.ErrClosed
		}
	}
}

// Drain hands over what waits in the channel.
func (f *fakeSocket) Drain(deliver func(vrrp.Batch)) {
	for len(f.in) > 0 {
		deliver(vrrp.Batch{<-f.in})
	}
}

// Close closes it.
func (f *fakeSocket) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// fakeSubscription delivers hints from a channel.
type fakeSubscription struct {
	hints  chan []hint
	once   sync.Once
	closed chan struct{}
}

// Receive waits for hints; nil ones stand for lost ones.
func (f *fakeSubscription) Receive() ([]hint, error) {
	select {
	case h := <-f.hints:
		if h == nil {
			return nil, unix.ENOBUFS
		}
		return h, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close ends it.
func (f *fakeSubscription) Close() { f.once.Do(func() { close(f.closed) }) }

// fakeNetwork is a Network on a fakeSystem that runs until the end of the test.
type fakeNetwork struct {
	*Network
	system *fakeSystem
	mu     sync.Mutex
	events []vrrp.Event
	last   vrrp.LinkState // the last one expected
}

// startFake starts a Network on a system.
func startFake(t *testing.T, s *fakeSystem) *fakeNetwork {
	f := &fakeNetwork{Network: New(testLog(t)), system: s}
	f.Network.system = s.system()
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		err := f.Run(ctx, func(ev vrrp.Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, ev)
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		run.Wait()
		if left := s.open(); len(left) > 0 {
			t.Errorf("%d sockets are open after the end", len(left))
		}
	})
	return f
}

// expect waits until nothing moves and compares the faults that were
// reported since the last call.
func (f *fakeNetwork) expect(t *testing.T, want ...vrrp.Fault) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	var got []vrrp.Fault
	for _, ev := range f.events {
		if s, ok := ev.(vrrp.LinkState); ok {
			got = append(got, s.Fault)
			f.last = s
			if s.Fault != vrrp.NoFault && len(s.Sources) > 0 || s.Family != vrrp.IPv4 {
				t.Errorf("state %+v", s)
			}
		}
	}
	f.events = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
}

// TestObserverReports each change of an interface once, and no repetition.
func TestObserverReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", prefixes("10.0.0.10/24"), nil))
		f.expect(t, vrrp.NoFault)
		time.Sleep(time.Hour)
		f.expect(t)
		s.set("eth0", &device{index: 7})
		f.expect(t, vrrp.FaultDown)
		if err := f.Send("eth0", netip.MustParseAddr("10.0.0.1"), vrrp.IPv4.MulticastAddress(), nil); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("Send on a link that is down: %v", err)
		}
		s.set("eth0", &device{index: 7, up: true})
		f.expect(t, vrrp.NoFault)
		must(t, s.Kernel.Delete("eth0", netip.MustParsePrefix("10.0.0.1/24")))
		f.expect(t, vrrp.NoFault)
		must(t, s.Kernel.Add("eth0", netip.MustParsePrefix("10.0.0.1/24")))
		f.expect(t, vrrp.NoFault)
		s.set("eth0", nil)
		f.expect(t, vrrp.FaultMissing)
		if len(s.open()) != 0 {
			t.Error("the socket of a missing interface is open")
		}
		s.set("eth0", &device{index: 8, up: true})
		f.expect(t, vrrp.NoFault)
		if open := s.open(); len(open) != 1 || open[0].index != 8 {
			t.Errorf("sockets %+v, want one for index 8", open)
		}
		s.set("eth0", &device{index: 9, up: true}) // recreated faster than we look
		f.expect(t)
		if open := s.open(); len(open) != 1 || open[0].index != 9 {
			t.Errorf("sockets %+v, want one for index 9", open)
		}
	})
}

// TestObserverRenewed wakes the addresser when an interface has another index
// than before, or none: changes of its addresses came, or its new name comes,
// as hints that nobody understands.
func TestObserverRenewed(t *testing.T) {
	s := newFakeSystem()
	n := New(testLog(t))
	n.system = s.system()
	n.deliver = func(vrrp.Event) {}
	n.Want(wantOne("eth0", nil, nil))
	p := (*n.ports.Load())["eth0"]
	defer p.observer.shut()
	for i, want := range []struct {
		index int
		woken bool
	}{{7, true}, {7, false}, {8, true}, {8, false}, {0, true}, {0, false}, {8, true}} {
		if s.set("eth0", &device{index: want.index, up: true}); want.index == 0 {
			s.set("eth0", nil)
		}
		must(t, p.observer.observe())
		woken := len(p.addresser.touched) == 1
		if woken != want.woken {
			t.Errorf("look %d, index %d: the addresser is woken: %t, want %t", i, want.index, woken, want.woken)
		}
		if woken {
			<-p.addresser.touched
		}
	}
}

// TestObserverSocketFails shows a fault while the socket cannot be opened and
// tries again by itself.
func TestObserverSocketFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		s.refuse = errors.New("operation not permitted")
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		f.expect(t, vrrp.FaultSocket)
		time.Sleep(time.Hour)
		f.expect(t)
		if d := cmp.Diff([]string{"eth0: operation not permitted"}, f.Problems()); d != "" {
			t.Errorf("problems (-want +got):\n%s", d)
		}
		if err := f.Send("eth0", netip.MustParseAddr("10.0.0.1"), vrrp.IPv4.MulticastAddress(), nil); err == nil {
			t.Error("Send succeeds without a socket")
		}
		s.mu.Lock()
		s.refuse = nil
		s.mu.Unlock()
		time.Sleep(lastRetry)
		f.expect(t, vrrp.NoFault)
		if p := f.Problems(); len(p) > 0 {
			t.Errorf("problems: %q", p)
		}
		close(s.open()[0].in) // the socket breaks
		time.Sleep(firstRetry)
		synctest.Wait()
		if open := s.open(); len(open) != 1 {
			t.Errorf("%d sockets are open after one broke, want another one", len(open))
		}
		f.expect(t)
	})
}

// TestObserverCannotLook keeps the last state while the kernel does not
// answer, and says so.
func TestObserverCannotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSystem()
		f := startFake(t, s)
		f.Want(wantOne("eth0", nil, prefixes("10.0.0.10/24")))
		f.expect(t, vrrp.NoFault)
		s.mu.Lock()
		s.fail = unix.EAGAIN
		s.mu.Unlock()
		s.set("eth0", &device{index: 7})
		f.expect(t)
		if len(f.Problems()) != 1 {
			t.Errorf("problems %q, want one", f.Problems())
		}
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(lastRetry)
		f.expect(t, vrrp.FaultDown)
		if p := f.Problems(); len(p) > 0 {
			t.Errorf("problems: %q", p)
		}
	})
}
