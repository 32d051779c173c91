//go:build !ipvs

package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"bascule/cmd/internal/lab"
)

// brief is an advertisement interval that keeps a test short. A machine whose
// processes are held up for three of them fails over wrongly.
const brief = 400 * time.Millisecond

// reaction is what a take-over needs besides the protocol's time.
const reaction = 150 * time.Millisecond

// interopRow is a peer, with what is spoken.
type interopRow struct {
	name string
	with implementation
	wire wire
}

// interopRows are all of them. Version 2 has whole seconds.
var interopRows = []interopRow{
	{"keepalived 2.2.7, IPv4", keepalived227, wire{version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief}},
	{"keepalived 2.2.7, IPv6", keepalived227, wire{families: lab.IPv6, interval: brief}},
	{"keepalived 2.2.7, both families in one group", keepalived227, wire{families: lab.DualStack, version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief}},
	{"keepalived 2.2.7, unicast", keepalived227, wire{families: lab.DualStack, version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief, unicast: true}},
	{"keepalived 2.2.7, IPv6, unicast, any TTL", keepalived227, wire{families: lab.IPv6, interval: brief, unicast: true, farPeer: true}},
	{"keepalived 2.2.7, version 2", keepalived227, wire{version: 2, interval: time.Second}},
	{"keepalived 2.2.7, version 2, password", keepalived227, wire{version: 2, interval: time.Second, password: "secret"}},
	{"keepalived 2.2.7, version 2, unicast", keepalived227, wire{version: 2, interval: time.Second, password: "8letters", unicast: true}},

	{"keepalived 2.3.3, IPv4", keepalived233, wire{version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief}},
	{"keepalived 2.3.3, IPv4, checksum over the message", keepalived233, wire{version: 3, checksum: lab.ChecksumMessage, interval: brief}},
	{"keepalived 2.3.3, IPv6", keepalived233, wire{families: lab.IPv6, interval: brief}},
	{"keepalived 2.3.3, both families in one group", keepalived233, wire{families: lab.DualStack, version: 3, checksum: lab.ChecksumMessage, interval: brief}},
	{"keepalived 2.3.3, unicast, any TTL", keepalived233, wire{families: lab.DualStack, version: 3, checksum: lab.ChecksumMessage, interval: brief, unicast: true, farPeer: true}},
	{"keepalived 2.3.3, version 2, password", keepalived233, wire{version: 2, interval: time.Second, password: "secret"}},

	{"FRR, IPv4", frr844, wire{version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief}},
	{"FRR, IPv6", frr844, wire{families: lab.IPv6, interval: brief}},
	{"FRR, both families in one group", frr844, wire{families: lab.DualStack, version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief}},
	{"FRR, version 2", frr844, wire{version: 2, interval: time.Second}},
}

// interopScenarios are what two directors can go through.
var interopScenarios = []struct {
	name string
	run  func(*testing.T, implementation, wire)
}{
	{"bascule preferred", testPreferred},
	{"peer preferred", testBackup},
	{"equal priorities", testEqual},
	{"bascule does not preempt", testBasculeNoPreempt},
	{"peer does not preempt", testPeerNoPreempt},
	{"other interval", testIntervals},
}

// laboratories is how many are at work at a time: they mostly wait, so that
// there can be more of them than processors.
const laboratories = 12

// TestInterop has Bascule share virtual routers with other programs, in each
// role and through each way in which a director is lost.
func TestInterop(t *testing.T) {
	t.Parallel()
	// The slow ones first: at the end they would keep few laboratories at work.
	rows := slices.Clone(interopRows)
	slices.SortStableFunc(rows, func(a, b interopRow) int { return cmp.Compare(b.wire.interval, a.wire.interval) })
	var running errgroup.Group
	running.SetLimit(laboratories)
	for _, row := range rows {
		for _, s := range interopScenarios {
			running.Go(func() error {
				t.Run(row.name+"/"+s.name, func(t *testing.T) { s.run(t, row.with, row.wire) })
				return nil
			})
		}
	}
	must(t, running.Wait())
}

