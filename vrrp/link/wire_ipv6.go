package link

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// checksumOff is the value of IPV6_CHECKSUM that keeps the kernel's hands
// off the checksum: a signed advertisement has something behind it.
const checksumOff = -1

// wireIPv6 is IPv6, whose raw sockets deliver what follows the header, and
// what was in the header beside it.
func wireIPv6() wire {
	return wire{
		family: vrrp.IPv6, domain: unix.AF_INET6,
		options: []option{
			{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
			{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, advertisementTTL},
			{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, advertisementTTL},
			{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetControl},
			{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority},
			{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT},
			{"IPV6_CHECKSUM", unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, checksumOff},
			{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		},
		join: func(fd, index int) error {
			group := unix.IPv6Mreq{Multiaddr: vrrp.IPv6.MulticastAddress().As16(), Interface: uint32(index)}
			return os.NewSyscallError("setsockopt IPV6_JOIN_GROUP", unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &group))
		},
		parcel: func(index int, source, destination netip.Addr) ([]byte, unix.Sockaddr) {
			oob := unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(index), Addr: source.As16()})
			return oob, &unix.SockaddrInet6{Addr: destination.As16(), ZoneId: uint32(index)}
		},
		read: func(fd int, b, oob []byte) (n, control int, from unix.Sockaddr, err error) {
			n, control, _, from, err = unix.Recvmsg(fd, b, oob, 0)
			return n, control, from, err
		},
		parse: parseIPv6,
	}
}
