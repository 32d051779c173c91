package vrrp

import "time"

// learnedIntervalLimit bounds how much longer than our own an advertised
// interval may be that we adopt. The field reaches 40.95 s, so that without a
// bound one forged or mistaken packet would delay a take-over by minutes.
const learnedIntervalLimit = 4

// skewTime is Skew_Time of RFC 9568 section 6.1: the lower the priority, the
// later a router takes over.
func skewTime(priority uint8, activeInterval time.Duration) time.Duration {
	return activeInterval * time.Duration(256-int(priority)) / 256
}

// activeDownInterval is Active_Down_Interval of RFC 9568 section 6.1: how
// long silence lasts before an active router counts as gone.
func activeDownInterval(priority uint8, activeInterval time.Duration) time.Duration {
	return 3*activeInterval + skewTime(priority, activeInterval)
}

// learnInterval is the Active_Adver_Interval adopted from an advertisement
// by a router whose own interval is own.
func learnInterval(advertised, own time.Duration) time.Duration {
	return min(advertised, learnedIntervalLimit*own)
}

// skew is the Skew_Time of the router. That of version 2 is a share of a
// second whatever the interval is (RFC 3768 section 6.1).
func (r *router) skew(priority uint8) time.Duration {
	if r.cfg.Version == Version2 {
		return skewTime(priority, time.Second)
	}
	return skewTime(priority, r.activeInterval)
}

// activeDown is the Active_Down_Interval of the router.
func (r *router) activeDown(priority uint8) time.Duration {
	return 3*r.activeInterval + r.skew(priority)
}
