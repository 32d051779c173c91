// Package realserver prepares a real server for direct routing and tunnels:
// the virtual addresses on lo, where local sockets answer at them, and what
// keeps the machine from telling its neighbours that it has them, for on the
// network they are the director's.
package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that the kernel lacks what a tunnel needs.
var ErrUnsupported = errors.New("not supported by this kernel")

// loopback is the interface that has the virtual addresses.
const loopback = "lo"

// Server is this machine as a real server.
type Server struct {
	kernel Kernel
	store  store
	state  state
}

// New returns the server of a kernel, with what was set up recorded in a
// directory that a reboot empties.
func New(k Kernel, directory string) *Server {
	return &Server{kernel: k, store: store(directory)}
}

// ParseAddress reads a virtual address, which has no prefix.
func ParseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address %q: want one of IPv4 or IPv6, without a prefix", s)
	}
	if !a.IsGlobalUnicast() || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("address %q: want a unicast address that is neither of the loopback nor link-local", s)
	}
	return a, nil
}

// Up sets up addresses and tunnels in addition to those that are. What is as
// it should be is left alone, so it can be called again. After an error
// nothing is set up in addition. The addresses come last, when the machine is
// silent about them.
func (s *Server) Up(addresses []netip.Addr, tunnels []Tunnel) error {
	unlock, err := s.open()
	if err != nil {
		return err
	}
	defer unlock()
	have, err := s.kernel.Addresses()
	if err != nil {
		return err
	}
	if err := refuseSubnets(have, addresses); err != nil {
		return err
	}
	earlier := s.state
	for _, a := range addresses {
		s.state.Addresses = appendNew(slices.Clip(s.state.Addresses), a)
	}
	for _, t := range tunnels {
		s.state.Tunnels = appendNew(slices.Clip(s.state.Tunnels), t)
	}
	if err := s.state.refuseBoth(); err != nil {
		return err
	}
	for _, step := range []func() error{s.openPorts, s.raiseDevices, s.set, func() error { return s.addAddresses(have) }} {
		if err := step(); err != nil {
			return errors.Join(err, s.retreat(earlier))
		}
	}
	return s.save()
}

// retreat gives up what was set up in addition to an earlier state.
func (s *Server) retreat(earlier state) error {
	s.state.Tunnels = earlier.Tunnels
	_, err := s.giveUp(func(a netip.Addr) bool { return !slices.Contains(earlier.Addresses, a) })
	return err
}

