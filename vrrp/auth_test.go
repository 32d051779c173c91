package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// public returns the counters and problems of the first router.
func (b *bench) public() RouterStatus { return b.host.Status().Groups[0].Routers[0] }

// fateOf gives a packet to a bench and returns why it was dropped.
func (b *bench) fateOf(p Received) DropReason {
	b.t.Helper()
	before := b.public().Counters
	b.handle(p)
	after := b.public().Counters
	if after.Received > before.Received {
		return NotDropped
	}
	for reason := range after.Dropped {
		if after.Dropped[reason] > before.Dropped[reason] {
			return DropReason(reason)
		}
	}
	b.t.Fatal("neither received nor dropped")
	return 0
}

// TestAuthModes: what is signed, and what is made of a packet, in each mode.
// A wrong signature is refused in every one: nobody makes it by mistake.
func TestAuthModes(t *testing.T) {
	rc := publicRouter()
	keys := testKeys()
	mistaken := Key{ID: 2, Secret: keys[0].Secret}
	packets := []struct {
		name   string
		packet Received
		want   [3]DropReason // receive-only, permissive, enforce
	}{
		{"unsigned", advert(rc, smallerSource, 100), [3]DropReason{NotDropped, NotDropped, DropUnsigned}},
		{"signed by the active key", signed(rc, keys[0], epoch, smallerSource, 100), [3]DropReason{}},
		{"signed by the second key", signed(rc, keys[1], epoch, smallerSource, 100), [3]DropReason{}},
		{"signed by an unknown key", signed(rc, Key{ID: 3, Secret: keys[0].Secret}, epoch, smallerSource, 100),
			[3]DropReason{DropKey, DropKey, DropKey}},
		{"wrongly signed", signed(rc, mistaken, epoch, smallerSource, 100),
			[3]DropReason{DropSignature, DropSignature, DropSignature}},
		{"signed too long ago", signed(rc, keys[0], epoch.Add(-time.Minute), smallerSource, 100),
			[3]DropReason{DropClock, DropClock, DropClock}},
	}
	for _, mode := range []AuthMode{AuthReceiveOnly, AuthPermissive, AuthEnforce} {
		for _, tt := range packets {
			t.Run(tt.name+" in "+mode.String(), func(t *testing.T) {
				b := newBackup(t, groupOf(100, signing(rc, mode)))
				if got := b.fateOf(tt.packet); got != tt.want[mode] {
					t.Errorf("got %v, want %v", got, tt.want[mode])
				}
				if tt.name != "unsigned" || mode == AuthEnforce {
					return
				}
				if told := len(b.problems()) > 0; told != (mode == AuthPermissive) {
					t.Errorf("problems: %q", b.problems())
				}
			})
		}
		b := newBackup(t, groupOf(100, signing(rc, mode)))
		want := sent(100)
		if mode != AuthReceiveOnly {
			want += " key 1"
		}
		b.same(b.expire()[:1], want)
	}
}

// heard is one signed advertisement in a sequence.
type heard struct {
	clock  time.Duration // by how much our wall clock is ahead of the true time
	signed time.Duration // when it was signed, from the beginning of the test
	source string        // smallerSource if not given
	want   DropReason
}

// replays are sequences of signed advertisements, all of which arrive at the
// beginning of the test by the true time. The window is five seconds, or none.
func replays() map[string]struct {
	noWindow bool
	heard    []heard
} {
	const ms, hour = time.Millisecond, time.Hour
	type sequence = struct {
		noWindow bool
		heard    []heard
	}
	return map[string]sequence{
		"in order":         {heard: []heard{{signed: -20 * ms}, {signed: -10 * ms}, {}}},
		"twice":            {heard: []heard{{}, {want: DropDuplicate}, {want: DropDuplicate}}},
		"reordered":        {heard: []heard{{}, {signed: -10 * ms, want: DropReplay}, {signed: 10 * ms}}},
		"from two sources": {heard: []heard{{signed: ms}, {source: greaterSource}, {want: DropReplay}}},
		"clock behind":     {heard: []heard{{signed: -5001 * ms, want: DropClock}, {signed: -5000 * ms}}},
		"clock ahead":      {heard: []heard{{signed: 5001 * ms, want: DropClock}, {signed: 5000 * ms}}},
		"refused ones are not remembered": {heard: []heard{
			{signed: hour, want: DropClock}, {},
		}},
		"sender restarted": {heard: []heard{{signed: -4 * second}, {}}},
		"sender put its clock back and restarted": {heard: []heard{
			{}, {signed: -2 * second, want: DropReplay}, {signed: ms},
		}},
		"no window": {noWindow: true, heard: []heard{
			{signed: -hour}, {signed: -hour, want: DropDuplicate}, {signed: hour}, {want: DropReplay}, {signed: hour + ms},
		}},
		"no window, our clock put back": {noWindow: true, heard: []heard{
			{}, {clock: -hour, signed: -ms, want: DropReplay}, {clock: -hour, signed: ms},
		}},
		"our clock put back with the sender's": {heard: []heard{
			{}, {clock: -hour, signed: -hour}, {clock: -hour, signed: -hour, want: DropDuplicate}, {clock: -hour, signed: -hour + ms},
		}},
		"our clock put back alone": {heard: []heard{{}, {clock: -hour, signed: ms, want: DropClock}}},
		"our clock put back by less than the window": {heard: []heard{
			{}, {clock: -2 * second, signed: -2 * second, want: DropReplay}, {clock: -2 * second, signed: ms},
		}},
		"our clock was wrong and is right now": {heard: []heard{{clock: hour, want: DropClock}, {}}},
	}
}

