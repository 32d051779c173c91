package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/cmd/internal/control"
	"bascule/lvs"
)

// TestOverridesSurvive writes decisions about services of every kind and reads
// them back.
func TestOverridesSurvive(t *testing.T) {
	dir := t.TempDir()
	since := time.Unix(1700000000, 0).UTC()
	stored := func(key lvs.ServiceKey, address string, o lvs.Override) lvs.StoredOverride {
		o.Since = since
		return lvs.StoredOverride{VirtualServer: "www", Key: lvs.RealServerKey{Service: key, Address: netip.MustParseAddrPort(address)}, Override: o}
	}
	want := []lvs.StoredOverride{
		stored(service80("10.0.0.1"), "10.1.0.1:80", lvs.Override{Kind: lvs.Drain, Reason: "new disk"}),
		stored(lvs.ServiceKey{Protocol: lvs.SCTP, Address: netip.MustParseAddrPort("[2001:db8::1]:80")}, "[2001:db8::2]:80", lvs.Override{Kind: lvs.Weigh}),
		stored(lvs.MarkKey(7, true), "[2001:db8::2]:0", lvs.Override{Kind: lvs.Weigh, Weight: 9}),
	}
	must(t, writeOverrides(dir, want))
	got, err := readOverrides(dir)
	must(t, err)
	if diff := cmp.Diff(want, got, compareValues); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	must(t, writeOverrides(dir, nil))
	if got, err := readOverrides(dir); err != nil || len(got) != 0 {
		t.Errorf("after the last one has ended: %v, %v", got, err)
	}
}

// balancing is a lone director that balances a service over real servers.
func balancing(service string, realServers ...string) string {
	text := fmt.Sprintf(configuration, `"10.9.0.100/24"`) + "[virtual_server.www]\naddress = \"" + service + "\"\ncheck = { type = \"none\" }\n"
	for _, rs := range realServers {
		text += "[[virtual_server.www.real_server]]\naddress = \"" + rs + "\"\n"
	}
	return text
}

// storedAs returns what a state directory has stored, in words.
func storedAs(t *testing.T, dir string) string {
	t.Helper()
	stored, err := readOverrides(dir)
	must(t, err)
	var words []string
	for _, o := range stored {
		words = append(words, fmt.Sprint(o.VirtualServer, " ", o.Key.Service, " ", o.Key.Address, " ", o.Override.Kind))
	}
	return strings.Join(words, ", ")
}

// TestStoredOverridesFollow: what is stored follows the configuration, at the
// start and at every reload, without anybody's deciding anything.
func TestStoredOverridesFollow(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	dir := t.TempDir()
	decision := func(address string) lvs.StoredOverride {
		return lvs.StoredOverride{VirtualServer: "www", Override: lvs.Override{Kind: lvs.Drain},
			Key: lvs.RealServerKey{Service: service80("10.9.0.99"), Address: netip.MustParseAddrPort(address)}}
	}
	must(t, writeOverrides(dir, []lvs.StoredOverride{decision("10.9.0.11:80"), decision("10.9.0.12:80"), decision("10.9.0.13:80")}))
	r := start(t, dir, balancing("10.9.0.100:80", "10.9.0.11:80", "10.9.0.12:80"))
	expect := func(when, want string) {
		t.Helper()
		var got string
		for end := time.Now().Add(20 * time.Second); got != want && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			got = storedAs(t, dir)
		}
		if got != want {
			t.Fatalf("%s: stored %q, want %q", when, got, want)
		}
	}
	expect("at the start", "www tcp 10.9.0.100:80 10.9.0.11:80 drain, www tcp 10.9.0.100:80 10.9.0.12:80 drain")
	r.write(balancing("10.9.0.101:80", "10.9.0.12:80"))
	eventually(t, "a reload", func() bool {
		_, err := r.client.Reload(t.Context())
		return err == nil
	})
	expect("after a reload", "www tcp 10.9.0.101:80 10.9.0.12:80 drain")
	r.write(balancing("10.9.0.101:80", "10.9.0.14:80"))
	if _, err := r.client.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	expect("after the last one has gone", "")
	r.stop()
	must(t, <-r.ended)
}

// TestUnreadableOverridesStay: a file that cannot be read is not replaced
// unless there is something to store.
func TestUnreadableOverridesStay(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	cable(t)
	dir := t.TempDir()
	path := filepath.Join(dir, overridesName)
	must(t, os.WriteFile(path, []byte("{"), 0o600))
	r := start(t, dir, balancing("10.9.0.100:80", "10.9.0.11:80"))
	eventually(t, "an answer", func() bool {
		_, err := r.client.Status(t.Context())
		return err == nil
	})
	r.write(balancing("10.9.0.101:80", "10.9.0.11:80"))
	if _, err := r.client.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "{" {
		t.Errorf("the file is %q, %v", text, err)
	}
	drain := control.OverrideRequest{VirtualServer: "www", RealServer: "10.9.0.11", Action: "drain"}
	must(t, r.client.Override(t.Context(), drain))
	if got, want := storedAs(t, dir), "www tcp 10.9.0.101:80 10.9.0.11:80 drain"; got != want {
		t.Errorf("stored %q, want %q", got, want)
	}
	r.stop()
	must(t, <-r.ended)
}

// TestOverridesUnreadable: without a file there are none, and one that cannot
// be read is an error that names it.
func TestOverridesUnreadable(t *testing.T) {
	dir := t.TempDir()
	if got, err := readOverrides(dir); err != nil || got != nil {
		t.Errorf("without a file: %v, %v", got, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, overridesName), []byte("{"), 0o600))
	if _, err := readOverrides(dir); err == nil {
		t.Error("half a file is taken for a whole one")
	}
}

// TestParseHost reads what an administrator may write.
func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.0.1:80": "10.1.0.1:80", "10.1.0.1": "10.1.0.1:0", "[2001:db8::1]:80": "[2001:db8::1]:80",
		"2001:db8::1": "[2001:db8::1]:0", "[2001:db8::1]": "[2001:db8::1]:0", "web1": "", "10.1.0.1:http": "", "": "",
	} {
		got, err := parseHost(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}
