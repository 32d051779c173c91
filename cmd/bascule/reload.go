package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/control"
)

// newReloadCommand returns the command that has the daemon read its
// configuration again.
func newReloadCommand() *cobra.Command {
	var runtimeDir string
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration again",
		Long: `Have the daemon read its configuration again and apply what has changed. If
anything is wrong with it, nothing changes and the reasons are printed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var result control.ReloadResult
			err := request(cmd, runtimeDir, func(ctx context.Context, c *control.Client) (err error) {
				result, err = c.Reload(ctx)
				return err
			})
			if err != nil {
				return err
			}
			message := "reloaded: nothing had changed"
			if result.Changed {
				message = "reloaded"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), message)
			return err
		},
	}
	runtimeDirFlag(cmd, &runtimeDir)
	return cmd
}
