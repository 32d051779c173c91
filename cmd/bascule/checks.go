package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/control"
)

// newChecksCommand returns the command that shows health checks.
func newChecksCommand() *cobra.Command {
	var runtimeDir string
	var asJSON, results bool
	cmd := &cobra.Command{
		Use:   "checks [WHICH]...",
		Short: "Show health checks: of virtual servers, targets or kinds, or all",
		RunE: func(cmd *cobra.Command, which []string) error {
			checks, err := requestChecks(cmd, runtimeDir, control.ChecksRequest{Match: which, Results: results})
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), checks)
			}
			return control.WriteChecks(cmd.OutOrStdout(), checks, time.Now())
		},
	}
	runtimeDirFlag(cmd, &runtimeDir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&results, "results", false, "with the latest 20 results of each")
	return cmd
}

// requestChecks asks the daemon of a runtime directory for its checks.
func requestChecks(cmd *cobra.Command, runtimeDir string, wanted control.ChecksRequest) (checks []control.Check, err error) {
	err = request(cmd, runtimeDir, func(ctx context.Context, c *control.Client) (err error) {
		checks, err = c.Checks(ctx, wanted)
		return err
	})
	return checks, err
}
