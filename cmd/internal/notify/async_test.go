package notify

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// sink is a log that can be made to stand still.
type sink struct {
	mu    sync.Mutex
	lines []string
	open  chan struct{} // closed: writes pass
}

// Write records one line once the sink is open.
func (s *sink) Write(p []byte) (int, error) {
	<-s.open
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, strings.TrimSpace(string(p)))
	return len(p), nil
}

// newSink returns a sink and an asynchronous logger on it, without times.
func newSink() (*sink, *Async) {
	s := &sink{open: make(chan struct{})}
	return s, NewAsync(slog.NewTextHandler(s, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// TestAsyncKeepsOrderAndAttributes logs through derived loggers and expects
// the lines in order, those queued at the end included.
func TestAsyncKeepsOrderAndAttributes(t *testing.T) {
	s, a := newSink()
	close(s.open)
	log := slog.New(a)
	log.Info("one")
	log.With("group", "web").Warn("two")
	log.WithGroup("lvs").Info("three", "n", 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Run(ctx)
	want := "level=INFO msg=one|level=WARN msg=two group=web|level=INFO msg=three lvs.n=3"
	if got := strings.Join(s.lines, "|"); got != want {
		t.Errorf("lines = %s\nwant    %s", got, want)
	}
}

// TestAsyncNeverWaits fills the queue while the reader stands still: logging
// returns, and the loss is reported once the reader goes on.
func TestAsyncNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newSink()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		log := slog.New(a)
		log.Info("stuck")
		synctest.Wait() // the reader now holds "stuck"
		for range queueLen + 7 {
			log.Info("more")
		}
		close(s.open)
		cancel()
		<-done
		if len(s.lines) != 1+queueLen+1 {
			t.Errorf("%d lines, want %d", len(s.lines), queueLen+2)
		}
		found := false
		for _, l := range s.lines {
			found = found || l == `level=WARN msg="log records dropped" count=7`
		}
		if !found {
			t.Error("the dropped records are not reported")
		}
	})
}
