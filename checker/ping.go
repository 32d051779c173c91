package checker

import (
	"context"
	"net/netip"
)

// Ping succeeds when the target answers an echo request, of ICMP or of ICMPv6.
// What routers say about the target is no evidence: anybody can say that.
type Ping struct{}

// Kind returns "ping".
func (Ping) Kind() string { return "ping" }

// Validate returns nil: there are no parameters.
func (Ping) Validate() error { return nil }

// portless says that ICMP has no ports.
func (Ping) portless() {}

// checker returns the probe of one target.
func (Ping) checker(to endpoint) (Checker, error) {
	to.via.Source = to.via.Source.Unmap()
	return CheckFunc(func(ctx context.Context) error { return ping(ctx, to) }), nil
}

// ping sends one request and waits for the reply to it.
func ping(ctx context.Context, to endpoint) error {
	target := to.Addr()
	p, err := takePinger(pingWay{six: target.Is6(), via: to.via})
	if err != nil {
		return describe(ctx, err, to.timeout)
	}
	defer p.release()
	answered := make(chan struct{})
	number, err := p.send(target, answered)
	if err != nil {
		return describe(ctx, err, to.timeout)
	}
	defer p.forget(number)
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-answered: // just in time, or late only because this director is
		return nil
	default:
		return describe(ctx, ctx.Err(), to.timeout)
	}
}

// pingWay is what the probes of one socket have in common.
type pingWay struct {
	six bool
	via Via
}

// pingWait is a request without a reply so far.
type pingWait struct {
	target   netip.Addr
	answered chan<- struct{} // closed with the reply
}
