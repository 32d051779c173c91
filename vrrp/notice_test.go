package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// problems returns what stands out about the first router.
func (b *bench) problems() []string { return b.host.Status().Groups[0].Routers[0].Problems }

// TestMismatchLasts: a difference is told when it begins and when it changes,
// stands in the status for as long as it holds, and leaves it in silence.
func TestMismatchLasts(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	two := "192.168.56.30 advertises 2s, configured is 1s"
	three := "192.168.56.30 advertises 3s, configured is 1s"
	notice := "notice web/public advertisement interval mismatch: "
	steps := []struct {
		interval time.Duration
		pause    time.Duration
		notices  []string
		problems []string
	}{
		{interval: second},
		{interval: 2 * second, notices: []string{notice + two}, problems: []string{two}},
		{interval: 2 * second, pause: noticePause, problems: []string{two}},
		{interval: 3 * second, notices: []string{notice + three}, problems: []string{three}},
		{interval: second},
		{interval: 3 * second, pause: noticePause, notices: []string{notice + three}, problems: []string{three}},
	}
	for i, step := range steps {
		b.wait(step.pause)
		got := b.handle(advert(publicRouter(), greaterSource, 150, every(step.interval)))
		if diff := cmp.Diff(step.notices, got); diff != "" {
			t.Errorf("step %d, notices (-want +got):\n%s", i, diff)
		}
		var want []string
		for _, p := range step.problems {
			want = append(want, "advertisement interval mismatch: "+p)
		}
		if diff := cmp.Diff(want, b.problems()); diff != "" {
			t.Errorf("step %d, problems (-want +got):\n%s", i, diff)
		}
	}
}

// TestMismatchThatChangedDuringThePauseIsTold: the pause protects the log from
// a flood; what still holds at its end must not be lost.
func TestMismatchThatChangedDuringThePauseIsTold(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	hear := func(d time.Duration) []string {
		return b.handle(advert(publicRouter(), greaterSource, 150, every(d)))
	}
	if got := hear(2 * second); len(got) != 1 {
		t.Fatalf("at first: %q", got)
	}
	b.wait(second)
	b.same(hear(3 * second))
	b.wait(noticePause - second - 1)
	b.same(hear(3 * second))
	b.wait(1)
	b.same(hear(3*second),
		"notice web/public advertisement interval mismatch: 192.168.56.30 advertises 3s, configured is 1s")
}

// TestMismatchFlood: two peers that disagree take turns; the log hears of it
// once in a while and not with each packet.
func TestMismatchFlood(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	told := 0
	for n := range 1000 {
		told += len(b.handle(advert(publicRouter(), greaterSource, 150, every(time.Duration(2+n%2)*second))))
		b.wait(30 * time.Millisecond)
	}
	// 30 seconds: the first, and one after each of the pauses but the last.
	if told != 3 {
		t.Errorf("told %d times in 30s, want 3", told)
	}
}

// TestDropNotices: a stream of bad packets is told now and then; what is
// normal in Initialize is not told at all.
func TestDropNotices(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	bad := advert(publicRouter(), greaterSource, 150)
	bad.TTL = 64
	notice := "notice web/public advertisements dropped: from 192.168.56.30: " +
		"ttl: 64, not 255: it came through a router, or is forged"
	b.same(b.handle(bad), notice)
	for range 9 {
		b.wait(second)
		b.same(b.handle(bad))
	}
	b.wait(second)
	b.same(b.handle(bad), notice)
	own := advert(publicRouter(), ownSource, 150)
	b.same(b.handle(own), "notice web/public own source address received: "+
		"advertisement from our own address 192.168.56.20: another host uses it, or the network loops")
	b.down("pub")
	b.same(b.handle(advert(publicRouter(), greaterSource, 150)))
}

