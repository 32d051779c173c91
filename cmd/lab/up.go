package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/lab"
)

// defaultPrefix begins the names of the namespaces that up makes.
const defaultPrefix = "lab-"

// upCommand is "lab up": the laboratory to play with, until Ctrl-C.
func upCommand() *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Build the network and keep it, with its web servers, until Ctrl-C",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			l, err := lab.New(prefix)
			if err != nil {
				return fmt.Errorf("%v (see lab down)", err)
			}
			defer closing(l, &err)
			if _, err := l.StartWebServers(); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if err := showHosts(out, l); err != nil {
				return err
			}
			fmt.Fprintf(out, "\nThe network stands. Enter a host with, for example:\n\n"+
				"    ip netns exec %s bash\n\nCtrl-C takes the network away.\n", l.LB.Namespace())
			<-cmd.Context().Done()
			return nil
		},
	}
	addPrefixFlag(cmd, &prefix)
	return cmd
}

// downCommand is "lab down": for what an up that was killed has left.
func downCommand() *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take away the network that a killed lab has left",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := lab.Remove(prefix)
			if err == nil && !found {
				fmt.Fprintf(cmd.OutOrStdout(), "No network namespace begins with %q.\n", prefix)
			}
			return err
		},
	}
	addPrefixFlag(cmd, &prefix)
	return cmd
}

// probeCommand is "lab probe": the client's view of the service of a
// laboratory that is up.
func probeCommand() *cobra.Command {
	var prefix string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Ask for the web site from the client, and print the gaps in service",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			client, err := lab.Attach(prefix, "client")
			if err != nil {
				return err
			}
			defer closing(client, &err)
			probe := client.Probe(lab.ServiceAddress, lab.ProbeConfig{})
			select {
			case <-cmd.Context().Done():
			case <-time.After(length):
			}
			report, err := probe.Stop()
			showReport(cmd.OutOrStdout(), report)
			return err
		},
	}
	addPrefixFlag(cmd, &prefix)
	cmd.Flags().DurationVar(&length, "for", 10*time.Second, "how long to ask")
	return cmd
}

// addPrefixFlag gives a command the flag that names the laboratory.
func addPrefixFlag(cmd *cobra.Command, prefix *string) {
	cmd.Flags().StringVar(prefix, "prefix", defaultPrefix, "what the names of the network namespaces begin with")
}

// closing closes something at the end of a function that returns *err, which
// it does not hide.
func closing(c io.Closer, err *error) {
	if failed := c.Close(); failed != nil && *err == nil {
		*err = failed
	}
}

// showHosts prints a table of the hosts with the IPv4 addresses that they
// have now.
func showHosts(out io.Writer, l *lab.Lab) error {
	for _, host := range l.Hosts() {
		var addresses []string
		for _, iface := range host.Interfaces() {
			list, err := host.Addresses(iface)
			if err != nil {
				return err
			}
			for _, a := range list {
				if a.Addr().Is4() {
					addresses = append(addresses, fmt.Sprintf("%s %-19s", iface, a))
				}
			}
		}
		line := fmt.Sprintf("  %-8s%-30s%s", host.Name, role(host.Name), strings.Join(addresses, " "))
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	return nil
}

// role says what a host is for.
func role(name string) string {
	switch {
	case name == "client":
		return "asks for the web site"
	case strings.HasPrefix(name, "lb"):
		return "director: balances the load"
	}
	return "web server"
}

// showReport prints what a probe has seen.
func showReport(out io.Writer, r lab.Report) {
	fmt.Fprintf(out, "%d answers (%s), %d failed requests\n", r.Total(), shares(r.Answers), r.Failures)
	for _, gap := range r.Gaps {
		fmt.Fprintf(out, "gap of %.2f s at %s\n", gap.Duration().Seconds(), gap.From.Format(time.TimeOnly))
	}
	if r.Open {
		fmt.Fprintf(out, "the last gap has not ended: %s\n", r.Last)
	}
}

// logTail returns the last lines of a log, indented.
func logTail(log string, lines int) string {
	all := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return "      " + strings.Join(all[max(0, len(all)-lines):], "\n      ")
}

// exists says whether a file is there that can be run.
func exists(path string) error {
	info, err := os.Stat(path)
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		err = fmt.Errorf("%s is not a program", path)
	}
	return err
}
