package main

import (
	"cmp"
	"os"
	"strings"
	"testing"
	"time"

	"bascule/cmd/internal/lab"
)

// binaryVariable names the program to be measured; without it, it is the test
// binary itself, which is larger.
const binaryVariable = "BASCULE_BENCH_BINARY"

// unit says how the service is scheduled.
const unit = "../../packaging/bascule.service"

// measured returns the path of the program to be measured.
func measured(b *testing.B) string {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	return cmp.Or(os.Getenv(binaryVariable), self)
}

// tail returns the end of a text.
func tail(text string, limit int) string { return text[max(0, len(text)-limit):] }

// program is one director's software at work.
type program interface {
	Kill() error
	Log() string
	Usage() (lab.Usage, error)
}

// figure is what was measured, in the unit that it is printed with.
type figure struct {
	unit  string
	value float64
}

// memory is the resident memory of a program in megabytes.
func memory(b *testing.B, p program) float64 {
	b.Helper()
	u, err := p.Usage()
	must(b, err)
	return float64(u.RSS) / 1e6
}

// ratios divides figures by those of another contender. Units are written
// after the last hyphen.
func ratios(figures, by []figure) []figure {
	var out []figure
	for i, f := range figures {
		if by[i].value != 0 {
			what := f.unit[:strings.LastIndexByte(f.unit, '-')]
			out = append(out, figure{what + "-ratio", f.value / by[i].value})
		}
	}
	return out
}

// report prints figures as a benchmark of that name.
func report(b *testing.B, name string, figures []figure) {
	b.Run(name, func(b *testing.B) {
		b.ReportMetric(0, "ns/op") // not what is measured
		for _, f := range figures {
			b.ReportMetric(f.value, f.unit)
		}
	})
}

// processorTime is what a program has used since its start.
func processorTime(b *testing.B, p program) time.Duration {
	b.Helper()
	u, err := p.Usage()
	must(b, err)
	return u.CPU
}
