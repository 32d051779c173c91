package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
)

// Status is what is set up, and what is not as it should be.
type Status struct {
	Missing   []string        `json:"missing"`  // the real server does not work until this is mended
	Warnings  []string        `json:"warnings"` // it may not
	Addresses []AddressStatus `json:"addresses"`
	Settings  []SettingStatus `json:"settings"`
	Tunnels   []TunnelStatus  `json:"tunnels"`
}

// AddressStatus is a virtual address at one place.
type AddressStatus struct {
	Place
	Present bool `json:"present"`
	Added   bool `json:"added"` // it was not there before
}

// SettingStatus is a sysctl that matters.
type SettingStatus struct {
	Name   string `json:"name"` // as sysctl(8) shows it
	Value  int    `json:"value"`
	Before *int   `json:"before"` // null if it was not changed
	OK     bool   `json:"ok"`
}

// TunnelStatus is a tunnel with an interface that unwraps its packets.
type TunnelStatus struct {
	Tunnel Tunnel `json:"tunnel"`
	Device string `json:"device"`
	IPv6   bool   `json:"ipv6"` // the outer packets are
	Up     bool   `json:"up"`   // with the port, if it has one
}

// Status reads what is set up and compares it with the kernel. The expected
// addresses are missing even if nobody has set them up.
func (s *Server) Status(expected []netip.Addr) (Status, error) {
	if err := s.load(); err != nil {
		return Status{}, err
	}
	for _, a := range expected {
		s.state.Addresses = appendNew(s.state.Addresses, a)
	}
	// In JSON a list is a list, also when it is empty.
	out := &Status{[]string{}, []string{}, []AddressStatus{}, []SettingStatus{}, []TunnelStatus{}}
	interfaces, err := s.kernel.Interfaces()
	if err != nil {
		return Status{}, err
	}
	addresses, err := s.kernel.Addresses()
	if err != nil {
		return Status{}, err
	}
	s.reportAddresses(out, interfaces, addresses)
	for _, report := range []func(*Status, []Interface) error{s.reportTunnels, s.reportSettings, s.warnOfInterfaces} {
		if err := report(out, interfaces); err != nil {
			return Status{}, err
		}
	}
	return *out, nil
}

// reportAddresses reports which addresses lo has, and warns of those that
// another interface answers for.
func (s *Server) reportAddresses(out *Status, interfaces []Interface, have []Address) {
	if len(s.state.Addresses) > 0 && !slices.ContainsFunc(interfaces, func(i Interface) bool { return i.Name == loopback && i.Up }) {
		out.Missing = append(out.Missing, "lo is down")
	}
	for _, p := range s.state.places() {
		present := slices.Contains(have, p.address())
		out.Addresses = append(out.Addresses, AddressStatus{p, present, present && slices.Contains(s.state.Added, p)})
		if !present {
			out.Missing = append(out.Missing, fmt.Sprintf("%s is not on %s", p.Address, p.Interface))
		}
	}
	for _, a := range have {
		if !slices.Contains(s.state.Addresses, a.Prefix.Addr()) {
			continue
		}
		switch {
		case a.Interface == loopback && !a.Prefix.IsSingleIP():
			out.Warnings = append(out.Warnings, fmt.Sprintf("lo has %s, which makes the whole subnet local", a.Prefix))
		case answers(interfaces, a.Interface):
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s has %s, too, and answers for it: right on an active director only",
				a.Interface, a.Prefix.Addr()))
		}
	}
}

// answers says whether an interface answers for its own addresses.
func answers(interfaces []Interface, name string) bool {
	return slices.ContainsFunc(interfaces, func(i Interface) bool { return i.Name == name && i.ARP && !i.Loopback })
}

// reportTunnels reports whether the tunnels can be unwrapped.
func (s *Server) reportTunnels(out *Status, interfaces []Interface) error {
	var open []Port
	if len(s.state.ports()) > 0 {
		var err error
		if open, err = s.kernel.Ports(); err != nil && !errors.Is(err, ErrUnsupported) {
			return err
		}
	}
	isUp := func(name string) bool {
		return slices.ContainsFunc(interfaces, func(i Interface) bool { return i.Name == name && i.Up })
	}
	for _, w := range s.state.wrappings() {
		status := TunnelStatus{w.tunnel, w.device.Name, w.outer6, isUp(w.device.Name)}
		if slices.ContainsFunc(out.Tunnels, status.same) {
			continue
		}
		if !status.Up {
			out.Missing = append(out.Missing, fmt.Sprintf("%s, which unwraps %s, is not up", w.device.Name, w.tunnel))
		}
		if rival := w.device.rival(); rival != "" && isUp(rival) {
			status.Up = false
			out.Missing = append(out.Missing, fmt.Sprintf("%s is up and drops what is for %s, packets with checksums: set it down", rival, w.device.Name))
		}
		if p, ok := w.port(); ok && !slices.Contains(open, p) {
			status.Up = false
			out.Missing = append(out.Missing, fmt.Sprintf("UDP port %d of %s does not unwrap GUE", p.Number, family(p.IPv6)))
		}
		out.Tunnels = append(out.Tunnels, status)
	}
	return nil
}

// same says whether another status is of the same tunnel and interface.
func (t TunnelStatus) same(other TunnelStatus) bool {
	return t.Tunnel == other.Tunnel && t.Device == other.Device
}

// family names a family.
func family(ipv6 bool) string {
	if ipv6 {
		return "IPv6"
	}
	return "IPv4"
}

// reportSettings reports the sysctls.
func (s *Server) reportSettings(out *Status, _ []Interface) error {
	for _, want := range s.state.settings() {
		effective, err := want.effective(s.kernel)
		if errors.Is(err, fs.ErrNotExist) {
			continue // with its interface, which is missing
		}
		if err != nil {
			return err
		}
		value, err := s.kernel.Sysctl(want.path())
		if err != nil {
			return err
		}
		name := sysctlName(want.path())
		status := SettingStatus{Name: name, Value: value, OK: want.does(effective)}
		for _, c := range s.state.Sysctls {
			if c.Path == want.path() {
				status.Before = &c.Before
			}
		}
		out.Settings = append(out.Settings, status)
		if !status.OK {
			out.Missing = append(out.Missing, fmt.Sprintf("%s is %d, want %d", name, value, want.want))
		}
	}
	return nil
}

// warnOfInterfaces warns of interfaces that tell their neighbours of addresses
// on lo although all interfaces together are told not to: a larger value of
// their own takes the place of a good one.
func (s *Server) warnOfInterfaces(out *Status, interfaces []Interface) error {
	if ipv4, _ := s.state.families(); !ipv4 {
		return nil
	}
	for _, i := range interfaces {
		if i.Loopback || !i.ARP {
			continue
		}
		for _, want := range arpSettings() {
			own := want
			own.conf = i.Name
			value, err := s.kernel.Sysctl(own.path())
			if errors.Is(err, fs.ErrNotExist) {
				continue // the interface has gone meanwhile, or has no IPv4
			}
			if err != nil {
				return err
			}
			effective, err := own.effective(s.kernel)
			if err != nil {
				return err
			}
			if value == effective && value > want.want && !want.does(value) {
				out.Warnings = append(out.Warnings, fmt.Sprintf("%s is %d, which tells the neighbours of virtual addresses: want %d",
					sysctlName(own.path()), value, want.want))
			}
		}
	}
	return nil
}
