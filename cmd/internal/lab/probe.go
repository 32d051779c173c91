package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Get makes one HTTP request from the host on a connection of its own and
// returns the body without the space around it. A status other than 200 is an
// error.
func (h *Host) Get(ctx context.Context, target netip.AddrPort) (body string, err error) {
	err = h.Do(func() error {
		body, err = get(ctx, target)
		return err
	})
	return body, err
}

// Balance makes n requests from the host, one after the other, and counts the
// answers by their body. The first failure ends it.
func (h *Host) Balance(ctx context.Context, target netip.AddrPort, n int) (map[string]int, error) {
	answers := map[string]int{}
	err := h.Do(func() error {
		for i := range n {
			body, err := get(ctx, target)
			if err != nil {
				return fmt.Errorf("request %d of %d to %s: %v", i+1, n, target, err)
			}
			answers[body]++
		}
		return nil
	})
	return answers, err
}

// get makes one HTTP request. Its socket is opened by the calling thread.
func get(ctx context.Context, target netip.AddrPort) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", response.Status)
	}
	return strings.TrimSpace(string(body)), nil
}

// ProbeConfig says how a Probe asks. The zero value asks every 10 ms and
// gives each request 200 ms.
type ProbeConfig struct {
	Interval time.Duration // from the start of a request to the next one, unless it takes longer
	Timeout  time.Duration // a request that takes longer has failed
}

// Gap is a time in which no request succeeded, from the last good answer
// before to the first good one after it.
type Gap struct{ From, To time.Time }

// Duration returns the length of the gap.
func (g Gap) Duration() time.Duration { return g.To.Sub(g.From) }

// Report is what a Probe has seen.
type Report struct {
	Answers  map[string]int // good answers by their body
	Failures int            // failed requests
	Gaps     []Gap          // in their order; each has a failed request in it
	Open     bool           // the last gap has not ended: its To is when the probe was asked
	Last     string         // the error of the last failed request
}

// Total returns the number of good answers.
func (r Report) Total() int {
	total := 0
	for _, n := range r.Answers {
		total += n
	}
	return total
}

// Longest returns the length of the longest gap, 0 if there was none.
func (r Report) Longest() time.Duration {
	var longest time.Duration
	for _, g := range r.Gaps {
		longest = max(longest, g.Duration())
	}
	return longest
}

// Probe asks a service over and over, each time on a new connection, and
// records the gaps in service.
type Probe struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // why it could not ask at all, once done is closed

	mu     sync.Mutex
	record record
}

// Probe starts a probe of a service from the host. Stop ends it.
func (h *Host) Probe(target netip.AddrPort, config ProbeConfig) *Probe {
	if config.Interval == 0 {
		config.Interval = 10 * time.Millisecond
	}
	if config.Timeout == 0 {
		config.Timeout = 200 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Probe{cancel: cancel, done: make(chan struct{}), record: newRecord(time.Now())}
	go func() {
		defer close(p.done)
		p.err = h.Do(func() error {
			p.run(ctx, target, config)
			return nil
		})
	}()
	h.lab.onClose(func() error {
		cancel()
		<-p.done
		return nil
	})
	return p
}

// Report returns what has been seen up to now.
func (p *Probe) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record.report(time.Now())
}

// Stop ends the probe and returns what it has seen. It can be called again.
func (p *Probe) Stop() (Report, error) {
	p.cancel()
	<-p.done
	return p.Report(), p.err
}

// run asks until the context ends.
func (p *Probe) run(ctx context.Context, target netip.AddrPort, config ProbeConfig) {
	ticker := time.NewTicker(config.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, config.Timeout)
		body, err := get(attempt, target)
		cancel()
		if ctx.Err() != nil {
			return // the request was broken off, which says nothing
		}
		p.mu.Lock()
		p.record.add(time.Now(), body, err)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// record turns single requests into a Report.
type record struct {
	lastGood time.Time // the beginning, before the first good answer
	failing  bool      // a request has failed since lastGood
	seen     Report
}

// newRecord returns the record of a probe that begins.
func newRecord(now time.Time) record {
	return record{lastGood: now, seen: Report{Answers: map[string]int{}}}
}

// add records the outcome of a request that ended now.
func (r *record) add(now time.Time, body string, err error) {
	if err != nil {
		r.failing = true
		r.seen.Failures++
		r.seen.Last = err.Error()
		return
	}
	if r.failing {
		r.seen.Gaps = append(r.seen.Gaps, Gap{From: r.lastGood, To: now})
	}
	r.failing, r.lastGood = false, now
	r.seen.Answers[body]++
}

// report returns what is recorded, the open gap included.
func (r *record) report(now time.Time) Report {
	report := r.seen
	report.Answers = maps.Clone(r.seen.Answers)
	report.Gaps = append([]Gap(nil), r.seen.Gaps...)
	if r.failing {
		report.Gaps = append(report.Gaps, Gap{From: r.lastGood, To: now})
		report.Open = true
	}
	return report
}
