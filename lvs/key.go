package lvs

import (
	"cmp"
	"fmt"
)

// String returns the key in ipvsadm's words: "tcp 192.168.56.10:80", "fwmark 7",
// "fwmark 7 ipv6".
func (k ServiceKey) String() string {
	switch {
	case k.Mark != 0 && k.IPv6():
		return fmt.Sprintf("fwmark %d ipv6", k.Mark)
	case k.Mark != 0:
		return fmt.Sprintf("fwmark %d", k.Mark)
	}
	return k.Protocol.String() + " " + k.Address.String()
}

// IPv6 says whether the service is one of IPv6.
func (k ServiceKey) IPv6() bool { return k.Address.Addr().Is6() }

// Compare orders keys by mark, address, port and protocol: -1, 0 or +1.
func (k ServiceKey) Compare(other ServiceKey) int {
	return cmp.Or(
		cmp.Compare(k.Mark, other.Mark),
		k.Address.Compare(other.Address),
		cmp.Compare(k.Protocol, other.Protocol),
	)
}

// String returns the service with its scheduler: "tcp 192.168.56.10:80 scheduler wrr".
func (s Service) String() string {
	return s.ServiceKey.String() + " scheduler " + s.Scheduler
}
