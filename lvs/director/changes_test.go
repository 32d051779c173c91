package director_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bascule/lvs/director"
)

// TestFlapping lets a real server change all the time: that is logged now and
// then, the end of it is, and others are not affected.
func TestFlapping(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		director.WithPeriod(100 * time.Millisecond)(f.Director)
		line := func(address, state, reason, more string) string {
			return fmt.Sprintf("level=INFO msg=\"real server\" virtual_server=www address=%s state=%s reason=%s%s", address, state, reason, more)
		}
		f.configure(www(web1, web2))
		f.start()
		f.wait(time.Second)
		flap := func(times int) {
			for range times {
				f.good(web1)
				f.wait(500 * time.Millisecond)
				f.bad(web1, "timeout")
				f.wait(500 * time.Millisecond)
			}
		}
		flap(2)
		in, out := line(web1, "member", `""`, ""), line(web1, "out", "timeout", "")
		f.checkLog(in, out, in, out)
		flap(10)
		f.bad(web2, "refused")
		f.good(web2)
		f.wait(time.Second)
		f.checkLog(line(web2, "member", `""`, ""))
		flap(300)
		lines := strings.Split(strings.TrimSpace(f.log.take()), "\n")
		if len(lines) != 5 || !strings.Contains(lines[4], "changes=1") {
			t.Errorf("logged in 5 minutes of changes: %q", lines)
		}
		f.good(web1)
		f.wait(time.Minute)
		lines = strings.Split(strings.TrimSpace(f.log.take()), "\n")
		if len(lines) != 1 || !strings.HasPrefix(lines[0], line(web1, "member", `""`, " changes=")) {
			t.Errorf("logged after the end: %q", lines)
		}
		f.wait(time.Hour)
		flap(2)
		f.checkLog(out, in, out)
	})
}
