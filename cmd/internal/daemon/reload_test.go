package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// TestReloadHalfWay: a reload that fails after it has begun is shown, and is
// carried out whole by the next one, although the file has not changed since.
func TestReloadHalfWay(t *testing.T) {
	dir := t.TempDir()
	r := &running{t: t, dir: dir}
	r.write(fmt.Sprintf(configuration, `"10.9.0.100/24"`))
	options := Options{Config: filepath.Join(dir, "bascule.toml"), Node: "lb", RuntimeDir: dir, StateDir: dir}
	node, err := load(options)
	must(t, err)
	d := &daemon{options: options, log: slog.New(slog.NewTextHandler(t.Output(), nil)), node: node}
	d.assemble()
	problem := func() string {
		if text := d.refused.Load(); text != nil {
			return *text
		}
		return ""
	}
	work, end := context.WithCancel(t.Context())
	defer end()

	r.write(fmt.Sprintf(configuration, `"10.9.0.101/24"`))
	late, cancel := context.WithCancel(t.Context())
	cancel() // nobody runs the election, and the time is over
	if _, err := d.reload(late, work); err == nil || !strings.Contains(problem(), "in force in part only") {
		t.Errorf("error %v, problem %q", err, problem())
	}
	d.narrowRecord(d.node)
	if got := fmt.Sprint(d.record.Addresses["v0"]); got != "[10.9.0.100/24 10.9.0.101/24]" {
		t.Errorf("half-way, the record has %s", got)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.speaker.Run(work)
	}()
	for i, want := range []bool{true, false} {
		changed, err := d.reload(t.Context(), work)
		must(t, err)
		if changed != want || problem() != "" {
			t.Errorf("reload %d: changed %t, want %t; problem %q", i+1, changed, want, problem())
		}
	}
	end()
	<-ended
	d.pool.Close()
}
