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
// an administrator, such as "connection refused". What the target advises
// about itself counts only if it works. Check returns soon after its context
// ends and leaves nothing running.
type Checker interface {
	Check(ctx context.Context) (Advice, error)
}

// CheckFunc is a function as a Checker without advice.
type CheckFunc func(ctx context.Context) error

// Check calls the function.
func (f CheckFunc) Check(ctx context.Context) (Advice, error) { return Advice{}, f(ctx) }

// New returns the checker that a Spec asks for. The error says which
// parameter is invalid and what is allowed.
func New(spec Spec) (Checker, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("check of %s: %w", spec.address(), err)
	}
	c, err := spec.Probe.checker(endpoint{AddrPort: unmapped(spec.Target), via: spec.Via, timeout: spec.Timeout})
	if err != nil {
		return nil, fmt.Errorf("check of %s: %w", spec.address(), err)
	}
	return c, nil
}

// NeedsPort says whether a kind of check has a use for the port of its target.
// Of one that has none the target may have port 0, and checks of many services
// of one real server are the same check only if all have that.
func NeedsPort(p Probe) bool {
	_, none := p.(portless)
	return !none
}

// portless is a Probe that has no use for a port.
type portless interface{ portless() }

// Name is what a check is called in words: "http 192.0.2.1:80". Checks that
// differ in parameters may have the same.
func (s Spec) Name() string { return s.Probe.Kind() + " " + s.address() }

// address is the target in words, without the port if there is none.
func (s Spec) address() string {
	switch {
	case !s.Target.Addr().IsValid():
		return "no target"
	case s.Target.Port() == 0:
		return s.Target.Addr().String()
	}
	return s.Target.String()
}

// unmapped is the same target without the IPv4-in-IPv6 form.
func unmapped(target netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
}

// validate checks what holds for every kind of check, and its parameters.
func (s Spec) validate() error {
	switch {
	case s.Probe == nil:
		return errors.New("the kind of check is missing")
	case !s.Target.Addr().IsValid():
		return errors.New("the target needs an address")
	case s.Target.Port() == 0 && NeedsPort(s.Probe):
		return fmt.Errorf("the target needs a port, 1 to 65535, for a check of kind %s", s.Probe.Kind())
	case s.Interval <= 0:
		return fmt.Errorf("interval %s is not positive", s.Interval)
	case s.Timeout <= 0:
		return fmt.Errorf("timeout %s is not positive", s.Timeout)
	case s.Quick < 0 || s.Quick > s.Interval:
		return fmt.Errorf("quick interval %s must be 0 (none) or more, and at most the interval %s", s.Quick, s.Interval)
	case s.Delay < 0:
		return fmt.Errorf("delay %s is negative", s.Delay)
	case s.Jitter < 0:
		return fmt.Errorf("jitter %s is negative", s.Jitter)
	case s.Rise < 1 || s.Fall < 1:
		return fmt.Errorf("rise %d and fall %d must be 1 or more", s.Rise, s.Fall)
	}
	if err := s.Via.validate(s.Target.Addr()); err != nil {
		return err
	}
	return s.Probe.Validate()
}
