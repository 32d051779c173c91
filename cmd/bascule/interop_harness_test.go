//go:build !ipvs

package main

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// interop is Bascule on lb beside a peer on lb2.
type interop struct {
	*lab.Lab
	t       *testing.T
	wire    wire
	with    implementation
	bascule *lab.Director
	peer    peer
	capture *lab.Capture

	basculePart, peerPart part
}

// newInterop builds the network for both, and starts neither.
func newInterop(t *testing.T, with implementation, w wire, bascule, other part) *interop {
	t.Helper()
	for _, p := range []*part{&bascule, &other} {
		if p.interval == 0 {
			p.interval = w.interval
		}
	}
	i := &interop{Lab: lab.NewT(t), t: t, wire: w, with: with, basculePart: bascule, peerPart: other}
	i.bascule = newDirector(t, i.LB, basculeText(i.Lab, w, bascule))
	if w.families != lab.IPv4 {
		// What the others do before the kernel has found out whether the
		// address is a duplicate is not what is tested here.
		must(t, i.LB2.AwaitLinkLocal(bounded(t)))
	}
	var err error
	i.capture, err = i.Capture()
	must(t, err)
	t.Cleanup(i.showFrames)
	return i
}

// lastFrames is how many of the frames a failed test prints.
const lastFrames = 60

// showFrames prints the last frames that were captured, if the test failed.
func (i *interop) showFrames() {
	if !i.t.Failed() {
		return
	}
	frames := i.capture.Frames()
	for _, f := range frames[max(0, len(frames)-lastFrames):] {
		i.t.Log(f)
	}
}

// startBascule starts Bascule, again if need be.
func (i *interop) startBascule() {
	i.t.Helper()
	must(i.t, i.bascule.Start(bounded(i.t)))
}

// startPeer starts the peer, again if need be.
func (i *interop) startPeer() {
	i.t.Helper()
	p, err := i.with.start(bounded(i.t), i.LB2, i.wire, i.peerPart)
	must(i.t, err)
	i.peer = p
	i.t.Cleanup(func() {
		if i.t.Failed() {
			i.t.Logf("log of %s:\n%s", i.with.name, p.Log())
		}
	})
	must(i.t, p.Ready(bounded(i.t)))
}

// loseBascule loses Bascule's machine: the process and its links.
func (i *interop) loseBascule(context.Context) error {
	return errors.Join(i.bascule.Kill(), i.LB.CutLinks())
}

// losePeer loses the peer's machine: the processes and their links.
func (i *interop) losePeer(context.Context) error {
	return errors.Join(i.peer.Kill(), i.LB2.CutLinks())
}

// holder is one of the two directors, to ask for addresses.
type holder struct {
	name  string
	holds func(netip.Addr) (bool, error)
}

// ours is Bascule, as what has addresses.
func (i *interop) ours() holder { return holder{"bascule", i.LB.HasAddress} }

// theirs is the peer, as what has addresses.
func (i *interop) theirs() holder { return holder{i.with.name, i.peer.Holds} }

// all are the virtual addresses of all virtual routers.
func (i *interop) all() []netip.Addr { return addresses(i.wire.families.Routers()) }

// addresses are the virtual addresses of some virtual routers.
func addresses(routers []lab.VirtualRouter) []netip.Addr {
	var list []netip.Addr
	for _, r := range routers {
		for _, a := range r.Addresses {
			list = append(list, a.Addr())
		}
	}
	return list
}

// has says whether a director has all of the addresses (want), or none.
func (i *interop) has(h holder, addresses []netip.Addr, want bool) bool {
	i.t.Helper()
	for _, a := range addresses {
		has, err := h.holds(a)
		must(i.t, err)
		if has != want {
			return false
		}
	}
	return true
}

// await waits until a director has all of the addresses, or none of them.
func (i *interop) await(h holder, addresses []netip.Addr, want bool) {
	i.t.Helper()
	for ctx := bounded(i.t); !i.has(h, addresses, want); time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			i.t.Fatalf("%s does not have all of %v: %v, within %v", h.name, addresses, want, patience)
		}
	}
}

// awaitActive waits until one director has all addresses and the other none.
func (i *interop) awaitActive(active, backup holder) {
	i.t.Helper()
	i.await(active, i.all(), true)
	i.await(backup, i.all(), false)
}

// claim is that a director has all of some addresses (want), or none.
type claim struct {
	holder
	addresses []netip.Addr
	want      bool
}

// oneHas is the claims of two directors of which one has everything.
func (i *interop) oneHas(active, backup holder) []claim {
	return []claim{{active, i.all(), true}, {backup, i.all(), false}}
}

// stays fails the test unless claims hold for as long as several elections
// take.
func (i *interop) stays(during string, claims []claim) {
	i.t.Helper()
	end := time.Now().Add(6 * max(i.basculePart.interval, i.peerPart.interval))
	for ; time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, c := range claims {
			if !i.has(c.holder, c.addresses, c.want) {
				i.t.Fatalf("%s: %s does not have all of %v: %v any more", during, c.name, c.addresses, c.want)
			}
		}
	}
}

// moves measures how long all addresses take to be on a director after an
// event that the other one suffers.
func (i *interop) moves(what string, to holder, bound time.Duration, event func(context.Context) error) {
	i.t.Helper()
	ctx := bounded(i.t)
	start, heldUp := time.Now(), holdUps(ctx)
	ended := make(chan error, 1) // an ordered stop goes on after the addresses have moved
	go func() { ended <- event(ctx) }()
	i.await(to, i.all(), true)
	took, held := time.Since(start), heldUp()
	must(i.t, <-ended)
	timely(i.t, what+": addresses on the other director", took, bound, held)
}

// skewTime is Skew_Time of a director that backs up one of the given
// interval; version 2 counts it in seconds (RFC 9568 and RFC 3768 section 6.1).
func (i *interop) skewTime(of part, active time.Duration) time.Duration {
	if i.wire.families == lab.IPv4 && i.wire.version == 2 {
		active = time.Second
	}
	return active * time.Duration(256-of.priority) / 256
}

// downTime is Active_Down_Interval, likewise.
func (i *interop) downTime(of part, active time.Duration) time.Duration {
	return 3*active + i.skewTime(of, active)
}
