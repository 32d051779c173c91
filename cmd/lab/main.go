// Lab builds Bascule's laboratory: the network of a small web site with two
// directors, out of network namespaces of this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses that are not 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

// main runs the command line and exits with its status.
func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes a command line until it is done or a signal asks it to end, in
// which case everything is cleaned up too. It returns the exit status.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	started := false
	root := &cobra.Command{
		Use:               "lab",
		Short:             "A laboratory for Bascule: two directors, three web servers, one client",
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRun:  func(*cobra.Command, []string) { started = true },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(upCommand(), downCommand(), demoCommand(), peersCommand(), probeCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	if !started {
		return exitUsage
	}
	return exitFailed
}
