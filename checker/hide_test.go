package checker

import (
	"strings"
	"testing"
)

func TestHideIn(t *testing.T) {
	tests := []struct {
		secret, text, want string
	}{
		{"", "text", "text"},
		{"hunter2", "not hunter2hunter2!", "not ******!"},
		{"x", "/nonexistent x 'x' x", "/nonexistent *** '***' ***"},
		{"a-b", "a-b, ba-b, a-bb, a-b", "***, ba-b, a-bb, ***"},
		{"?", "what?", "what?"},
		{"ok", "größeok ok", "größeok ***"},
	}
	for _, test := range tests {
		if got := NewSecret(test.secret).hideIn(test.text); got != test.want {
			t.Errorf("%q in %q: %q, want %q", test.secret, test.text, got, test.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ text, want string }{
		{"421 busy\r\n", "421 busy"},
		{"a\tb\x1b[31m\xffc", "a?b?[31m?c"},
		{"größer", "größer"},
		{strings.Repeat("x", 81), strings.Repeat("x", 80) + "…"},
		{strings.Repeat("x", 79) + "öy", strings.Repeat("x", 79) + "…"},
		{"", ""},
	}
	for _, test := range tests {
		if got := printable(test.text); got != test.want {
			t.Errorf("printable(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}
