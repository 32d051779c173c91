// Package checker finds out whether real servers work: one check per distinct
// target and parameters, with rise and fall counts. Those that are made by the
// thousand share a loop (loop), and the others have a goroutine each (Runner.Run).
package checker

import (
	"net/netip"
	"time"
)

// Spec is everything that determines a check. It is comparable: two real
// servers with equal Specs share one probe.
type Spec struct {
	Target   netip.AddrPort // where to connect; port 0 for kinds that need none
	Via      Via            // the way to the target
	Probe    Probe          // the kind of check, with its parameters
	Interval time.Duration  // from the start of one probe to the start of the next
	Quick    time.Duration  // the same while the state is unknown or results speak against it; 0: Interval
	Timeout  time.Duration  // a probe that takes longer has failed
	Delay    time.Duration  // no probe before this time after the start of the check
	Jitter   time.Duration  // the first probe starts this much later still at most, at random
	Rise     int            // good probes in a row that bring a failed server back
	Fall     int            // failed probes in a row that take a good server out
}

// Probe is a kind of check with its parameters. Its implementations are
// comparable values: those that are equal, with the same target and way, are
// the same probe.
type Probe interface {
	// Kind is the name of the kind, as the configuration writes it.
	Kind() string
	// Validate says what is wrong with the parameters, beginning with the
	// name of the parameter, and what is allowed.
	Validate() error
	// checker returns the probe of one target. It is called on valid
	// parameters only.
	checker(to endpoint) (Checker, error)
}

// endpoint is where a probe goes, which way, and how long it may take.
type endpoint struct {
	netip.AddrPort // unmapped
	via            Via
	timeout        time.Duration // of a whole probe, for the words of the error
}
