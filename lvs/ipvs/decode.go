package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// errMalformed says that the kernel sent what is not made of attributes.
var errMalformed = errors.New("malformed netlink message from the kernel")

// value is the value of an attribute. It is part of the receive buffer, and is
// gone with the next message. A number that is too short reads as 0, like one
// that is not there.
type value []byte

// uint8 returns a number.
func (v value) uint8() uint8 {
	if len(v) < 1 {
		return 0
	}
	return v[0]
}

// uint16 returns a number.
func (v value) uint16() uint16 {
	if len(v) < 2 {
		return 0
	}
	return native.Uint16(v)
}

// uint32 returns a number.
func (v value) uint32() uint32 {
	if len(v) < 4 {
		return 0
	}
	return native.Uint32(v)
}

// count returns a number of 32 or 64 bits.
func (v value) count() uint64 {
	if len(v) < 8 {
		return uint64(v.uint32())
	}
	return native.Uint64(v)
}

// seconds returns a duration.
func (v value) seconds() time.Duration { return time.Duration(v.uint32()) * time.Second }

// port returns a port, which is in network order.
func (v value) port() uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

// address returns an address, of which the kernel sends 16 bytes whatever its
// family; the zero one if there are too few.
func (v value) address(family uint16) netip.Addr {
	switch {
	case family == familyIPv4 && len(v) >= 4:
		return netip.AddrFrom4([4]byte(v))
	case family == familyIPv6 && len(v) >= 16:
		return netip.AddrFrom16([16]byte(v))
	}
	return netip.Addr{}
}

// text returns the bytes of a string, whose end is marked.
func (v value) text() []byte {
	for i, b := range v {
		if b == 0 {
			return v[:i]
		}
	}
	return v
}

// attributes returns the attributes in b, by their number, up to where b does
// not hold a whole one.
func attributes(b []byte) iter.Seq2[uint16, value] {
	return func(yield func(uint16, value) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length := int(native.Uint16(b))
			if length < unix.SizeofRtAttr || length > len(b) {
				return
			}
			kind := native.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, value(b[unix.SizeofRtAttr:length])) {
				return
			}
			b = b[min(align(length), len(b)):]
		}
	}
}

// align returns the length that a message or attribute takes with its padding.
func align(length int) int { return (length + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// nested returns the attributes inside the one of the given number.
func nested(b []byte, wanted uint16) (value, error) {
	for kind, v := range attributes(b) {
		if kind == wanted {
			return v, nil
		}
	}
	return nil, errMalformed
}

// names keeps the strings that the kernel sends again and again.
type names map[string]string

// of returns the bytes as a string.
func (n names) of(b []byte) string {
	name, known := n[string(b)]
	if !known {
		name = string(b)
		n[name] = name
	}
	return name
}

// decodeService reads the service in the attributes of an answer.
func decodeService(b []byte, names names) (s Service, err error) {
	in, err := nested(b, commandService)
	var address value
	for kind, v := range attributes(in) {
		switch kind {
		case serviceAddress:
			address = v
		case serviceScheduler:
			s.Scheduler = names.of(v.text())
		case serviceEngine:
			s.Engine = names.of(v.text())
		default:
			s.decode(kind, v)
		}
	}
	if s.Mark == 0 {
		s.Address = address.address(s.Family)
	}
	if err == nil && s.Mark == 0 && !s.Address.IsValid() {
		err = errMalformed
	}
	return s, err
}

// decode takes over an attribute that stands for itself.
func (s *Service) decode(kind uint16, v value) {
	switch kind {
	case serviceFamily:
		s.Family = v.uint16()
	case serviceProtocol:
		s.Protocol = v.uint16()
	case servicePort:
		s.Port = v.port()
	case serviceMark:
		s.Mark = v.uint32()
	case serviceFlags:
		s.Flags = v.uint32()
	case serviceTimeout:
		s.Timeout = v.uint32()
	case serviceNetmask:
		s.Netmask = v.uint32()
	}
}

// decodeDestination reads the destination in the attributes of an answer, of a
// service of the given family.
func decodeDestination(b []byte, family uint16) (d Destination, err error) {
	in, err := nested(b, commandDest)
	d.Family = family // kernels before 3.18 do not tell it
	var address, stats, stats64 value
	for kind, v := range attributes(in) {
		switch kind {
		case destAddress:
			address = v
		case destFamily:
			d.Family = v.uint16()
		case destStats:
			stats = v
		case destStats64:
			stats64 = v
		default:
			d.decode(kind, v)
		}
	}
	d.Address = address.address(d.Family)
	if stats64 == nil {
		stats64 = stats // kernels before 4.1 have no other
	}
	decodeStats(stats64, &d.Usage)
	if err == nil && !d.Address.IsValid() {
		err = errMalformed
	}
	return d, err
}

// decode takes over an attribute that stands for itself.
func (d *Destination) decode(kind uint16, v value) {
	switch kind {
	case destPort:
		d.Port = v.port()
	case destMethod:
		d.Method = v.uint32()
	case destWeight:
		d.Weight = v.uint32()
	case destUpper:
		d.Upper = v.uint32()
	case destLower:
		d.Lower = v.uint32()
	case destActive:
		d.Usage.Active = v.uint32()
	case destInactive:
		d.Usage.Inactive = v.uint32()
	case destPersistent:
		d.Usage.Persistent = v.uint32()
	case destTunnelType:
		d.TunnelType = v.uint8()
	case destTunnelPort:
		d.TunnelPort = v.port()
	case destTunnelFlags:
		d.TunnelFlags = v.uint16()
	}
}

// decodeStats reads counters.
func decodeStats(b []byte, usage *lvs.Usage) {
	for kind, v := range attributes(b) {
		switch kind {
		case statsConnections:
			usage.Connections = v.count()
		case statsPacketsIn:
			usage.PacketsIn = v.count()
		case statsPacketsOut:
			usage.PacketsOut = v.count()
		case statsBytesIn:
			usage.BytesIn = v.count()
		case statsBytesOut:
			usage.BytesOut = v.count()
		}
	}
}

// decodeDaemon reads the sync daemon in the attributes of an answer.
func decodeDaemon(b []byte) (d Daemon, err error) {
	in, err := nested(b, commandDaemon)
	for kind, v := range attributes(in) {
		switch kind {
		case daemonRole:
			d.Role = lvs.SyncRole(v.uint32())
		case daemonInterface:
			d.Interface = string(v.text())
		case daemonID:
			d.ID = uint8(v.uint32()) // messages carry no more of it
		case daemonMaxLength:
			d.MaxLength = v.uint16()
		case daemonGroup:
			d.Group = v.address(familyIPv4)
		case daemonGroup6:
			d.Group = v.address(familyIPv6)
		case daemonPort:
			d.Port = v.uint16()
		case daemonTTL:
			d.TTL = v.uint8()
		}
	}
	return d, err
}

// decodeTimeouts reads the timeouts.
func decodeTimeouts(b []byte) (t lvs.Timeouts) {
	for kind, v := range attributes(b) {
		switch kind {
		case commandTCP:
			t.TCP = v.seconds()
		case commandTCPFin:
			t.TCPFin = v.seconds()
		case commandUDP:
			t.UDP = v.seconds()
		}
	}
	return t
}

// decodeInfo reads what the kernel says of IPVS as a whole.
func decodeInfo(b []byte) (info Info) {
	for kind, v := range attributes(b) {
		switch kind {
		case infoVersion:
			n := v.uint32()
			info.Version = fmt.Sprintf("%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)
		case infoTableSize:
			info.TableSize = v.uint32()
		}
	}
	return info
}
