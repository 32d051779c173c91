package control

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable prints a status for people. now is the time that "since" counts
// from.
func WriteTable(w io.Writer, s Status, now time.Time) error {
	var text strings.Builder
	t := &table{tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)}
	fmt.Fprintf(t, "%s  bascule %s\n", s.Node, s.Version)
	t.problems(s.Problems)
	t.groups(s.Groups, now)
	t.virtualServers(s.VirtualServers)
	if len(s.Groups) == 0 && len(s.VirtualServers) == 0 {
		fmt.Fprintln(t, "\nNothing is configured for this node.")
	}
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

// problems prints what needs an administrator before everything else.
func (t *table) problems(problems []string) {
	for _, p := range problems {
		fmt.Fprintf(t, "PROBLEM: %s\n", p)
	}
}

// groups prints each group with its members below it.
func (t *table) groups(groups []Group, now time.Time) {
	if len(groups) == 0 {
		return
	}
	fmt.Fprintln(t, "\nGROUP\tSTATE\tFOR\tPRIORITY\tREASON")
	for _, g := range groups {
		reason := g.Reason
		if len(g.Faults) > 0 {
			reason = strings.Join(g.Faults, "; ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", g.Name, g.State, Age(now.Sub(g.Since)), g.Priority, reason)
	}
	fmt.Fprintln(t, "\nROUTER\tINTERFACE\tVRID\tADDRESSES\tACTIVE DIRECTOR")
	for _, g := range groups {
		for _, r := range g.Routers {
			fmt.Fprintf(t, "%s.%s\t%s\t%d\t%s\t%s\n", g.Name, r.Name, r.Interface, r.VRID,
				strings.Join(r.Addresses, " "), activeDirector(r))
		}
	}
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

// virtualServers prints each virtual server with its real servers below it.
func (t *table) virtualServers(servers []VirtualServer) {
	for _, vs := range servers {
		fmt.Fprintf(t, "\nVIRTUAL SERVER  %s  %s %s  %s  %s\n", vs.Name, vs.Protocol, vs.Address, vs.Scheduler, vs.Forwarding)
		fmt.Fprintln(t, "  REAL SERVER\tWEIGHT\tMEMBER\tHEALTH\tREASON")
		for _, rs := range vs.RealServers {
			fmt.Fprintf(t, "  %s\t%d\t%s\t%s\t%s\n", rs.Address, rs.Weight, yesNo(rs.Member), rs.Health, rs.Reason)
		}
	}
}

// yesNo is a boolean for people.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
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
