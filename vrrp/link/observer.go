package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// patience is how long an interface may be without an address to send from
// before somebody is told why: detection of duplicates takes a second or two.
const patience = 3 * time.Second

// deviceReader reads the state of interfaces.
type deviceReader interface {
	Device(name string) (device, error) // unix.ENODEV: there is none
	DeviceAddresses(index int) ([]address, error)
	IPv6Setting(iface, name string) (int, error) // net.ipv6.conf.IFACE.NAME
}

// observer watches one interface: it reports its vrrp.LinkState for each
// family that is used on it, and keeps a socket open for each.
type observer struct {
	log     *slog.Logger
	iface   string
	devices deviceReader
	goal    *atomic.Pointer[goal]
	ears    [2]*ear // IPv4, IPv6

	look      bell   // the interface or the goal may have changed
	onRenewed func() // the interface has another index, or none: hints of it are not heard
	onHeard   func() // every family of another goal was reported

	seen    atomic.Pointer[device] // nil: there is no such interface
	heard   atomic.Pointer[goal]   // the last goal of which every family was reported
	problem problem
	hint    problem   // why there is no address to send from
	waiting time.Time // since when that is so; zero: it is not
}

// device returns the interface as last seen.
func (o *observer) device() (device, bool) {
	if d := o.seen.Load(); d != nil {
		return *d, true
	}
	return device{}, false
}

// ear returns the ear for a family.
func (o *observer) ear(f vrrp.Family) *ear {
	if f == vrrp.IPv6 {
		return o.ears[1]
	}
	return o.ears[0]
}

// drain hands over what the sockets hold.
func (o *observer) drain(deliver func(vrrp.Batch)) {
	for _, e := range o.ears {
		if s := e.open.Load(); s != nil {
			s.Drain(deliver)
		}
	}
}

// run observes until ctx ends. Then the sockets are closed and their readers
// gone.
func (o *observer) run(ctx context.Context) {
	defer o.shut()
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

// shut closes the sockets and waits until their readers are gone.
func (o *observer) shut() {
	for _, e := range o.ears {
		e.close()
	}
	for _, e := range o.ears {
		e.readers.Wait()
	}
}

// observe looks at the interface once. An error is something to try again;
// it is reported as a fault of the interface only if a socket is missing.
func (o *observer) observe() error {
	g := o.goal.Load()
	d, err := o.devices.Device(o.iface)
	if errors.Is(err, unix.ENODEV) {
		o.vanished(g)
		return nil
	}
	if err != nil {
		return err
	}
	if g.since[vrrp.IPv6] != 0 {
		// Where it cannot be read there is no IPv6, and nobody to be told.
		forwarding, _ := o.devices.IPv6Setting(o.iface, "forwarding")
		d.router = forwarding != 0
	}
	old := o.seen.Swap(&d)
	if old == nil || old.index != d.index {
		o.onRenewed()
	}
	addresses, err := o.devices.DeviceAddresses(d.index)
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range o.ears {
		failed = append(failed, o.listenTo(e, g, d, addresses))
	}
	o.settle(g)
	o.explain(g, d, addresses)
	return errors.Join(failed...)
}

// vanished reports that there is no such interface.
func (o *observer) vanished(g *goal) {
	if o.seen.Swap(nil) != nil {
		o.onRenewed()
	}
	for _, e := range o.ears {
		e.close()
		if since := g.since[e.family]; since != 0 && !g.closing {
			e.report(since, vrrp.FaultMissing, nil)
		}
	}
	o.hint.clear()
	o.settle(g)
}

// listenTo keeps the socket for one family open, if the family is used, and
// reports its state. The error says why there is no socket.
func (o *observer) listenTo(e *ear, g *goal, d device, addresses []address) error {
	since := g.since[e.family]
	if since == 0 {
		e.close()
		return nil
	}
	unopened := e.ensureSocket(d.index)
	if g.closing {
		return unopened
	}
	fault := vrrp.NoFault
	switch {
	case !d.up:
		fault = vrrp.FaultDown
	case unopened != nil:
		fault = vrrp.FaultSocket
	}
	e.report(since, fault, sources(addresses, g, e.family))
	return unopened
}

// settle notes that every family of g was reported.
func (o *observer) settle(g *goal) {
	if o.heard.Swap(g) != g {
		o.onHeard()
	}
}

// explain shows why IPv6 has no address to send from, once that has lasted for
// longer than it should: the election merely waits for one.
func (o *observer) explain(g *goal, d device, addresses []address) {
	why := ""
	if g.since[vrrp.IPv6] != 0 && !g.closing && d.up {
		why = o.lacking(g, addresses)
	}
	if why == "" {
		o.waiting = time.Time{}
		o.hint.clear()
		return
	}
	now := time.Now()
	if o.waiting.IsZero() {
		o.waiting = now
		time.AfterFunc(patience, o.look.ring)
	}
	if now.Sub(o.waiting) >= patience && o.hint.show(o.iface, errors.New(why)) {
		o.log.Warn("no address to send from", "interface", o.iface, "error", why)
	}
}

// lacking says why there is no usable link-local address; empty if there is
// one, or if none is needed and there is another address.
func (o *observer) lacking(g *goal, addresses []address) string {
	usable := sources(addresses, g, vrrp.IPv6)
	if len(usable) > 0 && (usable[0].IsLinkLocalUnicast() || !g.wanted.LinkLocal) {
		return ""
	}
	for _, a := range addresses {
		switch addr := a.prefix.Addr(); {
		case !addr.IsLinkLocalUnicast() || !addr.Is6() || !g.lends(a.prefix):
		case a.duplicate:
			return fmt.Sprintf("the link-local address %s is not usable: another machine on the link has it too", addr)
		case a.tentative:
			return fmt.Sprintf("the link-local address %s is not usable: it is still being looked for on other machines", addr)
		}
	}
	lack := "no IPv6 address to send from"
	if g.wanted.LinkLocal {
		lack = "no link-local IPv6 address to send from"
	}
	for _, s := range []struct {
		name  string
		value int
	}{{"disable_ipv6", 1}, {"addr_gen_mode", 1}} {
		if value, err := o.devices.IPv6Setting(o.iface, s.name); err == nil && value == s.value {
			return fmt.Sprintf("%s: net.ipv6.conf.%s.%s is %d", lack, strings.ReplaceAll(o.iface, ".", "/"), s.name, value)
		}
	}
	return lack
}
