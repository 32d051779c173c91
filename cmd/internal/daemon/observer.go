package daemon

import (
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"bascule/vrrp"
	"bascule/vrrp/speaker"
)

// observer writes what the speaker reports to the log, and remembers for
// status what goes on. The logger must not wait, because the speaker's loop
// calls it.
type observer struct {
	log    *slog.Logger
	moved  func(group string, to vrrp.State)          // must not wait
	recent atomic.Pointer[map[noticeKey]recentNotice] // never changed, only replaced
}

var _ speaker.Observer = (*observer)(nil)

// noticeKey is what notices can repeat themselves about.
type noticeKey struct {
	group, router string
	kind          vrrp.NoticeKind
	drop          vrrp.DropReason
}

// recentNotice is the latest of several notices that followed each other.
type recentNotice struct {
	detail string
	first  bool      // and only one yet
	until  time.Time // when the next one is overdue
}

// Transition logs a change of state with fixed keys, one line each.
func (o *observer) Transition(t vrrp.Transition) {
	o.log.Info("group state", "group", t.Group, "from", t.From.String(), "to", t.To.String(),
		"priority", t.Priority, "reason", t.Reason)
	o.moved(t.Group, t.To)
}

// Notice logs what stands out.
func (o *observer) Notice(n vrrp.Notice) {
	o.log.Warn(n.Kind.String(), "group", n.Group, "router", n.Router, "detail", n.Detail)
	if n.Recurs > 0 {
		o.remember(time.Now(), n)
	}
}

// remember keeps a notice about something that happened, and forgets those
// that are over. What lasts is in the status of the router itself.
func (o *observer) remember(now time.Time, n vrrp.Notice) {
	next := make(map[noticeKey]recentNotice)
	if old := o.recent.Load(); old != nil {
		maps.Copy(next, *old)
	}
	maps.DeleteFunc(next, func(_ noticeKey, r recentNotice) bool { return now.After(r.until) })
	key := noticeKey{n.Group, n.Router, n.Kind, n.Drop}
	_, before := next[key]
	next[key] = recentNotice{detail: n.Detail, first: !before, until: now.Add(n.Recurs)}
	o.recent.Store(&next)
}

// problems lists what goes on now, sorted. Another active router is none when
// it was heard but once: it yields, as after a network that was split.
func (o *observer) problems(now time.Time) []string {
	var words []string
	if recent := o.recent.Load(); recent != nil {
		for key, r := range *recent {
			once := key.kind == vrrp.NoticePeerLower && r.first
			if !now.After(r.until) && !once {
				words = append(words, key.group+"."+key.router+": "+key.kind.String()+": "+r.detail)
			}
		}
	}
	slices.Sort(words)
	return words
}

// SendFault logs that advertisements cannot be sent, or can be again.
func (o *observer) SendFault(iface string, destination netip.Addr, fault string) {
	if fault == "" {
		o.log.Info("advertisements go out again", "interface", iface, "destination", destination)
		return
	}
	o.log.Warn("advertisements cannot be sent", "interface", iface, "destination", destination, "error", fault)
}
