package director

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"bascule/lvs"
)

// logged is how many changes of real servers are logged one by one at a time:
// a network that fails takes thousands with it, and the log is read by people.
const logged = 20

// logChanges logs what has become of real servers and quorums since it was
// called last. Of one that changes all the time the latest is logged now and
// then, with the number of changes that it stands for.
func (l *loop) logChanges(now time.Time) {
	var due []*pace
	for _, c := range l.model.Changes() {
		if p := l.paces.take(now, c); p != nil {
			due = append(due, p)
		}
	}
	rest := make(map[lvs.RealServerState]int)
	n := 0
	for _, p := range slices.Concat(due, l.paces.overdue(now)) {
		switch real := p.latest.RealServer.IsValid(); {
		case p.held == 0: // the latest of several has been logged
		case real && n == logged:
			rest[p.latest.State]++
		default:
			l.logChange(p)
			if real {
				n++
			}
		}
		p.held = 0
	}
	if len(rest) > 0 {
		l.log.Info("more real servers", counts(rest)...)
	}
}

// logChange logs the latest change of a real server, or of a quorum.
func (l *loop) logChange(p *pace) {
	c := p.latest
	what, attributes := "quorum", []any{"virtual_server", c.VirtualServer, "state", c.Quorum, "reason", c.Reason}
	if c.RealServer.IsValid() {
		what, attributes = "real server", []any{"virtual_server", c.VirtualServer, "address", c.RealServer, "state", c.State, "reason", c.Reason}
	}
	if p.held > 1 {
		attributes = append(attributes, "changes", p.held)
	}
	l.log.Info(what, attributes...)
}

// complaintPause is the shortest time between two complaints about others in
// the log: a quarrel with another program costs little.
const complaintPause = 10 * time.Second

// logRepairs logs what has been repaired of what others have done.
func (l *loop) logRepairs(now time.Time) {
	if l.repairs > 0 && now.Sub(l.told) >= complaintPause {
		l.log.Warn("ipvs table repaired", "operations", l.repairs)
		l.repairs, l.told = 0, now
	}
}

// logLost logs decisions of the administrator that have lost their real
// servers since it was called last.
func (l *loop) logLost() {
	for _, o := range l.model.LostOverrides() {
		l.log.Warn("decision about a real server dropped, it is not configured any more",
			"virtual_server", o.VirtualServer, "address", o.RealServer, "decision", o.Override.String())
	}
}

// counts returns how many real servers have come into each state, for a log:
// "out", 980, "inhibited", 3.
func counts(states map[lvs.RealServerState]int) (attributes []any) {
	for _, state := range slices.Sorted(maps.Keys(states)) {
		attributes = append(attributes, slog.Int(state.String(), states[state]))
	}
	return attributes
}
