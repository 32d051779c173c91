package link

import "time"

// Schedule says how an address is announced after it was taken over: a burst
// at once, for those who listen, and one later, for those who were not ready
// (a switch that still learns, a host that just booted). A refresh after that
// is for those who forget what nobody repeats.
type Schedule struct {
	Repeat   int           // frames for each address in each burst, at least 1
	Delay    time.Duration // from the first burst to the second; 0: no second burst
	Interval time.Duration // between two volleys on an interface, and so between two frames for the same address
	Volley   int           // frames that may leave back to back, each for another address, at least 1
	// Refresh is how often an address is announced again for as long as it is
	// there; 0: never. The addresses of an interface are spread over it.
	Refresh       time.Duration
	RefreshRepeat int // frames for each address in each refresh, at least 1
}

// DefaultSchedule returns what keepalived does by default (5 frames, and 5
// more after 5 s), paced: a burst for hundreds of addresses at once is more
// than some switches forward, and at 8 frames a millisecond 250 addresses are
// announced once each within 32 ms.
func DefaultSchedule() Schedule {
	return Schedule{Repeat: 5, Delay: 5 * time.Second, Interval: time.Millisecond, Volley: 8, RefreshRepeat: 1}
}

// frames returns how many frames a burst of that phase has.
func (s Schedule) frames(p phase) int {
	if p == refreshing {
		return max(s.RefreshRepeat, 1)
	}
	return max(s.Repeat, 1)
}
