package ipvstest

import (
	"os"
	"slices"

	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// flagHashed is set by the kernel on every service that it holds.
const flagHashed = 0x2

// handle is one connection to a Kernel.
type handle struct {
	kernel  *Kernel
	private bool // neither fails nor leaves traces
	closed  bool
}

var _ ipvs.Handle = (*handle)(nil)

// Close ends the connection; later calls fail.
func (h *handle) Close() {
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	h.closed = true
}

// refuse returns the error that the next call is to fail with, if any. The
// kernel's lock is held.
func (h *handle) refuse(edit string) error {
	k := h.kernel
	switch {
	case h.closed:
		return os.ErrClosed
	case h.private:
		return nil
	case k.absent:
		return unix.ENOENT // what generic netlink says of a family that is gone
	case k.failures != 0:
		if k.failures > 0 {
			k.failures--
		}
		return k.errno
	}
	if errno, broken := k.broken[edit]; broken {
		return errno
	}
	return nil
}

// read makes a call that changes nothing.
func (h *handle) read(call func(*Kernel)) error {
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	err := h.refuse("")
	if err == nil {
		call(h.kernel)
	}
	return err
}

// edit makes a call that changes the table and writes it into the journal.
func (h *handle) edit(command string, s *moby.Service, d *moby.Destination, call func(*Kernel) error) error {
	k := h.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	line := command + " " + identify(s).address.String()
	if d != nil {
		line += " " + destinationAddress(d).String()
	}
	err := h.refuse(line)
	if err == nil {
		err = call(k)
	}
	if err != nil {
		line += ": " + err.Error()
	}
	if !h.private {
		k.journal = append(k.journal, line)
	}
	return err
}

// GetServices lists the services.
func (h *handle) GetServices() (services []*moby.Service, err error) {
	err = h.read(func(k *Kernel) {
		for _, s := range k.services {
			copied := s.Service
			services = append(services, &copied)
		}
	})
	return services, err
}

// GetDestinations lists the destinations of a service: none and no error if
// there is no such service.
func (h *handle) GetDestinations(s *moby.Service) (destinations []*moby.Destination, err error) {
	err = h.read(func(k *Kernel) {
		present := k.services[identify(s)]
		if present == nil {
			return
		}
		for _, d := range present.destinations {
			copied := *d
			copied.Weight &= 0xffff // moby/ipvs reads no more
			destinations = append(destinations, &copied)
		}
	})
	return destinations, err
}

// NewService adds a service.
func (h *handle) NewService(s *moby.Service) error {
	return h.edit("NEW_SERVICE", s, nil, func(k *Kernel) error {
		switch {
		case k.services[identify(s)] != nil:
			return unix.EEXIST
		case !lvs.ValidScheduler(s.SchedName):
			return unix.ENOENT
		case !validNetmask(s):
			return unix.EINVAL
		}
		added := &service{Service: *s, id: identify(s)}
		added.Address = slices.Clone(s.Address)
		added.Flags |= flagHashed
		k.services[added.id] = added
		return nil
	})
}

// UpdateService changes a service in place.
func (h *handle) UpdateService(s *moby.Service) error {
	return h.edit("SET_SERVICE", s, nil, func(k *Kernel) error {
		present := k.services[identify(s)]
		switch {
		case present == nil:
			return unix.ESRCH
		case !lvs.ValidScheduler(s.SchedName):
			return unix.ENOENT
		case !validNetmask(s):
			return unix.EINVAL
		}
		present.SchedName, present.Timeout, present.Netmask = s.SchedName, s.Timeout, s.Netmask
		present.Flags = s.Flags | flagHashed
		return nil
	})
}

// DelService deletes a service with its destinations.
func (h *handle) DelService(s *moby.Service) error {
	return h.edit("DEL_SERVICE", s, nil, func(k *Kernel) error {
		if k.services[identify(s)] == nil {
			return unix.ESRCH
		}
		delete(k.services, identify(s))
		return nil
	})
}

// NewDestination adds a destination.
func (h *handle) NewDestination(s *moby.Service, d *moby.Destination) error {
	return h.edit("NEW_DEST", s, d, func(k *Kernel) error {
		present, err := k.service(s, d)
		switch {
		case err != nil:
			return err
		case present.find(d) >= 0:
			return unix.EEXIST
		}
		copied := *d
		copied.Address = slices.Clone(d.Address)
		present.destinations = append(present.destinations, &copied)
		return nil
	})
}

// UpdateDestination changes a destination in place.
func (h *handle) UpdateDestination(s *moby.Service, d *moby.Destination) error {
	return h.edit("SET_DEST", s, d, func(k *Kernel) error {
		present, err := k.service(s, d)
		if err != nil {
			return err
		}
		i := present.find(d)
		if i < 0 {
			return unix.ENOENT
		}
		copied := *d
		copied.Address = slices.Clone(d.Address)
		present.destinations[i] = &copied
		return nil
	})
}

// DelDestination deletes a destination.
func (h *handle) DelDestination(s *moby.Service, d *moby.Destination) error {
	return h.edit("DEL_DEST", s, d, func(k *Kernel) error {
		present := k.services[identify(s)]
		if present == nil {
			return unix.ESRCH
		}
		i := present.find(d)
		if i < 0 {
			return unix.ENOENT
		}
		present.destinations = slices.Delete(present.destinations, i, i+1)
		return nil
	})
}

// service returns the service of a destination that is to be written, or the
// error that the kernel has instead.
func (k *Kernel) service(s *moby.Service, d *moby.Destination) (*service, error) {
	present := k.services[identify(s)]
	switch {
	case present == nil:
		return nil, unix.ESRCH
	case d.Weight < 0 || d.LowerThreshold > d.UpperThreshold:
		return nil, unix.ERANGE
	case !destinationAddress(d).Addr().IsGlobalUnicast() && !destinationAddress(d).Addr().IsLoopback():
		return nil, unix.EINVAL
	}
	return present, nil
}

// validNetmask says whether the kernel takes the persistence netmask: for
// IPv6 it is a prefix length, looked at even if there is no persistence.
func validNetmask(s *moby.Service) bool {
	return s.AddressFamily != unix.AF_INET6 || s.Netmask >= 1 && s.Netmask <= 128
}
