package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeTools puts programs that stand in for debootstrap and apt-get before all
// others, and an empty cache in place of the machine's. The debootstrap is a
// script's body, with the suite in $suite and the directory in $directory.
func fakeTools(t *testing.T, debootstrap string) (cache string) {
	t.Helper()
	tools, cache := t.TempDir(), t.TempDir()
	scripts := map[string]string{
		"debootstrap": "#!/bin/sh\nsuite=$3 directory=$4 mirror=$5\n" + debootstrap,
		"apt-get":     "#!/bin/sh\necho 'http://example.org/other Other Other'\necho 'http://mirror.example.org/debian Debian Debian'\n",
	}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(tools, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", cache)
	return filepath.Join(cache, "bascule-peers")
}

// TestDebianRootOnce has several want the same root at a time: it is made
// once, from this machine's mirror, and whole when anybody sees it.
func TestDebianRootOnce(t *testing.T) {
	cache := fakeTools(t, `echo "$suite $mirror" >>"$(dirname "$directory")/calls"
mkdir -p "$directory/var/cache/apt/archives"
sleep 0.2
touch "$directory/whole"
`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			root, err := DebianRoot(t.Context(), "trixie", "keepalived", "iproute2")
			if err != nil || root != filepath.Join(cache, "trixie-keepalived-iproute2") {
				t.Errorf("root %q, %v", root, err)
				return
			}
			if _, err := os.Stat(filepath.Join(root, "whole")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	calls, err := os.ReadFile(filepath.Join(cache, "calls"))
	if want := "trixie http://mirror.example.org/debian\n"; err != nil || string(calls) != want {
		t.Errorf("debootstrap was called with %q, %v; want %q", calls, err, want)
	}
}

// TestDebianRootFailed has debootstrap fail: nothing half-made is left, the
// reason is told, and the next call succeeds. What a killed one has left is
// thrown away.
func TestDebianRootFailed(t *testing.T) {
	cache := fakeTools(t, `if [ -e "$directory/left" ]; then echo "E: left over"; exit 2; fi
mkdir -p "$directory"
if [ ! -e "$(dirname "$directory")/mirror-works" ]; then echo "E: no such mirror"; exit 1; fi
`)
	if err := os.MkdirAll(filepath.Join(cache, "making", "left"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := DebianRoot(t.Context(), "trixie"); err == nil || !strings.Contains(err.Error(), "E: no such mirror") {
		t.Errorf("error %v, want the mirror's", err)
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("the cache has %v, %v; want the lock alone", entries, err)
	}
	if err := os.WriteFile(filepath.Join(cache, "mirror-works"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := DebianRoot(t.Context(), "trixie"); err != nil {
		t.Errorf("once the mirror works: %v", err)
	}
}

// TestStartInRoot runs a program of Debian 13 on a host: it sees the host's
// directory, cannot change its root, and leaves no mount behind.
func TestStartInRoot(t *testing.T) {
	t.Parallel()
	l, ctx := NewT(t), deadline(t)
	root, err := DebianRoot(ctx, SuiteTrixie, "keepalived")
	if err != nil {
		t.Fatal(err)
	}
	directory, err := l.LB.Directory()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("cat /etc/debian_version; keepalived --version 2>&1 | head -n 1; cat /sys/class/net/%s/address; "+
		"touch %s/seen; touch /etc/changed 2>/dev/null && echo changed", FirstCard, rootMount)
	p, err := l.LB.startIn(root, directory, "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	waitProcess(ctx, t, p)
	log := p.Log()
	for _, want := range []string{"13.", "Keepalived v2.3.3", hardwareAddress(l.LB.OwnAddresses()[0].Addr()).String()} {
		if !strings.Contains(log, want) {
			t.Errorf("it says %q, want %q in it", log, want)
		}
	}
	if strings.Contains(log, "changed") {
		t.Error("it can write into its root")
	}
	if _, err := os.Stat(filepath.Join(directory, "seen")); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), root) {
		t.Errorf("mounts are left under %s: %v", root, err)
	}
}

// waitProcess waits until a process has ended by itself.
func waitProcess(ctx context.Context, t *testing.T, p *Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Fatalf("%s has not ended: %s", p.name, p.Log())
	case <-time.After(30 * time.Second):
		t.Fatalf("%s has not ended within 30 s: %s", p.name, p.Log())
	}
}
