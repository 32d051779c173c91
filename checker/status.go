package checker

import (
	"fmt"
	"strconv"
	"strings"
)

// statusRange is an inclusive range of HTTP status codes.
type statusRange struct{ low, high int }

// ParseStatus reads a list of HTTP status codes and ranges, such as
// "200-399" or "200,204,301-308", and returns a function that says whether a
// code is in it. Codes are 100 to 599.
func ParseStatus(list string) (accepts func(code int) bool, err error) {
	var ranges []statusRange
	for part := range strings.SplitSeq(list, ",") {
		r, err := parseStatusRange(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return func(code int) bool {
		for _, r := range ranges {
			if r.low <= code && code <= r.high {
				return true
			}
		}
		return false
	}, nil
}

// parseStatusRange reads "204" or "200-399".
func parseStatusRange(text string) (statusRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	low, lowOK := parseStatusCode(first)
	high, highOK := parseStatusCode(last)
	if !lowOK || !highOK {
		return statusRange{}, fmt.Errorf("%q is no HTTP status code: 100 to 599, or a range such as \"200-399\"", text)
	}
	if low > high {
		return statusRange{}, fmt.Errorf("%q is an empty range: the lower code comes first", text)
	}
	return statusRange{low, high}, nil
}

// parseStatusCode reads three digits.
func parseStatusCode(text string) (code int, ok bool) {
	code, err := strconv.Atoi(text)
	return code, err == nil && len(text) == 3 && code >= 100 && code <= 599
}
