package checker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccountOf(t *testing.T) {
	tests := []struct {
		user, group string
		ids         []uint32 // user, group
		want        string
	}{
		{"root", "", []uint32{0, 0}, ""},
		{"nobody", "", []uint32{65534, 65534}, ""},
		{"nobody", "daemon", []uint32{65534, 1}, ""},
		{"nosuchuser", "", nil, `there is no user "nosuchuser"`},
		{"nobody", "nosuchgroup", nil, `there is no group "nosuchgroup"`},
	}
	for _, test := range tests {
		credential, err := accountOf(test.user, test.group)
		wantError(t, err, test.want)
		if err != nil {
			continue
		}
		if diff := cmp.Diff(test.ids, []uint32{credential.Uid, credential.Gid}); diff != "" {
			t.Errorf("%s:%s (-want +got):\n%s", test.user, test.group, diff)
		}
	}
	for name, want := range map[string]bool{"root": false, "toor": true, "nobody": true} {
		if got := isHiddenRoot(name, 0); got != want {
			t.Errorf("user %s with number 0: hidden %t", name, got)
		}
	}
	if isHiddenRoot("toor", 1) {
		t.Error("user 1 is taken for root")
	}
}

func TestParseIDs(t *testing.T) {
	ids, err := parseIDs([]string{"0", "4294967295"})
	if diff := cmp.Diff([]uint32{0, 4294967295}, ids); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"", "-1", "4294967296", "x"} {
		if ids, err := parseIDs([]string{text}); err == nil {
			t.Errorf("%q is taken for %d", text, ids)
		}
	}
}

// What root runs, nobody else may replace.
func TestOnlyRootWrites(t *testing.T) {
	// Not below /tmp, where everybody writes.
	dir, err := os.MkdirTemp("/run", "script")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	make := func(name string, mode os.FileMode, uid, gid int) {
		t.Helper()
		write(t, at(name), "#!/bin/sh\n")
		if err := os.Chown(at(name), uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"open", "theirs", "safe"} {
		if err := os.Mkdir(at(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	make("safe/good", 0o755, 0, 0)
	make("safe/root's group", 0o775, 0, 0)
	make("safe/group", 0o775, 0, 1)
	make("safe/others", 0o757, 0, 0)
	make("safe/theirs", 0o755, 1, 0)
	make("open/good", 0o755, 0, 0)
	make("theirs/good", 0o755, 0, 0)
	for from, to := range map[string]string{"safe/link": "safe/good", "safe/link out": "open/good", "open/link in": "safe/good", "safe/nowhere": "safe/x",
		"safe/link by open": "open/link in", "safe/link by a directory of theirs": "theirs/link/good", "theirs/link": "safe", "safe/round": "safe/round"} {
		if err := os.Symlink(at(to), at(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(at("open"), 0o1777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(at("theirs"), 1, 1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"safe/good":                          "",
		"safe/root's group":                  "",
		"safe/link":                          "",
		"safe/../safe/good":                  "",
		"safe/group":                         at("safe/group") + " can be written by others than root, who is to run the script",
		"safe/others":                        at("safe/others") + " can be written by others than root, who is to run the script",
		"safe/theirs":                        at("safe/theirs") + " does not belong to root, who is to run the script",
		"open/good":                          at("open") + " can be written by others than root, who is to run the script",
		"theirs/good":                        at("theirs") + " does not belong to root, who is to run the script",
		"safe/link out":                      at("open") + " can be written by others than root, who is to run the script",
		"open/link in":                       at("open") + " can be written by others than root, who is to run the script",
		"safe/link by a directory of theirs": at("theirs") + " does not belong to root, who is to run the script",
		"safe/link by open":                  at("open") + " can be written by others than root, who is to run the script",
		"safe/round":                         at("safe/round") + ": too many levels of symbolic links",
		"safe/nowhere":                       "lstat " + at("safe/x") + ": no such file or directory",
	} {
		t.Run(name, func(t *testing.T) { wantError(t, onlyRootWrites(dir+"/"+name), want) })
	}
	t.Run("as a check", func(t *testing.T) {
		for user, want := range map[string]string{
			"root":   "no verdict: cannot run " + at("safe/others") + " on this director: " + at("safe/others") + " can be written by others than root, who is to run the script",
			"nobody": "",
		} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			wantError(t, check(t, scriptSpec(Script{Argv: NewStrings(at("safe/others")), User: user}, patience)), want)
		}
	})
}
