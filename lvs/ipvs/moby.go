package ipvs

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// mobyTimeout is how long a call of moby/ipvs may take. The kernel answers in
// microseconds, except where it runs modprobe for a scheduler.
const mobyTimeout = 10 * time.Second

// errLost says that moby/ipvs was given up because a call took too long.
var errLost = fmt.Errorf("%w for %v", errNoAnswer, mobyTimeout)

// mobyHandle is the part of moby/ipvs that is used.
type mobyHandle interface {
	NewService(*ipvs.Service) error
	UpdateService(*ipvs.Service) error
	DelService(*ipvs.Service) error
	NewDestination(*ipvs.Service, *ipvs.Destination) error
	UpdateDestination(*ipvs.Service, *ipvs.Destination) error
	DelDestination(*ipvs.Service, *ipvs.Destination) error
	GetConfig() (*ipvs.Config, error)
	SetConfig(*ipvs.Config) error
	Close()
}

var _ mobyHandle = (*ipvs.Handle)(nil)

// moby makes requests through moby/ipvs, as far as that library can express
// them.
type moby struct {
	handle mobyHandle
	lost   atomic.Bool // a call took too long, the handle is closed
}

// expresses says whether moby/ipvs can make a request. It cannot stop or start
// daemons and zero counters, it does not read engines of persistence, and it
// does not know that a destination can be of another family than its service,
// have a tunnel other than IP in IP, or a weight that it would not read back.
// Objects that have such a thing are written as a whole without it.
func (m *moby) expresses(r *Request) bool {
	d := &r.Destination
	switch r.Command {
	case NewService, SetService:
		return r.Service.Engine == ""
	case DelService, SetConfig:
		return true
	case NewDest, SetDest:
		return d.Family == r.Service.Family && d.Weight <= lvs.MaxWeight &&
			d.TunnelType == uint8(lvs.IPIP) && d.TunnelPort == 0 && d.TunnelFlags == 0
	case DelDest:
		return d.Family == r.Service.Family
	}
	return false
}

// edit makes a request that moby/ipvs expresses. Closing the socket is the
// only thing that ends the wait for a reply: the library takes the expiry of
// its own timeout for a reason to wait again.
func (m *moby) edit(r *Request) error {
	return m.call(func() error { return m.dispatch(r) })
}

// call makes one call, unless an earlier one took too long.
func (m *moby) call(fn func() error) error {
	if m.lost.Load() {
		return errLost
	}
	watchdog := time.AfterFunc(mobyTimeout, func() {
		m.lost.Store(true)
		m.handle.Close()
	})
	err := fn()
	if !watchdog.Stop() {
		return errLost
	}
	return err
}

// dispatch makes a request.
func (m *moby) dispatch(r *Request) error {
	s, d := mobyService(&r.Service), mobyDestination(&r.Destination)
	switch r.Command {
	case NewService:
		return m.handle.NewService(s)
	case SetService:
		return m.handle.UpdateService(s)
	case DelService:
		return m.handle.DelService(s)
	case NewDest:
		return m.handle.NewDestination(s, d)
	case SetDest:
		return m.handle.UpdateDestination(s, d)
	case DelDest:
		return m.handle.DelDestination(s, d)
	case SetConfig:
		return m.handle.SetConfig(&ipvs.Config{
			TimeoutTCP: r.Timeouts.TCP, TimeoutTCPFin: r.Timeouts.TCPFin, TimeoutUDP: r.Timeouts.UDP,
		})
	}
	return unix.EOPNOTSUPP
}

// knows checks that moby/ipvs has the kernel's number of the family in mind.
// It asks once in the life of the process and remembers a failure for ever, as
// family 0, whose requests the kernel acknowledges and ignores; the one call
// that notices is GetConfig, which panics on the empty reply. An old number
// answers with an error.
func (m *moby) knows() bool {
	err := m.call(func() (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("ipvs: %v", reason)
			}
		}()
		_, err = m.handle.GetConfig()
		return err
	})
	return err == nil
}

// close closes the handle, once.
func (m *moby) close() {
	if !m.lost.Swap(true) {
		m.handle.Close()
	}
}

// mobyService returns a service as moby/ipvs writes it.
func mobyService(s *Service) *ipvs.Service {
	return &ipvs.Service{
		AddressFamily: s.Family,
		Protocol:      s.Protocol,
		Address:       s.Address.AsSlice(),
		Port:          s.Port,
		FWMark:        s.Mark,
		SchedName:     s.Scheduler,
		Flags:         s.Flags,
		Timeout:       s.Timeout,
		Netmask:       s.Netmask,
	}
}

// mobyDestination returns a destination as moby/ipvs writes it.
func mobyDestination(d *Destination) *ipvs.Destination {
	return &ipvs.Destination{
		AddressFamily:   d.Family,
		Address:         d.Address.AsSlice(),
		Port:            d.Port,
		ConnectionFlags: d.Method,
		Weight:          int(d.Weight),
		UpperThreshold:  d.Upper,
		LowerThreshold:  d.Lower,
	}
}
