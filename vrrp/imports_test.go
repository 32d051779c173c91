package vrrp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is the name that first-party imports begin with.
const module = "bascule/"

// impure are the packages that a pure one does without: no input or output,
// no clock but its argument, no log, no goroutine to guard against.
var impure = []string{
	"bufio", "context", "io", "log", "log/slog", "net", "os", "plugin", "runtime", "sync", "sync/atomic",
	"syscall", "testing", "unsafe",
}

// clocks are the functions of package time that look at the clock or wait.
var clocks = []string{
	"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until",
}

// TestPurePackages: vrrp and lvs are values and functions. They, and what of
// this module they import, touch neither the system nor the clock.
func TestPurePackages(t *testing.T) {
	for _, dir := range []string{"vrrp", "lvs"} {
		t.Run(dir, func(t *testing.T) {
			sources, err := firstParty(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(sources) == 0 {
				t.Fatal("no production files")
			}
			for _, name := range slices.Sorted(maps.Keys(sources)) {
				for _, problem := range impurities(sources[name]) {
					t.Errorf("%s: %s", name, problem)
				}
			}
		})
	}
}

// firstParty parses the production files of a package and of all packages of
// this module that it imports. Keys are their paths below the module's root.
func firstParty(dir string) (map[string]*ast.File, error) {
	sources := make(map[string]*ast.File)
	todo, seen := []string{dir}, map[string]bool{dir: true}
	for len(todo) > 0 {
		files, err := production(todo[0])
		if err != nil {
			return nil, err
		}
		todo = todo[1:]
		for name, file := range files {
			sources[name] = file
			for _, imported := range importsOf(file) {
				if next, ours := strings.CutPrefix(imported, module); ours && !seen[next] {
					seen[next] = true
					todo = append(todo, next)
				}
			}
		}
	}
	return sources, nil
}

// production parses the production files of one package, whatever system they
// are for.
func production(dir string) (map[string]*ast.File, error) {
	names, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
	if err != nil {
		return nil, err
	}
	files := make(map[string]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files[path.Join(dir, filepath.Base(name))] = file
	}
	return files, nil
}

// importsOf returns the paths that a file imports.
func importsOf(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// impurities lists what a file must not import or use.
func impurities(file *ast.File) (problems []string) {
	clock := ""
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		first, _, _ := strings.Cut(p, "/")
		switch {
		case slices.Contains(impure, p), p == "os/exec", p == "os/signal", p == "C", strings.Contains(first, "."):
			problems = append(problems, "imports "+p)
		case p == "time" && spec.Name == nil:
			clock = "time"
		case p == "time":
			clock = spec.Name.Name
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			problems = append(problems, "starts a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == clock && slices.Contains(clocks, n.Sel.Name) {
				problems = append(problems, "uses time."+n.Sel.Name)
			}
		}
		return true
	})
	if clock == "." {
		problems = append(problems, "imports time without its name")
	}
	return problems
}

// TestImpurities: the test above sees what it is there to see.
func TestImpurities(t *testing.T) {
	tests := []struct {
		source string
		want   []string
	}{
		{`import ("net/netip"; "time"); var d = time.Second; func f(t time.Time) bool { return t.After(t) }`, nil},
		{`import "net"`, []string{"imports net"}},
		{`import l "log/slog"`, []string{"imports log/slog"}},
		{`import _ "os/exec"`, []string{"imports os/exec"}},
		{`import "golang.org/x/sys/unix"`, []string{"imports golang.org/x/sys/unix"}},
		{`import "bascule/lvs"`, nil},
		{`import "time"; var f = time.Now`, []string{"uses time.Now"}},
		{`import clock "time"; var f = clock.NewTimer(1)`, []string{"uses time.NewTimer"}},
		{`import . "time"; var f = Now()`, []string{"imports time without its name"}},
		{`func f() { go f() }`, []string{"starts a goroutine"}},
	}
	for _, tt := range tests {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+tt.source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, impurities(file)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.source, diff)
		}
	}
}
