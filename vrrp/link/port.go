package link

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// port is everything that belongs to one interface.
type port struct {
	name      string
	goal      atomic.Pointer[goal]
	observer  *observer
	addresser *addresser
	announcer *announcer
	frames    *frameSender
}

// newPort returns a port whose goal is still to be set. deliver is called by
// its goroutines once they run.
func newPort(n *Network, name string) *port {
	p := &port{name: name}
	p.addresser = newAddresser(n.log, name, n.system.editor, &p.goal)
	p.observer = &observer{
		log: n.log, iface: name, devices: n.system.devices, goal: &p.goal, look: newBell(),
		// Hints of addresses carry an index that was not known before.
		onRenewed: p.addresser.touched.ring,
		onHeard:   n.progress.ring,
	}
	for i, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		p.observer.ears[i] = &ear{
			log: n.log, iface: name, family: f, listen: n.system.listen,
			deliver: func(ev vrrp.Event) { n.deliver(ev) },
			// Not at once: the next may fail as fast.
			failed: func() { time.AfterFunc(firstRetry, p.observer.look.ring) },
		}
	}
	p.frames = &frameSender{device: p.observer.device, open: n.system.frames}
	p.announcer = newAnnouncer(n.log, name, n.schedule, &p.goal, p.addresser.installed, p.frames.send)
	p.addresser.onRepair = p.announcer.announce
	p.addresser.onChange = func() {
		p.announcer.look.ring()
		n.progress.ring()
	}
	return p
}

// aim replaces the goal.
func (p *port) aim(generation uint64, w vrrp.Wanted, closing bool) {
	old := p.goal.Load()
	g := nextGoal(old, generation, w, closing, old != nil && p.addresser.reached(old))
	if g == old {
		return
	}
	p.goal.Store(g)
	p.addresser.changed.ring()
	p.announcer.look.ring()
	p.observer.look.ring() // the source must not be a virtual address
}

// touch says that something may have changed on the interface.
func (p *port) touch() {
	p.observer.look.ring()
	p.addresser.touched.ring()
}

// run runs the goroutines of the port until ctx ends.
func (p *port) run(ctx context.Context) {
	var parts sync.WaitGroup
	parts.Go(func() { p.observer.run(ctx) })
	parts.Go(func() { p.addresser.run(ctx) })
	parts.Go(func() {
		p.announcer.run(ctx)
		p.frames.close()
	})
	parts.Wait()
}

// reported reports whether the states of all families that are used were
// delivered.
func (p *port) reported() bool { return p.observer.heard.Load() == p.goal.Load() }

// settled reports whether the addresses are as wanted.
func (p *port) settled() bool { return p.addresser.reached(p.goal.Load()) }

// concerns reports whether a hint may be about this port.
func (p *port) concerns(h hint) bool {
	d, ok := p.observer.device()
	return h.name == p.name || ok && d.index == h.index
}

// send transmits one advertisement.
func (p *port) send(source, destination netip.Addr, payload []byte) error {
	s := p.observer.ear(vrrp.FamilyOf(source)).open.Load()
	if s == nil {
		return errNoSocket
	}
	if err := s.Send(source, destination, payload); err != nil {
		return err
	}
	// Without carrier the kernel takes the packet and forgets it.
	if d, ok := p.observer.device(); ok && !d.up {
		return unix.ENETDOWN
	}
	return nil
}

// problems returns what is being retried.
func (p *port) problems() []string {
	var out []string
	for _, q := range []*problem{&p.observer.problem, &p.observer.hint, &p.addresser.problem, &p.announcer.problem} {
		if text := q.get(); text != "" {
			out = append(out, text)
		}
	}
	return out
}
