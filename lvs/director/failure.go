package director

import "time"

// failure is something that fails, until it succeeds or is wanted no more.
type failure struct {
	err   error         // the latest
	delay time.Duration // from the latest attempt to the next
	next  time.Time     // no attempt before
}

// failedAgain returns the failure after one more attempt; f is nil after a
// first one.
func (f *failure) failedAgain(err error, now time.Time, t timing) *failure {
	delay := t.retry
	if f != nil {
		delay = min(2*f.delay, t.maxRetry)
	}
	return &failure{err: err, delay: delay, next: now.Add(delay)}
}

// hurry makes the next attempt due at once, and later ones as soon as after a
// first failure.
func (f *failure) hurry(t timing) {
	f.delay, f.next = t.retry/2, time.Time{}
}

// waits says whether it is too early for another attempt.
func (f *failure) waits(now time.Time) bool {
	return f != nil && now.Before(f.next)
}
