package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/control"
	"bascule/lvs"
)

// newDrainCommand returns the command that takes a real server out for its
// maintenance.
func newDrainCommand() *cobra.Command {
	return newOverrideCommand(&cobra.Command{
		Use:   "drain SERVICE REAL",
		Short: "Give a real server no new connections",
		Long: `Give a real server of a virtual server no new connections. It goes when those
that it has have ended, or when the time is over that "drain" in the
configuration allows: without that it waits for them. Status shows whether it
is draining or out. It is so until "bascule enable", also after a restart.

It is so on this director only: other directors hear nothing of it, so that each
of them needs the command. Clients of a persistent service come back to the real
server while it drains, unless net.ipv4.vs.expire_quiescent_template is 1.`,
	}, "drain", 2)
}

// newEnableCommand returns the command that ends what drain and weight began.
func newEnableCommand() *cobra.Command {
	return newOverrideCommand(&cobra.Command{
		Use:   "enable SERVICE REAL",
		Short: "End what drain or weight began",
		Long: `End what "bascule drain" or "bascule weight" began: the configuration and the
check of the real server decide again.`,
	}, "enable", 2)
}

// newWeightCommand returns the command that gives a real server another
// weight than the configured one.
func newWeightCommand() *cobra.Command {
	return newOverrideCommand(&cobra.Command{
		Use:   "weight SERVICE REAL WEIGHT",
		Short: "Give a real server another weight",
		Long: `Give a real server of a virtual server another weight, 0 to 65535, than the
configured one. It has it until "bascule enable", also after a restart, and on
this director only: other directors hear nothing of it.`,
	}, "weight", 3)
}

// newOverrideCommand completes a command for a decision about a real server
// that takes so many arguments.
func newOverrideCommand(cmd *cobra.Command, action string, arguments int) *cobra.Command {
	var runtimeDir, reason string
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(arguments)(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		decision := control.OverrideRequest{VirtualServer: args[0], RealServer: args[1], Action: action, Reason: reason}
		if arguments == 3 {
			weight, err := strconv.ParseUint(args[2], 10, 32)
			if err != nil || weight > lvs.MaxWeight {
				return usageError{fmt.Errorf("weight %q: 0 to %d are allowed", args[2], lvs.MaxWeight)}
			}
			decision.Weight = uint32(weight)
		}
		return request(cmd, runtimeDir, func(ctx context.Context, c *control.Client) error {
			return c.Override(ctx, decision)
		})
	}
	runtimeDirFlag(cmd, &runtimeDir)
	if action != "enable" {
		cmd.Flags().StringVar(&reason, "reason", "", "`words` for those who look at the status")
	}
	return cmd
}
