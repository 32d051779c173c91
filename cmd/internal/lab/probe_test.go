package lab

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRecord turns outcomes of requests into answers and gaps.
func TestRecord(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }
	failed := errors.New("refused")
	type outcome struct {
		ms   int
		body string
		err  error
	}
	tests := []struct {
		name     string
		outcomes []outcome
		want     Report
		total    int
		longest  time.Duration
	}{
		{name: "nothing", want: Report{Answers: map[string]int{}}},
		{
			name:     "always good, however late",
			outcomes: []outcome{{10, "web1", nil}, {500, "web2", nil}, {510, "web1", nil}},
			want:     Report{Answers: map[string]int{"web1": 2, "web2": 1}},
			total:    3,
		},
		{
			name:     "one gap",
			outcomes: []outcome{{10, "web1", nil}, {20, "", failed}, {120, "", failed}, {130, "web1", nil}},
			want: Report{Answers: map[string]int{"web1": 2}, Failures: 2, Last: "refused",
				Gaps: []Gap{{at(10), at(130)}}},
			total: 2, longest: 120 * time.Millisecond,
		},
		{
			name:     "never good",
			outcomes: []outcome{{10, "", failed}, {20, "", failed}},
			want: Report{Answers: map[string]int{}, Failures: 2, Last: "refused",
				Gaps: []Gap{{at(0), at(1000)}}, Open: true},
			longest: time.Second,
		},
		{
			name:     "two gaps, the second one open",
			outcomes: []outcome{{10, "", failed}, {20, "web1", nil}, {30, "web1", nil}, {50, "", failed}},
			want: Report{Answers: map[string]int{"web1": 2}, Failures: 2, Last: "refused",
				Gaps: []Gap{{at(0), at(20)}, {at(30), at(1000)}}, Open: true},
			total: 2, longest: 970 * time.Millisecond,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecord(epoch)
			for _, o := range tt.outcomes {
				r.add(at(o.ms), o.body, o.err)
			}
			got := r.report(at(1000))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if got.Total() != tt.total || got.Longest() != tt.longest {
				t.Errorf("total %d, longest %v; want %d, %v", got.Total(), got.Longest(), tt.total, tt.longest)
			}
		})
	}
}

// TestReportIsACopy changes a report and looks at the next one.
func TestReportIsACopy(t *testing.T) {
	t.Parallel()
	r := newRecord(epoch)
	r.add(epoch, "", errors.New("refused"))
	r.add(epoch, "web1", nil)
	first := r.report(epoch)
	first.Answers["web1"] = 100
	first.Gaps[0].To = epoch.Add(time.Hour)
	if next := r.report(epoch); next.Answers["web1"] != 1 || next.Longest() != 0 {
		t.Errorf("the second report has what was done to the first: %+v", next)
	}
}

// TestWebServer asks a web server in each of its behaviours.
func TestWebServer(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	servers, err := l.StartWebServers()
	if err != nil {
		t.Fatal(err)
	}
	web := servers[1]
	get := func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return l.LB.Get(ctx, web.Address())
	}
	tests := []struct {
		name    string
		arrange func() error
		body    string
		failure func(error) bool
	}{
		{"answers", func() error { return nil }, "web2", nil},
		{"overloaded", func() error { web.Behave(Overload); return nil }, "",
			func(err error) bool { return strings.Contains(err.Error(), "status 503") }},
		{"hangs", func() error { web.Behave(Hang); return nil }, "",
			func(err error) bool {
				timeout, ok := errors.AsType[interface {
					error
					Timeout() bool
				}](err)
				return ok && timeout.Timeout()
			}},
		{"stopped", web.Stop, "", func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"stopped again", web.Stop, "", func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"back", func() error { web.Behave(Answer); return web.Start() }, "web2", nil},
	}
	for _, tt := range tests {
		if err := tt.arrange(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, err := get()
		switch {
		case tt.failure == nil && (err != nil || body != tt.body):
			t.Errorf("%s: %q, %v; want %q", tt.name, body, err, tt.body)
		case tt.failure != nil && (err == nil || !tt.failure(err)):
			t.Errorf("%s: %q, error %v (%T)", tt.name, body, err, err)
		}
	}
}

// TestBalance counts answers, and says which request failed.
func TestBalance(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	servers, err := l.StartWebServers()
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.LB2.Balance(deadline(t), servers[0].Address(), 20)
	if diff := cmp.Diff(map[string]int{"web1": 20}, got); diff != "" || err != nil {
		t.Errorf("answers: %v (-want +got):\n%s", err, diff)
	}
	servers[0].Behave(Overload)
	if _, err := l.LB2.Balance(deadline(t), servers[0].Address(), 20); err == nil || !strings.Contains(err.Error(), "request 1 of 20") {
		t.Errorf("with an overloaded server: %v", err)
	}
}

// TestProbe stops a web server and starts it again under the eyes of a probe.
func TestProbe(t *testing.T) {
	t.Parallel()
	l := NewT(t)
	servers, err := l.StartWebServers()
	if err != nil {
		t.Fatal(err)
	}
	web := servers[2]
	// Refusals come at once; only a machine without time needs patience.
	probe := l.LB.Probe(web.Address(), ProbeConfig{Timeout: 10 * time.Second})
	awaitReport(t, probe, func(r Report) bool { return r.Total() >= 10 })
	const outage = 300 * time.Millisecond
	stopped := time.Now()
	if err := web.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitReport(t, probe, func(r Report) bool { return r.Open && time.Since(stopped) >= outage })
	if err := web.Start(); err != nil {
		t.Fatal(err)
	}
	back := probe.Report().Total()
	awaitReport(t, probe, func(r Report) bool { return r.Total() >= back+10 })

	report, err := probe.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if report.Open || report.Longest() < outage {
		t.Errorf("gaps %v, open %v; want one of %v or somewhat more", report.Gaps, report.Open, outage)
	}
	if report.Answers["web3"] != report.Total() || report.Failures == 0 || !strings.Contains(report.Last, "refused") {
		t.Errorf("%+v; want answers of web3 and refusals only", report)
	}
	if again, err := probe.Stop(); err != nil || again.Total() != report.Total() {
		t.Errorf("a second Stop: %+v, %v", again, err)
	}
}

// awaitReport waits until what a probe has seen fulfils a condition.
func awaitReport(t *testing.T, p *Probe, holds func(Report) bool) {
	t.Helper()
	ctx := deadline(t)
	for !holds(p.Report()) {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for the probe: %v; it has seen %+v", ctx.Err(), p.Report())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
