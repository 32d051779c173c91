package config

import (
	"time"

	"bascule/vrrp/link"
)

// Bounds of announcements, far beyond what is of use.
const (
	maxFrames        = 1000
	maxAnnouncePause = time.Second
	minRefresh       = time.Second
	maxRefresh       = 24 * time.Hour
)

// announcement reads how addresses are announced.
func (p *problems) announcement(top section) link.Schedule {
	schedule := link.DefaultSchedule()
	n := top.table["announcement"]
	if n == nil {
		return schedule
	}
	s, ok := p.section(n, "repeat", "delay", "interval", "burst", "refresh", "refresh_repeat")
	if !ok {
		return schedule
	}
	count := func(key string, otherwise int) int {
		return int(optional(s, key, int64(otherwise), integer(1, maxFrames, "1 to 1000")))
	}
	schedule.Repeat = count("repeat", schedule.Repeat)
	schedule.Volley = count("burst", schedule.Volley)
	schedule.Delay = optional(s, "delay", schedule.Delay, duration(0, maxDelay))
	schedule.Interval = optional(s, "interval", schedule.Interval, duration(0, maxAnnouncePause))
	schedule.Refresh = optional(s, "refresh", schedule.Refresh, refresh)
	schedule.RefreshRepeat = count("refresh_repeat", schedule.RefreshRepeat)
	return schedule
}

// refresh reads how often addresses are announced again, or that they are not.
func refresh(p *problems, n *node) (time.Duration, bool) {
	value, ok := duration(0, maxRefresh)(p, n)
	if ok && value != 0 && value < minRefresh {
		p.add(n.place, `%s is out of range: %s to %s, or "0s" for never`, quote(n.scalar.(string)), short(minRefresh), short(maxRefresh))
		return 0, false
	}
	return value, ok
}
