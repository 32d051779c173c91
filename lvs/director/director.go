// Package director makes the kernel's IPVS table what configuration and
// health checks want it to be, and keeps it so: it adopts what it finds there
// at the start, repairs what others change, and retries what fails.
//
// One goroutine, Run, owns the model and the connection to the kernel. What
// others tell it waits in an inbox that blocks nobody; what others read of it
// is a snapshot.
package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"bascule/lvs"
)

// Kernel is a connection to the kernel's IPVS table. Its errors name the
// operation; they are lvs.ErrAbsent if the kernel has no IPVS. After an error
// of a reading the connection is closed and a new one is dialed.
type Kernel interface {
	// Read returns everything. It is the caller's.
	Read() (lvs.Reading, error)
	// ReadPart reads all services, and of their destinations those of services
	// that are not in known as they are, and of others, in turn, until these have
	// as many as limit; the rest of the reading is as known.
	ReadPart(known lvs.Table, limit int) (lvs.Reading, error)
	// ApplyAll carries out operations in order, whatever becomes of each, and
	// returns the error of each.
	ApplyAll([]lvs.Op) []error
	// Zero sets the counters of services and of their destinations to zero.
	Zero(...lvs.ServiceKey) error
	Close() error
}

// Director keeps the kernel's table as wanted. Its methods may be called by
// several goroutines.
type Director struct {
	dial   func() (Kernel, error)
	log    *slog.Logger
	timing timing

	inbox    inbox
	snapshot atomic.Pointer[Status]
	asked    atomic.Pointer[time.Time] // when the kernel was asked what it has not answered yet
	ready    chan struct{}             // closed after the first attempt to reconcile
	done     chan struct{}             // closed when Run has ended
}

// patience is how long the kernel may take for an answer before that is a
// problem. It answers in microseconds, except where it loads a module.
const patience = time.Second

// timing is how long the director waits for what.
type timing struct {
	period   time.Duration // between two comparisons with the kernel
	gather   time.Duration // from a change to the pass that carries it out
	retry    time.Duration // from a first failure to the next attempt; doubled each time
	maxRetry time.Duration // bound of retry
}

// Option changes a Director that is being made.
type Option func(*Director)

// WithPeriod sets how often the kernel's table is read and compared with what
// is wanted; 200 ms otherwise. The period is longer if a reading takes more than a
// hundredth of it of processor time, as with some hundreds of services or a thousand
// destinations, and the destinations are read in several periods if there are more than
// some thousands of them.
func WithPeriod(period time.Duration) Option {
	return func(d *Director) { d.timing.period = period }
}

// WithRetry sets how long after a failure it is tried again: from shortest,
// doubled with each failure, to longest; 100 ms to 5 s otherwise.
func WithRetry(shortest, longest time.Duration) Option {
	return func(d *Director) { d.timing.retry, d.timing.maxRetry = shortest, longest }
}

// New returns a director that reaches the kernel through dial, which it calls
// again after a failure. It does nothing before Run.
func New(dial func() (Kernel, error), log *slog.Logger, options ...Option) *Director {
	d := &Director{
		dial: dial,
		log:  log,
		timing: timing{
			period:   200 * time.Millisecond,
			gather:   10 * time.Millisecond,
			retry:    100 * time.Millisecond,
			maxRetry: 5 * time.Second,
		},
		inbox: inbox{wake: make(chan struct{}, 1)},
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
	for _, option := range options {
		option(d)
	}
	d.snapshot.Store(&Status{})
	return d
}

// Run keeps the kernel's table as wanted until ctx is cancelled, and returns
// nil then; it may be called once. It leaves the table as it is, so that a
// successor finds it: Clear is what empties it.
func (d *Director) Run(ctx context.Context) error {
	defer close(d.done)
	l := &loop{Director: d, failures: make(map[lvs.Op]*failure), suspects: make(map[lvs.ServiceKey]struct{})}
	defer l.disconnect()
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.inbox.wake:
			if now := time.Now(); l.absorb(now, d.inbox.take()) {
				due = earlier(due, now.Add(d.timing.gather))
			}
		case <-timer.C:
			now := time.Now()
			l.absorb(now, d.inbox.take())
			due = l.pass(ctx, now)
		}
		timer.Reset(time.Until(due))
	}
}

// Configure replaces the configured virtual servers; facts about real servers
// that stay are kept. Services in owned, which a predecessor has programmed,
// are deleted unless they are configured. Called before Run, it is what the
// first pass programs.
func (d *Director) Configure(servers []lvs.VirtualServerConfig, owned []lvs.ServiceKey) {
	d.inbox.configure(servers, owned)
}

