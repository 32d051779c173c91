package lvs

import "time"

// rampSteps is how many steps a weight takes at most on its way to the full
// one: each is an edit of the kernel.
const rampSteps = 10

// ramp is the time in which the weight of a real server rises. A nil one is
// over.
type ramp struct{ start, end time.Time }

// newRamp returns a ramp that begins now.
func newRamp(now time.Time, duration time.Duration) *ramp {
	if duration <= 0 {
		return nil
	}
	return &ramp{now, now.Add(duration)}
}

// steps returns the number of steps below a full weight.
func steps(full uint32) int64 {
	return min(rampSteps, max(int64(full)-1, 0))
}

// begins returns how long after the start a step begins, of so many.
func (r *ramp) begins(step, of int64) time.Duration {
	return r.end.Sub(r.start) * time.Duration(step) / time.Duration(of)
}

// done returns how many steps are behind, of so many. It is exact where a step
// begins, so that the next one is always later.
func (r *ramp) done(now time.Time, of int64) int64 {
	if of == 0 {
		return 0
	}
	passed := max(now.Sub(r.start), 0)
	step := int64(passed) * of / int64(r.end.Sub(r.start))
	if r.begins(step+1, of) <= passed {
		step++
	}
	return step
}

// weight returns the weight now of a real server with a full weight: at
// least 1, if that is not 0.
func (r *ramp) weight(now time.Time, full uint32) uint32 {
	if r == nil || !now.Before(r.end) || full == 0 {
		return full
	}
	of := steps(full)
	step := r.done(now, of)
	return uint32(int64(full) * (step + 1) / (of + 1))
}

// next returns when the weight rises next, or the end.
func (r *ramp) next(now time.Time, full uint32) time.Time {
	of := steps(full)
	step := r.done(now, of) + 1
	if step >= of {
		return r.end
	}
	return r.start.Add(r.begins(step, of))
}

// shortened returns the ramp under a new duration, which takes effect on one
// that goes on only if it is shorter: a reload lowers no weight.
func (r *ramp) shortened(duration time.Duration) *ramp {
	if r == nil || duration <= 0 {
		return nil
	}
	return &ramp{r.start, earliest(r.end, r.start.Add(duration))}
}
