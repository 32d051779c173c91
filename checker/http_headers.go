package checker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Headers are header fields of a request. The zero value is none. Values that
// NewHeaders makes of the same fields are equal. Their contents, of which some
// may be keys, are not printed.
type Headers struct{ lines Secret }

// refusedHeaders are fields that a check decides on itself: they are about
// the connection and not about the request, or have a parameter of their own.
var refusedHeaders = map[string]string{
	"Host":                "it has a parameter of its own",
	"Connection":          "it is about the connection",
	"Keep-Alive":          "it is about the connection",
	"Proxy-Connection":    "it is about the connection",
	"Proxy-Authenticate":  "it is about the connection",
	"Proxy-Authorization": "it is about the connection",
	"Te":                  "it is about the connection",
	"Trailer":             "it is about the connection",
	"Transfer-Encoding":   "it is about the connection",
	"Upgrade":             "it is about the connection",
	"Http2-Settings":      "it is about the connection",
	"Content-Length":      "a check sends no body",
}

// NewHeaders reads fields in the form "Name: value". Fields of one name keep
// their order, which has a meaning; that of the names has none.
func NewHeaders(fields ...string) (Headers, error) {
	var lines []string
	for _, field := range fields {
		name, value, found := strings.Cut(field, ":")
		value = strings.Trim(value, " \t")
		if !found || !httpguts.ValidHeaderFieldName(name) {
			return Headers{}, fmt.Errorf("header %q has no name: the form is \"Name: value\"", name)
		}
		name = http.CanonicalHeaderKey(name)
		if why := refusedHeaders[name]; why != "" {
			return Headers{}, fmt.Errorf("header %q cannot be set: %s", name, why)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return Headers{}, fmt.Errorf("header %q has a control character in its value", name)
		}
		lines = append(lines, name+": "+value)
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(headerName(a), headerName(b)) })
	return Headers{NewSecret(strings.Join(lines, "\n"))}, nil
}

// headerName is the name in a line "Name: value".
func headerName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return name
}

// String returns the names.
func (h Headers) String() string {
	var names []string
	for line := range strings.Lines(h.lines.text()) {
		names = append(names, headerName(line))
	}
	return strings.Join(names, ", ")
}

// GoString returns what String does.
func (h Headers) GoString() string { return fmt.Sprintf("%q", h.String()) }

// Equal is true if the fields are the same.
func (h Headers) Equal(other Headers) bool { return h == other }

// has is true if there is a field of a name in its canonical form.
func (h Headers) has(name string) bool {
	for line := range strings.Lines(h.lines.text()) {
		if headerName(line) == name {
			return true
		}
	}
	return false
}

// apply puts the fields into a header, in place of what it has of those
// names.
func (h Headers) apply(header http.Header) {
	fresh := http.Header{}
	for line := range strings.Lines(h.lines.text()) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		fresh[name] = append(fresh[name], value)
	}
	for name, values := range fresh {
		header[name] = values
	}
}
