package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// between returns what is between two lines of a document.
func between(t *testing.T, path, from, to string) File {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(content), "\n"+from+"\n")
	text, _, closed := strings.Cut(rest, "\n"+to+"\n")
	if !ok || !closed {
		t.Fatalf("%s: nothing from %q to %q", path, from, to)
	}
	return File{Name: path, Content: text + "\n"}
}

// The documents tell of one and the same pair of directors; only how they
// check is told differently.
func TestTutorialIsTheSameEverywhere(t *testing.T) {
	manual := between(t, "../../../packaging/bascule.toml.5", ".EX", ".EE")
	if escapes := regexp.MustCompile(`(?m)\\|^\.`).FindString(manual.Content); escapes != "" {
		t.Fatalf("the example of %s has %q, which roff would change", manual.Name, escapes)
	}
	_, example, _ := readReference(t)
	want := tutorial(t, readExample(t, testdata+"/good/tutorial.toml"))
	for _, file := range []File{between(t, "../../../README.md", "```toml", "```"), manual, example} {
		if diff := cmp.Diff(want, tutorial(t, file)); diff != "" {
			t.Errorf("%s (-testdata +this):\n%s", file.Name, diff)
		}
	}
}

// tutorial returns what a configuration means to the directors of the
// tutorial, apart from the checks.
func tutorial(t *testing.T, file File) string {
	t.Helper()
	c, err := Parse([]File{file})
	if err != nil {
		t.Fatal(err)
	}
	var meaning strings.Builder
	for _, name := range []string{"lb", "lb2"} {
		node, err := c.ForNode(name)
		if err != nil {
			t.Fatalf("%s: %v", file.Name, err)
		}
		for i := range node.VirtualServers {
			node.VirtualServers[i].Checks = nil
		}
		writeNode(&meaning, node)
	}
	return meaning.String()
}
