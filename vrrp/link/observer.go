package link

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// deviceReader reads the state of interfaces.
type deviceReader interface {
	Device(name string) (device, error) // unix.ENODEV: there is none
	DeviceAddresses(index int) ([]address, error)
}

// socket sends and receives advertisements on one interface: conn.
type socket interface {
	Send(source, destination netip.Addr, payload []byte) error
	Receive(deliver func(vrrp.Received)) error // until closed
	Drain(deliver func(vrrp.Received))
	Close() error
}

// observer watches one interface: it reports its vrrp.LinkState and keeps a
// socket open on it.
type observer struct {
	log     *slog.Logger
	iface   string
	devices deviceReader
	listen  func(iface string, index int) (socket, error)
	goal    *atomic.Pointer[goal]
	deliver func(vrrp.Event)

	look      bell   // the interface or the goal may have changed
	onRenewed func() // the interface has another index, or none: hints of it are not heard
	onState   func() // a LinkState was delivered

	seen    atomic.Pointer[device]     // nil: there is no such interface
	open    atomic.Pointer[openSocket] // nil: there is none
	problem problem

	readers sync.WaitGroup
	last    vrrp.LinkState // the last one delivered
	told    uint64         // since when the interface was wanted when last was delivered; 0: never
}

// openSocket is a socket and the index that it was opened for.
type openSocket struct {
	socket
	index int
}

// device returns the interface as last seen.
func (o *observer) device() (device, bool) {
	if d := o.seen.Load(); d != nil {
		return *d, true
	}
	return device{}, false
}

// run observes until ctx ends. Then the socket is closed and its reader gone.
func (o *observer) run(ctx context.Context) {
	defer o.readers.Wait()
	defer o.close()
	again := time.NewTimer(lastRetry)
	defer again.Stop()
	var retry backoff
	for ctx.Err() == nil {
		if err := o.observe(); err != nil {
			o.problem.set(o.log, o.iface, err)
			again.Reset(retry.next())
		} else {
			o.problem.clear()
			retry.reset()
			again.Stop()
		}
		select {
		case <-ctx.Done():
		case <-o.look:
		case <-again.C:
		}
	}
}

// observe looks at the interface once. An error is something to try again;
// it is reported as a fault of the interface only if the socket is missing.
func (o *observer) observe() error {
	d, err := o.devices.Device(o.iface)
	if errors.Is(err, unix.ENODEV) {
		if o.seen.Swap(nil) != nil {
			o.onRenewed()
		}
		o.close()
		o.report(vrrp.FaultMissing, netip.Addr{})
		return nil
	}
	if err != nil {
		return err
	}
	old := o.seen.Swap(&d)
	if old == nil || old.index != d.index {
		o.onRenewed()
	}
	addresses, err := o.devices.DeviceAddresses(d.index)
	if err != nil {
		return err
	}
	unopened := o.ensureSocket(d.index)
	fault, source := assess(d, addresses, o.goal.Load())
	if fault == vrrp.NoFault && unopened != nil {
		fault, source = vrrp.FaultSocket, netip.Addr{}
	}
	o.report(fault, source)
	return unopened
}

// assess judges an interface that exists. The source is the address to send
// advertisements from.
func assess(d device, addresses []address, g *goal) (vrrp.Fault, netip.Addr) {
	if !d.up {
		return vrrp.FaultDown, netip.Addr{}
	}
	if source, ok := primary(addresses, g); ok {
		return vrrp.NoFault, source
	}
	return vrrp.FaultNoSource, netip.Addr{}
}

// primary returns the first IPv4 address that is not a virtual one. One that
// is secondary, or of link scope, will do where there is no better one: a
// virtual address that a dead predecessor left may have taken the first place.
func primary(addresses []address, g *goal) (netip.Addr, bool) {
	rank := func(a address) int {
		switch {
		case !a.prefix.Addr().Is4() || g.manages(a.prefix) || a.scope >= netlink.SCOPE_HOST:
			return 0
		case a.scope == netlink.SCOPE_LINK:
			return 1
		case a.secondary:
			return 2
		}
		return 3
	}
	best, source := 0, netip.Addr{}
	for _, a := range addresses {
		if r := rank(a); r > best {
			best, source = r, a.prefix.Addr()
		}
	}
	return source, best > 0
}

// report delivers the state of the interface if it is another one than before,
// or if the interface is wanted anew.
func (o *observer) report(fault vrrp.Fault, source netip.Addr) {
	state := vrrp.LinkState{Interface: o.iface, Family: vrrp.IPv4, Fault: fault, Source: source}
	g := o.goal.Load()
	if g.closing || o.told == g.since && o.last == state {
		return
	}
	o.last, o.told = state, g.since
	o.log.Info("interface", "interface", o.iface, "fault", fault, "source", source)
	o.deliver(state)
	o.onState()
}

// ensureSocket opens a socket if there is none for that index.
func (o *observer) ensureSocket(index int) error {
	if s := o.open.Load(); s != nil {
		if s.index == index {
			return nil
		}
		o.close()
	}
	s, err := o.listen(o.iface, index)
	if err != nil {
		return err
	}
	opened := &openSocket{socket: s, index: index}
	o.open.Store(opened)
	o.readers.Go(func() { o.receive(opened) })
	return nil
}

// receive hands over what the socket receives until it is closed. A socket
// that fails is given up, and the observer opens another.
func (o *observer) receive(s *openSocket) {
	err := s.Receive(func(p vrrp.Received) { o.deliver(p) })
	if !o.open.CompareAndSwap(s, nil) {
		return // the observer has closed it
	}
	_ = s.Close()
	o.log.Warn("the socket for advertisements failed, opening another", "interface", o.iface, "error", err)
	time.AfterFunc(firstRetry, o.look.ring) // not at once: the next may fail as fast
}

// close closes the socket, if there is one.
func (o *observer) close() {
	if s := o.open.Swap(nil); s != nil {
		_ = s.Close()
	}
}
