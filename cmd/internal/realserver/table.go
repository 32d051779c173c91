package realserver

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// WriteTable prints a status for people, what is wrong first.
func (s Status) WriteTable(w io.Writer) error {
	for _, m := range s.Missing {
		fmt.Fprintf(w, "MISSING: %s\n", m)
	}
	for _, m := range s.Warnings {
		fmt.Fprintf(w, "WARNING: %s\n", m)
	}
	if len(s.Addresses) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is set up.")
		return err
	}
	if len(s.Missing)+len(s.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tINTERFACE\tPRESENT")
	for _, a := range s.Addresses {
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Address, a.Interface, yesNo(a.Present))
	}
	if len(s.Settings) > 0 {
		fmt.Fprintln(t, "\nSETTING\tVALUE\tBEFORE")
	}
	for _, v := range s.Settings {
		before := "unchanged"
		if v.Before != nil {
			before = strconv.Itoa(*v.Before)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\n", v.Name, v.Value, before)
	}
	if len(s.Tunnels) > 0 {
		fmt.Fprintln(t, "\nTUNNEL\tDEVICE\tUP")
	}
	for _, v := range s.Tunnels {
		fmt.Fprintf(t, "%s\t%s\t%s\n", v.Tunnel, v.Device, yesNo(v.Up))
	}
	return t.Flush()
}

// yesNo is a boolean for people.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
