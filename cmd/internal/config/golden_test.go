package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the expected files of the tests below. Read the difference
// before it is committed.
var update = flag.Bool("update", false, "rewrite the expected files in testdata/config")

// testdata is the directory of configurations.
const testdata = "../../../testdata/config"

// examples returns the paths of the configurations in a directory of testdata.
func examples(tb testing.TB, kind string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(testdata, kind, "*.toml"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no %s configurations in %s: %v", kind, testdata, err)
	}
	return paths
}

// readExample returns a configuration under its base name.
func readExample(tb testing.TB, path string) File {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return File{Name: filepath.Base(path), Content: string(content)}
}

// golden compares a text with an expected file, or rewrites that.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Each bad configuration has the exact errors beside it, with line and key.
func TestBadConfigurations(t *testing.T) {
	paths := examples(t, "bad")
	if len(paths) < 20 {
		t.Errorf("%d bad configurations, want at least 20", len(paths))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file := readExample(t, path)
			c, err := Parse([]File{file})
			if c != nil || err == nil {
				t.Fatalf("got %v, %v, want no configuration and an error", c, err)
			}
			checkErrors(t, err, []File{file})
			golden(t, strings.TrimSuffix(path, ".toml")+".err", err.Error()+"\n")
		})
	}
}

// Each good configuration has beside it what it means on every node.
func TestGoodConfigurations(t *testing.T) {
	for _, path := range examples(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := Parse([]File{readExample(t, path)})
			if err != nil {
				t.Fatal(err)
			}
			names := c.Nodes()
			if len(names) == 0 {
				names = []string{"any"}
			}
			var meaning strings.Builder
			for _, name := range names {
				node, err := c.ForNode(name)
				if err != nil {
					t.Fatal(err)
				}
				writeNode(&meaning, node)
			}
			golden(t, strings.TrimSuffix(path, ".toml")+".txt", meaning.String())
		})
	}
}

// writeNode writes everything that a configuration can say to a director.
func writeNode(w io.Writer, node *Node) {
	fmt.Fprintf(w, "node %s\n", node.Name)
	for _, g := range node.Groups {
		fmt.Fprintf(w, "  group %s: priority %d, every %s, preempt %t after %s\n",
			g.Name, g.Priority, g.AdvertisementInterval, g.Preempt.Enabled, g.Preempt.Delay)
		for _, r := range g.Routers {
			fmt.Fprintf(w, "    router %s: %s vrid %d on %s, %s checksum, %s\n",
				r.Name, r.Family, r.VRID, r.Interface, r.Checksum, r.Addresses)
		}
	}
	for _, vs := range node.VirtualServers {
		fmt.Fprintf(w, "  virtual server %s: %s %s, %s, %s\n", vs.Name, vs.Protocol, vs.Address, vs.Scheduler, vs.Forwarding)
		for _, rs := range vs.RealServers {
			fmt.Fprintf(w, "    real server %s: weight %d, checked %t\n", rs.Address, rs.Weight, rs.Checked)
			if spec, ok := vs.Checks[rs.Address]; ok {
				fmt.Fprintf(w, "      %s %s: interval %s, timeout %s, jitter %s, rise %d, fall %d, %q\n",
					spec.Type, spec.Target, spec.Interval, spec.Timeout, spec.Jitter, spec.Rise, spec.Fall,
					[]string{spec.HTTP.Method, spec.HTTP.Path, spec.HTTP.Host, spec.HTTP.Status})
			}
		}
	}
}

// checkErrors demands that every error has a file and a line that exist.
func checkErrors(t *testing.T, err error, files []File) {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("error is a %T of %d, want Errors that are not empty", err, len(list))
	}
	lines := map[string]int{}
	for _, f := range files {
		lines[f.Name] = 1 + strings.Count(f.Content, "\n")
	}
	for _, e := range list {
		if last, ok := lines[e.File]; !ok || e.Line < 1 || e.Line > last {
			t.Errorf("error %q: no such place; the files have lines %v", e, lines)
		}
		if e.Message == "" || strings.Contains(e.Error(), "\n") {
			t.Errorf("error %q is not one line with a message", e)
		}
	}
}
