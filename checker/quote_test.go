package checker

import (
	"strings"
	"testing"
)

// What others have written is shown in part, and without what it could do to a
// terminal.
func TestQuoting(t *testing.T) {
	long := strings.Repeat("é", maxQuoted) // two bytes each
	for _, test := range []struct{ text, excerpt, printable, printed string }{
		{"", "", "", `""`},
		{" two \r\nlines\r\n", "two", " two ??lines", `" two "`},
		{"\x1b[31m\xffé", "?[31m?é", "?[31m?é", `"\x1b[31m\xffé"`},
		{long, long[:maxQuoted] + "…", long[:maxQuoted] + "…", `"` + long[:maxQuoted-2] + `…"`},
		{strings.Repeat("\x00", maxQuoted), strings.Repeat("?", maxQuoted), strings.Repeat("?", maxQuoted), `"` + strings.Repeat(`\x00`, 19) + `\x0` + `…"`},
	} {
		if got := excerpt(test.text); got != test.excerpt {
			t.Errorf("excerpt of %q is %q, want %q", test.text, got, test.excerpt)
		}
		if got := printable(test.text); got != test.printable {
			t.Errorf("printable of %q is %q, want %q", test.text, got, test.printable)
		}
		if got := printed(test.text); got != test.printed {
			t.Errorf("printed of %q is %s, want %s", test.text, got, test.printed)
		}
	}
}
