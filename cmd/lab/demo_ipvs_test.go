//go:build ipvs

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a shell script that plays bascule.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bascule")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDemoFails shows programs that do not do what the demo promises: it must
// say so, in words and by its error, and leave nothing behind.
func TestDemoFails(t *testing.T) {
	tests := []struct {
		name, script string
		want         []string
	}{
		{"ends at once", `echo "no licence" >&2; exit 1`, []string{
			"FAILED:   bascule on lb has ended while waiting for an answer",
			"FAILED  2. Both directors start",
			"no licence",
			"1 of 8 steps failed, 6 were not reached",
		}},
		{"never active", `
			case $1 in
			run) exec sleep 1000 ;;
			status) echo '{"groups": [{"name": "web", "state": "backup"}]}' ;;
			esac`, []string{
			"waiting for group web to be active of lb",
			"1 of 8 steps failed, 6 were not reached",
		}},
		{"active by its own account only", `
			case $1 in
			run) echo "$5" >"$7/node"; exec sleep 1000 ;;
			status)
				state=backup
				[ "$(cat "$3/node")" != lb ] || state=active
				echo '{"groups": [{"name": "web", "state": "'$state'"}]}' ;;
			esac`, []string{
			"192.168.56.10 has not come to lb",
			"1 of 8 steps failed, 6 were not reached",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := perform(t.Context(), &out, program(t, tt.script), 8*time.Second)
			if err == nil {
				t.Error("the demo succeeded")
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing from:\n%s", want, out.String())
				}
			}
			left, err := exec.Command("ip", "netns", "list").Output()
			if err != nil || len(left) > 0 {
				t.Errorf("namespaces left: %q, %v", left, err)
			}
		})
	}
}
