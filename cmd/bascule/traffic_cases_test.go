//go:build ipvs

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bascule/cmd/internal/lab"
)

// trafficCase is one way to balance, and what must come of it.
type trafficCase struct {
	lab.Service
	shown  string // the options of the service, as ipvsadm reads them back
	server string // and of each of its real servers, without the weight
	ask    asking
	// answers is how many answers each real server gives, the most first; nil:
	// several give some, by chance.
	answers []int
}

// asking is how a case is asked.
type asking struct {
	n        int
	together bool // all connections are open at a time
	clients  int  // by how many addresses, in turn; 0: one
	targets  []netip.AddrPort
	source   uint16   // port; 0: another one each time
	messages []string // of datagrams, in turn; none: any
}

// What the cases have in common.
const (
	serverPort = 7000 // of all real servers that are reached by masquerade
	tunnelPort = 6080 // of UDP, for GUE
	marked     = 8100 // and the port after it: what gets the firewall mark
	mark       = 7
	mark6      = 8
)

// trafficCases are all of them. Each has a port of its own.
func trafficCases() []trafficCase {
	var cases []trafficCase
	for _, group := range [][]trafficCase{schedulerCases(), persistenceCases(), protocolCases(), forwardingCases(), markCases()} {
		cases = append(cases, group...)
	}
	return cases
}

// onVIP is the public virtual address of a family with a port.
func onVIP(ipv6 bool, port uint16) netip.AddrPort {
	if ipv6 {
		return netip.AddrPortFrom(lab.PublicVIP6[1].Addr(), port)
	}
	return netip.AddrPortFrom(lab.PublicVIP.Addr(), port)
}

// realServers gives addresses a port, and weights: 1 where none is said.
func realServers(port uint16, addresses []string, weights ...int) []lab.RealServer {
	var servers []lab.RealServer
	for i, address := range addresses {
		weight := 1
		if i < len(weights) {
			weight = weights[i]
		}
		servers = append(servers, lab.RealServer{Address: netip.AddrPortFrom(netip.MustParseAddr(address), port), Weight: weight})
	}
	return servers
}

// The hosts by their addresses.
var (
	webAddresses     = []string{"192.168.200.11", "192.168.200.12", "192.168.200.13"}
	web6Addresses    = []string{"fd00:200::11", "fd00:200::12", "fd00:200::13"}
	directAddresses  = []string{"192.168.56.21", "192.168.56.22"}
	direct6Addresses = []string{"fd00:56::21", "fd00:56::22"}
)

// masqueraded is a service of TCP over the web servers.
func masqueraded(name string, port uint16, scheduler string, weights ...int) lab.Service {
	return lab.Service{Name: name, Addresses: []netip.AddrPort{onVIP(false, port)}, Protocol: "tcp", Scheduler: scheduler,
		Forwarding: "masquerade", Check: lab.CheckNone, Servers: realServers(serverPort, webAddresses, weights...)}
}

// flagged is a service whose scheduler has flags.
func flagged(s lab.Service, flags ...string) lab.Service {
	s.Flags = flags
	return s
}

// schedulerCases has each scheduler of the kernel, and each of their flags.
func schedulerCases() []trafficCase {
	after, together := asking{n: 12}, asking{n: 12, together: true}
	return []trafficCase{
		{masqueraded("rr", 8001, "rr"), "-s rr", "-m", after, []int{4, 4, 4}},
		{masqueraded("wrr", 8002, "wrr", 4, 1, 1), "-s wrr", "-m", after, []int{8, 2, 2}},
		{masqueraded("lc", 8003, "lc"), "-s lc", "-m", together, []int{4, 4, 4}},
		{masqueraded("wlc", 8004, "wlc", 4, 1, 1), "-s wlc", "-m", together, []int{8, 2, 2}},
		{masqueraded("sed", 8005, "sed", 4, 1, 1), "-s sed", "-m", together, []int{8, 2, 2}},
		{masqueraded("nq", 8006, "nq", 4, 1, 1), "-s nq", "-m", together, []int{8, 2, 2}},
		{masqueraded("fo", 8007, "fo", 1, 5, 2), "-s fo", "-m", after, []int{12}},
		{masqueraded("ovf", 8008, "ovf", 9, 7, 1), "-s ovf", "-m", together, []int{10, 2}}, // a real server is full above its weight
		{masqueraded("lblc", 8009, "lblc"), "-s lblc", "-m", after, []int{12}},
		{masqueraded("lblcr", 8010, "lblcr"), "-s lblcr", "-m", after, []int{12}},
		{masqueraded("dh", 8011, "dh"), "-s dh", "-m", after, []int{12}},
		{masqueraded("sh", 8012, "sh"), "-s sh", "-m", after, []int{12}},
		{masqueraded("mh", 8013, "mh"), "-s mh", "-m", after, []int{12}},
		{flagged(masqueraded("sh-port", 8014, "sh"), "sh-port"), "-s sh -b sh-port", "-m", after, nil},
		{flagged(masqueraded("sh-both", 8015, "sh"), "sh-fallback", "sh-port"), "-s sh -b sh-fallback,sh-port", "-m", after, nil},
		{flagged(masqueraded("mh-port", 8016, "mh"), "mh-port"), "-s mh -b mh-port", "-m", after, nil},
		{flagged(masqueraded("mh-fallback", 8017, "mh"), "mh-fallback"), "-s mh -b mh-fallback", "-m", after, []int{12}},
	}
}

