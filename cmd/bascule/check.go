package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/config"
)

// newCheckCommand returns the command that reads a configuration and says
// what is wrong with it. It needs neither root nor the interfaces.
func newCheckCommand(flags *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration file",
		Long: `Check the configuration file and its drop-ins, for every director that it
names, or for the one given by --node. Works on any machine, without root.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(flags.config)
			if err != nil {
				return err
			}
			if flags.node != "" {
				if _, err := c.ForNode(flags.node); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: valid\n", flags.config)
			return err
		},
	}
}
