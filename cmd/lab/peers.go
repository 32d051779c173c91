package main

import (
	"github.com/spf13/cobra"

	"bascule/cmd/internal/lab"
)

// peersCommand is "lab peers".
func peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "Unpack the peers that this machine's Debian does not have",
		Long: `Unpack the keepalived of Debian 13, with what it needs to run, below
$XDG_CACHE_HOME or /var/cache. That may take minutes, once. It needs root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := lab.DebianRoot(cmd.Context(), lab.SuiteTrixie, "keepalived")
			return err
		},
	}
}
