package lvs

import "time"

// Fact is the latest that a health check says about a real server.
type Fact struct {
	Healthy bool
	Reason  string // why, in the words of the check: "connection refused"
	Advice  Advice // counts only if it is healthy
}

// adoption is what a real server was when it came into the configuration, or
// when its check did: it decides on membership until there is a fact.
type adoption uint8

// The states of adoption.
const (
	undecided adoption = iota // the kernel's table has not been read yet
	newcomer                  // no member: no traffic before its first good check
	quiet                     // as newcomer, but in the kernel with weight 0 when the process started: its connections go on
	takenOver                 // in the kernel when the process started: it stays until a check says otherwise
	retained                  // a member without a check: it stays until the check says otherwise
)

// cause is why a real server is where it is, beyond what its check says.
type cause uint8

// The causes.
const (
	byCheck         cause = iota // its check, or having none
	byQuorum                     // the sorry servers have taken over
	byLast                       // all are down, and it failed last
	byAll                        // all are down, and all stay
	byOverride                   // the administrator drains it
	byAdvice                     // its check has it drain
	byConfiguration              // it is not configured any more
)

// realServer is a real server with what is known about it and what has become
// of it. Facts, adoption, ramp and override are what others say; state, since,
// until and weight are derived by virtualServer.settle.
type realServer struct {
	config   RealServerConfig
	adoption adoption
	held     uint32    // the weight of one that is taken over, if the kernel held more than the configured one
	known    bool      // whether fact has been observed
	fact     Fact      // the latest one
	failed   time.Time // when its check put it out last; zero if that has not happened
	ramp     *ramp     // while its weight rises
	override *Override // of the administrator; nil if there is none

	state  RealServerState
	cause  cause
	since  time.Time // when state became what it is
	until  time.Time // while it drains: when that ends at the latest; zero is never
	missed int       // while it drains: how many readings of the kernel were without it
	weight uint32    // in the kernel, if it is there

	only []ServiceKey    // of one that is not configured any more: the services where it drains
	told RealServerState // state as Model.Changes has told it
	kept bool            // whether a reload has passed its state on
}

// passes says whether its check lets it be a member.
func (r *realServer) passes() bool {
	switch {
	case !r.config.Checked:
		return true
	case r.known:
		return r.fact.Healthy
	}
	return r.adoption == takenOver || r.adoption == retained
}

// observe takes a fact. One that its check lets in, or drains no longer, starts
// with a small weight, if it is to start slowly; one that was in already does
// not.
func (r *realServer) observe(now time.Time, fact Fact, slowStart time.Duration) {
	if !fact.Healthy {
		fact.Advice = Advice{}
	}
	passed, drained := r.passes(), r.drained()
	r.known, r.fact = true, fact
	switch {
	case fact.Healthy && (!passed || drained && !r.drained()):
		r.ramp = newRamp(now, slowStart)
	case !fact.Healthy && passed:
		r.failed, r.ramp = now, nil
	}
}

// adopt decides what the real server is before its first fact, from what the
// kernel holds of it. One that has weight 0 there stays out, and its connections
// go on; one that is in does not start slowly.
func (r *realServer) adopt(now time.Time, held []Destination) {
	if r.adoption == undecided {
		r.adoption = newcomer
	}
	for _, destination := range held {
		if r.state == Out {
			r.state = Inhibited
		}
		if destination.Weight == 0 {
			if r.adoption == newcomer {
				r.adoption = quiet
			}
			continue
		}
		if r.adoption == newcomer || r.adoption == quiet {
			r.adoption = takenOver
		}
		r.held = max(r.held, destination.Weight)
		r.ramp = nil
		if !r.passes() && r.failed.IsZero() {
			r.failed = now
		}
	}
}

// counts says whether the real server is healthy and may be a member.
func (r *realServer) counts() bool {
	return r.passes() && !r.drained()
}

// full returns the weight that the real server has as a member, once it has
// started: what the administrator says, or else what its check advises, or
// else the configured one. Until the check of one that is taken over says
// something, it may have advised the weight that the kernel held.
func (r *realServer) full() uint32 {
	switch {
	case r.override != nil && r.override.Kind == Weigh:
		return r.override.Weight
	case r.found():
		return max(r.config.Weight, r.held)
	}
	return r.fact.Advice.of(r.config.Weight)
}