// persistenceCases has clients that come back to the same real server.
func persistenceCases() []trafficCase {
	plain := masqueraded("persistent", 8021, "rr")
	plain.Persistence = time.Minute
	prefixed := masqueraded("persistent-prefix", 8022, "rr")
	prefixed.Persistence, prefixed.PersistencePrefix = time.Minute, 24
	sip := masqueraded("persistent-sip", 8023, "rr")
	sip.Protocol, sip.Persistence, sip.PersistenceEngine = "udp", time.Minute, "sip"
	return []trafficCase{
		{plain, "-s rr -p 60", "-m", asking{n: 12, clients: 2}, []int{6, 6}},
		{prefixed, "-s rr -p 60 -M 255.255.255.0", "-m", asking{n: 12, clients: 2}, []int{12}},
		{sip, "-s rr -p 60 --pe sip", "-m", asking{n: 12, messages: sipCalls(3)}, []int{4, 4, 4}},
	}
}

// sipCalls are messages of n calls as the engine "sip" takes them: each call of
// a client is kept on one real server, and two calls need not be on the same.
func sipCalls(n int) []string {
	var calls []string
	for i := range n {
		calls = append(calls, "INVITE sip:web@192.168.56.10 SIP/2.0\r\n"+
			"Via: SIP/2.0/UDP 192.168.56.1:5060;branch=z9hG4bK776asdhds\r\n"+
			"From: <sip:client@192.168.56.1>;tag=1928301774\r\nTo: <sip:web@192.168.56.10>\r\n"+
			fmt.Sprintf("Call-ID: %d@192.168.56.1\r\nCSeq: 314159 INVITE\r\nContent-Length: 0\r\n\r\n", i))
	}
	return calls
}

// protocolCases has what is not TCP over IPv4, and several addresses in one.
func protocolCases() []trafficCase {
	udp, sctp, six := masqueraded("udp", 8031, "rr"), masqueraded("sctp", 8032, "rr"), masqueraded("ipv6", 8033, "rr")
	udp.Protocol, sctp.Protocol = "udp", "sctp"
	six.Addresses, six.Servers = []netip.AddrPort{onVIP(true, 8033)}, realServers(serverPort, web6Addresses)
	udp6 := six
	udp6.Name, udp6.Protocol, udp6.Addresses = "ipv6-udp", "udp", []netip.AddrPort{onVIP(true, 8034)}
	several := masqueraded("several", 8035, "rr")
	several.Addresses = append(several.Addresses, onVIP(false, 8036))
	return []trafficCase{
		{udp, "-s rr", "-m", asking{n: 12}, []int{4, 4, 4}},
		{sctp, "-s rr", "-m", asking{n: 12}, []int{4, 4, 4}},
		{six, "-s rr", "-m", asking{n: 12}, []int{4, 4, 4}},
		{udp6, "-s rr", "-m", asking{n: 12}, []int{4, 4, 4}},
		{several, "-s rr", "-m", asking{n: 12}, []int{4, 4, 4}},
	}
}

// forwarded is a service over the hosts that answer clients themselves.
func forwarded(name string, port uint16, forwarding string, tunnel lab.Tunnel, ipv6 bool, servers []string) lab.Service {
	return lab.Service{Name: name, Addresses: []netip.AddrPort{onVIP(ipv6, port)}, Protocol: "tcp", Scheduler: "rr",
		Forwarding: forwarding, Tunnel: tunnel, Check: lab.CheckNone, Servers: realServers(port, servers)}
}

