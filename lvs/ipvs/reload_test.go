//go:build ipvs

package ipvs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// reloadVariable makes the test binary run reloadModule instead of the tests.
const reloadVariable = "BASCULE_TEST_RELOAD"

// TestMain runs the tests, or reloadModule.
func TestMain(m *testing.M) {
	if os.Getenv(reloadVariable) != "" {
		fmt.Print(reloadModule())
		return
	}
	os.Exit(m.Run())
}

// TestModuleReload checks that a process whose ip_vs module is loaded anew goes
// on, rather than that every edit succeeds and does nothing. It is a process
// of its own, for moby/ipvs does not recover.
func TestModuleReload(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), reloadVariable+"=1")
	out, err := command.CombinedOutput()
	want := "edit: <nil>, services: 1\nedit: <nil>, services: 1\nread: <nil>, services: 0\nedit: <nil>, services: 1\n"
	if err != nil || string(out) != want {
		t.Errorf("error %v, output:\n%swant:\n%s", err, out, want)
	}
}

// reloadModule uses a client, loads the module anew and goes on, with an edit
// first; does that again with a reading first; and then with another client.
func reloadModule() string {
	c, err := ipvs.Open()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	result := use(c)
	if err := reload(c); err != nil {
		return result + err.Error()
	}
	result += use(c)
	if err := reload(c); err != nil {
		return result + err.Error()
	}
	reading, err := c.Read()
	result += fmt.Sprintf("read: %v, services: %d\n", err, len(reading.Table))
	after, err := ipvs.Open()
	if err != nil {
		return result + err.Error()
	}
	defer after.Close()
	return result + use(after)
}

// use adds a service, and returns what comes of it.
func use(c *ipvs.Client) string {
	err := c.Apply(op(lvs.AddService, service("192.0.2.1:80", "rr"), "", 0))
	reading, readErr := c.Read()
	return fmt.Sprintf("edit: %v, services: %d\n", errors.Join(err, readErr), len(reading.Table))
}

// reload empties the table, so that the module can be unloaded, and loads it
// anew.
func reload(c *ipvs.Client) error {
	if err := c.Apply(op(lvs.DeleteService, service("192.0.2.1:80", "rr"), "", 0)); err != nil {
		return err
	}
	script := "for n in $(seq 100); do modprobe -r $(lsmod | grep -o '^ip_vs_[a-z_]*') ip_vs 2>/dev/null && modprobe ip_vs && exit; sleep 0.1; done; lsmod | grep ip_vs; exit 1"
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("reload: %v: %s", err, out)
	}
	return nil
}