// open takes the lock and reads the state.
func (s *Server) open() (unlock func(), err error) {
	if unlock, err = s.store.lock(); err != nil {
		return nil, err
	}
	if err = s.load(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// load reads the state. What is recorded of another network namespace went with
// that.
func (s *Server) load() error {
	network, err := s.kernel.Network()
	if err != nil {
		return err
	}
	if s.state, err = s.store.read(); err != nil {
		return err
	}
	if s.state.Network != network {
		s.state = state{Network: network}
	}
	return nil
}

// save records the state, always before the kernel is changed, so that what
// was changed can be undone whatever comes between.
func (s *Server) save() error { return s.store.write(s.state) }

// refuseSubnets refuses addresses that lo has with a subnet around them. It
// makes all of that subnet local, the director and the clients in it too.
func refuseSubnets(have []Address, addresses []netip.Addr) error {
	for _, a := range have {
		if a.Interface == loopback && slices.Contains(addresses, a.Prefix.Addr()) && !a.Prefix.IsSingleIP() {
			return fmt.Errorf("address %s: lo has it as %s, which makes the whole subnet local: remove that first", a.Prefix.Addr(), a.Prefix)
		}
	}
	return nil
}

// refuseBoth refuses GRE with checksums beside GRE without, in packets of one
// family: the kernel gives all that comes from anywhere to one interface, and
// that takes either.
func (st *state) refuseBoth() error {
	for _, a := range st.wrappings() {
		for _, b := range st.wrappings() {
			if a.device.rival() == b.device.Name {
				return fmt.Errorf("tunnels %s and %s: want one, for %s takes GRE with checksums or without, not both", a.tunnel, b.tunnel, family(a.outer6))
			}
		}
	}
	return nil
}

// addAddresses adds those addresses that are not where they are to be.
func (s *Server) addAddresses(have []Address) error {
	for _, p := range s.state.places() {
		if slices.Contains(have, p.address()) {
			continue
		}
		s.state.Added = appendNew(s.state.Added, p)
		if err := s.save(); err != nil {
			return err
		}
		if err := s.kernel.AddAddress(p); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add %s to %s: %w", p.Address, p.Interface, err)
		}
	}
	return nil
}

// set writes the sysctls whose values do not do. What is recorded as the value
// before is that which is replaced now, even if the sysctl was set earlier:
// somebody has changed it since.
func (s *Server) set() error {
	for _, want := range s.state.settings() {
		value, err := want.effective(s.kernel)
		if err != nil {
			return err
		}
		if want.does(value) {
			continue
		}
		before, err := s.kernel.Sysctl(want.path())
		if err != nil {
			return err
		}
		s.state.Sysctls = slices.DeleteFunc(s.state.Sysctls, func(c change) bool { return c.Path == want.path() })
		s.state.Sysctls = append(s.state.Sysctls, change{want.path(), before, want.want})
		if err := s.save(); err != nil {
			return err
		}
		if err := s.kernel.SetSysctl(want.path(), want.want); err != nil {
			return fmt.Errorf("set %s to %d: %w", sysctlName(want.path()), want.want, err)
		}
	}
	return nil
}

// openPorts opens the UDP ports of GUE that are not open.
func (s *Server) openPorts() error {
	wanted := s.state.ports()
	if len(wanted) == 0 {
		return nil
	}
	have, err := s.kernel.Ports()
	if err != nil {
		return err
	}
	for _, p := range wanted {
		if slices.Contains(have, p) {
			continue
		}
		s.state.Ports = appendNew(s.state.Ports, p)
		if err := s.save(); err != nil {
			return err
		}
		if err := s.kernel.AddPort(p); err != nil {
			return fmt.Errorf("open UDP port %d for GUE: %w", p.Number, err)
		}
	}
	return nil
}

// raiseDevices makes the interfaces of tunnels that are not there, and sets up
// those that are down.
func (s *Server) raiseDevices() error {
	for _, d := range s.state.devices() {
		if err := s.addDevice(d); err != nil {
			return fmt.Errorf("interface %s: %w", d.Name, err)
		}
		if err := s.raise(d.Name); err != nil {
			return fmt.Errorf("set %s up: %w", d.Name, err)
		}
	}
	return nil
}

// addDevice makes an interface, unless it is there.
func (s *Server) addDevice(d Device) error {
	if _, found, err := s.find(d.Name); found || err != nil {
		return err
	}
	device := s.device(d.Name)
	device.Added = true
	if err := s.save(); err != nil {
		return err
	}
	err := s.kernel.AddDevice(d)
	switch {
	case errors.Is(err, unix.EEXIST) && !d.Own:
		// The module was loaded just now, and the kernel has made its own.
		device.Added = false
	case err != nil:
		if errors.Is(err, unix.EEXIST) {
			err = fmt.Errorf("another interface of type %s in external mode has its packets: delete that first: %w", d.Kind, err)
		}
		s.state.Devices = slices.DeleteFunc(s.state.Devices, func(h heldDevice) bool { return h.Name == d.Name })
		return errors.Join(err, s.save())
	}
	return s.save()
}

// raise sets an interface up, unless it is.
func (s *Server) raise(name string) error {
	i, found, err := s.find(name)
	switch {
	case err != nil:
		return err
	case !found:
		return unix.ENODEV
	case i.Up:
		return nil
	}
	s.device(name).Raised = true
	if err := s.save(); err != nil {
		return err
	}
	return s.kernel.SetUp(name, true)
}

// find returns an interface of this machine.
func (s *Server) find(name string) (Interface, bool, error) {
	list, err := s.kernel.Interfaces()
	if err != nil {
		return Interface{}, false, err
	}
	i := slices.IndexFunc(list, func(i Interface) bool { return i.Name == name })
	if i < 0 {
		return Interface{}, false, nil
	}
	return list[i], true, nil
}

// device returns what is recorded of an interface, which can be changed until
// another is recorded.
func (s *Server) device(name string) *heldDevice {
	i := slices.IndexFunc(s.state.Devices, func(h heldDevice) bool { return h.Name == name })
	if i < 0 {
		i = len(s.state.Devices)
		s.state.Devices = append(s.state.Devices, heldDevice{Name: name})
	}
	return &s.state.Devices[i]
}

// appendNew appends a value, unless it is there.
func appendNew[T comparable](list []T, value T) []T {
	if slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}
