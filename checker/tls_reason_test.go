package checker

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"unicode/utf8"
)

// A foreign text is one line of bounded length, whatever it contains.
func TestPrinted(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", `""`},
		{"ok", `"ok"`},
		{"first\r\nsecond", `"first"`},
		{"a\tb\"c\x00", `"a\tb\"c\x00"`},
		{strings.Repeat("x", 100), `"` + strings.Repeat("x", 79) + `…"`},
	}
	for _, test := range tests {
		if got := printed(test.text); got != test.want {
			t.Errorf("%q: %s, want %s", test.text, got, test.want)
		}
	}
	for _, text := range []string{strings.Repeat("\x00", 100), strings.Repeat("é", 100), strings.Repeat("\"", 79)} {
		if got := printed(text); len(got) > maxQuoted+len(`…"`) || !utf8.ValidString(got) {
			t.Errorf("%q: %s, %d bytes", text, got, len(got))
		}
	}
}

// A tap keeps the beginning however it comes, and the end.
func TestTap(t *testing.T) {
	long := strings.Repeat("0123456789", 20)
	tapped := &tap{Conn: &canned{reply: strings.NewReader(long)}}
	if tapped.text() != "" || tapped.ended() != nil {
		t.Error("something is known before anything came")
	}
	var conn net.Conn = tapped
	for size := 1; ; size *= 3 {
		if _, err := conn.Read(make([]byte, size)); err != nil {
			break
		}
	}
	if got := tapped.text(); got != long[:maxQuoted] {
		t.Errorf("beginning %q", got)
	}
	if !errors.Is(tapped.ended(), io.EOF) {
		t.Errorf("end %v, want EOF", tapped.ended())
	}
}
