package ipvs

import (
	"net/netip"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// flagHashed is a flag that the kernel sets on every service that it holds
// (IP_VS_SVC_F_HASHED).
const flagHashed = 0x2

// wholeNetmask4 is the persistence netmask of a service that does not use it:
// all bits in IPv4. For IPv6 the field is a prefix length, and the kernel
// refuses the whole service unless it is 1 to 128.
const (
	wholeNetmask4 = 0xffffffff
	wholeNetmask6 = 128
)

// serviceOf returns a service as moby/ipvs writes it.
func serviceOf(service lvs.Service) *ipvs.Service {
	address := service.Address.Addr()
	s := &ipvs.Service{
		AddressFamily: unix.AF_INET,
		Netmask:       wholeNetmask4,
		Protocol:      uint16(service.Protocol),
		Address:       address.AsSlice(),
		Port:          service.Address.Port(),
		SchedName:     service.Scheduler,
	}
	if address.Is6() {
		s.AddressFamily, s.Netmask = unix.AF_INET6, wholeNetmask6
	}
	return s
}

// destinationOf returns a destination as moby/ipvs writes it.
func destinationOf(destination lvs.Destination) *ipvs.Destination {
	d := &ipvs.Destination{
		AddressFamily:   unix.AF_INET,
		Address:         destination.Address.Addr().AsSlice(),
		Port:            destination.Address.Port(),
		Weight:          int(destination.Weight),
		ConnectionFlags: ipvs.ConnectionFlagMasq,
	}
	if destination.Address.Addr().Is6() {
		d.AddressFamily = unix.AF_INET6
	}
	return d
}

// entryFrom returns what the kernel says of a service, with no destinations
// yet, and whether lvs can express its key: services of firewall marks and of
// other protocols are not ours.
func entryFrom(s *ipvs.Service) (lvs.Entry, bool) {
	address, ok := netip.AddrFromSlice(s.Address)
	protocol := lvs.Protocol(s.Protocol)
	if !ok || s.FWMark != 0 || protocol != lvs.TCP && protocol != lvs.UDP {
		return lvs.Entry{}, false
	}
	key := lvs.ServiceKey{Protocol: protocol, Address: netip.AddrPortFrom(address, s.Port)}
	plain := serviceOf(lvs.Service{ServiceKey: key})
	service := lvs.Service{
		ServiceKey: key,
		Scheduler:  s.SchedName,
		Altered:    s.Flags&^flagHashed != 0 || s.Timeout != 0 || s.Netmask != plain.Netmask,
	}
	return lvs.Entry{Service: service, Destinations: map[netip.AddrPort]lvs.Destination{}}, true
}

// destinationFrom returns what the kernel says of a destination.
func destinationFrom(d *ipvs.Destination) lvs.Destination {
	address, _ := netip.AddrFromSlice(d.Address)
	method := d.ConnectionFlags & ipvs.ConnectionFlagFwdMask
	return lvs.Destination{
		Address: netip.AddrPortFrom(address, d.Port),
		Weight:  uint32(d.Weight),
		Altered: method != ipvs.ConnectionFlagMasq || d.UpperThreshold != 0 || d.LowerThreshold != 0,
	}
}
