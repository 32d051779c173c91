package link

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"bascule/vrrp"
)

// socket sends and receives the advertisements of one family on one
// interface: conn.
type socket interface {
	Send(source, destination netip.Addr, payload []byte) error
	Receive(deliver func(vrrp.Batch)) error // until closed
	Drain(deliver func(vrrp.Batch))
	Close() error
}

// ear is what the observer of an interface has for one family: the socket and
// what was reported last. Others may use the socket, the rest belongs to the
// observer.
type ear struct {
	log     *slog.Logger
	iface   string
	family  vrrp.Family
	listen  func(iface string, index int, family vrrp.Family) (socket, error)
	deliver func(vrrp.Event)
	failed  func() // a socket failed and was given up

	open    atomic.Pointer[openSocket] // nil: there is none
	readers sync.WaitGroup
	last    vrrp.LinkState // the last one delivered
	told    uint64         // since when the family was used when last was delivered; 0: never
}

// openSocket is a socket and the index that it was opened for.
type openSocket struct {
	socket
	index int
}

// ensureSocket opens a socket if there is none for that index.
func (e *ear) ensureSocket(index int) error {
	if s := e.open.Load(); s != nil {
		if s.index == index {
			return nil
		}
		e.close()
	}
	s, err := e.listen(e.iface, index, e.family)
	if err != nil {
		return err
	}
	opened := &openSocket{socket: s, index: index}
	e.open.Store(opened)
	e.readers.Go(func() { e.receive(opened) })
	return nil
}

// receive hands over what the socket receives until it is closed. A socket
// that fails is given up, and the observer opens another.
func (e *ear) receive(s *openSocket) {
	err := s.Receive(func(b vrrp.Batch) { e.deliver(b) })
	if !e.open.CompareAndSwap(s, nil) {
		return // the observer has closed it
	}
	_ = s.Close()
	e.log.Warn("the socket for advertisements failed, opening another", "interface", e.iface, "family", e.family, "error", err)
	e.failed()
}

// close closes the socket, if there is one.
func (e *ear) close() {
	if s := e.open.Swap(nil); s != nil {
		_ = s.Close()
	}
}

// report delivers the state of the interface if it is another one than before,
// or if the family is used anew: since says since when it is used.
func (e *ear) report(since uint64, fault vrrp.Fault, sources []netip.Addr) {
	if fault != vrrp.NoFault {
		sources = nil
	}
	state := vrrp.LinkState{Interface: e.iface, Family: e.family, Fault: fault, Sources: sources}
	if e.told == since && sameState(e.last, state) {
		return
	}
	e.last, e.told = state, since
	e.log.Info("interface", "interface", e.iface, "family", e.family, "fault", fault, "sources", sources)
	e.deliver(state)
}

// sameState reports whether two states say the same.
func sameState(a, b vrrp.LinkState) bool {
	return a.Interface == b.Interface && a.Family == b.Family && a.Fault == b.Fault && slices.Equal(a.Sources, b.Sources)
}
