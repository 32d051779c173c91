package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// liveConfig is a director on the loopback interface, which every network
// has, with what is formatted into its group and its router.
const liveConfig = `nodes = ["lb", "lb2"]
[group.web]
priority = 100
%s
[group.web.router.public]
interface = "%s"
vrid = 1
addresses = ["%s"]
%s
`

// liveSync follows the group of liveConfig; the interface is that of lb.
const liveSync = `[connection_sync]
group = "web"
interface = { lb = %q, lb2 = "lo" }`

// TestCheckLive finds on this machine what is wrong there with a configuration
// that is valid.
func TestCheckLive(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "web.keys")
	must(t, os.WriteFile(keys, []byte("1 000102030405060708090a0b0c0d0e0f\n"), 0o600))
	shared := filepath.Join(dir, "shared.keys")
	must(t, os.WriteFile(shared, []byte("1 000102030405060708090a0b0c0d0e0f\n"), 0o644))
	file := filepath.Join(dir, "bascule.toml")
	authentication := func(path string) string {
		return fmt.Sprintf("authentication = { key_file = %q, active_key = 1 }", path)
	}
	const unicast = `unicast = { lb = "192.0.2.11", lb2 = "192.0.2.12" }`
	for _, test := range []struct {
		name, text, node string
		want             string // in the error; "": none
	}{
		{"nothing is missing", fmt.Sprintf(liveConfig, authentication(keys), "lo", "192.0.2.10/24", ""), "lb", ""},
		{"no such interface", fmt.Sprintf(liveConfig, "", "none0", "192.0.2.10/24", ""), "lb",
			`group.web.router.public.interface: "none0": no such interface on this machine`},
		{"no such address", fmt.Sprintf(liveConfig, "", "lo", "192.0.2.10/24", unicast), "lb2",
			`group.web.router.public.unicast.lb2: "192.0.2.12" is not on interface lo of this machine, which has 127.0.0.1`},
		{"keys for all to see", fmt.Sprintf(liveConfig, authentication(shared), "lo", "192.0.2.10/24", ""), "lb",
			file + ":4: group.web.authentication.key_file: " + shared + " has mode 0644"},
		{"an interface for connections", fmt.Sprintf(liveConfig, "", "lo", "192.0.2.10/24", fmt.Sprintf(liveSync, "lo")), "lb", ""},
		{"no such interface for connections", fmt.Sprintf(liveConfig, "", "lo", "192.0.2.10/24", fmt.Sprintf(liveSync, "none1")), "lb",
			`connection_sync.interface: "none1": no such interface on this machine`},
		{"another node's interface for connections", fmt.Sprintf(liveConfig, "", "lo", "192.0.2.10/24", fmt.Sprintf(liveSync, "none1")), "lb2", ""},
		{"no such node", fmt.Sprintf(liveConfig, "", "lo", "192.0.2.10/24", ""), "lb3", `"lb3" is no node`},
		{"everything at once", fmt.Sprintf(liveConfig, authentication(shared), "none0", "192.0.2.10/24", ""), "lb", "has mode 0644"},
	} {
		t.Run(test.name, func(t *testing.T) {
			must(t, os.WriteFile(file, []byte(test.text), 0o644))
			must(t, runHere(t, nil, "check", "--config", file, "--node", "lb")) // on any machine
			err := runHere(t, nil, "check", "--config", file, "--node", test.node, "--live")
			switch {
			case test.want == "":
				must(t, err)
			case err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("error = %v, want %s", err, test.want)
			}
			if test.name == "everything at once" && !strings.Contains(fmt.Sprint(err), "none0") {
				t.Errorf("error = %v, want all that is wrong", err)
			}
		})
	}
}

// TestCheckKeys refuses what the daemon would not start with, and has no word
// of an interface that is missing.
func TestCheckKeys(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp")
	dir := t.TempDir()
	keys, file := filepath.Join(dir, "web.keys"), filepath.Join(dir, "bascule.toml")
	authentication := fmt.Sprintf("authentication = { key_file = %q, active_key = 1 }", keys)
	must(t, os.WriteFile(file, fmt.Appendf(nil, liveConfig, authentication, "none0", "192.0.2.10/24", ""), 0o644))
	var warned bytes.Buffer
	check := func(node string) error {
		return runHere(t, &warned, "check", "--config", file, "--node", node, "--keys")
	}
	if err := check("lb"); err == nil || !strings.Contains(err.Error(), keys+" cannot be read: no such file or directory (bascule.service does not see what is in /tmp") {
		t.Errorf("without the file: %v", err)
	}
	must(t, os.WriteFile(keys, []byte("1 000102030405060708090a0b0c0d0e0f\n"), 0o600))
	must(t, check("lb"))
	if want := "group.web.authentication.key_file: " + fmt.Sprintf("%q", keys) + ": bascule.service does not see"; !strings.Contains(warned.String(), want) {
		t.Errorf("warned of %q, want %q", warned.String(), want)
	}
	if err := check("lb3"); err == nil || !strings.Contains(err.Error(), `"lb3" is no node`) {
		t.Errorf("of no node: %v", err)
	}
	must(t, os.Chmod(keys, 0o640))
	if err := check("lb"); err == nil || !strings.Contains(err.Error(), "has mode 0640") {
		t.Errorf("with a file for a group to see: %v", err)
	}
}

// TestCheckWarns says what is valid but may not be wanted, and succeeds.
func TestCheckWarns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bascule.toml")
	must(t, os.WriteFile(file, []byte(fmt.Sprintf(liveConfig, "", "eth0", "2001:db8::10/64", "")), 0o644))
	var errs bytes.Buffer
	must(t, runHere(t, &errs, "check", "--config", file, "--node", "lb"))
	if want := "bascule: warning: " + file + ":8: group.web.router.public.addresses[0]: "; !strings.HasPrefix(errs.String(), want) {
		t.Errorf("printed %q, want %q", errs.String(), want)
	}
}

// runHere runs a command line and returns its error; what it writes to
// standard error goes to errs.
func runHere(t *testing.T, errs *bytes.Buffer, args ...string) error {
	t.Helper()
	var out bytes.Buffer
	if errs == nil {
		errs = &bytes.Buffer{}
	}
	cmd := newRootCommand()
	cmd.SetOut(&out)
	cmd.SetErr(errs)
	cmd.SetArgs(args)
	return cmd.Execute()
}
