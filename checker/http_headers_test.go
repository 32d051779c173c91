package checker

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// headers makes headers of valid fields.
func headers(t testing.TB, fields ...string) Headers {
	t.Helper()
	h, err := NewHeaders(fields...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The order of names and the way they are written make no difference; the
// order of values of one name does.
func TestNewHeaders(t *testing.T) {
	h := headers(t, "x-b:  2 ", "X-A: 1", "X-B: 1:1", "X-C:")
	if h != headers(t, "X-C: ", "X-B: 2", "X-b:1:1", "X-A:1") {
		t.Error("the same fields are not equal")
	}
	if h == headers(t, "X-C: ", "X-B: 1:1", "X-B: 2", "X-A: 1") {
		t.Error("another order of values is equal")
	}
	got := http.Header{"X-A": {"old", "older"}, "Accept": {"*/*"}}
	h.apply(got)
	want := http.Header{"X-A": {"1"}, "X-B": {"2", "1:1"}, "X-C": {""}, "Accept": {"*/*"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got := h.String(); got != "X-A, X-B, X-B, X-C" {
		t.Errorf("names %q", got)
	}
	if !h.has("X-A") || h.has("X-D") {
		t.Error("has is wrong")
	}
	if headers(t) != (Headers{}) {
		t.Error("no fields are not the zero value")
	}
}

func TestNewHeadersErrors(t *testing.T) {
	tests := []struct{ field, want string }{
		{"", `header "" has no name: the form is "Name: value"`},
		{"secret", `header "secret" has no name`},
		{": x", `header "" has no name`},
		{"a b: x", `header "a b" has no name`},
		{"a\r\nb: x", `header "a\r\nb" has no name`},
		{"host: x", `header "Host" cannot be set: it has a parameter of its own`},
		{"connection: close", `header "Connection" cannot be set: it is about the connection`},
		{"TE: trailers", `header "Te" cannot be set`},
		{"transfer-encoding: chunked", `header "Transfer-Encoding" cannot be set`},
		{"content-length: 5", `header "Content-Length" cannot be set: a check sends no body`},
		{"x: secret\r\ny: z", `header "X" has a control character in its value`},
		{"x: secret\x00", `header "X" has a control character in its value`},
	}
	for _, test := range tests {
		_, err := NewHeaders("A: b", test.field)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %s…", test.field, err, test.want)
		}
	}
}
