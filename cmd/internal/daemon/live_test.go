package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bascule/cmd/internal/config"
)

// parse returns the part of the director lb of a configuration.
func parse(t *testing.T, text string) *config.Node {
	t.Helper()
	c, err := config.Parse([]config.File{{Name: "bascule.toml", Content: text}})
	must(t, err)
	node, err := c.ForNode("lb")
	must(t, err)
	return node
}

// machineConfig is a group of a router for each family on an interface.
const machineConfig = `nodes = ["lb", "lb2"]
[group.web]
priority = 100
[group.web.router.four]
interface = "%[1]s"
vrid = 9
addresses = ["10.9.0.100/24"]
unicast = { lb = "%[2]s", lb2 = "10.9.0.99" }
[group.web.router.six]
interface = "%[1]s"
vrid = 9
addresses = ["fe80::100/64"]
`

// TestCheckMachine finds what a configuration needs of a real machine, and
// does not ask for what the one before needed too.
func TestCheckMachine(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	node := func(iface, source string) *config.Node { return parse(t, fmt.Sprintf(machineConfig, iface, source)) }
	none, good := &config.Node{}, node("v0", "10.9.0.1")
	expect := func(what string, err error, want ...string) {
		t.Helper()
		got := fmt.Sprint(err)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %v, want %q", what, err, w)
			}
		}
		if len(want) == 0 && err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("all is there", CheckLive(good))
	expect("another address", CheckLive(node("v0", "10.9.0.2")),
		`group.web.router.four.unicast.lb: "10.9.0.2" is not on interface v0 of this machine, which has 10.9.0.1`)
	expect("no interface", CheckLive(node("v9", "10.9.0.1")),
		`group.web.router.four.interface: "v9": no such interface`, `group.web.router.six.interface: "v9": no such interface`)
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/v0/disable_ipv6", []byte("1"), 0))
	expect("no IPv6", CheckLive(good), "group.web.router.six.addresses: IPv6 is disabled on interface v0 of this machine (net.ipv6.conf.v0.disable_ipv6)")

	expect("a change from nothing", checkMachine(good, none), "IPv6 is disabled")
	expect("what was needed before", checkMachine(good, good))
	expect("a new source", checkMachine(node("v0", "10.9.0.2"), good), `"10.9.0.2" is not on interface v0`)
	expect("a new interface", checkMachine(node("v1", "10.9.0.1"), good), `"10.9.0.1" is not on interface v1 of this machine, which has`)
}

