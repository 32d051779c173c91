package lab

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// AwaitAddress waits until a host has an address on one of its interfaces
// (present) or on none (not present).
func AwaitAddress(ctx context.Context, host *Host, address netip.Addr, present bool) error {
	for {
		has, err := host.HasAddress(address)
		if err != nil || has == present {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New(describeWait(host, address, present)), ctx.Err())
		case <-time.After(holderInterval):
		}
	}
}

// describeWait says what AwaitAddress has waited for in vain.
func describeWait(host *Host, address netip.Addr, present bool) string {
	if present {
		return address.String() + " has not come to " + host.Name
	}
	return address.String() + " has not left " + host.Name
}

// Holding is a time in which the same hosts had an address.
type Holding struct {
	Hosts    []string // their names, in the order given to WatchAddress
	From, To time.Time
}

// AddressWatch follows which hosts have an address.
type AddressWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	result []Holding // complete once done is closed
	err    error
}

// holderInterval is how often the kernels are asked: well below the time that
// a machine on the LAN needs to notice.
const holderInterval = 10 * time.Millisecond

// WatchAddress begins to follow an address on some hosts. Stop ends it.
func (l *Lab) WatchAddress(address netip.Addr, hosts ...*Host) *AddressWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &AddressWatch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.run(ctx, address, hosts)
	}()
	l.onClose(func() error {
		cancel()
		<-w.done
		return nil
	})
	return w
}

// Stop ends the watch and returns what it has seen, in the order of time.
func (w *AddressWatch) Stop() ([]Holding, error) {
	w.cancel()
	<-w.done
	return w.result, w.err
}

// run asks the hosts until the context ends, and then a last time.
func (w *AddressWatch) run(ctx context.Context, address netip.Addr, hosts []*Host) {
	ticker := time.NewTicker(holderInterval)
	defer ticker.Stop()
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-ticker.C:
		}
		holders, err := holders(address, hosts)
		if err != nil {
			w.err = err
			return
		}
		w.result = extend(w.result, holders, time.Now())
	}
}

// holders returns the names of the hosts that have an address.
func holders(address netip.Addr, hosts []*Host) ([]string, error) {
	var names []string
	for _, host := range hosts {
		has, err := host.HasAddress(address)
		if err != nil {
			return nil, err
		}
		if has {
			names = append(names, host.Name)
		}
	}
	return names, nil
}

// extend adds an observation to what has been seen: to the last holding if
// nothing has changed, else as a new one that begins where the last one ends.
func extend(seen []Holding, holders []string, now time.Time) []Holding {
	if len(seen) > 0 {
		last := &seen[len(seen)-1]
		last.To = now
		if slices.Equal(last.Hosts, holders) {
			return seen
		}
	}
	return append(seen, Holding{Hosts: holders, From: now, To: now})
}

// Dual returns the holdings of more than one host at a time.
func Dual(holdings []Holding) []Holding {
	return slices.DeleteFunc(slices.Clone(holdings), func(h Holding) bool { return len(h.Hosts) < 2 })
}
