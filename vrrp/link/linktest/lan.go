package linktest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Packet is an advertisement that a host sent.
type Packet struct {
	Time        time.Time
	Segment     string
	From        string // the host
	Source      netip.Addr
	Destination netip.Addr
	Payload     []byte
	To          []string // the hosts that it was on its way to, sorted
}

// String returns the packet in one line, without its payload.
func (p Packet) String() string {
	return fmt.Sprintf("%s %s: %s > %s", p.Segment, p.From, p.Source, p.Destination)
}

// Announcement is one gratuitous ARP or unsolicited neighbour advertisement, by
// which a host tells a segment that an address is there.
type Announcement struct {
	Time    time.Time
	Segment string
	Host    string
	Address netip.Addr
}

// LAN is a set of segments and the hosts on them. Its methods may be called
// by any goroutine.
type LAN struct {
	mu    sync.Mutex // guards everything below, and the hosts
	rng   *rand.Rand
	hosts map[string]*Host
	paths map[path]quality
	delay time.Duration
	trace []Packet
	said  []Announcement
}

// path is one direction between two hosts. An empty host stands for any.
type path struct{ from, to string }

// quality is what becomes of packets on a path.
type quality struct {
	cut   bool
	loss  float64
	delay time.Duration // on top of the LAN's
}

// NewLAN returns a LAN without hosts. Equal seeds lose equal packets.
func NewLAN(seed uint64) *LAN {
	return &LAN{
		rng:   rand.New(rand.NewPCG(seed, seed)),
		hosts: make(map[string]*Host),
		paths: make(map[path]quality),
	}
}

// Host returns the host of that name, which is new if there was none.
func (l *LAN) Host(name string) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.hosts[name]; ok {
		return h
	}
	h := &Host{lan: l, name: name, ports: make(map[string]*port), bell: make(chan struct{}, 1)}
	l.hosts[name] = h
	return h
}

// SetDelay makes every packet from now on take that long.
func (l *LAN) SetDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// Partition cuts two hosts off from each other, in both directions.
func (l *LAN) Partition(a, b string) {
	l.Cut(a, b)
	l.Cut(b, a)
}

// Heal undoes Partition, Cut, SetLoss and SetPathDelay between two hosts.
func (l *LAN) Heal(a, b string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.paths, path{a, b})
	delete(l.paths, path{b, a})
}

// Cut loses all packets from one host to another, and none the other way.
func (l *LAN) Cut(from, to string) { l.change(from, to, func(q *quality) { q.cut = true }) }

// SetLoss loses that share (0 to 1) of the packets from one host to another.
func (l *LAN) SetLoss(from, to string, share float64) {
	l.change(from, to, func(q *quality) { q.loss = share })
}

// SetPathDelay adds to the delay from one host to another. Packets that were
// sent with a longer delay may be overtaken.
func (l *LAN) SetPathDelay(from, to string, d time.Duration) {
	l.change(from, to, func(q *quality) { q.delay = d })
}

// change edits the quality of a path.
func (l *LAN) change(from, to string, edit func(*quality)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.paths[path{from, to}]
	edit(&q)
	l.paths[path{from, to}] = q
}

// Trace returns the packets that all hosts have sent, oldest first.
func (l *LAN) Trace() []Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.trace)
}

// Announcements returns what all hosts have announced, once for each request
// and address, oldest first.
func (l *LAN) Announcements() []Announcement {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, h := range l.hosts {
		h.settle(now)
	}
	out := slices.Clone(l.said)
	slices.SortStableFunc(out, func(a, b Announcement) int {
		if order := a.Time.Compare(b.Time); order != 0 {
			return order
		}
		return strings.Compare(a.Host, b.Host)
	})
	return out
}

// Owner returns the host that the other machines on the segment send packets
// for an address to: the last one that announced it.
func (l *LAN) Owner(segment string, address netip.Addr) (host string, ok bool) {
	for _, a := range l.Announcements() {
		if a.Segment == segment && a.Address == address {
			host, ok = a.Host, true
		}
	}
	return host, ok
}

// Holders returns the hosts that have an address on an interface of the
// segment now, sorted: more than one is a conflict.
func (l *LAN) Holders(segment string, address netip.Addr) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var out []string
	for name, h := range l.hosts {
		h.settle(now)
		for _, p := range h.ports {
			if p.segment == segment && p.has(address) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// carry puts a packet on its way from a port. The LAN is locked.
func (l *LAN) carry(from *Host, out *port, p Packet) {
	names := make([]string, 0, len(l.hosts))
	for name := range l.hosts {
		names = append(names, name)
	}
	slices.Sort(names) // so that equal seeds lose equal packets
	for _, name := range names {
		to := l.hosts[name]
		if to == from {
			continue
		}
		for _, in := range to.sorted() {
			if in.segment != out.segment || !to.hears(in, p.Destination) {
				continue
			}
			q := l.paths[path{from.name, to.name}]
			if q.cut || q.loss > 0 && l.rng.Float64() < q.loss {
				continue
			}
			p.To = append(p.To, name)
			to.accept(p, in.name, p.Time.Add(l.delay+q.delay))
		}
	}
	l.trace = append(l.trace, p)
}
