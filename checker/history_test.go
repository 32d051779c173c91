package checker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// Every result is in the history as it was, in order.
func TestPoolHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec, begin := target(1), time.Now()
		if got := p.History(spec); got != nil {
			t.Errorf("history %v of what does not exist", got)
		}
		set(t, p, spec)
		for _, err := range []error{
			nil, errors.New("connection refused"), &LocalError{Reason: "network is down on this director"},
			errors.New("HTTP 503, wanted 200-399"), errors.New("HTTP 503, wanted 200-399"), nil, nil,
		} {
			f.set(spec, err)
			time.Sleep(time.Second)
		}
		at := func(n int, past Past) Past {
			past.Start, past.Duration = begin.Add(time.Duration(n)*time.Second), f.took
			return past
		}
		want := []Past{
			at(0, Past{State: Healthy, Changed: true}),
			at(1, Past{State: Healthy, Reason: "connection refused"}),
			at(2, Past{State: Healthy, Reason: "no verdict: network is down on this director", Blind: true}),
			at(3, Past{State: Unhealthy, Reason: "HTTP 503, wanted 200-399", Changed: true}),
			at(4, Past{State: Unhealthy, Reason: "HTTP 503, wanted 200-399"}),
			at(5, Past{State: Unhealthy}),
			at(6, Past{State: Healthy, Changed: true}),
		}
		if diff := cmp.Diff(want, p.History(spec)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// The history has the latest results, also of a check at another pace before,
// and none of another probe.
func TestPoolHistoryGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec, begin := target(1), time.Now()
		set(t, p, spec)
		time.Sleep(14500 * time.Millisecond)
		faster := spec
		faster.Interval = 500 * time.Millisecond
		set(t, p, faster)
		for range 3 {
			time.Sleep(2 * time.Second) // 4 probes
			list := p.History(faster)
			first := list[0].Start.Sub(begin)
			for i, past := range list[1:] {
				if step := past.Start.Sub(list[i].Start); step != time.Second && step != 500*time.Millisecond {
					t.Errorf("%s between results", step)
				}
			}
			if want := min(f.count(spec)+f.count(faster), remembered); len(list) != want || first < 0 {
				t.Errorf("%d results, want %d", len(list), want)
			}
		}
		if got := p.History(spec); got != nil {
			t.Errorf("history %v of what has ended", got)
		}
		other := faster
		other.Probe = HTTP{Method: "GET", Path: "/", Status: "200"}
		set(t, p, other)
		time.Sleep(100 * time.Millisecond)
		if got := p.History(other); len(got) != 1 {
			t.Errorf("history %v, want one result", got)
		}
	})
}

// What has been read stays as it was, and nothing is missing in it.
func TestHistoryStays(t *testing.T) {
	var h history
	words := func(n int) string { return fmt.Sprintf("failure %d", n) }
	for n := range 3*remembered + 5 {
		old, size := h.list(), min(n, remembered)
		h.add(Result{Start: time.Unix(int64(n), 0), Err: errors.New(words(n)), Duration: time.Hour * 24})
		list := h.list()
		if len(old) != size || size > 0 && (old[size-1].Reason != words(n-1) || old[0].Reason != words(n-size)) {
			t.Fatalf("after %d results what was read before is %v", n+1, old)
		}
		last := list[len(list)-1]
		if last.Reason != words(n) || last.Start != time.Unix(int64(n), 0) || last.Duration < time.Hour {
			t.Fatalf("the latest of %d results is %v", n+1, last)
		}
	}
}

// Who reads while results come misses none.
func TestHistoryMeanwhile(t *testing.T) {
	var h history
	const total = 20000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range total {
			h.add(Result{Start: time.Unix(int64(n), 0)})
		}
	}()
	for last := int64(0); last < total-1; {
		list := h.list()
		for i, past := range list {
			at := past.Start.Unix()
			if i > 0 && at != last+1 || i == 0 && at > 0 && len(list) != remembered {
				t.Fatalf("result %d follows on %d in %v", at, last, list)
			}
			last = at
		}
	}
	<-done
}

