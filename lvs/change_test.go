package lvs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/lvs"
)

// TestChanges checks what is told of real servers and the quorum, and that
// what has changed back meanwhile is not.
func TestChanges(t *testing.T) {
	s := newStage(t, func(c *lvs.VirtualServerConfig) {
		c.Quorum, c.DrainLimit = lvs.Quorum{Weight: 200}, time.Minute
	})
	check := func(want ...string) {
		t.Helper()
		var got []string
		for _, c := range s.Changes() {
			line := fmt.Sprintf("%s quorum %v: %s", c.VirtualServer, c.Quorum, c.Reason)
			if c.RealServer.IsValid() {
				line = fmt.Sprintf("%s %v %v: %s", c.VirtualServer, c.RealServer.Addr(), c.State, c.Reason)
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	}
	check()
	s.do("good 1")
	check("www 10.1.0.1 member: says its check")
	s.do("bad 1")
	s.do("good 1")
	check()
	s.do("good 2")
	check("www quorum reached: healthy real servers have weight 200, lost below 200", "www 10.1.0.2 member: says its check")
	s.do("bad 2")
	check("www quorum lost: healthy real servers have weight 100, reached again from 200 on: no sorry server, the remaining members stay",
		"www 10.1.0.2 out: says its check")
	s.do("without 1")
	check("www 10.1.0.1 draining: not configured any more")
	s.pass()
	check("www 10.1.0.1 out: drained, not configured any more")
	s.do("good 2")
	s.do("reload")
	s.Changes()
	s.Configure(nil, nil)
	check("renamed 10.1.0.2 out: not configured any more")
	s.Configure([]lvs.VirtualServerConfig{s.config}, nil)
	s.do("good 1")
	s.Changes()
	s.Withdraw()
	check("www 10.1.0.1 out: virtual server withdrawn")
}