// TestReplay: an advertisement that was signed before the last one of its
// source, or too far from now, is not heard.
func TestReplay(t *testing.T) {
	for name, tt := range replays() {
		t.Run(name, func(t *testing.T) {
			rc := signing(publicRouter(), AuthEnforce)
			if tt.noWindow {
				rc.Auth.Window = 0
			}
			b := newBackup(t, groupOf(100, rc))
			for i, h := range tt.heard {
				if h.source == "" {
					h.source = smallerSource
				}
				b.host.clock = h.clock
				if got := b.fateOf(signed(rc, testKeys()[0], epoch.Add(h.signed), h.source, 150)); got != h.want {
					t.Errorf("packet %d: %v, want %v", i, got, h.want)
				}
			}
		})
	}
}

// TestReplayIsOfEachRouter: who signed later on one virtual router is heard on
// the other all the same.
func TestReplayIsOfEachRouter(t *testing.T) {
	public, gateway := signing(publicRouter(), AuthEnforce), signing(gatewayRouter(), AuthEnforce)
	b := newBackup(t, groupOf(100, public, gateway))
	key := testKeys()[0]
	b.handle(signed(public, key, epoch.Add(second), greaterSource, 150))
	b.handle(signed(gateway, key, epoch, greaterSource, 150))
	for _, r := range b.host.Status().Groups[0].Routers {
		if r.Counters.Received != 1 {
			t.Errorf("%s has received %d, want 1", r.Name, r.Counters.Received)
		}
	}
}

// TestReplaySurvivesReloadAndFault: what was heard is not forgotten where a
// recording could make use of it.
func TestReplaySurvivesReloadAndFault(t *testing.T) {
	rc := signing(publicRouter(), AuthEnforce)
	b := newBackup(t, groupOf(100, rc))
	p := signed(rc, testKeys()[0], epoch, greaterSource, 150)
	b.handle(p)
	b.reload(groupOf(90, rc))
	if got := b.fateOf(p); got != DropDuplicate {
		t.Errorf("after a reload: %v, want %v", got, DropDuplicate)
	}
	b.down("pub")
	b.up("pub")
	if got := b.fateOf(p); got != DropDuplicate {
		t.Errorf("after a fault: %v, want %v", got, DropDuplicate)
	}
}

// TestSignaturesMoveWithTheirRouter: a reload that gives a router to another
// group does not open it to recordings, and what it signs next is not earlier
// than what it signed last, though that was in the same moment.
func TestSignaturesMoveWithTheirRouter(t *testing.T) {
	rc := signing(publicRouter(), AuthEnforce)
	moved := named("other", groupOf(Owner, rc, vrid(publicRouter(), 57)))
	b := newActive(t, groupOf(100, rc), named("other", groupOf(100, vrid(publicRouter(), 57))))
	p := signed(rc, testKeys()[0], b.now, smallerSource, 50)
	if got := b.fateOf(p); got != NotDropped {
		t.Fatalf("at first: %v", got)
	}
	last := b.host.groups[0].routers[0].stamp
	got := stamps(b.host.Handle(b.now, Reconfigure{Groups: []GroupConfig{moved}}))
	got = slices.DeleteFunc(got, func(s Stamp) bool { return s == 0 }) // the other router does not sign
	if len(got) == 0 || !slices.IsSorted(got) || got[0] <= last {
		t.Errorf("stamps %016x after %016x", got, uint64(last))
	}
	if got := b.fateOf(p); got != DropDuplicate {
		t.Errorf("in the other group: %v, want %v", got, DropDuplicate)
	}
}

