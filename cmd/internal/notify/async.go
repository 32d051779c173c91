// Package notify carries what happens to those who want to know of it,
// without making the loops wait for them.
//
// It starts no programs. What does must begin them with ordinary scheduling
// (SCHED_OTHER, as by chrt --other 0): they would have the daemon's real-time
// priority, and keep it.
package notify

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// queueLen is how many log records may wait for a slow reader.
const queueLen = 4096

// Async is a slog.Handler that never waits: a goroutine passes the records
// on, in their order. If the reader of the log is so slow that the queue is
// full, records are dropped, and their number is logged when it has caught up.
type Async struct {
	next   slog.Handler
	shared *queue
}

// queue is what all handlers derived from one Async share.
type queue struct {
	records chan entry
	dropped atomic.Uint64
}

// entry is a record and the handler, with its attributes, that it is for.
type entry struct {
	handler slog.Handler
	record  slog.Record
}

var _ slog.Handler = (*Async)(nil)

// NewAsync returns a handler in front of next. Nothing is passed on before
// Run.
func NewAsync(next slog.Handler) *Async {
	return &Async{next: next, shared: &queue{records: make(chan entry, queueLen)}}
}

// Enabled asks the handler behind.
func (a *Async) Enabled(ctx context.Context, level slog.Level) bool {
	return a.next.Enabled(ctx, level)
}

// Handle queues a record.
func (a *Async) Handle(_ context.Context, r slog.Record) error {
	select {
	case a.shared.records <- entry{a.next, r.Clone()}:
	default:
		a.shared.dropped.Add(1)
	}
	return nil
}

// WithAttrs returns a handler with attributes that shares the queue.
func (a *Async) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Async{next: a.next.WithAttrs(attrs), shared: a.shared}
}

// WithGroup returns a handler with a group that shares the queue.
func (a *Async) WithGroup(name string) slog.Handler {
	return &Async{next: a.next.WithGroup(name), shared: a.shared}
}

// Run passes records on until ctx ends, and then those that are still
// queued. It waits for the handler behind; its caller need not wait for it.
func (a *Async) Run(ctx context.Context) {
	for {
		select {
		case e := <-a.shared.records:
			a.pass(e)
		case <-ctx.Done():
			for range len(a.shared.records) {
				a.pass(<-a.shared.records)
			}
			return
		}
	}
}

// pass hands over one record, and the number of those lost before it.
func (a *Async) pass(e entry) {
	// The handler behind writes to standard error: there is no better place
	// to say that it cannot.
	_ = e.handler.Handle(context.Background(), e.record)
	if n := a.shared.dropped.Swap(0); n > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "log records dropped", 0)
		r.AddAttrs(slog.Uint64("count", n))
		_ = a.next.Handle(context.Background(), r)
	}
}
