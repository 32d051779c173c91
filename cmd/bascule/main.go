// Command bascule makes two or more machines one highly available load
// balancer: VRRP, IPVS and health checks in one daemon, and the commands that
// talk to it.
package main

import (
	"errors"
	"fmt"
	"os"

	"bascule/checker"
	"bascule/checker/worker"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// main runs the command line and exits with its status.
func main() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case checker.Launcher:
			os.Exit(launch())
		case worker.Argument:
			os.Exit(work())
		}
	}
	os.Exit(execute(os.Args[1:]))
}

// launch runs a script for the daemon, which has started this process for that
// alone, and returns the exit status.
func launch() int {
	if checker.Launch(os.Stdin, os.Stdout) != nil {
		return exitFailed // the daemon that would be told is gone
	}
	return exitOK
}

// work runs the checks for the daemon, which has started this process for that
// alone, and returns the exit status.
func work() int {
	if err := worker.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bascule: health checks: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// execute runs a command line and returns the exit status.
func execute(args []string) int {
	cmd := newRootCommand()
	cmd.SetArgs(args)
	err := cmd.Execute()
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(cmd.ErrOrStderr(), "bascule: %v\nSee 'bascule --help'.\n", err)
		return exitUsage
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "bascule: %v\n", err)
	return exitFailed
}
