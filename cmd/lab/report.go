package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// heartbeat is the longest that a reader is left without a sign of life.
const heartbeat = 2 * time.Second

// reporter tells a reader what is expected, what is observed, and in the end
// whether they agree. Its methods may be called from several goroutines.
type reporter struct {
	started time.Time

	mu      sync.Mutex
	out     io.Writer
	last    time.Time // when something was written: a heartbeat is for silence only
	results []result
}

// result is the outcome of one step.
type result struct {
	title    string
	observed string
	err      error
}

// newReporter returns a reporter that begins now.
func newReporter(out io.Writer) *reporter {
	return &reporter{started: time.Now(), out: out}
}

// say prints a line.
func (r *reporter) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
	fmt.Fprintf(r.out, format+"\n", args...)
}

// note prints what happens during a step.
func (r *reporter) note(format string, args ...any) { r.say("      "+format, args...) }

// step announces what is expected, does it, and prints what was observed. It
// returns whether that was as expected: the function says so by its error.
func (r *reporter) step(title, expected string, do func() (observed string, err error)) bool {
	r.say("\n%d. %s\n   expected: %s", len(r.results)+1, title, expected)
	stop := r.beat(time.Now())
	observed, err := do()
	stop()
	r.results = append(r.results, result{title, observed, err})
	if err != nil {
		r.say("   FAILED:   %v", err)
		return false
	}
	r.say("   observed: %s", observed)
	return true
}

// beat prints the time since a step began whenever nothing else was printed
// for long. The returned function ends that.
func (r *reporter) beat(since time.Time) (stop func()) {
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(heartbeat / 4)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if r.silence() >= heartbeat {
				r.note("... %.0f s", time.Since(since).Seconds())
			}
		}
	})
	return func() {
		close(done)
		beating.Wait()
	}
}

// silence returns for how long nothing has been printed.
func (r *reporter) silence() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last)
}

// summary prints all steps with their outcomes. It returns an error if one of
// the wanted number of steps failed or was not reached.
func (r *reporter) summary(wanted int) error {
	r.say("\nSummary")
	failed := 0
	for i, s := range r.results {
		verdict, detail := "ok    ", s.observed
		if s.err != nil {
			failed++
			verdict, detail = "FAILED", s.err.Error()
		}
		first, _, _ := strings.Cut(detail, "\n")
		r.say("   %s  %d. %s: %s", verdict, i+1, s.title, first)
	}
	missing := wanted - len(r.results)
	seconds := time.Since(r.started).Seconds()
	if failed+missing > 0 {
		r.say("   %d of %d steps failed, %d were not reached, after %.0f s.", failed, wanted, missing, seconds)
		return fmt.Errorf("%d of %d steps failed and %d were not reached", failed, wanted, missing)
	}
	r.say("   All %d steps went as expected, in %.0f s.", wanted, seconds)
	return nil
}

// shares describes a count of answers by web server, in their order.
func shares(answers map[string]int) string {
	if len(answers) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, answers[name]))
	}
	return strings.Join(parts, ", ")
}
