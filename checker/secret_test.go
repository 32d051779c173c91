package checker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecret(t *testing.T) {
	one, same := NewSecret("a"), NewSecret("a")
	if one != same || !one.Equal(same) || NewSecret("a") == NewSecret("b") || NewSecret("") != (Secret{}) {
		t.Error("secrets are not compared by their texts")
	}
	if got := NewSecret("a").text(); got != "a" {
		t.Errorf("text %q, want a", got)
	}
	if got := (Secret{}).text(); got != "" {
		t.Errorf("text %q of none", got)
	}
}

// However a check is printed, its password and the values of its headers do
// not show.
func TestSecretNotPrinted(t *testing.T) {
	const password = "correct horse"
	probe := HTTP{
		Method: "GET", Path: "/", Status: "200", User: "u", Password: NewSecret(password),
		Headers: headers(t, "X-Key: "+password),
	}
	spec := tcpSpec(netip.MustParseAddrPort("192.0.2.1:80"), patience)
	spec.Probe = probe
	type hidden struct {
		spec  Spec
		http  HTTP
		inner *HTTP
		key   Headers
	}
	within := hidden{spec, probe, &probe, probe.Headers}
	for _, value := range []any{probe, &probe, spec, within, []hidden{within}, probe.Password, probe.Headers} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%x", password)) {
				t.Errorf("%s of a %T: %s", format, value, text)
			}
		}
	}
	if text, err := json.Marshal(probe); err != nil || strings.Contains(string(text), password) {
		t.Errorf("JSON %s, error %v", text, err)
	}
	if text := cmp.Diff(probe, HTTP{}); strings.Contains(text, password) {
		t.Errorf("difference %s", text)
	}
	for value, want := range map[fmt.Stringer]string{probe.Password: "***", Secret{}: "", probe.Headers: "X-Key", Headers{}: ""} {
		if value.String() != want {
			t.Errorf("%q, want %q", value, want)
		}
	}
}