// TestInteropVersions makes sure that the programs are those that are named:
// what the tests say of one release is not known of another.
func TestInteropVersions(t *testing.T) {
	t.Parallel()
	for _, with := range []implementation{keepalived227, keepalived233, frr844} {
		version, err := with.version(t.Context())
		must(t, err)
		if !strings.HasPrefix(version, with.release) {
			t.Errorf("%s is of version %s, want %s: Debian has moved on; look at what has changed, "+
				"then name the new release in the tests and in the documentation", with.name, version, with.release)
		}
	}
}

// testPreferred has Bascule with the higher priority: it goes in all ways, and
// comes back.
func testPreferred(t *testing.T, with implementation, w wire) {
	t.Helper()
	i := newInterop(t, with, w, part{priority: 150}, part{priority: 100})
	i.startBascule()
	i.startPeer()
	i.awaitActive(i.ours(), i.theirs())

	i.moves("bascule stopped, peer takes over", i.theirs(), i.skewTime(i.peerPart, w.interval)+reaction, i.bascule.Stop)
	i.startBascule()
	i.awaitActive(i.ours(), i.theirs())

	i.moves("bascule killed, peer takes over", i.theirs(), i.downTime(i.peerPart, w.interval)+reaction, i.loseBascule)
	i.startBascule()
	i.await(i.ours(), i.all(), false) // what the killed one left is swept
	must(t, i.LB.RestoreLinks())
	i.awaitActive(i.ours(), i.theirs())

	// keepalived waits for the silence on the lost link, and moves its group
	// then; it does not take the resignation on one link for one on both.
	i.moves("bascule's second link lost, peer takes over", i.theirs(), i.downTime(i.peerPart, w.interval)+reaction,
		func(context.Context) error { return i.LB.CutLinks(lab.SecondCard) })
	i.await(i.ours(), i.all(), false)
	must(t, i.LB.RestoreLinks())
	i.awaitActive(i.ours(), i.theirs())

	i.peerGoesAndComes()
	i.quiet()
	i.end()
}

// peerGoesAndComes has the backup go and come: nothing happens to the active
// director.
func (i *interop) peerGoesAndComes() {
	i.t.Helper()
	before, err := i.bascule.Status(bounded(i.t))
	must(i.t, err)
	must(i.t, i.peer.Stop(bounded(i.t)))
	i.startPeer()
	must(i.t, i.peer.Kill())
	i.startPeer()
	i.stays("the backup has come back", i.oneHas(i.ours(), i.theirs()))
	after, err := i.bascule.Status(bounded(i.t))
	must(i.t, err)
	was, _ := before.Group("web")
	is, _ := after.Group("web")
	if was.State != lab.StateActive || is.State != lab.StateActive || !was.Since.Equal(is.Since) {
		i.t.Errorf("the active director moved: %+v, then %+v", was, is)
	}
}

// testBackup has the peer with the higher priority: it goes in all ways, and
// comes back.
func testBackup(t *testing.T, with implementation, w wire) {
	t.Helper()
	i := newInterop(t, with, w, part{priority: 100}, part{priority: 150})
	i.startBascule()
	i.startPeer()
	i.awaitActive(i.theirs(), i.ours())
	i.awaitSources()

	i.moves("peer stopped, bascule takes over", i.ours(), i.skewTime(i.basculePart, w.interval)+reaction, i.peer.Stop)
	i.startPeer()
	i.awaitActive(i.theirs(), i.ours())

	i.moves("peer killed, bascule takes over", i.ours(), i.downTime(i.basculePart, w.interval)+reaction, i.losePeer)
	must(t, i.LB2.RestoreLinks())
	i.startPeer()
	i.awaitActive(i.theirs(), i.ours())

	i.loseLinkOfPeer()
	must(t, i.LB2.RestoreLinks())
	i.awaitActive(i.theirs(), i.ours())

	// The backup goes and comes: nothing happens to the active one.
	must(t, i.bascule.Stop(bounded(t)))
	i.startBascule()
	must(t, i.bascule.Kill())
	i.startBascule()
	_, err := i.bascule.AwaitState(bounded(t), "web", lab.StateBackup)
	must(t, err)
	i.stays("bascule has come back", i.oneHas(i.theirs(), i.ours()))
	i.quiet()
	i.end()
}

