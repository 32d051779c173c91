package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	b.same(b.handle(bad), "notice web/public advertisements dropped: from 192.168.56.30: ttl")
	for range 9 {
		b.wait(second)
		b.same(b.handle(bad))
	}
	b.wait(second)
	b.same(b.handle(bad), "notice web/public advertisements dropped: from 192.168.56.30: ttl")
	own := advert(publicRouter(), ownSource, 150)
	b.same(b.handle(own), "notice web/public own source address received: "+
		"advertisement from our own address 192.168.56.20: another host uses it, or the network loops")
	b.down("pub")
	b.same(b.handle(advert(publicRouter(), greaterSource, 150)))
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
	b.handle(LinkState{Interface: "pub", Family: IPv6, Source: netip.MustParseAddr("fe80::20")})
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
