package checker

import (
	"strings"
	"testing"
)

func TestParseStatus(t *testing.T) {
	tests := []struct {
		list string
		good []int
		bad  []int
	}{
		{"200", []int{200}, []int{199, 201, 404}},
		{"200-399", []int{200, 301, 399}, []int{199, 400, 503}},
		{"200, 204 ,301-308", []int{200, 204, 301, 308}, []int{201, 300, 309}},
		{"100-599", []int{100, 599}, []int{99, 600, 0, -1}},
	}
	for _, test := range tests {
		accepts, err := ParseStatus(test.list)
		if err != nil {
			t.Errorf("%q: %v", test.list, err)
			continue
		}
		for _, code := range test.good {
			if !accepts(code) {
				t.Errorf("%q does not accept %d", test.list, code)
			}
		}
		for _, code := range test.bad {
			if accepts(code) {
				t.Errorf("%q accepts %d", test.list, code)
			}
		}
	}
}

func TestParseStatusErrors(t *testing.T) {
	const noCode = ` is no HTTP status code: 100 to 599, or a range such as "200-399"`
	tests := map[string]string{
		"":         `""` + noCode,
		"2xx":      `"2xx"` + noCode,
		"99":       `"99"` + noCode,
		"600":      `"600"` + noCode,
		"0200":     `"0200"` + noCode,
		"200,":     `""` + noCode,
		"200-":     `"200-"` + noCode,
		"-200":     `"-200"` + noCode,
		"200--399": `"200--399"` + noCode,
		"+20":      `"+20"` + noCode,
		"399-200":  `"399-200" is an empty range: the lower code comes first`,
	}
	for list, want := range tests {
		if _, err := ParseStatus(list); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", list, err, want)
		}
	}
}

// A list that is accepted accepts the codes that are written in it.
func FuzzParseStatus(f *testing.F) {
	for _, list := range []string{"200", "200-399", "200, 204,301-308", "399-200", "", "1e2", "２００"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		accepts, err := ParseStatus(list)
		if err != nil {
			return
		}
		if accepts(99) || accepts(600) {
			t.Errorf("%q accepts what is no status code", list)
		}
		for part := range strings.FieldsFuncSeq(list, func(r rune) bool { return r < '0' || r > '9' }) {
			code, ok := parseStatusCode(part)
			if !ok || !accepts(code) {
				t.Errorf("%q does not accept %q", list, part)
			}
		}
	})
}
