// Package speaker runs a vrrp.Host: one goroutine that owns it, one timer,
// events in, actions out. The loop waits for nothing but its events.
package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"bascule/vrrp"
)

// queueLen is how many events may wait for the loop. With the bound that the
// network sets to a batch, it bounds how much is looked at before an expired
// timer is acted on.
const queueLen = 32

// A Status is renewed at once when a group moves, after freshPause when
// something else has changed, which a hostile segment can cause with every
// packet, and after statusPause for the sake of the counters.
const (
	freshPause  = 50 * time.Millisecond
	statusPause = time.Second
)

// ErrStopped is returned by requests to a speaker whose Run has ended.
var ErrStopped = errors.New("the speaker has stopped")

// Network is what the speaker needs of the links of this machine. No method
// waits.
type Network interface {
	// Send transmits an advertisement.
	Send(iface string, source, destination netip.Addr, payload []byte) error
	// Drain hands over the packets that have arrived and were not delivered
	// yet, a bounded number from each interface. It is called when the timer
	// fires, so that a machine that was paused hears the others before it
	// takes over.
	Drain(deliver func(vrrp.Batch))
	// Want replaces the wanted state of the addresses on all interfaces.
	Want(wanted map[string]vrrp.Wanted)
	// Announce announces addresses once they are on the interface.
	Announce(iface string, addresses []netip.Prefix)
}

// Observer is told what an administrator may want to know. Its methods are
// called by the loop and must not wait.
type Observer interface {
	// Transition is called when a group changed its state.
	Transition(vrrp.Transition)
	// Notice is called when something stands out that changes no state.
	Notice(vrrp.Notice)
	// SendFault is called when advertisements on an interface to a destination
	// begin to fail in a new way, and with an empty fault when they go out again.
	SendFault(iface string, destination netip.Addr, fault string)
}

// Status is a snapshot of what the speaker knows.
type Status struct {
	vrrp.Status
	Problems []string // what cannot be sent, and why
}

// Speaker owns a vrrp.Host.
type Speaker struct {
	network  Network
	observer Observer
	host     *vrrp.Host
	events   chan request
	stopped  chan struct{}
	status   atomic.Pointer[Status]

	// The rest belongs to the loop.
	leftovers  map[string][]netip.Prefix
	armed      time.Time // when the timer fires; zero: not at all
	published  time.Time
	stale      bool // something has changed since published
	buf        []byte
	sendFaults map[way]string // why the last Send failed
}

// way is where a Send goes: one may fail while others do not.
type way struct {
	iface       string
	destination netip.Addr
}

// request is an event on its way to the loop, nil for a mere sign of life.
// done, if any, is closed when its actions have been carried out.
type request struct {
	event vrrp.Event
	done  chan struct{}
}

// Option changes a Speaker.
type Option func(*Speaker)

// WithLeftovers names addresses, by interface, that an earlier process has put
// there and may have left behind; they are removed unless the configuration
// wants them, also those that are configured as the interface's own.
func WithLeftovers(addresses map[string][]netip.Prefix) Option {
	return func(s *Speaker) { s.leftovers = addresses }
}

// New returns a Speaker for a valid configuration.
func New(network Network, groups []vrrp.GroupConfig, observer Observer, options ...Option) *Speaker {
	s := &Speaker{
		network:    network,
		observer:   observer,
		host:       vrrp.NewHost(time.Now(), groups),
		events:     make(chan request, queueLen),
		stopped:    make(chan struct{}),
		sendFaults: make(map[way]string),
	}
	for _, o := range options {
		o(s)
	}
	s.status.Store(&Status{Status: s.host.Status()})
	return s
}

// Status returns the latest snapshot. The caller must not change it.
func (s *Speaker) Status() *Status { return s.status.Load() }

// Deliver gives the loop an event of the network. It waits only while the
// queue is full, and drops the event once the loop has ended.
func (s *Speaker) Deliver(ev vrrp.Event) {
	select {
	case s.events <- request{event: ev}:
	case <-s.stopped:
	}
}

// Reconfigure replaces the configuration and returns when it is in force.
func (s *Speaker) Reconfigure(ctx context.Context, groups []vrrp.GroupConfig) error {
	return s.request(ctx, vrrp.Reconfigure{Groups: groups})
}

// Shutdown gives up all virtual routers and returns when priority 0 has been
// sent and the network was asked to remove the addresses.
func (s *Speaker) Shutdown(ctx context.Context) error {
	return s.request(ctx, vrrp.Shutdown{})
}

// Ping returns when the loop has looked at its queue: it is alive.
func (s *Speaker) Ping(ctx context.Context) error {
	return s.request(ctx, nil)
}

