package checker

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStrings(t *testing.T) {
	tests := []struct {
		list []string
		want Strings
	}{
		{nil, ""},
		{[]string{""}, `""`},
		{[]string{"/bin/sh", "-c", `echo "a b"; exit 1`}, `"/bin/sh" "-c" "echo \"a b\"; exit 1"`},
		{[]string{"a", "", "b"}, `"a" "" "b"`},
		{[]string{"\n", "\x00", "\xff", "é"}, `"\n" "\x00" "\xff" "é"`},
	}
	for _, test := range tests {
		got := NewStrings(test.list...)
		if got != test.want {
			t.Errorf("%q: %s, want %s", test.list, got, test.want)
		}
		list, err := got.List()
		if diff := cmp.Diff(test.list, list); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", got, err, diff)
		}
	}
}

// There is one form of each list, so that equal lists are equal values.
func TestStringsRefuses(t *testing.T) {
	for _, text := range []Strings{"/bin/sh", `"a"  "b"`, `"a" "b" `, `"a""b"`, "`a`", `'a'`, `"\u0061"`, `"a`, ` "a"`, `"a",`} {
		if list, err := text.List(); err == nil {
			t.Errorf("%s is taken for %q", text, list)
		}
	}
}

// What is read is what was written, and nothing else is read.
func FuzzStrings(f *testing.F) {
	f.Add("a", "b c", `"a" "b"`)
	f.Add("", "\x00\xff", `"\u0061"`)
	f.Fuzz(func(t *testing.T, first, second, raw string) {
		list, err := NewStrings(first, second).List()
		if diff := cmp.Diff([]string{first, second}, list); err != nil || diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
		if list, err := Strings(raw).List(); err == nil && NewStrings(list...) != Strings(raw) {
			t.Errorf("%s is not the form of %q", raw, list)
		}
	})
}
