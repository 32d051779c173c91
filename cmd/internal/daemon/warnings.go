package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"bascule/checker"
)

const (
	// maxWarningLines is how often the warning of one check is logged to begin
	// or end within warningPause.
	maxWarningLines = 4
	// warningPause is when a warning that comes and goes is logged anew.
	warningPause = time.Hour
	// shownWarnings is how many different warnings status lists at most.
	shownWarnings = 20
)

// warning is that of a check, as the log has it.
type warning struct {
	told  string // the latest that the log has; "" if that is that there is none
	begun time.Time
	lines int // since begun
}

// warn logs that the warning of a check begins or ends, but not each time if it
// comes and goes.
func (f *fanOut) warn(spec checker.Spec, text string) {
	w := f.warned[spec]
	switch {
	case w == nil && text == "":
		return
	case w == nil:
		w = &warning{}
		if f.warned == nil {
			f.warned = make(map[checker.Spec]*warning)
		}
		f.warned[spec] = w
	}
	now := time.Now()
	if now.Sub(w.begun) >= warningPause {
		w.begun, w.lines = now, 0
	}
	if w.told == text || w.lines >= maxWarningLines {
		return
	}
	w.lines++
	if text != "" {
		f.log.Warn("check warns", "check", spec.Name(), "warning", text)
	} else {
		f.log.Info("check warns no more", "check", spec.Name(), "warning", w.told)
	}
	w.told = text
}

// warnings lists what checks warn of: a line for each warning, with the checks
// that have it.
func (f *fanOut) warnings() []string {
	having := make(map[string][]string)
	if a := f.audience.Load(); a != nil {
		for spec := range *a {
			if text := f.known(spec).Advice.Warning; text != "" {
				having[text] = append(having[text], spec.Name())
			}
		}
	}
	lines := make([]string, 0, min(len(having), shownWarnings+1))
	for _, text := range slices.SortedFunc(maps.Keys(having), func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Min(having[a]), slices.Min(having[b])), cmp.Compare(a, b))
	}) {
		if len(lines) == shownWarnings {
			lines = append(lines, fmt.Sprintf("%d more: see bascule checks", len(having)-shownWarnings))
			break
		}
		first, count := slices.Min(having[text]), len(having[text])
		if count > 1 {
			first = fmt.Sprintf("%d checks, such as %s", count, first)
		}
		lines = append(lines, first+": "+text)
	}
	return lines
}
