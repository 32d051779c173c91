package ipvs

import (
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// serviceFlagsMask are the flags that lvs.ServiceFlags can express.
const serviceFlagsMask = uint32(lvs.OnePacket | lvs.SchedulerFlag1 | lvs.SchedulerFlag2 | lvs.SchedulerFlag3)

// familyOf returns the number of an address's family.
func familyOf(address netip.Addr) uint16 {
	if address.Is6() {
		return familyIPv6
	}
	return familyIPv4
}

// idOf returns what the kernel finds a service by.
func idOf(key lvs.ServiceKey) ServiceID {
	id := ServiceID{Family: familyOf(key.Address.Addr())}
	if key.Mark != 0 {
		id.Mark = key.Mark
		return id
	}
	id.Protocol, id.Address, id.Port = uint16(key.Protocol), key.Address.Addr(), key.Address.Port()
	return id
}

// serviceOf returns a service as the kernel holds it.
func serviceOf(s lvs.Service) Service {
	k := Service{
		ServiceID: idOf(s.ServiceKey),
		Scheduler: s.Scheduler,
		Flags:     uint32(s.Flags),
		Timeout:   uint32(s.Persistence.Timeout / time.Second),
		Engine:    s.Persistence.Engine,
	}
	if k.Timeout != 0 {
		k.Flags |= FlagPersistent
	}
	prefix := s.Persistence.Prefix
	if prefix == 0 {
		// The kernel refuses an IPv6 service without one, persistent or not.
		prefix = wholePrefix(k.Family)
	}
	k.Netmask = netmaskOf(k.Family, prefix)
	return k
}

// wholePrefix returns the length of an address.
func wholePrefix(family uint16) uint8 {
	if family == familyIPv6 {
		return 128
	}
	return 32
}

// netmaskOf returns the persistence netmask of a prefix length.
func netmaskOf(family uint16, prefix uint8) uint32 {
	if family == familyIPv6 {
		return uint32(prefix)
	}
	mask := ^uint32(0) << (32 - min(prefix, 32))
	return native.Uint32([]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)})
}

// prefixFrom returns the prefix length of a persistence netmask, and whether
// it has one that is not 0.
func prefixFrom(family uint16, netmask uint32) (uint8, bool) {
	prefix := uint8(bits.OnesCount32(netmask))
	if family == familyIPv6 {
		prefix = uint8(min(netmask, 0xff))
	}
	return prefix, prefix != 0 && netmaskOf(family, prefix) == netmask
}

// serviceFrom returns what the kernel says of a service, and whether lvs can
// express its key: services of other protocols are not ours.
func serviceFrom(k *Service) (s lvs.Service, expressible bool) {
	protocol := lvs.Protocol(k.Protocol)
	switch {
	case k.Mark != 0:
		s.ServiceKey = lvs.MarkKey(k.Mark, k.Family == familyIPv6)
	case k.Protocol == unix.IPPROTO_TCP || k.Protocol == unix.IPPROTO_UDP || k.Protocol == unix.IPPROTO_SCTP:
		s.ServiceKey = lvs.ServiceKey{Protocol: protocol, Address: netip.AddrPortFrom(k.Address, k.Port)}
	default:
		return s, false
	}
	s.Scheduler = k.Scheduler
	s.Flags = lvs.ServiceFlags(k.Flags & serviceFlagsMask)
	prefix, contiguous := prefixFrom(k.Family, k.Netmask)
	s.Persistence = lvs.Persistence{Timeout: time.Duration(k.Timeout) * time.Second, Prefix: prefix, Engine: k.Engine}
	if k.Timeout == 0 && prefix == wholePrefix(k.Family) {
		s.Persistence.Prefix = 0
	}
	persistent := k.Flags&FlagPersistent != 0
	s.Altered = k.Flags&^(serviceFlagsMask|FlagPersistent|FlagHashed) != 0 || persistent != (k.Timeout != 0) || !contiguous
	return s, true
}

// destinationOf returns a destination as the kernel holds it.
func destinationOf(d lvs.Destination) Destination {
	return Destination{
		Family:      familyOf(d.Address.Addr()),
		Address:     d.Address.Addr(),
		Port:        d.Address.Port(),
		Method:      methodOf(d.Forwarding),
		Weight:      d.Weight,
		Upper:       d.Upper,
		Lower:       d.Lower,
		TunnelType:  uint8(d.Tunnel.Type),
		TunnelPort:  d.Tunnel.Port,
		TunnelFlags: uint16(d.Tunnel.Checksum),
	}
}

// methodOf returns the number of a forwarding method.
func methodOf(f lvs.Forwarding) uint32 {
	switch f {
	case lvs.Direct:
		return MethodDirect
	case lvs.Tunnel:
		return MethodTunnel
	}
	return MethodMasquerade
}

// forwardingFrom returns the forwarding method of a number, and whether lvs
// can express it.
func forwardingFrom(method uint32) (lvs.Forwarding, bool) {
	switch method {
	case MethodMasquerade:
		return lvs.Masquerade, true
	case MethodDirect:
		return lvs.Direct, true
	case MethodTunnel:
		return lvs.Tunnel, true
	}
	return lvs.Masquerade, false
}

// destinationFrom returns what the kernel says of a destination. It keeps the
// settings of a tunnel for other methods too, where they mean nothing.
func destinationFrom(k *Destination) lvs.Destination {
	forwarding, expressible := forwardingFrom(k.Method)
	d := lvs.Destination{
		Address:    k.AddrPort(),
		Forwarding: forwarding,
		Weight:     k.Weight,
		Upper:      k.Upper,
		Lower:      k.Lower,
	}
	tunnel := lvs.Encapsulation{Type: lvs.TunnelType(k.TunnelType), Port: k.TunnelPort, Checksum: lvs.TunnelChecksum(k.TunnelFlags)}
	if forwarding == lvs.Tunnel {
		d.Tunnel = tunnel
		expressible = k.TunnelType <= uint8(lvs.GRE) && k.TunnelFlags <= uint16(lvs.RemoteChecksum)
	} else if tunnel != (lvs.Encapsulation{}) || k.TunnelFlags != 0 {
		expressible = false
	}
	d.Altered = !expressible
	return d
}

// requestOf returns the request for an operation that finds what it expects,
// or an error if the kernel would make something else of it.
func requestOf(op lvs.Op) (Request, error) {
	r := Request{Service: Service{ServiceID: idOf(op.Service.ServiceKey)}}
	switch op.Kind {
	case lvs.AddService, lvs.UpdateService:
		r.Command = NewService
		if op.Kind == lvs.UpdateService {
			r.Command = SetService
		}
		r.Service = serviceOf(op.Service)
	case lvs.DeleteService:
		r.Command = DelService
	case lvs.AddDestination:
		r.Command, r.Destination = NewDest, destinationOf(op.Destination)
	case lvs.UpdateDestination:
		r.Command, r.Destination = SetDest, destinationOf(op.Destination)
	case lvs.DeleteDestination:
		r.Command, r.Destination = DelDest, destinationOf(op.Destination)
	case lvs.SetTimeouts:
		r.Command, r.Timeouts = SetConfig, op.Timeouts
	case lvs.StartDaemon:
		r.Command, r.Daemon = NewDaemon, Daemon{op.Role, op.Daemon}
	case lvs.StopDaemon:
		r.Command, r.Daemon = DelDaemon, Daemon{Role: op.Role}
	default:
		return r, fmt.Errorf("kind of operation %d: at most %d is known", op.Kind, lvs.StopDaemon)
	}
	return r, valid(op)
}
