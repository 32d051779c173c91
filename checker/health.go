package checker

// State is what a check knows of its target.
type State uint8

// The states of a target. Unknown is before the first verdict.
const (
	Unknown State = iota
	Healthy
	Unhealthy
)

// String returns "unknown", "healthy" or "unhealthy".
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Healthy:
		return "healthy"
	case Unhealthy:
		return "unhealthy"
	}
	return "invalid state"
}

// Health counts good and failed probes in a row and decides on the state. The
// first good probe makes a target healthy that nothing is known of; a target
// that has failed must do well Rise times. Fall failures in a row make any
// target unhealthy.
type Health struct {
	rise, fall int
	state      State
	row        int // probes in a row that speak against the state
}

// NewHealth returns the health of a target in a state: Unknown, or what an
// earlier check has found. Counts below 1 are taken as 1.
func NewHealth(rise, fall int, state State) Health {
	return Health{rise: max(rise, 1), fall: max(fall, 1), state: state}
}

// State returns the present state.
func (h *Health) State() State { return h.state }

// Settled says whether the state is known and the latest probe agrees with it.
func (h *Health) Settled() bool { return h.state != Unknown && h.row == 0 }

// Observe counts one probe and returns whether it changed the state.
func (h *Health) Observe(ok bool) (changed bool) {
	wanted, needed := Unhealthy, h.fall
	if ok {
		wanted, needed = Healthy, h.rise
	}
	if h.state == wanted {
		h.row = 0
		return false
	}
	if ok && h.state == Unknown {
		needed = 1
	}
	if h.row++; h.row < needed {
		return false
	}
	h.state, h.row = wanted, 0
	return true
}
