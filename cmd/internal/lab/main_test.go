package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the tests, or, when the first argument is a command of
// bascule, a stand-in for it: Director runs whatever program it is given.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := standIn(os.Args[1], flags(os.Args[2:])); err != nil {
			fmt.Fprintln(os.Stderr, "stand-in:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// flags collects arguments of the form "--name value".
func flags(args []string) map[string]string {
	values := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		values[args[i]] = args[i+1]
	}
	return values
}

// standIn behaves as bascule does on its command line. The configuration is
// its orders: "crash" ends it at once, "deaf" ignores SIGTERM, "sloppy" ends
// with status 1; all else is the state that its group is in, a moment after
// the start.
func standIn(command string, flags map[string]string) error {
	runtime := flags["--runtime-dir"]
	switch command {
	case "run":
		return standInRun(flags, runtime)
	case "reload":
		orders, err := os.ReadFile(filepath.Join(runtime, "config"))
		if err != nil {
			return err
		}
		return standInStatus(runtime, string(orders))
	case "status":
		text, err := os.ReadFile(filepath.Join(runtime, "status.json"))
		if err != nil {
			return errors.New("not running")
		}
		fmt.Print(string(text))
		return nil
	}
	return fmt.Errorf("unknown command %q", command)
}

// standInRun is "bascule run".
func standInRun(flags map[string]string, runtime string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	orders, err := os.ReadFile(flags["--config"])
	if err != nil {
		return err
	}
	if info, err := os.Stat(flags["--state-dir"]); err != nil || !info.IsDir() {
		return fmt.Errorf("state directory: %v", err)
	}
	fmt.Fprintln(os.Stderr, flags["--node"], "has orders:", string(orders))
	if string(orders) == "crash" {
		return errors.New("crash")
	}
	if err := os.Symlink(flags["--config"], filepath.Join(runtime, "config")); err != nil && !os.IsExist(err) {
		return err
	}
	// Ready before it has reached its state, as bascule is.
	for _, state := range []string{StateInitialize, string(orders)} {
		time.Sleep(100 * time.Millisecond)
		if err := standInStatus(runtime, state); err != nil {
			return err
		}
	}
	if string(orders) == "deaf" {
		signal.Ignore(syscall.SIGTERM)
		select {}
	}
	<-ctx.Done()
	if string(orders) == "sloppy" {
		return errors.New("sloppy")
	}
	return os.Remove(filepath.Join(runtime, "status.json"))
}

// standInStatus replaces what "bascule status" says.
func standInStatus(runtime, state string) error {
	text := fmt.Sprintf(`{"node": "lb", "version": "0", "unknown": 1, "problems": [],
		"groups": [{"name": "web", "state": %q, "since": "2026-01-02T03:04:05.6Z", "priority": 150, "faults": [], "routers": []}],
		"virtual_servers": []}`, state)
	next := filepath.Join(runtime, "next")
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(runtime, "status.json"))
}