// Adjust replaces what is wanted of the kernel's IPVS as a whole. Called before
// Run, it is what the first pass knows.
func (d *Director) Adjust(settings lvs.Settings) {
	d.inbox.adjust(settings)
}

// Reconfigure is Adjust and Configure in one, for a reload: neither is in force
// without the other, not even for a moment.
func (d *Director) Reconfigure(settings lvs.Settings, servers []lvs.VirtualServerConfig) {
	d.inbox.reconfigure(settings, servers)
}

// Follow tells which roles this director has in the synchronization of
// connections, and with which daemon; see lvs.Model.Follow. It does not wait
// for the kernel.
func (d *Director) Follow(daemons map[lvs.SyncRole]lvs.SyncDaemon) {
	d.inbox.follow(daemons)
}

// Inherit tells which sync daemons a predecessor may have left; see
// lvs.Model.Inherit. It is for the time before Run.
func (d *Director) Inherit(daemons []lvs.SyncDaemon) {
	d.inbox.inherit(daemons)
}

// SetOverrides puts decisions of the administrator back into force that a
// predecessor stored. It is for the start, after Configure.
func (d *Director) SetOverrides(stored []lvs.StoredOverride) {
	d.inbox.setOverrides(stored)
}

// Override takes a decision of the administrator about a real server, and
// returns when it is in the snapshot; Run must be running. The kernel follows
// without being waited for. The error says what there is to be named.
func (d *Director) Override(ctx context.Context, virtualServer string, realServer netip.AddrPort, o lvs.Override) error {
	answer := make(chan error, 1)
	d.inbox.override(override{virtualServer, realServer, o, answer})
	select {
	case err := <-answer:
		return err
	case <-d.done:
		return errors.New("no decision taken: the director has ended")
	case <-ctx.Done():
		return fmt.Errorf("not known whether the decision is taken: %w", ctx.Err())
	}
}

// Zero sets the counters of a virtual server, or of everything that is ours if
// the name is empty, to zero, and of nothing else; Run must be running. The
// error says what there is to be named, or why the kernel has not done it.
func (d *Director) Zero(ctx context.Context, virtualServer string) error {
	answer := make(chan error, 1)
	d.inbox.zero(zero{virtualServer, answer})
	select {
	case err := <-answer:
		return err
	case <-d.done:
		return errors.New("counters not zeroed: the director has ended")
	case <-ctx.Done():
		return fmt.Errorf("not known whether the counters are zeroed: %w", ctx.Err())
	}
}

// Taken returns when what the director was told before the call is in the
// snapshot; Run must be running. The kernel follows without being waited for.
func (d *Director) Taken(ctx context.Context) error {
	reply := make(chan struct{})
	d.inbox.announce(reply)
	select {
	case <-reply:
		return nil
	case <-d.done:
		return errors.New("not taken: the director has ended")
	case <-ctx.Done():
		return fmt.Errorf("not known whether it is taken: %w", ctx.Err())
	}
}

// Report tells the latest fact about a real server. It does not wait for the
// kernel. A fact about a real server that is not configured, when the
// director comes to it, is dropped.
func (d *Director) Report(key lvs.RealServerKey, fact lvs.Fact) {
	d.inbox.report(key, fact)
}

// Snapshot returns what the director knows, as of its latest pass; that the
// kernel does not let it get on with the present one is a problem. The caller
// must not change it.
func (d *Director) Snapshot() *Status {
	status := d.snapshot.Load()
	asked := d.asked.Load()
	if asked == nil {
		return status
	}
	waited := time.Since(*asked)
	if waited <= patience {
		return status
	}
	hung := *status
	problem := fmt.Sprintf("ipvs: no answer from the kernel for %v", waited.Truncate(time.Second))
	hung.Problems = append([]string{problem}, status.Problems...)
	return &hung
}

// Ready returns a channel that is closed after the first attempt to reconcile,
// whether it succeeded or not.
func (d *Director) Ready() <-chan struct{} {
	return d.ready
}

// Clear deletes our services from the kernel, stops our sync daemons and ends
// reconciling, for an ordered stop; Run must be running. Failures, and a kernel
// that cannot be reached, are retried until ctx is done; a kernel without IPVS
// has nothing to delete. What others have made stays.
func (d *Director) Clear(ctx context.Context) error {
	reply := make(chan struct{})
	d.inbox.clear(reply)
	select {
	case <-reply:
		return nil
	case <-d.done:
		return errors.New("ipvs table not cleared: the director has ended")
	case <-ctx.Done():
		return fmt.Errorf("ipvs table not cleared: %w: %s", ctx.Err(), strings.Join(d.Snapshot().Problems, "; "))
	}
}

// earlier returns the earlier of two times; the second may be zero, which is
// none.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