// TestCheckProbes finds what checks lack, each lack once.
func TestCheckProbes(t *testing.T) {
	const text = `nodes = ["lb"]
[virtual_server.%s]
address = "192.0.2.10:80"
protocol = "%s"
check = { type = "tcp", device = "%s" }
[[virtual_server.%[1]s.real_server]]
address = "10.0.0.1:80"
[[virtual_server.%[1]s.real_server]]
address = "10.0.0.2:80"
`
	must(t, checkProbes(parse(t, fmt.Sprintf(text, "www", "tcp", "lo"))))
	err := checkProbes(parse(t, fmt.Sprintf(text, "www", "tcp", "absent0")))
	want := `virtual_server.www: check tcp 10.0.0.1:80: device "absent0": no such interface on this machine`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// ownerConfig makes the director lb the owner of two addresses on v0.
const ownerConfig = `
nodes = ["lb", "lb2"]
[group.web]
priority = { lb = 255, lb2 = 100 }
advertisement_interval = "100ms"
start_delay = "%s"
[group.web.router.public]
interface = "v0"
vrid = 9
addresses = ["10.9.0.50/24", "10.9.0.51/24"]
`

// TestOwner: an address that was on the owner's interface before it came stays
// when it goes, also when a predecessor has crashed; what the daemon added
// goes.
func TestOwner(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	add(t, "10.9.0.50/24")
	dir := t.TempDir()
	// A crashed predecessor has added the second address.
	must(t, record{Addresses: map[string][]netip.Prefix{"v0": {netip.MustParsePrefix("10.9.0.51/24")}}}.write(dir))
	add(t, "10.9.0.51/24")
	r := start(t, dir, fmt.Sprintf(ownerConfig, "0s"))
	eventually(t, "take-over", func() bool {
		status, err := r.client.Status(t.Context())
		return err == nil && status.Groups[0].State == "active"
	})
	// Narrowed once the kernel holds what is wanted: with an owner's address in
	// it, a successor of a crash would take that for ours.
	eventually(t, "a record without addresses", func() bool {
		kept, err := readRecord(dir)
		return err == nil && len(kept.Addresses["v0"]) == 0
	})
	r.stop()
	must(t, <-r.ended)
	if !has(t, "10.9.0.50") || has(t, "10.9.0.51") || !has(t, "10.9.0.1") {
		t.Error("the end took an address of the interface's own, or left one of ours")
	}
}

// TestStartDelay: a director that waits says so, says for how long, and has no
// problem.
func TestStartDelay(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	r := start(t, t.TempDir(), fmt.Sprintf(ownerConfig, "3s"))
	eventually(t, "a known interface", func() bool {
		status, err := r.client.Status(t.Context())
		if err != nil || len(status.Groups) == 0 || len(status.Groups[0].Waiting) == 0 {
			return false
		}
		g := status.Groups[0]
		return g.Waiting[0] == "start-up delay" && g.StartAt != nil && g.StartAt.After(time.Now()) &&
			len(g.Faults) == 0 && !strings.Contains(fmt.Sprint(status.Problems), "web")
	})
	if has(t, "10.9.0.51") {
		t.Error("the address is there during the delay")
	}
	eventually(t, "the end of the delay", func() bool { return has(t, "10.9.0.51") })
	status, err := r.client.Status(t.Context())
	must(t, err)
	if g := status.Groups[0]; g.StartAt != nil || len(g.Waiting) != 0 || g.State != "active" {
		t.Errorf("after the delay: %+v", g)
	}
	r.stop()
	must(t, <-r.ended)
}

// signedConfig has one signed group on v0.
const signedConfig = `
nodes = ["lb"]
[group.web]
priority = 100
advertisement_interval = "100ms"
authentication = { key_file = "%s", active_key = %d }
[group.web.router.public]
interface = "v0"
vrid = 9
addresses = ["10.9.0.100/24"]
`

// TestKeysAreReadAtReload: keys change with a reload although the configuration
// file does not, bad key files change nothing, and no secret is in the status.
func TestKeysAreReadAtReload(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	dir := t.TempDir()
	keys := filepath.Join(dir, "web.keys")
	const secret1, secret2 = "000102030405060708090a0b0c0d0e0f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
	write := func(text string) { must(t, os.WriteFile(keys, []byte(text), 0o600)) }
	write("1 " + secret1)
	r := start(t, dir, fmt.Sprintf(signedConfig, keys, 1))
	eventually(t, "take-over", func() bool { return has(t, "10.9.0.100") })
	shown := func() string {
		status, err := r.client.Status(t.Context())
		must(t, err)
		text := fmt.Sprintf("%+v %+v", status, status.Groups[0].Routers[0].Authentication)
		if strings.Contains(text, secret1) || strings.Contains(text, secret2) {
			t.Errorf("a secret is in the status: %s", text)
		}
		return fmt.Sprint(status.Groups[0].Routers[0].Authentication.Keys, status.Groups[0].Routers[0].Authentication.ActiveKey)
	}
	reload := func(want string) {
		t.Helper()
		result, err := r.client.Reload(t.Context())
		got := fmt.Sprint(result.Changed)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("reload = %s, want %s", got, want)
		}
	}
	reload("false")
	r.write("# moved down by a line\n" + fmt.Sprintf(signedConfig, keys, 1))
	reload("false")
	write("1 " + secret1 + "\n2 " + secret2)
	reload("true")
	if got := shown(); got != "[1 2] 1" {
		t.Errorf("keys %s", got)
	}
	must(t, os.Chmod(keys, 0o640))
	reload("has mode 0640")
	must(t, os.Chmod(keys, 0o600))
	write("1 " + secret1)
	r.write(fmt.Sprintf(signedConfig, keys, 2))
	reload("has no key 2")
	if got := shown(); got != "[1 2] 1" || !has(t, "10.9.0.100") {
		t.Errorf("keys %s after reloads that were refused", got)
	}
	write("2 " + secret2)
	reload("true")
	if got := shown(); got != "[2] 2" {
		t.Errorf("keys %s", got)
	}
	r.stop()
	must(t, <-r.ended)
	must(t, os.Remove(keys))
	again := start(t, dir, fmt.Sprintf(signedConfig, keys, 2))
	if err := <-again.ended; err == nil || !strings.Contains(err.Error(), "cannot be read: no such file") {
		t.Errorf("start without the key file: %v", err)
	}
}
