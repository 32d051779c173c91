package checker

// Known is what is known of a target. The zero value is nothing.
type Known struct {
	State  State
	Reason string // why State is not Healthy; of Unknown only something to show
	Advice Advice // of the latest good probe
}

// after is what is known after one more probe.
func (k Known) after(result Result) Known {
	next := Known{State: result.State, Reason: reason(k.Reason, result), Advice: k.Advice}
	if result.Err == nil {
		next.Advice = result.Advice
	}
	return next
}

// reason says why a target is not healthy: the latest error that speaks
// against it. A target on its way back keeps that, and so does one of which
// there is no news; "no verdict" is a reason only if nothing else is known.
func reason(before string, result Result) string {
	switch {
	case result.State == Healthy:
		return ""
	case result.Err == nil, result.State == Unhealthy && blindness(result.Err) != "":
		return before
	}
	return result.Err.Error()
}
