package config

import (
	"math"
	"time"
)

const (
	// unset marks durations whose default depends on the interval.
	unset = time.Duration(math.MinInt64)
	// maxCheckTime bounds the times of checks. It is far above what is of use
	// and far below what overflows.
	maxCheckTime = time.Hour
	// minCheckInterval is the shortest interval of checks.
	minCheckInterval = 10 * time.Millisecond
	// maxCount bounds rise and fall.
	maxCount = 1000
	// usualTime is the default of timeout and jitter, unless the interval is
	// shorter. Jitter spreads the probes of many real servers for good, since
	// the interval counts from start to start.
	usualTime = time.Second
)

// pace is when probes start and end, and how many decide.
type pace struct {
	interval, quick, timeout, jitter, delay time.Duration
	rise, fall                              int64
	intervalAt                              place // if it was given
}

// paceKeys are the keys of a pace.
var paceKeys = []string{"interval", "quick_interval", "timeout", "jitter", "delay", "rise", "fall"}

// defaultPace has two failures in a row, so that one lost packet takes no real
// server out.
func defaultPace() pace {
	return pace{interval: 2 * time.Second, timeout: unset, jitter: unset, rise: 1, fall: 2}
}

// pace reads a pace over what was said before.
func (r checkReader) pace(s section, before pace) pace {
	c := before
	c.interval = optional(s, "interval", c.interval, duration(minCheckInterval, maxCheckTime))
	if n := s.table["interval"]; n != nil {
		c.intervalAt = n.place
	}
	c.quick = optional(s, "quick_interval", c.quick, duration(minCheckInterval, maxCheckTime))
	c.timeout = optional(s, "timeout", c.timeout, duration(time.Millisecond, maxCheckTime))
	c.jitter = optional(s, "jitter", c.jitter, duration(0, maxCheckTime))
	c.delay = optional(s, "delay", c.delay, duration(0, maxCheckTime))
	c.rise = optional(s, "rise", c.rise, integer(1, maxCount, "1 to 1000"))
	c.fall = optional(s, "fall", c.fall, integer(1, maxCount, "1 to 1000"))
	r.tooLong(s, "timeout", "timeout", c.timeout, c)
	r.tooLong(s, "quick_interval", "quick interval", c.quick, c)
	return c
}

// tooLong reports a time that is longer than the interval, where one of both
// is given.
func (r checkReader) tooLong(s section, key, what string, time time.Duration, c pace) {
	for _, name := range []string{key, "interval"} {
		n := s.table[name]
		if n == nil || time <= c.interval {
			continue
		}
		elsewhere := ""
		if c.intervalAt.file != "" && s.table["interval"] == nil {
			elsewhere = " at " + c.intervalAt.String()
		}
		r.add(n.place, "the %s of %s is longer than the interval of %s%s", what, short(time), short(c.interval), elsewhere)
		return
	}
}

// or is a time, or what it usually is.
func (c pace) or(given time.Duration) time.Duration {
	if given == unset {
		return min(usualTime, c.interval)
	}
	return given
}
