package lab

import (
	"net/netip"
	"time"
)

// Service is a virtual server as it can be asked of each program that the
// directors run: KeepalivedConfig and BasculeConfig put it into their words.
type Service struct {
	Name      string
	Addresses []netip.AddrPort // where clients find it; none: the mark decides
	Mark      uint32           // firewall mark
	IPv6      bool             // the family of the marked packets
	Protocol  string           // "tcp", "udp" or "sctp"
	Scheduler string
	Flags     []string // of the scheduler, in ipvsadm's words: "sh-port", …
	OnePacket bool     // each datagram is balanced for itself

	Persistence       time.Duration // 0: none
	PersistencePrefix int           // of the clients that are taken for one; 0: all bits
	PersistenceEngine string        // "sip" or none

	Forwarding string // "masquerade", "direct" or "tunnel"
	Tunnel     Tunnel
	Servers    []RealServer
	Check      CheckKind
}

// RealServer is one real server of a Service.
type RealServer struct {
	Address netip.AddrPort
	Weight  int
}

// Tunnel is how packets are wrapped for a real server. Its zero value is IP in
// IP.
type Tunnel struct {
	Type     string // "ipip", "gre" or "gue"; empty: "ipip"
	Port     uint16 // of UDP, for "gue"
	Checksum string // "checksum", for "gue" also "remote"; empty: none
}

// CheckKind is how the directors find out whether a real server is well.
type CheckKind string

// The kinds of checks, each made once a second.
const (
	CheckHTTP CheckKind = "http"
	CheckTCP  CheckKind = "tcp"
	CheckNone CheckKind = "none" // a real server is always a member
)

// webWeights are the weights of the web servers in WebService.
var webWeights = []int{3, 1, 1}

// WebService returns the web site of ReferenceConfig: web1 gets three requests
// for each one that web2 and web3 get.
func WebService() Service {
	s := Service{
		Name: ReferenceVirtualServer, Addresses: []netip.AddrPort{ServiceAddress}, Protocol: "tcp",
		Scheduler: "wrr", Forwarding: "masquerade", Check: CheckHTTP,
	}
	for _, p := range plans() {
		if len(p.gateways) > 0 {
			address := netip.AddrPortFrom(p.cards[0].address.Addr(), ServiceAddress.Port())
			s.Servers = append(s.Servers, RealServer{address, webWeights[len(s.Servers)]})
		}
	}
	return s
}

// is6 says whether clients reach the service by IPv6.
func (s Service) is6() bool {
	if len(s.Addresses) > 0 {
		return s.Addresses[0].Addr().Is6()
	}
	return s.IPv6
}
