package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"bascule/vrrp/speaker"
)

// notifySystemd tells systemd of a state; without systemd it does nothing.
// There is nobody to tell of a failure.
func notifySystemd(state string) { _, _ = sd.SdNotify(false, state) }

// notifyReady says that the director is at work.
func notifyReady() { notifySystemd(sd.SdNotifyReady) }

// notifyStopping says that the ordered stop has begun.
func notifyStopping() { notifySystemd(sd.SdNotifyStopping) }

// notifyReloading says that a reload has begun, with the clock that
// Type=notify-reload asks for.
func notifyReloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	notifySystemd(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, now.Nano()/1000))
}

// readyTimeout is how long the first look at the network and at the IPVS
// table may take before systemd is told that the director runs: it then has a
// problem, which status shows, and goes on trying.
const readyTimeout = 5 * time.Second

// whenReady tells systemd once the first look at the kernel is done.
func (d *daemon) whenReady(work context.Context) {
	ctx, cancel := context.WithTimeout(work, readyTimeout)
	defer cancel()
	for _, part := range []<-chan struct{}{d.network.Ready(), d.director.Ready()} {
		select {
		case <-part:
		case <-ctx.Done():
		}
	}
	if work.Err() == nil {
		notifyReady()
	}
}

// watchdog tells systemd, if it asks to be told, that the speaker's loop
// still turns.
func (d *daemon) watchdog(ctx context.Context) {
	period, err := sd.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return
	}
	tick := time.NewTicker(period / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.speaker.Ping(ctx); err == nil {
			notifySystemd(sd.SdNotifyWatchdog)
		} else if errors.Is(err, speaker.ErrStopped) {
			return
		}
	}
}
