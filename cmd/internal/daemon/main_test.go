package daemon

import (
	"fmt"
	"os"
	"testing"

	"bascule/checker/worker"
)

// TestMain runs the tests, or the checks of a daemon in them.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == worker.Argument {
		if err := worker.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
