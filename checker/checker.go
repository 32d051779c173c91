package checker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Checker is one kind of probe of one target.
//
// Check returns nil if the target works, and otherwise an error in words for
// an administrator, such as "connection refused". It returns soon after its
// context ends and leaves nothing running.
type Checker interface {
	Check(ctx context.Context) error
}

// CheckFunc is a function as a Checker.
type CheckFunc func(ctx context.Context) error

// Check calls the function.
func (f CheckFunc) Check(ctx context.Context) error { return f(ctx) }

// New returns the checker that a Spec asks for. The error says which
// parameter is invalid and what is allowed.
func New(spec Spec) (Checker, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("check of %s: %w", spec.Target, err)
	}
	target := unmapped(spec.Target)
	if spec.Type == TypeTCP {
		return &tcpChecker{target: target, timeout: spec.Timeout}, nil
	}
	c, err := newHTTPChecker(target, spec)
	if err != nil {
		return nil, fmt.Errorf("check of %s: %w", spec.Target, err)
	}
	return c, nil
}

// unmapped is the same target without the IPv4-in-IPv6 form.
func unmapped(target netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
}

// validate checks what holds for every type. HTTP parameters are checked by
// the constructor of the HTTP checker.
func (s Spec) validate() error {
	switch {
	case s.Type != TypeTCP && s.Type != TypeHTTP:
		return fmt.Errorf("type %q is unknown: %q or %q", s.Type, TypeTCP, TypeHTTP)
	case !s.Target.IsValid() || s.Target.Port() == 0:
		return errors.New("the target needs an address and a port")
	case s.Interval <= 0:
		return fmt.Errorf("interval %s is not positive", s.Interval)
	case s.Timeout <= 0:
		return fmt.Errorf("timeout %s is not positive", s.Timeout)
	case s.Jitter < 0:
		return fmt.Errorf("jitter %s is negative", s.Jitter)
	case s.Rise < 1 || s.Fall < 1:
		return fmt.Errorf("rise %d and fall %d must be 1 or more", s.Rise, s.Fall)
	case s.Type != TypeHTTP && s.HTTP != HTTP{}:
		return fmt.Errorf("HTTP parameters have no meaning for type %q", s.Type)
	}
	return nil
}
