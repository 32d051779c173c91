package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ethernet"

	"bascule/vrrp"
)

// resyncInterval is how often everything is read again although the kernel
// said nothing.
const resyncInterval = 5 * time.Second

// errNoSocket is the error of Send where there is no socket to send by.
var errNoSocket = errors.New("no socket is open on the interface")

// errUnknown is the error of Send for an interface that is not wanted.
var errUnknown = errors.New("the interface is not managed")

// system is the kernel, in the parts that can fail.
type system struct {
	devices   deviceReader
	editor    addressEditor
	listen    func(iface string, index int, family vrrp.Family) (socket, error)
	frames    func(device, ethernet.EtherType) (frameWriter, error)
	subscribe func() (subscription, error)
	close     func()
}

// Network is the interfaces of this host. Send, Drain, Want and Announce
// belong to one goroutine, the speaker's; the other methods may be called by
// any.
type Network struct {
	log      *slog.Logger
	schedule Schedule
	system   system
	deliver  func(vrrp.Event) // set by Run

	mu         sync.Mutex // guards the replacement of ports, generation and schedule
	generation uint64
	ports      atomic.Pointer[map[string]*port]

	progress bell // to Run: a port is new, has settled, has reported
	monitor  *monitor
	ready    chan struct{}
	waiters  broadcast
}

// Option changes a Network.
type Option func(*Network)

// WithSchedule sets how addresses are announced, DefaultSchedule otherwise.
func WithSchedule(s Schedule) Option { return func(n *Network) { n.schedule = s } }

// New returns a Network of the network namespace of this process. It does
// nothing before Run; what is wanted earlier is done then.
func New(log *slog.Logger, options ...Option) *Network {
	n := &Network{
		log:      log,
		schedule: DefaultSchedule(),
		progress: newBell(),
		ready:    make(chan struct{}),
		waiters:  broadcast{ch: make(chan struct{})},
	}
	n.monitor = &monitor{log: log, hint: n.hint, resync: n.resync}
	look, edit := &kernel{}, &kernel{} // two sockets: an edit never delays a look
	n.system = system{
		devices: look,
		editor:  edit,
		listen: func(iface string, index int, family vrrp.Family) (socket, error) {
			c, err := listen(log, iface, index, family)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		frames:    openFrames,
		subscribe: subscribe,
		close: func() {
			look.Close()
			edit.Close()
		},
	}
	n.ports.Store(&map[string]*port{})
	for _, o := range options {
		o(n)
	}
	return n
}

// Run serves the interfaces until ctx ends; then sockets are closed, while
// addresses stay as they are. deliver receives vrrp.Batch and
// vrrp.LinkState from several goroutines and may wait briefly. Run is called
// once; it returns an error only if it cannot begin.
func (n *Network) Run(ctx context.Context, deliver func(vrrp.Event)) error {
	n.deliver = deliver
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	defer n.system.close()
	defer parts.Wait()
	defer cancel()
	n.monitor.subscribe = n.system.subscribe
	parts.Go(func() { n.monitor.run(ctx) })
	stops := make(map[*port]context.CancelFunc)
	tick := time.NewTicker(resyncInterval)
	defer tick.Stop()
	for {
		n.tend(ctx, &parts, stops)
		select {
		case <-ctx.Done():
			return nil
		case <-n.progress:
		case <-tick.C:
			n.resync()
		}
	}
}

// tend starts ports that are new, ends those that are done, and tells who
// waits for Settle or Ready.
func (n *Network) tend(ctx context.Context, parts *sync.WaitGroup, stops map[*port]context.CancelFunc) {
	for _, p := range *n.ports.Load() {
		if _, ok := stops[p]; !ok {
			portCtx, stop := context.WithCancel(ctx)
			stops[p] = stop
			parts.Go(func() { p.run(portCtx) })
		}
	}
	for p, stop := range stops {
		if n.retire(p) {
			stop()
			delete(stops, p)
		}
	}
	if n.known() {
		select {
		case <-n.ready:
		default:
			close(n.ready)
		}
	}
	n.waiters.tell()
}

// retire forgets a port whose interface is not wanted any more and that has
// nothing left to remove.
func (n *Network) retire(p *port) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !p.goal.Load().closing || !p.settled() {
		return false
	}
	next := maps.Clone(*n.ports.Load())
	delete(next, p.name)
	n.ports.Store(&next)
	return true
}

