package control

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// WriteChecks prints checks for people, each with its results below it if it
// has some. now is the time that "since" counts from.
func WriteChecks(w io.Writer, checks []Check, now time.Time) error {
	return writeTable(w, func(t *table) {
		if len(checks) == 0 {
			fmt.Fprintln(t, "No check.")
			return
		}
		const header = "CHECK\tSTATE\tFOR\tUSED BY\tPARAMETERS\tREASON"
		fmt.Fprintln(t, header)
		for i, c := range checks {
			if i > 0 && len(checks[i-1].Results) > 0 {
				fmt.Fprintf(t, "\n%s\n", header)
			}
			t.check(c, now)
		}
	})
}

// check prints one check.
func (t *table) check(c Check, now time.Time) {
	since := "-"
	if c.Since != nil {
		since = Age(now.Sub(*c.Since))
	}
	name := c.Name
	if c.Way != "" {
		name += " " + c.Way
	}
	fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, c.State, since, users(c.Users), c.Parameters, remarks(c))
	if len(c.Results) == 0 {
		return
	}
	fmt.Fprintln(t, "\n  STARTED\tTOOK\tRESULT")
	for _, r := range c.Results {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", r.Start.Local().Format("2006-01-02 15:04:05.000"), took(r.Duration), result(r))
	}
}

// took writes seconds with as many digits as matter.
func took(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	for _, unit := range []time.Duration{time.Second, time.Millisecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.Round(time.Microsecond).String()
}

// result says how a probe went, and what it changed.
func result(r CheckResult) string {
	words := "good"
	if !r.Good {
		words = r.Reason
	}
	if r.Changed {
		words += ": " + r.State
	}
	return words
}

// users names the virtual servers that use a check, the first few of many.
func users(list []CheckUser) string {
	var names []string
	for _, user := range list {
		if !slices.Contains(names, user.VirtualServer) {
			names = append(names, user.VirtualServer)
		}
	}
	return services(names)
}

// remarks is why a check is not healthy, and what its target asks for.
func remarks(c Check) string {
	words := c.Reason
	if c.Weight != "" {
		words = joinWords(words, "asks for weight "+c.Weight)
	}
	if c.Drain {
		words = joinWords(words, "asks to drain")
	}
	if c.Warning != "" {
		words = joinWords(words, "WARNING: "+c.Warning)
	}
	return words
}

// joinWords returns two remarks as one; the first may be empty.
func joinWords(first, second string) string {
	return strings.TrimPrefix(first+"; "+second, "; ")
}
