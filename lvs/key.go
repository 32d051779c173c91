package lvs

import "cmp"

// String returns the key in ipvsadm's words: "tcp 192.168.56.10:80".
func (k ServiceKey) String() string {
	return k.Protocol.String() + " " + k.Address.String()
}

// Compare orders keys by address, then port, then protocol: -1, 0 or +1.
func (k ServiceKey) Compare(other ServiceKey) int {
	return cmp.Or(k.Address.Compare(other.Address), cmp.Compare(k.Protocol, other.Protocol))
}

// String returns the service with its scheduler: "tcp 192.168.56.10:80 scheduler wrr".
func (s Service) String() string {
	return s.ServiceKey.String() + " scheduler " + s.Scheduler
}
