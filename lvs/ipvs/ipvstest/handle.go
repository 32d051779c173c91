package ipvstest

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// handle is one connection to a Kernel.
type handle struct {
	kernel  *Kernel
	private bool // neither fails nor leaves traces
	closed  bool
}

var _ ipvs.Handle = (*handle)(nil)

// Close ends the connection; later calls fail.
func (h *handle) Close() error {
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	h.closed = true
	return nil
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
		return ipvs.ErrNoIPVS
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

// Services lists the services.
func (h *handle) Services(to []ipvs.Service) ([]ipvs.Service, error) {
	err := h.read(func(k *Kernel) {
		for _, s := range k.services {
			to = append(to, s.Service)
		}
	})
	return to, err
}

// Destinations lists the destinations of a service.
func (h *handle) Destinations(of ipvs.ServiceID, to []ipvs.Destination) ([]ipvs.Destination, error) {
	err := h.read(func(k *Kernel) {
		if present := k.services[of]; present != nil {
			to = append(to, present.destinations...)
		}
	})
	return to, err
}

// Daemons lists the sync daemons.
func (h *handle) Daemons() (daemons []ipvs.Daemon, err error) {
	err = h.read(func(k *Kernel) {
		for role, d := range k.daemons {
			daemons = append(daemons, ipvs.Daemon{Role: role, SyncDaemon: d})
		}
	})
	return daemons, err
}

// Timeouts returns the timeouts.
func (h *handle) Timeouts() (t lvs.Timeouts, err error) {
	err = h.read(func(k *Kernel) { t = k.timeouts })
	return t, err
}

// Info returns what Linux 6.1 says.
func (h *handle) Info() (info ipvs.Info, err error) {
	err = h.read(func(*Kernel) { info = ipvs.Info{Version: "1.2.1", TableSize: 4096} })
	return info, err
}

// Edit carries out requests, and writes them into the journal.
func (h *handle) Edit(requests ...ipvs.Request) []error {
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	errs := make([]error, len(requests))
	for i := range requests {
		errs[i] = h.edit(&requests[i])
	}
	return errs
}

// edit carries out one request.
func (h *handle) edit(r *ipvs.Request) error {
	line := r.String()
	err := h.refuse(line)
	if err == nil {
		err = h.kernel.edit(r)
	}
	if h.private {
		return err
	}
	if err != nil {
		line += ": " + err.Error()
	}
	h.kernel.journal = append(h.kernel.journal, line)
	return err
}

// edit carries out one request as the kernel does.
func (k *Kernel) edit(r *ipvs.Request) error {
	present := k.services[r.Service.ServiceID]
	if present == nil && r.Command.OnService() && r.Command != ipvs.NewService {
		return unix.ESRCH
	}
	switch r.Command {
	case ipvs.NewService:
		return k.addService(&r.Service)
	case ipvs.SetService:
		return present.set(&r.Service)
	case ipvs.DelService:
		delete(k.services, present.ServiceID)
	case ipvs.NewDest, ipvs.SetDest, ipvs.DelDest:
		return k.editDestination(present, r)
	case ipvs.NewDaemon:
		return k.startDaemon(r.Daemon)
	case ipvs.DelDaemon:
		return k.stopDaemon(r.Daemon.Role)
	case ipvs.SetConfig:
		return k.setTimeouts(r.Timeouts)
	case ipvs.Zero:
		for i := range present.destinations {
			u := &present.destinations[i].Usage
			*u = lvs.Usage{Active: u.Active, Inactive: u.Inactive, Persistent: u.Persistent}
		}
	default:
		return unix.EOPNOTSUPP
	}
	return nil
}

// addService adds a service.
func (k *Kernel) addService(s *ipvs.Service) error {
	if k.services[s.ServiceID] != nil {
		return unix.EEXIST
	}
	added := &service{Service: ipvs.Service{ServiceID: s.ServiceID}}
	if err := added.set(s); err != nil {
		return err
	}
	k.services[s.ServiceID] = added
	return nil
}

// set changes a service in place. The netmask is looked at even if there is no
// persistence; what flags mean to the scheduler or protocol is not.
func (s *service) set(to *ipvs.Service) error {
	switch {
	case to.Scheduler != "none" && !lvs.ValidScheduler(to.Scheduler), to.Engine != "" && to.Engine != "sip":
		return unix.ENOENT
	case to.Family == unix.AF_INET6 && (to.Netmask < 1 || to.Netmask > 128):
		return unix.EINVAL
	}
	s.Service = *to
	s.Flags |= ipvs.FlagHashed
	return nil
}

// editDestination adds, changes or deletes a destination of a service.
func (k *Kernel) editDestination(s *service, r *ipvs.Request) error {
	d := r.Destination
	if d.Family == 0 {
		d.Family = s.Family
	}
	if d.Family != unix.AF_INET && d.Family != unix.AF_INET6 {
		return unix.EAFNOSUPPORT
	}
	i := s.find(&d)
	if r.Command == ipvs.DelDest {
		if i < 0 {
			return unix.ENOENT
		}
		s.destinations = slices.Delete(s.destinations, i, i+1)
		return nil
	}
	if err := k.checkDestination(s, &d); err != nil {
		return err
	}
	switch {
	case r.Command == ipvs.NewDest && i >= 0:
		return unix.EEXIST
	case r.Command == ipvs.NewDest && !unicast(&d):
		return unix.EINVAL
	case r.Command == ipvs.NewDest:
		d.Usage = lvs.Usage{}
		s.destinations = append(s.destinations, d)
	case i < 0:
		return unix.ENOENT
	default:
		d.Usage = s.destinations[i].Usage
		s.destinations[i] = d
	}
	return nil
}

// checkDestination returns the error that the kernel has for a destination
// before it looks for it.
func (k *Kernel) checkDestination(s *service, d *ipvs.Destination) error {
	switch {
	case d.Upper > maxThreshold || d.Lower > maxThreshold:
		return unix.EINVAL
	case d.Family != s.Family && (len(k.daemons) > 0 || d.Method != ipvs.MethodTunnel):
		return unix.EINVAL
	case d.Weight > 1<<31-1 || d.Lower > d.Upper:
		return unix.ERANGE
	case d.TunnelType == uint8(lvs.GUE) && d.TunnelPort == 0:
		return unix.EINVAL
	}
	return nil
}

// unicast says whether the kernel takes the address of a new destination, on a
// machine that has the loopback addresses alone.
func unicast(d *ipvs.Destination) bool {
	a := d.Address
	if d.Family == unix.AF_INET6 {
		return !a.IsMulticast() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !a.Is4In6()
	}
	raw := a.As4()
	return !a.IsMulticast() && !a.IsUnspecified() && raw != [4]byte{255, 255, 255, 255}
}

// find returns the index of the destination that d names, -1 if there is none.
func (s *service) find(d *ipvs.Destination) int {
	return slices.IndexFunc(s.destinations, func(present ipvs.Destination) bool {
		return present.AddrPort() == d.AddrPort()
	})
}
