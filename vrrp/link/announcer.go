package link

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// announcer announces the addresses of one interface once they are there.
type announcer struct {
	log       *slog.Logger
	iface     string
	goal      *atomic.Pointer[goal]
	schedule  atomic.Pointer[Schedule] // of the campaigns, or soon
	installed func(netip.Prefix) bool
	send      func(netip.Addr) error // one frame

	look    bell    // a request, the goal, the schedule or the interface changed
	problem problem // why announcements fail

	told       bool      // the log knows of the problem
	complained time.Time // when the last complaint was logged

	mu       sync.Mutex // guards requests, the mailbox
	requests []request

	campaigns campaigns
	pending   map[netip.Prefix]uint64 // requested, not yet there: the generation of the request
}

// newAnnouncer returns an announcer that sends frames by send for those
// addresses of the goal that are installed.
func newAnnouncer(log *slog.Logger, iface string, s Schedule, g *atomic.Pointer[goal], installed func(netip.Prefix) bool, send func(netip.Addr) error) *announcer {
	a := &announcer{
		log: log, iface: iface, goal: g, installed: installed, send: send, look: newBell(),
		campaigns: newCampaigns(s), pending: make(map[netip.Prefix]uint64),
	}
	a.schedule.Store(&s)
	return a
}

// request asks for the announcement of an address.
type request struct {
	prefix     netip.Prefix
	generation uint64 // of the goal when it was asked for
}

// announce asks for announcements. It does not wait.
func (a *announcer) announce(addresses []netip.Prefix) {
	generation := a.goal.Load().generation
	a.mu.Lock()
	for _, p := range addresses {
		a.requests = append(a.requests, request{prefix: p, generation: generation})
	}
	a.mu.Unlock()
	a.look.ring()
}

// setSchedule announces by another schedule from now on.
func (a *announcer) setSchedule(s Schedule) {
	a.schedule.Store(&s)
	a.look.ring()
}

// run announces until ctx ends.
func (a *announcer) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	a.look.ring()
	for ctx.Err() == nil {
		now := time.Now()
		a.fire(now)
		timer.Stop()
		if due, ok := a.campaigns.next(); ok {
			timer.Reset(time.Until(due))
		}
		select {
		case <-ctx.Done():
		case <-a.look:
			a.review(time.Now())
		case <-timer.C:
		}
	}
}

// review follows what has changed: requests, the goal, the interface, the
// schedule.
func (a *announcer) review(now time.Time) {
	a.campaigns.retain(a.may)
	if s := *a.schedule.Load(); s != a.campaigns.schedule {
		there := slices.DeleteFunc(slices.Clone(a.goal.Load().wanted.Present), func(p netip.Prefix) bool { return !a.may(p) })
		a.campaigns.reschedule(now, s, there)
	}
	a.admit(now)
}

// may reports whether p may be announced now.
func (a *announcer) may(p netip.Prefix) bool { return a.goal.Load().wants(p) && a.installed(p) }

// admit begins to announce what was requested and is on the interface. What
// is not there yet waits, unless the goal has turned against it since.
func (a *announcer) admit(now time.Time) {
	a.mu.Lock()
	requests := a.requests
	a.requests = nil
	a.mu.Unlock()
	for _, r := range requests {
		a.pending[r.prefix] = r.generation
	}
	if len(a.pending) == 0 {
		return
	}
	g := a.goal.Load()
	// In the order wanted, so that the order of frames is the same each time.
	for _, p := range g.wanted.Present {
		if _, ok := a.pending[p]; ok && a.installed(p) {
			a.campaigns.start(now, p)
			delete(a.pending, p)
		}
	}
	for p, generation := range a.pending {
		if !g.wants(p) && g.generation > generation {
			delete(a.pending, p)
		}
	}
}

// fire sends what is due. What fails is due again later.
func (a *announcer) fire(now time.Time) {
	for _, p := range a.campaigns.volley(now, a.may) {
		if !a.may(p) {
			a.campaigns.stop(p)
			continue
		}
		a.campaigns.account(now, p, a.send(p.Addr()))
	}
	a.tell(now)
}

// tell shows what fails, until it succeeds or is not announced any more. It
// logs each failure once, but not each time where frames fail and succeed by
// turns.
func (a *announcer) tell(now time.Time) {
	err := a.campaigns.failure()
	if err == nil || errors.Is(err, unix.ENODEV) { // the fault of the interface says so already
		a.problem.clear()
		a.told = false
		return
	}
	a.problem.show(a.iface, err)
	if !a.told && now.Sub(a.complained) >= complaintPause {
		a.log.Error("retrying", "interface", a.iface, "error", err)
		a.told, a.complained = true, now
	}
}