// request gives the loop an event and waits until it has been dealt with.
func (s *Speaker) request(ctx context.Context, ev vrrp.Event) error {
	r := request{event: ev, done: make(chan struct{})}
	select {
	case s.events <- r:
	case <-s.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-r.done:
		return nil
	case <-s.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run is the loop. It returns when ctx ends, without giving anything up: that
// is what Shutdown is for.
func (s *Speaker) Run(ctx context.Context) error {
	defer close(s.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	s.publish(time.Now())
	for {
		s.arm(timer)
		select {
		case <-ctx.Done():
			return nil
		case r := <-s.events:
			s.handle(r)
		case <-timer.C:
			s.armed = time.Time{}
			s.tick(time.Now())
		}
	}
}

// arm has the timer fire no later than at the deadline of the host, or than
// the Status is to be renewed. One that is set to an earlier moment stays as it
// is: in Backup every packet postpones the deadline, and to look at it for
// nothing once in an Active_Down_Interval costs less than to follow it.
func (s *Speaker) arm(timer *time.Timer) {
	due := s.host.Deadline()
	if fresh := s.published.Add(freshPause); s.stale && (due.IsZero() || fresh.Before(due)) {
		due = fresh
	}
	if due.IsZero() || !s.armed.IsZero() && !due.Before(s.armed) {
		return
	}
	s.armed = due
	timer.Reset(time.Until(due))
}

// tick does what the timer was armed for.
func (s *Speaker) tick(now time.Time) {
	if due := s.host.Deadline(); !due.IsZero() && !now.Before(due) {
		s.expire()
	}
	if s.stale && now.Sub(s.published) >= freshPause {
		s.snapshot(now)
	}
}

// handle carries out what follows from one event.
func (s *Speaker) handle(r request) {
	if r.event != nil {
		now := time.Now()
		s.act(now, s.host.Handle(now, r.event))
	}
	if r.done != nil {
		close(r.done)
	}
}

// expire acts on an expired timer after it has heard everything that came in
// before: after a pause of the machine the timer may fire although the active
// router was never silent. What is still in the sockets is younger than what
// is in the queue; it is fetched first all the same, because a reader may put
// an older packet into the queue until then. Both are bounded, so that a flood
// cannot hold the timer up.
func (s *Speaker) expire() {
	var arrived vrrp.Batch
	s.network.Drain(func(b vrrp.Batch) { arrived = append(arrived, b...) })
	for range len(s.events) {
		s.handle(<-s.events)
	}
	if len(arrived) > 0 {
		s.handle(request{event: arrived})
	}
	s.handle(request{event: vrrp.Expiry{}})
}

// act carries out actions: advertisements first, at once; then the wanted
// addresses, of which the announcements need to know; then the rest.
func (s *Speaker) act(now time.Time, actions []vrrp.Action) {
	for _, a := range actions {
		if send, ok := a.(vrrp.Send); ok {
			s.send(send)
		}
	}
	wanted, status := s.host.Changed()
	s.stale = s.stale || status
	age := now.Sub(s.published)
	switch {
	case wanted:
		s.publish(now)
	case s.stale && age >= freshPause, age >= statusPause:
		s.snapshot(now)
	}
	for _, a := range actions {
		switch a := a.(type) {
		case vrrp.Announce:
			s.network.Announce(a.Interface, a.Addresses)
		case vrrp.Transition:
			s.observer.Transition(a)
		case vrrp.Notice:
			s.observer.Notice(a)
		}
	}
}

// send transmits one advertisement.
func (s *Speaker) send(a vrrp.Send) {
	s.buf = a.Append(s.buf[:0])
	err := s.network.Send(a.Interface, a.Source, a.Destination, s.buf)
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	w := way{a.Interface, a.Destination}
	if s.sendFaults[w] == fault {
		return
	}
	s.sendFaults[w], s.stale = fault, true
	s.observer.SendFault(w.iface, w.destination, fault)
}

// publish tells the network and the readers of Status what has changed.
func (s *Speaker) publish(now time.Time) {
	wanted := s.host.Wanted()
	for iface, addresses := range s.leftovers {
		w := wanted[iface]
		for _, p := range addresses {
			if !slices.Contains(w.Present, p) && !slices.Contains(w.Absent, p) {
				w.Absent = append(w.Absent, p)
			}
		}
		// What one of us has put there is not the interface's own.
		w.Owned = slices.DeleteFunc(w.Owned, func(p netip.Prefix) bool { return slices.Contains(addresses, p) })
		wanted[iface] = w
	}
	// Said once, they are the network's to remove: later somebody else may
	// have a right to them.
	s.leftovers = nil
	s.forgetFaults(wanted)
	s.network.Want(wanted)
	s.snapshot(now)
}

// forgetFaults drops the faults of interfaces on which nothing is to be sent
// any more: nobody would notice that they have passed.
func (s *Speaker) forgetFaults(wanted map[string]vrrp.Wanted) {
	for w := range s.sendFaults {
		if len(wanted[w.iface].Present) == 0 {
			delete(s.sendFaults, w)
		}
	}
}

// snapshot publishes a new Status.
func (s *Speaker) snapshot(now time.Time) {
	s.published, s.stale = now, false
	st := &Status{Status: s.host.Status()}
	for w, fault := range s.sendFaults {
		if fault != "" {
			st.Problems = append(st.Problems, fmt.Sprintf("advertisements on %s to %v: %s", w.iface, w.destination, fault))
		}
	}
	slices.Sort(st.Problems)
	s.status.Store(st)
}
