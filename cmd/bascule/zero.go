package main

import (
	"context"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/control"
)

// newZeroCommand returns the command that sets counters to zero.
func newZeroCommand() *cobra.Command {
	var runtimeDir string
	cmd := &cobra.Command{
		Use:   "zero [SERVICE]",
		Short: "Set the counters of virtual servers to zero",
		Long: `Set the kernel's counters of connections, packets and bytes to zero: of one
virtual server, or of all. What goes on at the moment is not counted anew, and
what others have in the kernel's table is left alone.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var zero control.ZeroRequest
			if len(args) > 0 {
				zero.VirtualServer = args[0]
			}
			return request(cmd, runtimeDir, func(ctx context.Context, c *control.Client) error {
				return c.Zero(ctx, zero)
			})
		},
	}
	runtimeDirFlag(cmd, &runtimeDir)
	return cmd
}
