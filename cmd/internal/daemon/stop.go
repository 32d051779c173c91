package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bascule/lvs"
)

// How long each step of the ordered stop may take, whatever the others have
// taken; together less than the second after which an administrator looks at the clock.
// A sender of connections stays until a moment after the beginning: the kernel
// sends what it has collected within 20 ms if that fills a packet, else after
// 2 s, and drops it when the sender ends.
const (
	addressesTimeout = 400 * time.Millisecond
	senderStays      = 450 * time.Millisecond
	servicesTimeout  = 300 * time.Millisecond
	restTimeout      = 200 * time.Millisecond
)

// stop gives up everything in the order that hurts least: first the peers are
// told, then the addresses go, and only when no more connections come are the
// services removed that they would need. An error says what may be left.
func (d *daemon) stop() error {
	notifyStopping()
	begin, sends := time.Now(), d.follower.end()
	ctx, cancel := context.WithTimeout(context.Background(), addressesTimeout)
	defer cancel()
	var errs []error
	if err := errors.Join(d.speaker.Shutdown(ctx), d.network.Settle(ctx)); err != nil {
		errs = append(errs, fmt.Errorf("addresses may be left behind: %w", err))
	}
	if _, runs := d.director.Snapshot().Daemons[lvs.SyncSender]; sends && runs {
		time.Sleep(time.Until(begin.Add(senderStays)))
	}
	ctx, cancel = context.WithTimeout(context.Background(), servicesTimeout)
	defer cancel()
	if err := d.director.Clear(ctx); err != nil {
		errs = append(errs, fmt.Errorf("IPVS services may be left behind: %w", err))
	}
	ctx, cancel = context.WithTimeout(context.Background(), restTimeout)
	defer cancel()
	if err := d.marker.clear(ctx); err != nil {
		errs = append(errs, fmt.Errorf("rules of firewall marks may be left behind: %w", err))
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
