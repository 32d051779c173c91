package main

import (
	"github.com/spf13/cobra"
)

// Where a package installs things.
const (
	defaultConfig     = "/etc/bascule/bascule.toml"
	defaultRuntimeDir = "/run/bascule"
	defaultStateDir   = "/var/lib/bascule"
)

// globalFlags are the flags that all commands take.
type globalFlags struct {
	config string
	node   string
}

// usageError is a mistake in the command line, as opposed to a failure.
type usageError struct{ error }

// newRootCommand returns the whole command line.
func newRootCommand() *cobra.Command {
	var flags globalFlags
	root := &cobra.Command{
		Use:   "bascule",
		Short: "Highly available load balancer: VRRP, IPVS and health checks",
		// Errors are printed once, by execute.
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&flags.config, "config", defaultConfig, "configuration `file`")
	root.PersistentFlags().StringVar(&flags.node, "node", "", "`name` of this director in the configuration (default: the host's name)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newRunCommand(&flags),
		newCheckCommand(&flags),
		newStatusCommand(),
		newChecksCommand(),
		newReloadCommand(),
		newDrainCommand(),
		newEnableCommand(),
		newWeightCommand(),
		newZeroCommand(),
		newRealServerCommand(),
		newVersionCommand(),
	)
	return root
}

// noArgs refuses arguments as a mistake of usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}

// runtimeDirFlag adds the flag that names the daemon to talk to.
func runtimeDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "runtime-dir", defaultRuntimeDir, "`directory` of the daemon's control socket")
}
