package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long each step of the ordered stop may take; together less than the
// second after which an administrator looks at the clock.
const (
	addressesTimeout = 400 * time.Millisecond
	servicesTimeout  = 300 * time.Millisecond
)

// stop gives up everything in the order that hurts least: first the peers are
// told, then the addresses go, and only when no more connections come are the
// services removed that they would need. An error says what may be left.
func (d *daemon) stop() error {
	notifyStopping()
	ctx, cancel := context.WithTimeout(context.Background(), addressesTimeout)
	defer cancel()
	var errs []error
	if err := errors.Join(d.speaker.Shutdown(ctx), d.network.Settle(ctx)); err != nil {
		errs = append(errs, fmt.Errorf("addresses may be left behind: %w", err))
	}
	ctx, cancel = context.WithTimeout(context.Background(), servicesTimeout)
	defer cancel()
	if err := d.director.Clear(ctx); err != nil {
		errs = append(errs, fmt.Errorf("IPVS services may be left behind: %w", err))
	}
	d.closeFiles(ctx, len(errs) == 0)
	err := errors.Join(errs...)
	if err != nil {
		d.log.Error("bascule stopped", "error", err.Error())
		return err
	}
	d.log.Info("bascule stopped")
	return nil
}

// closeFiles ends the checks and, if nothing is left behind, empties the
// record. It does not wait for a reload or a disk that hangs.
func (d *daemon) closeFiles(ctx context.Context, clean bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-d.done
		d.pool.Close()
		if clean {
			d.writeRecord(record{})
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}