// awaitSources waits until Bascule shows the peer as the active director of
// each virtual router.
func (i *interop) awaitSources() {
	i.t.Helper()
	_, err := i.bascule.Await(bounded(i.t), "the peer to be the active director", func(s lab.Status) bool {
		group, found := s.Group("web")
		return found && group.State == lab.StateBackup && !slices.ContainsFunc(group.Routers, func(r lab.RouterStatus) bool {
			return r.ActiveSource == ""
		})
	})
	must(i.t, err)
}

// loseLinkOfPeer takes one of two links of the active peer. One whose routers
// move together resigns on the other link, which Bascule takes for a
// resignation from all. One whose routers do not goes on there, and Bascule,
// which has all of a group or none of it, waits.
func (i *interop) loseLinkOfPeer() {
	i.t.Helper()
	cut := func(context.Context) error { return i.LB2.CutLinks(lab.SecondCard) }
	if i.with.groups {
		i.awaitSources() // a router that has not advertised yet resigns in silence
		i.moves("peer's second link lost, bascule takes over", i.ours(), i.skewTime(i.basculePart, i.wire.interval)+reaction, cut)
		return
	}
	must(i.t, i.LB2.CutLinks(lab.SecondCard))
	public := slices.DeleteFunc(i.wire.families.Routers(), func(r lab.VirtualRouter) bool { return r.Name != lab.Public })
	i.stays("the peer has one link left", []claim{{i.theirs(), addresses(public), true}, {i.ours(), i.all(), false}})
}

// testEqual has both with the same priority: who is active stays so, and after
// a split the higher address wins (RFC 9568 section 6.4.3), which is the
// peer's.
func testEqual(t *testing.T, with implementation, w wire) {
	t.Helper()
	i := newInterop(t, with, w, part{priority: 100}, part{priority: 100})
	i.startBascule()
	i.await(i.ours(), i.all(), true)
	i.startPeer()
	i.stays("the peer has come", i.oneHas(i.ours(), i.theirs()))
	must(t, i.LB2.IsolateLinks())
	i.await(i.theirs(), i.all(), true)
	i.stays("they do not hear one another", []claim{{i.theirs(), i.all(), true}, {i.ours(), i.all(), true}})
	must(t, i.LB2.RestoreLinks())
	i.awaitActive(i.theirs(), i.ours())
	i.stays("the split is over", i.oneHas(i.theirs(), i.ours()))
	i.noneDropped()
	i.end()
}

// testBasculeNoPreempt has Bascule, which is not to preempt, come beside an
// active peer of lower priority.
func testBasculeNoPreempt(t *testing.T, with implementation, w wire) {
	t.Helper()
	i := newInterop(t, with, w, part{priority: 150, noPreempt: true}, part{priority: 100})
	i.startPeer()
	i.await(i.theirs(), i.all(), true)
	i.startBascule()
	i.stays("bascule has come", i.oneHas(i.theirs(), i.ours()))
	i.awaitSources()
	i.moves("peer stopped, bascule takes over", i.ours(), i.skewTime(i.basculePart, w.interval)+reaction, i.peer.Stop)
	i.startPeer()
	i.stays("the peer has come back", i.oneHas(i.ours(), i.theirs()))
	i.quiet()
	i.end()
}

// testPeerNoPreempt has a peer, which is not to preempt, come beside an active
// Bascule of lower priority.
func testPeerNoPreempt(t *testing.T, with implementation, w wire) {
	t.Helper()
	i := newInterop(t, with, w, part{priority: 100}, part{priority: 150, noPreempt: true})
	i.startBascule()
	i.await(i.ours(), i.all(), true)
	i.startPeer()
	i.stays("the peer has come", i.oneHas(i.ours(), i.theirs()))
	i.moves("bascule stopped, peer takes over", i.theirs(), i.skewTime(i.peerPart, w.interval)+reaction, i.bascule.Stop)
	i.startBascule()
	i.stays("bascule has come back", i.oneHas(i.theirs(), i.ours()))
	i.quiet()
	i.end()
}

