package daemon

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"bascule/lvs/mark"
)

// TestStopClearsMarksInAnyCase: the rules of firewall marks go, and have their
// own time for that, also when the kernel's services do not.
func TestStopClearsMarksInAnyCase(t *testing.T) {
	dir := t.TempDir()
	r := &running{t: t, dir: dir}
	r.write(fmt.Sprintf(configuration, `"10.9.0.100/24"`))
	options := Options{Config: filepath.Join(dir, "bascule.toml"), Node: "lb", RuntimeDir: dir, StateDir: dir}
	node, err := load(options)
	must(t, err)
	d := &daemon{options: options, log: slog.New(slog.NewTextHandler(t.Output(), nil)), node: node, done: make(chan struct{})}
	close(d.done)
	d.assemble() // and nothing runs, so that everything else takes all of its time
	k := &kernelMarks{}
	d.marker = newMarker(d.log, k.table())
	d.marker.configure(make([]mark.Rule, 1))
	must(t, d.marker.reconcile())
	err = d.stop()
	if !k.has(0) || err == nil || !strings.Contains(err.Error(), "IPVS services may be left behind") || strings.Contains(err.Error(), "firewall marks") {
		t.Errorf("error %v, and the rules are gone: %t", err, k.has(0))
	}
}
