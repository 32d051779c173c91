package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Down undoes what Up has done for addresses, or, without any, for all. What
// the remaining ones need stays. What somebody else has changed since is left
// alone; the notes say so. Nothing to undo is no error.
func (s *Server) Down(addresses []netip.Addr) (notes []string, err error) {
	unlock, err := s.open()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, a := range addresses {
		if !slices.Contains(s.state.Addresses, a) {
			notes = append(notes, fmt.Sprintf("%s is not set up", a))
		}
	}
	kept, err := s.giveUp(func(a netip.Addr) bool { return len(addresses) == 0 || slices.Contains(addresses, a) })
	return append(notes, kept...), err
}

// giveUp undoes what was done for some addresses and is not needed by others.
// An address that cannot be deleted is not given up: it needs all the rest.
func (s *Server) giveUp(chosen func(netip.Addr) bool) (notes []string, err error) {
	s.state.Addresses = slices.DeleteFunc(slices.Clone(s.state.Addresses), chosen)
	if len(s.state.Addresses) == 0 {
		s.state.Tunnels = nil
	}
	if err := s.deleteAddresses(); err != nil {
		for _, p := range s.state.Added {
			s.state.Addresses = appendNew(s.state.Addresses, p.Address)
		}
		return nil, errors.Join(err, s.save())
	}
	devices, ports := s.lowerDevices(), s.closePorts()
	notes, err = s.restore()
	return notes, errors.Join(devices, ports, err, s.save())
}

// deleteAddresses deletes the addresses that were added and that nothing needs
// any more.
func (s *Server) deleteAddresses() error {
	needed := s.state.places()
	return forget(&s.state.Added, func(p Place) (bool, error) {
		if slices.Contains(needed, p) {
			return false, nil
		}
		err := s.kernel.DeleteAddress(p)
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("delete %s from %s: %w", p.Address, p.Interface, err)
		}
		return true, nil
	})
}

// restore sets those sysctls back that nothing needs any more.
func (s *Server) restore() (notes []string, err error) {
	needed := map[string]bool{}
	for _, n := range s.state.settings() {
		needed[n.path()] = true
	}
	err = forget(&s.state.Sysctls, func(c change) (bool, error) {
		if needed[c.Path] {
			return false, nil
		}
		value, err := s.kernel.Sysctl(c.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // with its interface
			return true, nil
		case err != nil:
			return false, err
		case value == c.Set:
			return s.restored(c)
		case value != c.Before:
			notes = append(notes, fmt.Sprintf("%s is left alone: it was set to %d and is %d now; before, it was %d",
				sysctlName(c.Path), c.Set, value, c.Before))
		}
		return true, nil
	})
	return notes, err
}

// restored sets a sysctl back.
func (s *Server) restored(c change) (bool, error) {
	if err := s.kernel.SetSysctl(c.Path, c.Before); err != nil {
		return false, fmt.Errorf("set %s back to %d: %w", sysctlName(c.Path), c.Before, err)
	}
	return true, nil
}

// lowerDevices takes away the interfaces that were made and that no tunnel
// needs any more, and sets down those that were down.
func (s *Server) lowerDevices() error {
	needed := map[string]bool{}
	for _, d := range s.state.devices() {
		needed[d.Name] = true
	}
	return forget(&s.state.Devices, func(h heldDevice) (done bool, err error) {
		switch {
		case needed[h.Name]:
			return false, nil
		case h.Added:
			err = s.kernel.DeleteDevice(h.Name)
		case h.Raised:
			err = s.kernel.SetUp(h.Name, false)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("give up %s: %w", h.Name, err)
		}
		return true, nil
	})
}

// closePorts closes the UDP ports that were opened and that no tunnel needs
// any more.
func (s *Server) closePorts() error {
	needed := s.state.ports()
	if len(s.state.Ports) == 0 {
		return nil
	}
	have, err := s.kernel.Ports()
	if err != nil {
		return err
	}
	return forget(&s.state.Ports, func(p Port) (bool, error) {
		if slices.Contains(needed, p) {
			return false, nil
		}
		if slices.Contains(have, p) {
			if err := s.kernel.DeletePort(p); err != nil {
				return false, fmt.Errorf("close UDP port %d: %w", p.Number, err)
			}
		}
		return true, nil
	})
}

// forget removes the elements of a list for which undo says that they are
// done with, from a copy of it. Those that fail stay, to be tried again.
func forget[T any](list *[]T, undo func(T) (done bool, err error)) error {
	var left []T
	var errs []error
	for _, element := range *list {
		done, err := undo(element)
		if !done {
			left = append(left, element)
		}
		errs = append(errs, err)
	}
	*list = left
	return errors.Join(errs...)
}