// known reports whether something is wanted and every interface has reported.
func (n *Network) known() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range *n.ports.Load() {
		if !p.reported() && !p.goal.Load().closing {
			return false
		}
	}
	return n.generation > 0
}

// Want replaces the wanted state of the addresses of all interfaces. What was
// wanted or unwanted before and is no longer mentioned is removed once; an
// interface that is no longer named is given up after that.
func (n *Network) Want(wanted map[string]vrrp.Wanted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.generation++
	next := maps.Clone(*n.ports.Load())
	for name, w := range wanted {
		p := next[name]
		if p == nil {
			p = newPort(n, name)
			next[name] = p
		}
		p.aim(n.generation, w, false)
	}
	for name, p := range next {
		if _, ok := wanted[name]; !ok {
			p.aim(n.generation, vrrp.Wanted{}, true)
		}
	}
	n.ports.Store(&next)
	n.progress.ring()
}

// Announce sends gratuitous ARP or unsolicited neighbour advertisements for
// addresses as soon as they are on the
// interface, as long as they are wanted there.
func (n *Network) Announce(iface string, addresses []netip.Prefix) {
	if p := (*n.ports.Load())[iface]; p != nil {
		p.announcer.announce(addresses)
	}
}

// SetSchedule replaces how addresses are announced. What is being announced
// goes on by the new schedule.
func (n *Network) SetSchedule(s Schedule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.schedule = s
	for _, p := range *n.ports.Load() {
		p.announcer.setSchedule(s)
	}
}

// Send transmits one advertisement with TTL 255 from source, an address of
// the interface, to a multicast group or a host. It never waits: what the
// kernel cannot take now, or what cannot leave, is an error.
func (n *Network) Send(iface string, source, destination netip.Addr, payload []byte) error {
	p := (*n.ports.Load())[iface]
	if p == nil {
		return fmt.Errorf("interface %s: %w", iface, errUnknown)
	}
	if err := p.send(source, destination, payload); err != nil {
		return fmt.Errorf("interface %s: %w", iface, err)
	}
	return nil
}

// Drain hands over the packets that have arrived on all interfaces and were
// not delivered yet. It does not wait. The packets of one interface come in
// the order of their arrival. Those that Run is delivering at the same moment
// come by Run, too; so handle what Run has delivered before what Drain hands
// over, or an old packet is heard after a newer one.
func (n *Network) Drain(deliver func(vrrp.Batch)) {
	for _, p := range *n.ports.Load() {
		p.observer.drain(deliver)
	}
}

// Settle waits until the addresses of all interfaces are as wanted. When ctx
// ends first, the error names the interfaces where they are not.
func (n *Network) Settle(ctx context.Context) error {
	for {
		progress := n.waiters.next()
		waiting := n.unsettled()
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the addresses are not as wanted on %q: %w", waiting, ctx.Err())
		case <-progress:
		}
	}
}

// unsettled returns the interfaces whose addresses are not as wanted, sorted.
func (n *Network) unsettled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for name, p := range *n.ports.Load() {
		if !p.settled() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Ready is closed when something is wanted and the first LinkState of each
// interface wanted at that time was delivered.
func (n *Network) Ready() <-chan struct{} { return n.ready }

// Problems returns what fails at present and is being retried, sorted.
func (n *Network) Problems() []string {
	var out []string
	if text := n.monitor.problem.get(); text != "" {
		out = append(out, text)
	}
	for _, p := range *n.ports.Load() {
		out = append(out, p.problems()...)
	}
	slices.Sort(out)
	return out
}

// hint wakes the port that a notification of the kernel concerns.
func (n *Network) hint(h hint) {
	for _, p := range *n.ports.Load() {
		if p.concerns(h) {
			p.touch()
		}
	}
}

// resync wakes all ports.
func (n *Network) resync() {
	for _, p := range *n.ports.Load() {
		p.touch()
	}
}

// broadcast wakes all who wait.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{} // closed at the next tell
}

// next returns a channel that the next tell closes.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

// tell wakes all who have called next.
func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
