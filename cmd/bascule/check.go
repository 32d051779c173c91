package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/config"
)

// newCheckCommand returns the command that reads a configuration and says
// what is wrong with it. It needs neither root nor the interfaces.
func newCheckCommand(flags *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration file",
		Long: `Check the configuration file and its drop-ins, for every director that it
names. A name given with --node must be one of them; without, there is a
warning when the host's name is none. Works on any machine, without root, and
accepts the options of run.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(flags.config)
			if err != nil {
				return err
			}
			if flags.node == "" {
				warnOfHost(c, cmd.ErrOrStderr())
			} else if _, err := c.ForNode(flags.node); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: valid\n", flags.config)
			return err
		},
	}
	// The options of the unit, which are those of run, are checked as they are.
	var ignored string
	for _, name := range []string{"runtime-dir", "state-dir"} {
		cmd.Flags().StringVar(&ignored, name, "", "")
		_ = cmd.Flags().MarkHidden(name) // it fails for flags that there are not
	}
	return cmd
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