// testIntervals has the peer advertise half as often. In version 3 each learns
// the other's interval from it (RFC 9568 section 6.4.2), and Bascule says that
// they differ.
func testIntervals(t *testing.T, with implementation, w wire) {
	t.Helper()
	if w.version == 2 {
		testIntervals2(t, with, w)
		return
	}
	slow := 2 * w.interval
	i := newInterop(t, with, w, part{priority: 100}, part{priority: 150, interval: slow})
	i.startBascule()
	i.startPeer()
	i.awaitActive(i.theirs(), i.ours())
	_, err := i.bascule.Await(bounded(t), "a word about the intervals", func(s lab.Status) bool {
		return slices.ContainsFunc(s.Problems, func(p string) bool { return strings.Contains(p, "interval") && strings.Contains(p, slow.String()) })
	})
	must(t, err)
	i.moves("slower peer killed, bascule takes over", i.ours(), i.downTime(i.basculePart, slow)+reaction, i.losePeer)

	i.peerPart.priority = 50
	must(t, i.LB2.RestoreLinks())
	i.startPeer()
	i.awaitActive(i.ours(), i.theirs())
	i.stays("the slower peer has come back", i.oneHas(i.ours(), i.theirs()))
	i.moves("bascule killed, slower peer takes over", i.theirs(), i.downTime(i.peerPart, w.interval)+reaction, i.loseBascule)
	i.end()
}

// testIntervals2 has the peer advertise half as often in version 2, whose
// directors drop what does not have their own interval (RFC 2338 section 7.1):
// both are active then, and Bascule says why.
func testIntervals2(t *testing.T, with implementation, w wire) {
	t.Helper()
	i := newInterop(t, with, w, part{priority: 100}, part{priority: 150, interval: 2 * w.interval})
	i.startBascule()
	i.startPeer()
	i.await(i.theirs(), i.all(), true)
	i.await(i.ours(), i.all(), true)
	i.awaitLog("interval")
}

// awaitLog waits until Bascule has logged a word.
func (i *interop) awaitLog(word string) {
	i.t.Helper()
	for ctx := bounded(i.t); !strings.Contains(i.bascule.Log(), word); time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil {
			i.t.Fatalf("bascule has not logged %q within %v", word, patience)
		}
	}
}

// TestInteropOwner has a peer own the addresses (RFC 9568 section 6.1): it is
// active from its first moment on, and Bascule gives way to it at once.
func TestInteropOwner(t *testing.T) {
	t.Parallel()
	for _, with := range []implementation{keepalived227, keepalived233} {
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			w := wire{families: lab.DualStack, version: 3, checksum: lab.ChecksumPseudoHeader, interval: brief}
			i := newInterop(t, with, w, part{priority: 254}, part{priority: 255})
			i.startBascule()
			i.await(i.ours(), i.all(), true)
			i.startPeer()
			i.awaitActive(i.theirs(), i.ours())
			i.stays("the owner has come", i.oneHas(i.theirs(), i.ours()))
			i.moves("owner stopped, bascule takes over", i.ours(), i.skewTime(i.basculePart, w.interval)+reaction, i.peer.Stop)
			i.startPeer()
			i.awaitActive(i.theirs(), i.ours())
			i.moves("owner killed, bascule takes over", i.ours(), i.downTime(i.basculePart, w.interval)+reaction, i.losePeer)
			i.quiet()
			i.end()
		})
	}
}

// TestInteropHopLimit has keepalived send IPv6 in unicast as it does by itself,
// with the kernel's Hop Limit of 64, to a Bascule that was not told of routers
// between them. It must not be used (RFC 9568 section 7.1), and Bascule must
// say so, for both are active then.
func TestInteropHopLimit(t *testing.T) {
	t.Parallel()
	w := wire{families: lab.IPv6, interval: brief, unicast: true, farPeer: true}
	i := newInterop(t, keepalived227, w, part{priority: 100}, part{priority: 150})
	w.farPeer = false
	must(t, i.bascule.WriteConfig(basculeText(i.Lab, w, i.basculePart)))
	i.startBascule()
	i.startPeer()
	i.await(i.ours(), i.all(), true)
	i.await(i.theirs(), i.all(), true)
	i.awaitLog("ttl: 64, not 255")
}
