package lvs

import (
	"fmt"
	"net/netip"
)

// Match says which packets get the firewall mark of a virtual server.
type Match struct {
	Protocol            Protocol
	First, Last         netip.Addr // destination addresses, of one family
	FirstPort, LastPort uint16     // destination ports, from 1
}

// String returns the match as the configuration has it: "tcp 192.168.56.10:80".
func (m Match) String() string {
	hosts, ports := m.First.String(), fmt.Sprint(m.FirstPort)
	if m.Last != m.First {
		hosts += "-" + m.Last.String()
	}
	if m.First.Is6() {
		hosts = "[" + hosts + "]"
	}
	if m.LastPort != m.FirstPort {
		ports += fmt.Sprint("-", m.LastPort)
	}
	return fmt.Sprintf("%v %s:%s", m.Protocol, hosts, ports)
}
