package main

import (
	"bytes"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"bascule/checker"
)

// TestLaunch runs a script the way the daemon does: by this program, started
// anew with the argument for that.
func TestLaunch(t *testing.T) {
	for _, test := range []struct {
		name, program, want string
	}{
		{"good", "/bin/true", ""},
		{"bad", "/bin/false", "script exited with status 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := checker.New(checker.Spec{
				Target: netip.MustParseAddrPort("192.0.2.1:80"), Probe: checker.Script{Argv: checker.NewStrings(test.program), User: "nobody"},
				Interval: time.Minute, Timeout: patience, Rise: 1, Fall: 1,
			})
			must(t, err)
			got := ""
			if _, err := c.Check(bounded(t)); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestLaunchWithoutRequest ends as a launcher whose daemon has gone before it
// said what to run; more arguments than that one are a command line.
func TestLaunchWithoutRequest(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		status int
		report string
	}{
		{"no request", []string{checker.Launcher}, exitOK, "cannot 0\nEOF"},
		{"a command line", []string{checker.Launcher, "more"}, exitUsage, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			program, err := filepath.EvalSymlinks("/proc/self/exe")
			must(t, err)
			cmd := exec.CommandContext(bounded(t), program, test.args...)
			var report bytes.Buffer
			cmd.Stdout = &report
			_ = cmd.Run()
			if status := cmd.ProcessState.ExitCode(); status != test.status || report.String() != test.report {
				t.Errorf("status %d, report %q, want %d, %q", status, &report, test.status, test.report)
			}
		})
	}
}
