package checker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fileSpec is a file check.
func fileSpec(path, wanted string) Spec {
	spec := testSpec()
	spec.Probe, spec.Timeout = File{Path: path, Wanted: wanted}, patience
	return spec
}

// write makes a file with a content.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFileExistence(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	there, gone, below := filepath.Join(dir, "there"), filepath.Join(dir, "gone"), filepath.Join(dir, "there", "below")
	loop := filepath.Join(dir, "loop")
	write(t, there, "")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, wanted, want string }{
		{there, FileExists, ""},
		{there, FileMissing, "there is " + there},
		{dir, FileExists, ""},
		{gone, FileExists, "there is no " + gone},
		{gone, FileMissing, ""},
		{below, FileExists, "there is no " + below},
		{below, FileMissing, ""},
		{loop, FileExists, "no verdict: " + loop + " on this director: too many levels of symbolic links"},
		{loop, FileMissing, "no verdict: " + loop + " on this director: too many levels of symbolic links"},
	}
	for _, test := range tests {
		t.Run(test.wanted+" "+filepath.Base(test.path), func(t *testing.T) {
			if len(test.path) > maxQuoted {
				test.want = test.want[:strings.Index(test.want, test.path)+maxQuoted] + "…"
			}
			wantError(t, check(t, fileSpec(test.path, test.wanted)), test.want)
		})
	}
}

func TestFileContent(t *testing.T) {
	noLeak(t)
	path := filepath.Join(t.TempDir(), "f")
	local := func(words string) string { return "no verdict: " + path + " on this director: " + words }
	tests := []struct {
		content string
		advice  Advice
		want    string
	}{
		{"30\n", Advice{Weight: Weight{Set: true, Value: 30}}, ""},
		{"0", Advice{Weight: Weight{Set: true}}, ""},
		{"75% up\n", Advice{Weight: Weight{Set: true, Value: 75, Percent: true}}, ""},
		{"up", Advice{}, ""},
		{"drain\n", Advice{Drain: true}, ""},
		{"maint # new disk\n", Advice{}, "file says maint: new disk"},
		{"down\nup\n", Advice{}, "file says down"},
		{"up\n" + strings.Repeat("x", 10000), Advice{}, ""},
		{"", Advice{}, local("the first line is empty")},
		{"\nup\n", Advice{}, local("the first line is empty")},
		{"# up", Advice{}, local("the first line is empty")},
		{"donw", Advice{}, local(`"donw" is no weight, and none of up, drain, maint and down`)},
		{"30 donw", Advice{}, local(`"donw" is no weight, and none of up, drain, maint and down`)},
		{"65536", Advice{}, local(`"65536" is no weight, and none of up, drain, maint and down`)},
		{"-1", Advice{}, local(`"-1" is no weight, and none of up, drain, maint and down`)},
		{"\x00\xff\x1b", Advice{}, local(`"???" is no weight, and none of up, drain, maint and down`)},
		{strings.Repeat("z", 5000), Advice{}, local(`"` + strings.Repeat("z", 80) + `…" is no weight, and none of up, drain, maint and down`)},
	}
	for _, test := range tests {
		t.Run(excerpt(test.content), func(t *testing.T) {
			write(t, path, test.content)
			advice, err := probe(t, fileSpec(path, FileContent))
			wantError(t, err, test.want)
			if diff := cmp.Diff(test.advice, advice); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

// A file that is none has no verdict, and nothing waits for it.
func TestFileContentOfOthers(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		fifo:                        "this is no regular file",
		dir:                         "this is no regular file",
		"/dev/zero":                 "this is no regular file",
		filepath.Join(dir, "gone"):  "no such file or directory",
		filepath.Join(fifo, "gone"): "not a directory",
	} {
		err := check(t, fileSpec(path, FileContent))
		wantError(t, err, "no verdict: "+path+" on this director: "+want)
		var local *LocalError
		if !errors.As(err, &local) {
			t.Errorf("%s: error is a %T", path, err)
		}
	}
}

// A file system that hangs ends no probe late, and holds one goroutine at most.
func TestFileHangs(t *testing.T) {
	c := &fileChecker{file: File{Path: "/run/x", Wanted: FileExists}}
	c.looks.Store(true)
	_, err := c.Check(t.Context())
	wantError(t, err, "no verdict: /run/x: the file system of this director does not answer")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelLate()
	for ctx, want := range map[context.Context]string{
		ended: "context canceled",
		late:  "no verdict: /run/x: the file system of this director does not answer",
	} {
		_, err := waitForLook(ctx, make(chan fileVerdict), "/run/x")
		wantError(t, err, want)
	}
}

// A file that changes is followed, without an open descriptor.
func TestFileFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	c, err := New(fileSpec(path, FileContent))
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for _, content := range []string{"up", "down", "up"} {
		write(t, path, content)
		_, err := c.Check(t.Context())
		wantError(t, err, map[string]string{"down": "file says down"}[content])
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// descriptors counts the open descriptors of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func TestFileValidate(t *testing.T) {
	tests := []struct {
		file File
		want string
	}{
		{File{"/run/x", FileExists}, ""},
		{File{"/run/x", FileMissing}, ""},
		{File{"/run/x", FileContent}, ""},
		{File{"", FileExists}, `path "" is not absolute: such as "/run/maintenance"`},
		{File{"run/x", FileExists}, `path "run/x" is not absolute: such as "/run/maintenance"`},
		{File{"/run/\x00", FileExists}, `path "/run/\x00" is not absolute: such as "/run/maintenance"`},
		{File{"/run/x", ""}, `wanted "" is unknown: "exists", "missing" or "content"`},
		{File{"/run/x", "Exists"}, `wanted "Exists" is unknown: "exists", "missing" or "content"`},
	}
	for _, test := range tests {
		wantError(t, test.file.Validate(), test.want)
	}
	if kind := (File{}).Kind(); kind != "file" {
		t.Errorf("kind %q", kind)
	}
}
