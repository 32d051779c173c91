package daemon

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long each step of the ordered stop may take; together less than the
// second after which an administrator looks at the clock.
const (
	addressesTimeout = 450 * time.Millisecond
	servicesTimeout  = 300 * time.Millisecond
	tasksTimeout     = 150 * time.Millisecond
)

// stop gives up everything in the order that hurts least: first the peers are
// told, then the addresses go, and only when no more connections come are the
// services removed that they would need.
func (d *daemon) stop() {
	notifyStopping()
	ctx, cancel := context.WithTimeout(context.Background(), addressesTimeout)
	defer cancel()
	err := errors.Join(d.speaker.Shutdown(ctx), d.network.Settle(ctx))
	if err != nil {
		d.log.Error("stopping: addresses may be left behind", "error", err.Error())
	}
	closed := make(chan struct{})
	go func() { defer close(closed); d.pool.Close() }()

	ctx, cancel = context.WithTimeout(context.Background(), servicesTimeout)
	defer cancel()
	if e := d.director.Clear(ctx); e != nil {
		d.log.Error("stopping: IPVS services may be left behind", "error", e.Error())
		err = errors.Join(err, e)
	}
	select {
	case <-closed:
	case <-ctx.Done():
	}
	if err == nil {
		d.writeRecord(record{})
	}
	d.log.Info("bascule stopped")
}

// waitBriefly waits for the tasks after they were told to end, but not for
// one that hangs in the kernel.
func waitBriefly(tasks *errgroup.Group) error {
	result := make(chan error, 1)
	go func() { result <- tasks.Wait() }()
	select {
	case err := <-result:
		return err
	case <-time.After(tasksTimeout):
		return nil
	}
}
