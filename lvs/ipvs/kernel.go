package ipvs

import (
	"errors"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// kernel is the Handle on the real kernel. It reads by messages of its own;
// which requests it makes itself and which moby/ipvs makes is decided in Edit.
type kernel struct {
	conn  *conn
	moby  *moby // nil if that library cannot be used any more
	names names
}

var _ Handle = (*kernel)(nil)

// Close closes both sockets.
func (k *kernel) Close() error {
	k.forgetMoby()
	return k.conn.Close()
}

// forgetMoby closes moby/ipvs's handle for good.
func (k *kernel) forgetMoby() {
	if k.moby != nil {
		k.moby.close()
		k.moby = nil
	}
}

// refresh asks for the number of the family. It is another one if the module
// was loaded anew; moby/ipvs keeps the old one for the rest of the process.
func (k *kernel) refresh() (changed bool, err error) {
	changed, err = k.conn.refresh()
	if changed || err != nil {
		k.forgetMoby()
	}
	return changed, err
}

// ask makes a request that is answered with attributes. A family that is gone
// is looked for again, once.
func (k *kernel) ask(command Command, flags uint16, about, reset func(), visit func([]byte) error) error {
	err := k.conn.ask(command, flags, about, reset, visit)
	if errors.Is(err, unix.ENOENT) {
		if _, err := k.refresh(); err != nil {
			return err
		}
		err = k.conn.ask(command, flags, about, reset, visit)
	}
	return err
}

// nothing is what a request says that is about IPVS as a whole.
func nothing() {}

// Services implements Handle. It makes sure first that it talks to IPVS, and
// not to another family that was given the number of one that is gone.
func (k *kernel) Services(to []Service) ([]Service, error) {
	if _, err := k.refresh(); err != nil {
		return to, err
	}
	base := len(to)
	err := k.ask(getService, unix.NLM_F_DUMP, nothing, func() { to = to[:base] }, func(b []byte) error {
		s, err := decodeService(b, k.names)
		to = append(to, s)
		return err
	})
	return to, err
}

// Destinations implements Handle.
func (k *kernel) Destinations(of ServiceID, to []Destination) ([]Destination, error) {
	base := len(to)
	about := func() { k.conn.out.serviceID(of) }
	err := k.ask(getDest, unix.NLM_F_DUMP, about, func() { to = to[:base] }, func(b []byte) error {
		d, err := decodeDestination(b, of.Family)
		to = append(to, d)
		return err
	})
	return to, err
}

// Daemons implements Handle.
func (k *kernel) Daemons() (daemons []Daemon, err error) {
	err = k.ask(getDaemon, unix.NLM_F_DUMP, nothing, func() { daemons = nil }, func(b []byte) error {
		d, err := decodeDaemon(b)
		daemons = append(daemons, d)
		return err
	})
	return daemons, err
}

// Timeouts implements Handle.
func (k *kernel) Timeouts() (t lvs.Timeouts, err error) {
	err = k.ask(getConfig, 0, nothing, nothing, func(b []byte) error {
		t = decodeTimeouts(b)
		return nil
	})
	return t, err
}

// Info implements Handle.
func (k *kernel) Info() (info Info, err error) {
	err = k.ask(getInfo, 0, nothing, nothing, func(b []byte) error {
		info = decodeInfo(b)
		return nil
	})
	return info, err
}

// Edit implements Handle. A request for a family that is gone fails with
// ENOENT, like one for a destination that is not there, so that the family is
// looked for again.
func (k *kernel) Edit(requests ...Request) []error {
	errs := make([]error, len(requests))
	k.edit(requests, errs)
	for _, err := range errs {
		if errors.Is(err, unix.ENOENT) {
			return k.editAgain(requests, errs)
		}
	}
	return errs
}

// edit makes requests: what moby/ipvs can express goes through it, except that
// many requests are sent at once, which it cannot, and that what it loses the
// answer to is made again without it. Either way an object is written as a
// whole, and nothing of it is kept from before.
func (k *kernel) edit(requests []Request, errs []error) {
	if len(requests) == 1 && k.moby != nil && k.moby.expresses(&requests[0]) {
		errs[0] = k.moby.edit(&requests[0])
		if errors.Is(errs[0], errLost) {
			k.forgetMoby()
		}
		if !lost(errs[0]) {
			return
		}
	}
	k.conn.edit(requests, errs)
}

// editAgain makes the requests anew that found no family, if IPVS has another
// one now.
func (k *kernel) editAgain(requests []Request, errs []error) []error {
	changed, err := k.refresh()
	if err == nil && !changed {
		return errs
	}
	for i := range requests {
		switch {
		case !errors.Is(errs[i], unix.ENOENT):
		case err != nil:
			errs[i] = err
		default:
			k.edit(requests[i:i+1], errs[i:i+1])
		}
	}
	return errs
}
