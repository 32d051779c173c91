package daemon

import (
	"context"
	"errors"
	"os"
	"time"

	"bascule/cmd/internal/config"
)

// settleTimeout is how long the kernel may take to hold what a new
// configuration wants, before the record is left wider than it need be.
const settleTimeout = 30 * time.Second

// settlePeriod is how often it is asked whether the kernel does.
const settlePeriod = 200 * time.Millisecond

// openRecord reads what a predecessor may have left behind and records that
// this process may install more. What was left is returned.
func (d *daemon) openRecord() record {
	if err := os.MkdirAll(d.options.StateDir, 0o700); err != nil {
		d.log.Warn("state directory not usable: after a crash, addresses and services no longer configured will not be removed",
			"error", err.Error())
	}
	left, err := readRecord(d.options.StateDir)
	if err != nil {
		d.log.Warn("record of what is installed not readable, starting without it", "error", err.Error())
	}
	d.record = left
	d.extendRecord(newRecord(d.node))
	return left
}

// extendRecord records, before it happens, that more may be installed.
func (d *daemon) extendRecord(more record) {
	d.writeRecord(d.record.union(more))
}

// writeRecord replaces the record.
func (d *daemon) writeRecord(r record) {
	d.record = r
	if err := r.write(d.options.StateDir); err != nil {
		d.log.Warn("record of what is installed not written", "error", err.Error())
	}
}

// settleRecord waits until the kernel holds what a configuration wants, and
// nothing older, and then has the reloader narrow the record to it.
func (d *daemon) settleRecord(ctx context.Context, node *config.Node) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if errors.Join(d.network.Settle(ctx), d.director.Taken(ctx)) != nil {
		return
	}
	want := newRecord(node)
	tick := time.NewTicker(settlePeriod)
	defer tick.Stop()
	for !want.covers(d.director.Snapshot()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	select {
	case d.settled <- node:
	case <-ctx.Done():
	}
}

// narrowRecord writes the record of a configuration that the kernel has
// settled on, unless another has taken its place meanwhile, if only in part.
func (d *daemon) narrowRecord(node *config.Node) {
	if node == d.node && !d.partial {
		d.writeRecord(newRecord(node))
	}
}
