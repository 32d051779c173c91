package link

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// wireIPv4 is IPv4, whose raw sockets deliver packets with their header.
func wireIPv4() wire {
	return wire{
		family: vrrp.IPv4, domain: unix.AF_INET,
		options: []option{
			{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
			{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
			{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, advertisementTTL},
			{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, advertisementTTL},
			{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, internetControl},
			{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority}, // after IP_TOS, which sets another
			{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
		},
		join: func(fd, index int) error {
			group := unix.IPMreqn{Multiaddr: vrrp.IPv4.MulticastAddress().As4(), Ifindex: int32(index)}
			return os.NewSyscallError("setsockopt IP_ADD_MEMBERSHIP", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &group))
		},
		parcel: func(index int, source, destination netip.Addr) ([]byte, unix.Sockaddr) {
			oob := unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index), Spec_dst: source.As4()})
			return oob, &unix.SockaddrInet4{Addr: destination.As4()}
		},
		// All that matters is in the header.
		read: func(fd int, b, _ []byte) (n, control int, from unix.Sockaddr, err error) {
			n, err = unix.Read(fd, b)
			return n, 0, nil, err
		},
		parse: func(b, _ []byte, _ unix.Sockaddr) (vrrp.Received, error) { return parseIPv4(b) },
	}
}
