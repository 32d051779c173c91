package daemon

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/vrrp"
)

// TestNoticesThatGoOn: advertisements that are dropped, or a second active
// router that does not yield, are problems for as long as they go on.
func TestNoticesThatGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &observer{log: slog.New(slog.DiscardHandler)}
		expect := func(when string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, o.problems(time.Now()), compareValues); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		notice := func(kind vrrp.NoticeKind, drop vrrp.DropReason, recurs time.Duration, detail string) {
			o.Notice(vrrp.Notice{Group: "web", Router: "four", Kind: kind, Drop: drop, Recurs: recurs, Detail: detail})
		}
		lower := func(priority string) {
			notice(vrrp.NoticePeerLower, vrrp.NotDropped, 90*time.Second, "192.0.2.12 is active too, with priority "+priority)
		}
		expect("at first")
		const recurs = 12 * time.Second
		notice(vrrp.NoticeDropped, vrrp.DropSignature, recurs, "from 192.0.2.12: signature")
		lower("100")
		notice(vrrp.NoticeStranger, vrrp.NotDropped, 0, "vrid 7 on e0, advertised by 192.0.2.13")
		notice(vrrp.NoticeIntervalMismatch, vrrp.NotDropped, 0, "in the status of the router")
		const dropped = "web.four: advertisements dropped: from "
		const second = "web.four: second active router of lower priority: 192.0.2.12 is active too, with priority "
		expect("after one notice of each kind", dropped+"192.0.2.12: signature")
		time.Sleep(10 * time.Second)
		notice(vrrp.NoticeDropped, vrrp.DropReplay, recurs, "from 192.0.2.13: replay")
		notice(vrrp.NoticeDropped, vrrp.DropSignature, recurs, "from 192.0.2.12: signature")
		expect("after another reason", dropped+"192.0.2.12: signature", dropped+"192.0.2.13: replay")
		time.Sleep(10 * time.Second)
		notice(vrrp.NoticeDropped, vrrp.DropSignature, recurs, "from 192.0.2.14: signature")
		time.Sleep(10 * time.Second)
		expect("when one reason is over", dropped+"192.0.2.14: signature")
		time.Sleep(60 * time.Second)
		lower("90")
		expect("after the second of a slow one", second+"90")
		time.Sleep(90 * time.Second)
		expect("as long as the next may come", second+"90")
		time.Sleep(time.Second)
		expect("when all are over")
		lower("90")
		expect("one notice later")
		if n := len(*o.recent.Load()); n != 1 {
			t.Errorf("%d notices are remembered, want those that go on", n)
		}
	})
}
