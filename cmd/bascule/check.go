package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/config"
	"bascule/cmd/internal/daemon"
)

// newCheckCommand returns the command that reads a configuration and says
// what is wrong with it. It needs neither root nor the interfaces.
func newCheckCommand(flags *globalFlags) *cobra.Command {
	var live, keys bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration file",
		Long: `Check the configuration file and its drop-ins, for every director that it
names. A name given with --node must be one of them; without, there is a
warning when the host's name is none. Works on any machine, without root, and
accepts the options of run.

With --keys, also read the files of keys and passwords, as the daemon of this
director does: that is all that it refuses to start with. With --live, check
whatever only the machine of this director can tell: those files, that it has
the interfaces and the addresses that the configuration names, also for
connection_sync, and the interfaces, network namespaces, users and programs of
its checks.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(flags.config)
			if err != nil {
				return err
			}
			for _, w := range c.Warnings() {
				fmt.Fprintf(cmd.ErrOrStderr(), "bascule: warning: %v\n", w)
			}
			switch {
			case live, keys:
				err = checkHere(c, flags.node, live)
			case flags.node != "":
				_, err = c.ForNode(flags.node)
			default:
				warnOfHost(c, cmd.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: valid\n", flags.config)
			return err
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "check what only this machine can tell, too")
	cmd.Flags().BoolVar(&keys, "keys", false, "read the key files, too, as the daemon does")
	// The options of the unit, which are those of run, are checked as they are.
	var ignored string
	for _, name := range []string{"runtime-dir", "state-dir"} {
		cmd.Flags().StringVar(&ignored, name, "", "")
		_ = cmd.Flags().MarkHidden(name) // it fails for flags that there are not
	}
	return cmd
}

// checkHere checks the key files of a director, which is this machine, and, if
// that is asked for, all else that only this machine can tell; "" is the
// director with the host's name.
func checkHere(c *config.Configuration, name string, live bool) error {
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name of this host: %v", err)
		}
		name = host
	}
	node, err := c.ForNode(name)
	if err != nil {
		return err
	}
	if !live {
		return node.ReadKeys(os.Geteuid())
	}
	return daemon.CheckLive(node)
}

// warnOfHost says so when this host is none of the nodes. That is no failure:
// it may be checking for others.
func warnOfHost(c *config.Configuration, stderr io.Writer) {
	host, err := os.Hostname()
	if err == nil {
		_, err = c.ForNode(host)
	}
	if err != nil {
		fmt.Fprintf(stderr, "bascule: warning: this host: %v\n", err)
	}
}
