package config

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bascule/checker"
)

const (
	// typeNone is the type of check of real servers that are always members.
	typeNone = "none"
	// unset marks durations whose default depends on the interval.
	unset = time.Duration(math.MinInt64)
	// maxCheckTime bounds the times of checks. It is far above what is of use
	// and far below what overflows.
	maxCheckTime = time.Hour
	// maxCount bounds rise and fall.
	maxCount = 1000
	// usualTime is the default of timeout and jitter, unless the interval is
	// shorter. Jitter spreads the probes of many real servers for good, since
	// the interval counts from start to start.
	usualTime = time.Second
)

// check is what has been said so far about the check of a real server.
type check struct {
	kind                      string // "" if nothing has been said
	interval, timeout, jitter time.Duration
	rise, fall                int64
	http                      checker.HTTP
}

// defaultCheck is the check about which nothing has been said. Two failures in
// a row, so that one lost packet takes no real server out.
func defaultCheck() check {
	return check{
		interval: 2 * time.Second, timeout: unset, jitter: unset, rise: 1, fall: 2,
		http: checker.HTTP{Method: "GET", Path: "/", Status: "200-399"},
	}
}

// httpKeys are the keys of a check that only an HTTP check has.
var httpKeys = []string{"path", "host", "method", "status"}

// check reads the check of a table that has one, over what was said before.
func (p *problems) check(of section, before check) check {
	n := of.table["check"]
	if n == nil {
		return before
	}
	known := append([]string{"type", "interval", "timeout", "jitter", "rise", "fall"}, httpKeys...)
	s, ok := p.section(n, known...)
	if !ok {
		return before
	}
	c := before
	c.kind = optional(s, "type", c.kind, choice(checker.TypeTCP, checker.TypeHTTP, typeNone))
	c.interval = optional(s, "interval", c.interval, duration(10*time.Millisecond, maxCheckTime))
	c.timeout = optional(s, "timeout", c.timeout, duration(time.Millisecond, maxCheckTime))
	c.jitter = optional(s, "jitter", c.jitter, duration(0, maxCheckTime))
	c.rise = optional(s, "rise", c.rise, integer(1, maxCount, "1 to 1000"))
	c.fall = optional(s, "fall", c.fall, integer(1, maxCount, "1 to 1000"))
	c.http.Path = optional(s, "path", c.http.Path, httpOption("path"))
	c.http.Host = optional(s, "host", c.http.Host, httpOption("host"))
	c.http.Method = optional(s, "method", c.http.Method, httpOption("method"))
	c.http.Status = optional(s, "status", c.http.Status, httpOption("status"))
	p.checkContradictions(s, c)
	return c
}

// checkContradictions reports keys of a check that exclude each other.
func (p *problems) checkContradictions(s section, c check) {
	for _, key := range []string{"timeout", "interval"} {
		if n := s.table[key]; n != nil && c.timeout > c.interval {
			p.add(n.place, "the timeout of %s is longer than the interval of %s", short(c.timeout), short(c.interval))
			break
		}
	}
	for _, name := range s.names {
		onlyHTTP := slices.Contains(httpKeys, name)
		switch {
		case c.kind == typeNone && name != "type":
			p.add(s.table[name].place, `has no meaning for a check of type "none"`)
		case onlyHTTP && c.kind == "":
			p.add(s.table[name].place, `has a meaning for a check of type "http" only: type is missing`)
		case onlyHTTP && c.kind == checker.TypeTCP:
			p.add(s.table[name].place, `has a meaning for a check of type "http" only, not "tcp"`)
		}
	}
}

// httpOption reads one parameter of an HTTP check. The checker says what it
// accepts.
func httpOption(name string) reader[string] {
	return func(p *problems, n *node) (string, bool) {
		value, ok := text("the "+name+" of an HTTP check")(p, n)
		if !ok {
			return "", false
		}
		options := defaultCheck().http
		switch name {
		case "path":
			options.Path = value
		case "host":
			options.Host = value
		case "method":
			options.Method = value
		case "status":
			options.Status = value
		}
		if err := options.Validate(); err != nil {
			p.add(n.place, "%s", strings.TrimPrefix(err.Error(), name+" "))
			return "", false
		}
		if name == "host" && !validHost(value) {
			p.add(n.place, `%s is no host name: such as "www.example.org" or "www.example.org:8080"`, quote(value))
			return "", false
		}
		return value, true
	}
}

// validHost is true of what a Host header can be: a name or an address, with
// or without a port. The empty one stands for the default.
func validHost(host string) bool {
	name := host
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		port, err := strconv.ParseUint(host[colon+1:], 10, 16)
		if err != nil || port == 0 {
			return false
		}
		name = host[:colon]
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	other := func(r rune) bool { return !bareKey(r) && r != '.' }
	return (name != "" || host == "") && !strings.ContainsFunc(name, other)
}

// spec returns the check of a target, or false if it has none.
func (c check) spec(target netip.AddrPort) (checker.Spec, bool) {
	if c.kind == typeNone {
		return checker.Spec{}, false
	}
	spec := checker.Spec{
		Type: c.kind, Target: target, Interval: c.interval, Timeout: c.timeout, Jitter: c.jitter,
		Rise: int(c.rise), Fall: int(c.fall),
	}
	if spec.Timeout == unset {
		spec.Timeout = min(usualTime, c.interval)
	}
	if spec.Jitter == unset {
		spec.Jitter = min(usualTime, c.interval)
	}
	if c.kind == checker.TypeHTTP {
		spec.HTTP = c.http
	}
	return spec, true
}
