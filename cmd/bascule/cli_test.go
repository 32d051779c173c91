package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// configFiles and goodConfig are files that others test in detail.
const (
	configFiles = "../../testdata/config"
	goodConfig  = configFiles + "/good/tutorial.toml"
)

// unprivileged copies the test binary to where anybody may run it, and
// returns its path.
func unprivileged(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bascule-cli")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	self, err := os.Executable()
	must(t, err)
	in, err := os.Open(self)
	must(t, err)
	defer func() { _ = in.Close() }()
	path := filepath.Join(dir, "bascule")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, errors.Join(err, out.Close()))
	return path
}

// runAsNobody runs bascule without privileges, in an empty network, and
// returns what it printed and its exit status.
func runAsNobody(t *testing.T, binary string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	const nobody = 65534
	cmd := exec.Command(binary, args...)
	cmd.Dir = "/"

	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
		Cloneflags: syscall.CLONE_NEWNET,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestCommandLine runs each command as a user would who has no privileges, no
// daemon and no network.
func TestCommandLine(t *testing.T) {
	binary := unprivileged(t)
	dir := filepath.Dir(binary) // nobody may look into the test's own directory
	for _, test := range []struct {
		name   string
		args   []string
		status int
		stdout string // must occur in it
		stderr string // must occur in it
	}{
		{"version", []string{"version"}, 0, "bascule ", ""},
		{"help", nil, 0, "Available Commands", ""},
		{"no such command", []string{"explode"}, 2, "", `unknown command "explode"`},
		{"no such flag", []string{"check", "--frob"}, 2, "", "unknown flag: --frob"},
		{"too many arguments", []string{"check", "x"}, 2, "", `"x"`},
		{"no such file", []string{"check", "--config", filepath.Join(dir, "none.toml")}, 1, "", "none.toml"},
		{"no daemon", []string{"status", "--runtime-dir", dir}, 1, "", "no bascule is running with this runtime directory"},
		{"no daemon with checks", []string{"checks", "www", "--results", "--runtime-dir", dir}, 1, "", "no bascule is running with this runtime directory"},
		{"no daemon to reload", []string{"reload", "--runtime-dir", dir}, 1, "", "no bascule is running with this runtime directory"},
		{"no daemon to zero counters", []string{"zero", "--runtime-dir", dir}, 1, "", "no bascule is running with this runtime directory"},
		{"too many virtual servers", []string{"zero", "www", "ftp"}, 2, "", "accepts at most 1 arg(s), received 2"},
		{"no address", []string{"realserver", "up"}, 2, "", "realserver up: no address"},
		{"a prefix", []string{"realserver", "up", "192.0.2.10/24"}, 2, "", `address "192.0.2.10/24": want one of IPv4 or IPv6, without a prefix`},
		{"no such tunnel", []string{"realserver", "up", "--tunnel", "x", "192.0.2.10"}, 2, "", `tunnel "x"`},
		{"nothing set up", []string{"realserver", "status", "--runtime-dir", dir}, 0, "Nothing is set up.", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := runAsNobody(t, binary, test.args...)
			if status != test.status || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s", status, test.status, stdout, stderr)
			}
			if status != 0 && stdout != "" {
				t.Errorf("a failure printed to standard output: %s", stdout)
			}
		})
	}
}

// TestCheckOffBox checks every good and every bad configuration of the test
// data without privileges and without the interfaces, and compares what is
// printed, to the letter, with the messages kept beside the bad ones.
func TestCheckOffBox(t *testing.T) {
	binary := unprivileged(t)
	good, err := filepath.Glob(configFiles + "/good/*.toml")
	must(t, err)
	bad, err := filepath.Glob(configFiles + "/bad/*.toml")
	must(t, err)
	if len(good) == 0 || len(bad) < 20 {
		t.Fatalf("%d good and %d bad configurations, want some and at least 20", len(good), len(bad))
	}
	dir := filepath.Dir(binary)
	for _, path := range append(good, bad...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			must(t, err)
			file := filepath.Join(dir, filepath.Base(path))
			must(t, os.WriteFile(file, text, 0o644))
			stdout, stderr, status := runAsNobody(t, binary, "check", "--config", file)
			want, err := os.ReadFile(strings.TrimSuffix(path, ".toml") + ".err")
			if os.IsNotExist(err) {
				if status != 0 || stderr != "" && !strings.Contains(stderr, "warning: ") || stdout != file+": valid\n" {
					t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
				}
				return
			}
			must(t, err)
			got := strings.ReplaceAll(strings.TrimPrefix(stderr, "bascule: "), dir+"/", "")
			if status != 1 || stdout != "" || strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
				t.Errorf("status %d, stdout %q\ngot:\n%s\nwant:\n%s", status, stdout, got, want)
			}
		})
	}
}

// TestCheckNode names the directors there are to somebody who asks for one
// that there is not.
func TestCheckNode(t *testing.T) {
	if status := execute([]string{"check", "--config", goodConfig, "--node", "lb3"}); status != exitFailed {
		t.Errorf("status = %d, want %d", status, exitFailed)
	}
	if status := execute([]string{"check", "--config", goodConfig, "--node", "lb2"}); status != exitOK {
		t.Errorf("status = %d, want %d", status, exitOK)
	}
}

// TestCheckOfThisHost warns, without --node, of what the daemon would refuse
// on this host, since it has another name than the directors.
func TestCheckOfThisHost(t *testing.T) {
	host, err := os.Hostname()
	must(t, err)
	config := filepath.Join(t.TempDir(), "bascule.toml")
	for _, test := range []struct {
		name, text, node string
		warns            bool
	}{
		{"another host", `nodes = ["not-` + host + `"]`, "", true},
		{"this host", `nodes = ["` + host + `"]`, "", false},
		{"no nodes", "", "", false},
		{"a named node", `nodes = ["not-` + host + `"]`, "not-" + host, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			must(t, os.WriteFile(config, []byte(test.text), 0o644))
			var out, errs bytes.Buffer
			cmd := newRootCommand()
			cmd.SetOut(&out)
			cmd.SetErr(&errs)
			cmd.SetArgs([]string{"check", "--config", config, "--node", test.node})
			must(t, cmd.Execute())
			if out.String() != config+": valid\n" {
				t.Errorf("printed %q", out.String())
			}
			if warned := strings.Contains(errs.String(), "warning: ") && strings.Contains(errs.String(), host); warned != test.warns {
				t.Errorf("warned %t, want %t: %q", warned, test.warns, errs.String())
			}
		})
	}
}

// TestCheckTakesOptionsOfRun lets the options of the unit be checked as they
// are; the last of a kind decides, as for every command.
func TestCheckTakesOptionsOfRun(t *testing.T) {
	args := []string{"check", "--config", goodConfig, "--node", "lb3", "--node", "lb", "--runtime-dir", "/x", "--state-dir", "/y"}
	if status := execute(args); status != exitOK {
		t.Errorf("status = %d, want %d", status, exitOK)
	}
}