// TestSignersAreBounded: who has a key and many addresses does not grow the
// memory; the one that was silent for the longest time is forgotten.
func TestSignersAreBounded(t *testing.T) {
	rc := signing(publicRouter(), AuthEnforce)
	b := newBackup(t, groupOf(100, rc))
	from := func(n int) Received {
		return signed(rc, testKeys()[0], epoch.Add(time.Duration(n)*time.Millisecond), fmt.Sprintf("192.168.56.%d", 100+n), 150)
	}
	for n := range 3 * signersMax {
		if got := b.fateOf(from(n)); got != NotDropped {
			t.Fatalf("source %d: %v", n, got)
		}
	}
	if got := len(b.host.groups[0].routers[0].signers); got != signersMax {
		t.Errorf("%d sources are remembered, want %d", got, signersMax)
	}
	for n := range signersMax {
		if got := b.fateOf(from(2*signersMax + n)); got != DropDuplicate {
			t.Errorf("source %d again: %v, want %v", 2*signersMax+n, got, DropDuplicate)
		}
	}
}

// stamps returns the stamps of the advertisements among actions.
func stamps(actions []Action) (list []Stamp) {
	for _, a := range actions {
		if s, ok := a.(Send); ok {
			list = append(list, s.Encoding.Stamp)
		}
	}
	return list
}

// TestStampsRise: each advertisement of a router has a later stamp than the one
// before, in the same moment and when its clock is put back; the copies for
// several peers are one advertisement.
func TestStampsRise(t *testing.T) {
	rc := unicast(signing(publicRouter(), AuthPermissive), smallerSource, greaterSource)
	b := newActive(t, groupOf(100, rc))
	last := b.host.groups[0].routers[0].stamp
	for i, clock := range []time.Duration{0, 0, -second, -5 * second, time.Hour, time.Hour - second} {
		b.host.clock = clock
		// A new priority is advertised at once.
		reload := Reconfigure{Groups: []GroupConfig{groupOf(uint8(101+i), rc)}}
		got := stamps(b.host.Handle(b.now, reload))
		if len(got) != 2 || got[0] != got[1] || got[0] <= last {
			t.Fatalf("clock %v: stamps %016x after %016x, want two of the same, later", clock, got, last)
		}
		last = got[0]
	}
}

// TestClockOfTheSenderPutRight: a clock that was far ahead is put right. What
// it stamps from then on is heard, although it is earlier than before.
func TestClockOfTheSenderPutRight(t *testing.T) {
	rc := signing(publicRouter(), AuthEnforce)
	receiver := newBackup(t, groupOf(50, rc))
	sender := newBench(t, groupOf(100, rc))
	sender.handle(LinkState{Interface: "pub", Family: IPv4, Sources: []netip.Addr{netip.MustParseAddr(greaterSource)}})
	hear := func() DropReason {
		t.Helper()
		sender.now = sender.host.Deadline()
		receiver.now = sender.now
		s := sender.host.Handle(sender.now, Expiry{})[0].(Send)
		return receiver.fateOf(Received{
			Interface: "pub", Source: s.Source, Destination: s.Destination, TTL: requiredTTL, Payload: s.Append(nil),
		})
	}
	for i, step := range []struct {
		clock time.Duration
		want  DropReason
	}{
		{0, NotDropped}, {time.Hour, DropClock}, {0, NotDropped}, {-time.Hour, DropClock}, {0, NotDropped}, {4 * second, NotDropped}, {0, NotDropped},
	} {
		sender.host.clock = step.clock
		if got := hear(); got != step.want {
			t.Errorf("step %d, sender's clock %v ahead: %v, want %v", i, step.clock, got, step.want)
		}
	}
}

// TestDuplicateIsNoAlarm: the same packet may be heard twice where it was
// being handed over when the timer fired. It is dropped, and is no recording.
func TestDuplicateIsNoAlarm(t *testing.T) {
	rc := signing(publicRouter(), AuthEnforce)
	b := newBackup(t, groupOf(100, rc))
	p := signed(rc, testKeys()[0], epoch, greaterSource, 150)
	b.same(b.handle(p))
	b.same(b.handle(p))
	counters := b.host.Status().Groups[0].Routers[0].Counters
	if want := (Drops{DropDuplicate: 1}); counters.Dropped != want || counters.Received != 1 {
		t.Errorf("dropped %v, want %v; received %d", counters.Dropped, want, counters.Received)
	}
}