// TestDropsAreExplained says of each drop what differs, so that nobody needs a
// capture for it.
func TestDropsAreExplained(t *testing.T) {
	plain, enforcing := publicRouter(), signing(publicRouter(), AuthEnforce)
	at := func(d time.Duration) Received {
		return signed(enforcing, testKeys()[0], epoch.Add(d), greaterSource, 150)
	}
	bits := func(version byte) Received {
		return payloadOf(advert(plain, greaterSource, 150), func(b []byte) []byte { b[0] = version<<4 | 1; return b })
	}
	tests := []struct {
		name   string
		router RouterConfig
		heard  []Received // the last one is dropped
		want   string
	}{
		{"older version", plain, []Received{advert(old(plain, ""), greaterSource, 150)}, "version: 2, configured is 3"},
		{"newer version", plain, []Received{bits(4)}, "version: 4, configured is 3"},
		{"newer version towards version 2", old(plain, ""), []Received{bits(4)}, "version: 4, configured is 2"},
		{"interval of version 2", old(plain, ""), []Received{advert(old(plain, ""), greaterSource, 150, every(2*second))},
			"interval: 2s, configured is 1s"},
		{"forwarded", plain, []Received{withTTL(advert(plain, greaterSource, 150), 63)},
			"ttl: 63, not 255: it came through a router, or is forged"},
		{"clock ahead", enforcing, []Received{at(20 * second)},
			"clock: signed 20s ahead of our clock, allowed are 5s: do the directors' clocks agree?"},
		{"clock behind", enforcing, []Received{at(-6 * second)},
			"clock: signed 6s behind our clock, allowed are 5s: do the directors' clocks agree?"},
		{"clock put back", enforcing, []Received{at(0), at(-2 * second)},
			"replay: signed 2s before the last one of that director: it is a recording, or its clock was put back"},
		{"signed, and no keys", plain, []Received{at(0)}, "length: it is signed, and no keys are configured"},
		{"unsigned", enforcing, []Received{advert(plain, greaterSource, 150)}, "unsigned"},
	}
	for _, test := range tests {
		b := newBackup(t, groupOf(100, test.router))
		var got []string
		for _, p := range test.heard {
			got = b.handle(p)
		}
		want := []string{"notice web/public advertisements dropped: from 192.168.56.30: " + test.want}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestDropReasonsAreToldApart: the pause after one reason hides no other, and
// the notice says which it is.
func TestDropReasonsAreToldApart(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	bad := advert(publicRouter(), greaterSource, 150)
	for range 3 {
		for _, reason := range []DropReason{DropTTL, DropVersion} {
			p := withTTL(bad, 1)
			if reason == DropVersion {
				p = advert(old(publicRouter(), ""), greaterSource, 150)
			}
			for told := range 2 { // the second is within the pause
				var got []DropReason
				for _, a := range b.host.Handle(b.now, p) {
					got = append(got, a.(Notice).Drop)
				}
				if diff := cmp.Diff([]DropReason{reason}[:1-told], got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("reasons told (-want +got):\n%s", diff)
				}
			}
		}
		b.wait(noticePause)
	}
}

// TestNoticesRecur: what goes on is told again within the time that the notice
// says, also at long intervals and if a packet is lost.
func TestNoticesRecur(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, second, 7 * second, 40 * second} {
		cfg := groupOf(200, publicRouter())
		cfg.AdvertisementInterval = interval
		b := newActive(t, cfg)
		b.wait(interval)
		var last time.Time
		recurs := time.Duration(0)
		for n := range 20000 {
			for _, a := range b.host.Handle(b.now, advert(publicRouter(), smallerSource, 100, every(interval))) {
				if notice, ok := a.(Notice); ok {
					if after := b.now.Sub(last); recurs > 0 && after > recurs-interval {
						t.Errorf("interval %v: told after %v, which leaves no packet to lose of %v", interval, after, recurs)
					}
					last, recurs = b.now, notice.Recurs
				}
			}
			if b.wait(interval); recurs > 0 && b.now.Sub(last) > 20*recurs {
				t.Fatalf("interval %v: nothing is told again after %d packets", interval, n)
			}
		}
		if recurs == 0 {
			t.Errorf("interval %v: nothing is told that recurs", interval)
		}
	}
}

// TestChecksumMismatch: both forms are heard; that they differ is told once and
// shown, and IPv6 knows no difference.
func TestChecksumMismatch(t *testing.T) {
	ours := publicRouter()
	theirs := publicRouter()
	theirs.Checksum = ChecksumMessage
	b := newBackup(t, groupOf(100, ours))
	b.wait(second)
	b.same(b.handle(advert(theirs, greaterSource, 150)),
		`notice web/public checksum form mismatch: 192.168.56.30 uses form "message", configured is "pseudo-header"`)
	b.firesIn(down100)
	r := b.host.Status().Groups[0].Routers[0]
	if r.ActiveChecksum != ChecksumMessage {
		t.Errorf("status shows form %v", r.ActiveChecksum)
	}

	six := RouterConfig{
		RouterKey: RouterKey{Interface: "pub", Family: IPv6, VRID: 56}, Name: "public6", Checksum: ChecksumMessage,
		Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::56/64")},
	}
	b = newBench(t, groupOf(100, six))
	b.handle(LinkState{Interface: "pub", Family: IPv6, Sources: []netip.Addr{netip.MustParseAddr("fe80::20")}})
	b.same(b.handle(advert(six, "fe80::30", 150)))
}

// TestAddressOrderDoesNotMatter: the section asks for the same addresses, not
// for the same order.
func TestAddressOrderDoesNotMatter(t *testing.T) {
	rc := addressed(bare(publicRouter()), "192.168.56.101/24", "192.168.56.100/24")
	b := newBackup(t, groupOf(100, rc))
	reversed := bare(rc)
	reversed.Addresses = []netip.Prefix{rc.Addresses[1], rc.Addresses[0]}
	b.same(b.handle(advert(reversed, greaterSource, 150)))
	doubled := bare(rc)
	doubled.Addresses = []netip.Prefix{rc.Addresses[1], rc.Addresses[1]}
	b.same(b.handle(advert(doubled, greaterSource, 150)),
		"notice web/public address list mismatch: 192.168.56.30 advertises 192.168.56.100, 192.168.56.100, "+
			"configured is 192.168.56.101, 192.168.56.100")
	// Ours go out in the order of the configuration all the same.
	b.same(b.expire()[:1],
		"send pub 192.168.56.20 -> 224.0.0.18 vrid 56 priority 100 interval 1s 192.168.56.101,192.168.56.100")
}

// TestNoticesEndWithTheirDirector has a misconfigured active director resign:
// after the take-over nothing is left to complain of.
func TestNoticesEndWithTheirDirector(t *testing.T) {
	b := newBackup(t, groupOf(100, publicRouter()))
	b.handle(advert(publicRouter(), greaterSource, 150, every(2*second)))
	if got := b.problems(); len(got) != 1 {
		t.Fatalf("problems = %v, want the interval", got)
	}
	b.handle(advert(publicRouter(), greaterSource, 0, every(2*second)))
	b.expire()
	b.inState(Active)
	if got := b.problems(); len(got) != 0 {
		t.Errorf("problems of a director that is gone: %v", got)
	}
}

// TestNoticesEndInSilence has an active director hear a misconfigured one for a
// moment. Once that has been silent for its Active_Down_Interval, or speaks and
// agrees, nothing is left to complain of; as long as it speaks, it is.
func TestNoticesEndInSilence(t *testing.T) {
	peerDown := activeDownInterval(50, 2*second)
	wrong := advert(publicRouter(), smallerSource, 50, every(2*second))
	run := func(b *bench, d time.Duration) {
		for end := b.now.Add(d); !b.host.Deadline().After(end); {
			b.expire()
		}
	}
	complains := func(b *bench, when string, want int) {
		t.Helper()
		if got := b.problems(); len(got) != want {
			t.Errorf("%s: problems %q, want %d", when, got, want)
		}
	}
	b := newActive(t, groupOf(100, publicRouter()))
	b.handle(wrong)
	run(b, 2*second)
	b.handle(wrong)
	run(b, peerDown-second)
	complains(b, "while it may be there", 1)
	b.host.Changed()
	run(b, 2*second)
	complains(b, "after its Active_Down_Interval", 0)
	if _, status := b.host.Changed(); !status {
		t.Error("the change is not reported")
	}
	if got := without(b.handle(wrong), "send"); len(got) == 0 {
		t.Error("what begins anew is not told")
	}
	complains(b, "when it speaks again", 1)
	b.handle(advert(publicRouter(), smallerSource, 50))
	complains(b, "when it agrees", 0)
}