// forwardingCases has direct routing and each tunnel, in both families.
func forwardingCases() []trafficCase {
	direct := forwarded("direct", 8041, "direct", lab.Tunnel{}, false, directAddresses)
	udp := forwarded("direct-udp", 8042, "direct", lab.Tunnel{}, false, directAddresses)
	udp.Protocol = "udp"
	single := forwarded("direct-one-packet", 8043, "direct", lab.Tunnel{}, false, directAddresses)
	single.Protocol, single.OnePacket = "udp", true
	sctp := forwarded("direct-sctp", 8044, "direct", lab.Tunnel{}, false, directAddresses)
	sctp.Protocol = "sctp"
	ten := asking{n: 10}
	same := asking{n: 10, source: 5555}
	return append([]trafficCase{
		{direct, "-s rr", "-g", ten, []int{5, 5}},
		{udp, "-s rr", "-g", same, []int{10}},
		{single, "-s rr -o", "-g", same, []int{5, 5}},
		{sctp, "-s rr", "-g", ten, []int{5, 5}},
		{forwarded("direct6", 8045, "direct", lab.Tunnel{}, true, direct6Addresses), "-s rr", "-g", ten, []int{5, 5}},
	}, tunnelCases()...)
}

// tunnelCases has each tunnel with each checksum, by TCP and with each family
// in each, and one by UDP. Those that the real servers unwrap by the same
// options follow each other, for to set these up takes longer than to ask.
func tunnelCases() []trafficCase {
	var cases []trafficCase
	port := uint16(8050)
	add := func(name string, tunnel lab.Tunnel, protocol string, ipv6, outer6 bool) {
		servers := directAddresses
		if outer6 {
			servers = direct6Addresses
		}
		s := forwarded(name, port, "tunnel", tunnel, ipv6, servers)
		s.Protocol = protocol
		cases = append(cases, trafficCase{s, "-s rr", "-i", asking{n: 10}, []int{5, 5}})
		port++
	}
	for _, tunnels := range [][]lab.Tunnel{
		{{Type: "ipip"}},
		{{Type: "gre"}},
		{{Type: "gre", Checksum: "checksum"}},
		{{Type: "gue", Port: tunnelPort}, {Type: "gue", Port: tunnelPort, Checksum: "checksum"}, {Type: "gue", Port: tunnelPort, Checksum: "remote"}},
	} {
		for _, way := range []struct {
			suffix, protocol string
			ipv6, outer6     bool
		}{
			{"", "tcp", false, false}, {"-udp", "udp", false, false}, {"6", "tcp", true, true},
			{"-ipv4-in-ipv6", "tcp", false, true}, {"-ipv6-in-ipv4", "tcp", true, false},
		} {
			for _, tunnel := range tunnels {
				name := strings.TrimSuffix(tunnel.Type+"-"+tunnel.Checksum, "-") + way.suffix
				add(name, tunnel, way.protocol, way.ipv6, way.outer6)
			}
		}
	}
	return cases
}

// accept returns the options by which the real servers of a case unwrap its
// tunnel, around packets of the same family and of the other one.
func (c trafficCase) accept() []string {
	if c.Forwarding != "tunnel" {
		return nil
	}
	word := c.Tunnel.Type
	switch {
	case c.Tunnel.Port != 0: // with or without a checksum
		word += fmt.Sprintf(":%d", c.Tunnel.Port)
	case c.Tunnel.Checksum != "":
		word += ":" + c.Tunnel.Checksum
	}
	return []string{"--tunnel", word, "--tunnel", word + "/ipv4", "--tunnel", word + "/ipv6"}
}

// markCases has packets that are found by their firewall mark: with
// persistence two ports of a client are on the same real server.
func markCases() []trafficCase {
	service := func(name string, mark uint32, ipv6 bool, servers []string) trafficCase {
		s := lab.Service{Name: name, Mark: mark, IPv6: ipv6, Scheduler: "rr", Persistence: time.Minute, Forwarding: "masquerade",
			Check: lab.CheckNone, Servers: realServers(0, servers)}
		targets := []netip.AddrPort{onVIP(ipv6, marked), onVIP(ipv6, marked+1)}
		return trafficCase{s, "-s rr -p 60", "-m", asking{n: 12, clients: 3, targets: targets}, []int{4, 4, 4}}
	}
	return []trafficCase{service("mark", mark, false, webAddresses), service("mark6", mark6, true, web6Addresses)}
}
