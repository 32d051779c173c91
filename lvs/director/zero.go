package director

import (
	"slices"

	"bascule/lvs"
)

// zero is a request to zero counters.
type zero struct {
	virtualServer string       // empty: of everything that is ours
	answer        chan<- error // holds one
}

// zero carries out the requests that wait, after a pass.
func (l *loop) zero() {
	for _, z := range l.zeroes {
		z.answer <- l.zeroOne(z.virtualServer)
	}
	l.zeroes = nil
}

// zeroOne carries out one request. What the kernel does not hold has no
// counters.
func (l *loop) zeroOne(virtualServer string) error {
	keys, err := l.model.ServicesOf(virtualServer)
	switch {
	case err != nil:
		return err
	case l.outage != nil:
		return l.outage.err
	case l.kernel == nil || l.expected == nil:
		return nil
	}
	keys = slices.DeleteFunc(keys, func(key lvs.ServiceKey) bool {
		_, held := l.expected.Table[key]
		return !held
	})
	return l.call(func() error { return l.kernel.Zero(keys...) })
}