// found says whether all that is known of the real server is what the kernel
// held at the start.
func (r *realServer) found() bool {
	return r.config.Checked && !r.known && r.adoption == takenOver
}

// understated says whether a check may have advised more than full returns, if
// real servers start slowly: the kernel may have held a part of that.
func (r *realServer) understated() bool {
	return r.found() && r.held > 0 && !r.drained() && (r.override == nil || r.override.Kind != Weigh)
}

// enter changes the state.
func (r *realServer) enter(now time.Time, state RealServerState) {
	if r.state != state || r.since.IsZero() {
		r.state, r.since, r.missed = state, now, 0
	}
	if state != Draining {
		r.until = time.Time{}
	}
}

// join makes the real server a member.
func (r *realServer) join(now time.Time, why cause) {
	r.cause = why
	r.enter(now, Member)
	if r.ramp != nil && !now.Before(r.ramp.end) {
		r.ramp = nil
	}
	r.weight = r.ramp.weight(now, r.full())
}

// fail puts the real server out.
func (r *realServer) fail(now time.Time, why cause, policy OnFailure) {
	r.cause, r.weight = why, 0
	if policy == InhibitOnFailure {
		r.enter(now, Inhibited)
		return
	}
	r.enter(now, Out)
}

// leave puts the real server out when its connections have ended, if there is
// something of it in the kernel, or when it has drained for as long as the
// limit says. Limit 0 is none while the administrator drains it; one that is
// not configured any more leaves at once. The limit is that of whoever set it:
// the time in which the check alone had it drain is not part of it.
func (r *realServer) leave(now time.Time, why cause, limit time.Duration) {
	if r.state == Draining && r.cause.waits() && !why.waits() {
		r.since = now
	}
	r.cause, r.weight = why, 0
	if why.waits() {
		r.wait(now)
		return
	}
	var end time.Time
	if limit > 0 || why != byOverride {
		end = now.Add(limit)
		if r.state == Draining {
			end = r.since.Add(limit)
		}
	}
	if r.state == Out || !end.IsZero() && !now.Before(end) {
		r.enter(now, Out)
		return
	}
	r.enter(now, Draining)
	r.until = end
}

// successor returns the real server under a new configuration. One that was
// not checked and is now was a member, and stays one; with the end of checking
// what is known loses its meaning.
func (r *realServer) successor(config RealServerConfig, slowStart time.Duration) *realServer {
	r.kept = true
	next := *r
	next.config, next.only, next.kept = config, nil, false
	if r.config.Checked != config.Checked {
		next.known, next.fact, next.failed, next.adoption = false, Fact{}, time.Time{}, undecided
		if config.Checked {
			next.adoption = retained
		}
	}
	if r.config.Weight != config.Weight {
		next.held = 0
	}
	next.ramp = r.ramp.shortened(slowStart)
	return &next
}

// health returns what is known of the real server's health.
func (r *realServer) health() Health {
	switch {
	case !r.config.Checked:
		return Unchecked
	case !r.known:
		return Unknown
	case r.fact.Healthy:
		return Healthy
	}
	return Unhealthy
}

// reason says why the real server is a member or is not.
func (r *realServer) reason() string {
	switch r.cause {
	case byQuorum:
		if r.passes() {
			return "the sorry servers have taken over"
		}
	case byLast:
		return "all are down, it failed last and stays: " + r.fact.Reason
	case byAll:
		return "all are down, all stay: " + r.fact.Reason
	case byOverride:
		return r.override.String()
	case byAdvice:
		return "drained by its check"
	case byConfiguration:
		return "not configured any more"
	}
	return r.verdict()
}

// verdict is what the check says, or why it says nothing.
func (r *realServer) verdict() string {
	switch {
	case !r.config.Checked:
		return "no check configured"
	case r.known:
		return r.fact.Reason
	case r.adoption == takenOver:
		return "found in the kernel, no check result yet"
	case r.adoption == quiet:
		return "found in the kernel with weight 0, no check result yet"
	case r.adoption == retained:
		return "not checked until now, no check result yet"
	}
	return "no check result yet"
}

// earliest returns the earlier of two times; zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
