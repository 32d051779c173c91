package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/control"
)

// requestTimeout bounds a request to the daemon.
const requestTimeout = 15 * time.Second

// newStatusCommand returns the command that shows the daemon's state.
func newStatusCommand() *cobra.Command {
	var runtimeDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the daemon",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s control.Status
			err := request(cmd, runtimeDir, func(ctx context.Context, c *control.Client) (err error) {
				s, err = c.Status(ctx)
				return err
			})
			if err != nil {
				return err
			}
			if !asJSON {
				return control.WriteTable(cmd.OutOrStdout(), s, time.Now())
			}
			checks, err := requestChecks(cmd, runtimeDir, control.ChecksRequest{})
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), control.FullStatus{Status: s, Checks: checks})
		},
	}
	runtimeDirFlag(cmd, &runtimeDir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printJSON prints a value for programs, and for people who look.
func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// request makes one request to the daemon of a runtime directory.
func request(cmd *cobra.Command, runtimeDir string, do func(context.Context, *control.Client) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	client := control.NewClient(runtimeDir)
	defer client.Close()
	return do(ctx, client)
}
