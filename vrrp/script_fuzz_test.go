package vrrp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzScript: no text makes the reader of the scenarios panic, what it reads it
// can write again word for word, and no command that it accepts makes the
// directors panic. Time stands still here, so that no input takes long.
func FuzzScript(f *testing.F) {
	files, err := filepath.Glob("../testdata/vrrp/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("> node a pub=192.0.2.1,fe80::1\n> group g priority=a:255\n> router g r pub 1 fe80::9/64\n> start a\n> forge pub fe80::2 vrid=1")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := readScript("x.txt", text)
		if err != nil {
			return
		}
		if got, want := writtenScript(steps), strings.TrimSuffix(text, "\n"); got != want {
			t.Fatalf("read\n%q\nwritten\n%q", want, got)
		}
		timeless := slices.DeleteFunc(steps, func(s step) bool { return len(s.words) > 0 && s.words[0] == "run" })
		if _, err := runScript("x.txt", timeless); err != nil && !strings.HasPrefix(err.Error(), "x.txt:") {
			t.Fatalf("an error without its place: %v", err)
		}
	})
}

// writtenScript returns the text that steps were read from, without the line
// end at its end.
func writtenScript(steps []step) string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, s.before...)
		if len(s.words) > 0 {
			lines = append(lines, s.text)
		}
		lines = append(lines, s.outcome...)
	}
	return strings.Join(lines, "\n")
}