// A history that goes on from another one leaves that as it is.
func TestHistoryAdopts(t *testing.T) {
	for size := range 2*remembered + 2 {
		var old, h history
		for n := range size {
			old.add(Result{Start: time.Unix(int64(n), 0)})
		}
		before := old.list()
		h.add(Result{})
		h.adopt(&old)
		if diff := cmp.Diff(before, h.list()); diff != "" {
			t.Fatalf("%d results adopted (-want +got):\n%s", size, diff)
		}
		h.add(Result{Start: time.Unix(int64(size), 0)})
		list := h.list()
		if got := list[len(list)-1].Start; got != time.Unix(int64(size), 0) || len(list) != min(size+1, remembered) {
			t.Fatalf("after %d adopted results and one more: %v", size, list)
		}
		if diff := cmp.Diff(before, old.list()); diff != "" {
			t.Fatalf("the old history has changed (-want +got):\n%s", diff)
		}
	}
}

// 5000 checks with all their results take little.
func TestHistoryIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(record{}); size > 24 {
		t.Errorf("a result takes %d bytes, want 24", size)
	}
	var h history
	for range remembered {
		h.add(Result{Err: errors.New(strings.Repeat("é", 1000))})
	}
	h.add(Result{Err: errors.New(strings.Repeat("é", 1000))})
	for _, past := range h.list() {
		if len(past.Reason) > maxRemembered || !utf8.ValidString(past.Reason) || !strings.HasSuffix(past.Reason, "éé…") {
			t.Errorf("reason of %d bytes: %q", len(past.Reason), past.Reason)
		}
	}
	if records := h.snapshot(); records[0].reason != records[remembered-1].reason {
		t.Error("the same words are kept twice")
	}
}

// Advice is reported when it changes, whatever the state does, and once more
// after a Set. Probes that have none to give leave the last in place.
func TestPoolAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFarm()
		defer p.Close()
		spec := target(1)
		advise := func(advice Advice) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.advice = advice
		}
		const half = "(weight {Set:true Value:50 Percent:true}, drain false)"
		advise(Advice{Weight: Weight{Set: true, Value: 50, Percent: true}})
		set(t, p, spec)
		time.Sleep(5500 * time.Millisecond)
		expect(t, f, "192.0.2.1:80 healthy "+half)
		set(t, p, spec)
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.1:80 healthy "+half)
		advise(Advice{Drain: true})
		time.Sleep(5 * time.Second)
		const drain = "(weight {Set:false Value:0 Percent:false}, drain true)"
		expect(t, f, "192.0.2.1:80 healthy "+drain)
		advise(Advice{})
		f.set(spec, &LocalError{Reason: "network is down on this director"})
		time.Sleep(5 * time.Second)
		expect(t, f)
		f.set(spec, errors.New("connection refused"))
		time.Sleep(5 * time.Second)
		expect(t, f, "192.0.2.1:80 unhealthy connection refused"+drain)
		slower := spec
		slower.Interval = 2 * time.Second
		set(t, p, slower)
		time.Sleep(time.Second)
		expect(t, f, "192.0.2.1:80 unhealthy connection refused"+drain)
		f.set(spec, nil)
		time.Sleep(2 * time.Second)
		expect(t, f, "192.0.2.1:80 unhealthy connection refused")
		time.Sleep(2 * time.Second)
		expect(t, f, "192.0.2.1:80 healthy ")
		if got := p.Known(slower); got != (Known{State: Healthy}) || p.Known(spec) != (Known{}) {
			t.Errorf("known: %+v, of what has ended %+v", got, p.Known(spec))
		}
	})
}

// A report finds its own check, with what it reports.
func TestPoolKnownInReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		f, _ := newFarm()
		f.took = 0
		p = newPool(func(spec Spec, known Known) {
			if got := p.Known(spec); got != known {
				t.Errorf("known %+v while %+v is reported", got, known)
			}
		}, f.checker)
		for i := range 200 {
			set(t, p, target(i))
			synctest.Wait()
		}
		p.Close()
	})
}
