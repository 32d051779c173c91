package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files, by path, below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		nodes []string
		want  string // the error with "." for the directory, or ""
	}{
		{
			name:  "alone",
			files: map[string]string{"bascule.toml": `nodes = ["a"]`},
			nodes: []string{"a"},
		},
		{
			name: "drop-ins",
			files: map[string]string{
				"bascule.toml":      "",
				"conf.d/nodes.toml": `nodes = ["b"]`,
				"conf.d/.#x.toml":   "not TOML",
				"conf.d/x.toml.bak": "not TOML",
				"other.toml":        "not TOML",
			},
			nodes: []string{"b"},
		},
		{
			name: "the order of drop-ins",
			files: map[string]string{
				"bascule.toml": "x = 1", "conf.d/20.toml": "x = 1", "conf.d/10.toml": "y = 1",
			},
			want: "./bascule.toml:1: x: unknown key: known here are nodes, announcement, group, virtual_server, ipvs, connection_sync\n" +
				"./conf.d/10.toml:1: y: unknown key: known here are nodes, announcement, group, virtual_server, ipvs, connection_sync\n" +
				"./conf.d/20.toml:1: x: is given twice: also at ./bascule.toml:1",
		},
		{
			name:  "no main file",
			files: map[string]string{"conf.d/10.toml": "x = 1"},
			want:  "./bascule.toml: no such file or directory",
		},
		{
			name:  "a directory for a drop-in",
			files: map[string]string{"bascule.toml": "", "conf.d/10.toml/x": ""},
			want:  "./conf.d/10.toml: is a directory",
		},
		{
			name:  "a file for the directory of drop-ins",
			files: map[string]string{"bascule.toml": "", "conf.d": ""},
			want:  "./conf.d: not a directory",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := tree(t, test.files)
			c, err := Load(filepath.Join(dir, "bascule.toml"))
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, ".")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if err == nil {
				if diff := cmp.Diff(test.nodes, c.Nodes()); diff != "" {
					t.Errorf("nodes (-want +got):\n%s", diff)
				}
			}
		})
	}
}
