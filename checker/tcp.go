package checker

import (
	"context"
	"time"
)

// TCP succeeds when a TCP connection can be made.
type TCP struct{}

// Kind returns "tcp".
func (TCP) Kind() string { return "tcp" }

// Validate returns nil: there are no parameters.
func (TCP) Validate() error { return nil }

// checker returns the probe of one target.
func (TCP) checker(to endpoint) (Checker, error) { return tcpChecker{to}, nil }

// tcpChecker is the probe of one target.
type tcpChecker struct{ target endpoint }

// Check connects.
func (c tcpChecker) Check(ctx context.Context) (Advice, error) {
	return checkWithin(ctx, c)
}

// checkBy implements timely.
func (c tcpChecker) checkBy(ctx context.Context, deadline time.Time) (Advice, error) {
	s, err := c.target.connected(ctx, deadline, unanswered)
	if err != nil {
		return Advice{}, describe(ctx, err, c.target.timeout)
	}
	s.close() // nothing was written that could be lost
	return Advice{}, nil
}

// cooperates implements cooperative.
func (c tcpChecker) cooperates() bool { return c.target.cooperates() }
