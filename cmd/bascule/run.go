package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bascule/cmd/internal/daemon"
	"bascule/cmd/internal/notify"
)

// flushTimeout is how long the end waits for the reader of the log.
const flushTimeout = 100 * time.Millisecond

// newRunCommand returns the command that is the daemon.
func newRunCommand(flags *globalFlags) *cobra.Command {
	var options daemon.Options
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground, with its log on standard error.

SIGHUP reads the configuration again; a faulty one changes nothing.
SIGTERM gives everything up: the other directors are told first, then the
virtual addresses are removed, then the IPVS services.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Config, options.Node, options.Version = flags.config, flags.node, buildVersion()
			return run(cmd.Context(), options, cmd.ErrOrStderr())
		},
	}
	runtimeDirFlag(cmd, &options.RuntimeDir)
	cmd.Flags().StringVar(&options.StateDir, "state-dir", defaultStateDir, "`directory` for what must survive a restart")
	return cmd
}

// run runs the daemon with its signals and its log.
func run(ctx context.Context, options daemon.Options, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	journal := notify.NewAsync(logHandler(stderr))
	logging, stopLogging := context.WithCancel(context.Background())
	flushed := make(chan struct{})
	go func() { defer close(flushed); journal.Run(logging) }()
	err := daemon.Run(ctx, options, hangups, slog.New(journal))
	stopLogging()
	select {
	case <-flushed:
	case <-time.After(flushTimeout):
	}
	return err
}

// logHandler writes lines of keys and values. Under systemd the journal knows
// the time.
func logHandler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{}
	if os.Getenv("JOURNAL_STREAM") != "" {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.NewTextHandler(w, options)
}
