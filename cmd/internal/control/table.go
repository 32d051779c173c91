package control

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable prints a status for people. now is the time that "since" counts
// from.
func WriteTable(w io.Writer, s Status, now time.Time) error {
	return writeTable(w, func(t *table) { t.status(s, now) })
}

// status prints a status.
func (t *table) status(s Status, now time.Time) {
	fmt.Fprintf(t, "%s  bascule %s\n", s.Node, s.Version)
	t.lines("PROBLEM", s.Problems)
	t.lines("WARNING", s.Warnings)
	t.groups(s.Groups, now)
	t.drops(s)
	t.ipvs(s)
	t.virtualServers(s.VirtualServers, now)
	if len(s.Groups) == 0 && len(s.VirtualServers) == 0 {
		fmt.Fprintln(t, "\nNothing is configured for this node.")
	}
}

// writeTable prints a table that a function fills.
func writeTable(w io.Writer, fill func(*table)) error {
	var text strings.Builder
	t := &table{tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)}
	fill(t)
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		// The last column may be empty; what pads it is in nobody's way but
		// diff's.
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// table is a tabwriter; a write error stays in it until Flush.
type table struct{ *tabwriter.Writer }

// lines prints what needs an administrator before everything else.
func (t *table) lines(word string, texts []string) {
	for _, text := range texts {
		fmt.Fprintf(t, "%s: %s\n", word, text)
	}
}

// groups prints each group with its members below it.
func (t *table) groups(groups []Group, now time.Time) {
	if len(groups) == 0 {
		return
	}
	fmt.Fprintln(t, "\nGROUP\tSTATE\tFOR\tPRIORITY\tREASON")
	for _, g := range groups {
		state, reason := condition(g, now)
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", g.Name, state, Age(now.Sub(g.Since)), g.Priority, reason)
	}
	fmt.Fprintln(t, "\nROUTER\tINTERFACE\tVRID\tVRRP\tADDRESSES\tACTIVE DIRECTOR")
	for _, g := range groups {
		for _, r := range g.Routers {
			fmt.Fprintf(t, "%s.%s\t%s\t%d\t%s\t%s\t%s\n", g.Name, r.Name, r.Interface, r.VRID, protocol(r),
				strings.Join(r.Addresses, " "), activeDirector(r))
		}
	}
}

// condition is the state of a group and the reason for it. Of initialize it
// says whether somebody has to do something: "fault", or "waiting" for what
// comes by itself.
func condition(g Group, now time.Time) (state, reason string) {
	switch {
	case len(g.Faults) > 0:
		state, reason = "fault", strings.Join(g.Faults, "; ")
	case len(g.Waiting) > 0:
		state, reason = "waiting", strings.Join(g.Waiting, "; ")
		if g.StartAt != nil && now.Before(*g.StartAt) {
			reason += fmt.Sprintf(" (%s left)", Age(g.StartAt.Sub(now)))
		}
	default:
		return g.State, g.Reason
	}
	if g.State != "initialize" {
		return g.State, reason
	}
	return state, reason
}

// protocol says how a router speaks: the version, and what is not usual.
func protocol(r Router) string {
	words := []string{fmt.Sprintf("v%d", r.Version)}
	if r.Unicast != nil {
		words = append(words, "unicast")
	}
	if r.Password {
		words = append(words, "password")
	}
	if a := r.Authentication; a != nil {
		words = append(words, "hmac", a.Mode)
		if a.Mode != "receive-only" {
			words = append(words, fmt.Sprintf("key %d", a.ActiveKey))
		}
	}
	return strings.Join(words, " ")
}

// ordinaryDrop is the reason of drops that every start and every reload causes.
const ordinaryDrop = "initialize"

// drops prints which advertisements were not used, and why.
func (t *table) drops(s Status) {
	header := "\nDROPPED BY\tREASON AND NUMBER OF ADVERTISEMENTS\n"
	line := func(name string, dropped map[string]uint64) {
		var words []string
		for _, reason := range slices.Sorted(maps.Keys(dropped)) {
			if reason != ordinaryDrop {
				words = append(words, fmt.Sprintf("%s %d", reason, dropped[reason]))
			}
		}
		if len(words) > 0 {
			fmt.Fprintf(t, "%s%s\t%s\n", header, name, strings.Join(words, ", "))
			header = ""
		}
	}
	for _, g := range s.Groups {
		for _, r := range g.Routers {
			line(g.Name+"."+r.Name, r.Counters.Dropped)
		}
	}
	line("(unknown router)", s.Dropped)
}

// activeDirector says who holds a router's addresses.
func activeDirector(r Router) string {
	switch {
	case r.State == "active":
		return r.ActiveSource + " (this node)"
	case r.ActiveSource == "":
		return "unknown"
	}
	return fmt.Sprintf("%s priority %d", r.ActiveSource, r.ActivePriority)
}

// Age writes a duration with the two units that matter: "3d 4h", "12m 5s".
func Age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		if d < u.size && i < len(units)-1 {
			continue
		}
		age := fmt.Sprintf("%d%s", d/u.size, u.name)
		if i < len(units)-1 {
			next := units[i+1]
			age += fmt.Sprintf(" %d%s", d%u.size/next.size, next.name)
		}
		return age
	}
	return "0s"
}
