// Package checker finds out whether real servers work: one probe per distinct
// target and parameters, with rise and fall counts, in its own goroutine.
package checker

import (
	"net/netip"
	"time"
)

// The kinds of check, as the configuration names them.
const (
	TypeTCP  = "tcp"
	TypeHTTP = "http"
)

// Spec is everything that determines a check. It is comparable: two real
// servers with equal Specs share one probe.
type Spec struct {
	Type     string         // TypeTCP or TypeHTTP
	Target   netip.AddrPort // where to connect
	Interval time.Duration  // from the start of one probe to the start of the next
	Timeout  time.Duration  // a probe that takes longer has failed
	Jitter   time.Duration  // the first probe starts this much later at most, at random
	Rise     int            // good probes in a row that bring a failed server back
	Fall     int            // failed probes in a row that take a good server out
	HTTP     HTTP           // zero unless Type is TypeHTTP
}

// HTTP are the parameters of an HTTP check.
type HTTP struct {
	Method string // "GET", "HEAD", …
	Path   string // with its query
	Host   string // the Host header; empty: the target
	Status string // accepted status codes, "200-399" or "200,204,301-308"
}
