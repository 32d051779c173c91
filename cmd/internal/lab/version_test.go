package lab

import (
	"os/exec"
	"testing"
)

// TestVersionOf reads the version out of what programs say, on either output.
func TestVersionOf(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"echo 'Keepalived v2.2.7 (01/16,2022)' >&2; echo Copyright 2001.2": "2.2.7",
		"echo vrrpd version 8.4.4": "8.4.4",
		"echo 10.1":                "10.1",
		"echo 10.1; exit 1":        "",
		"echo no version":          "",
	} {
		got, err := versionOf(exec.Command("sh", "-c", script))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", script, got, err, want)
		}
	}
}
