package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// keepalivedForwarding are keepalived's words for the forwarding methods.
var keepalivedForwarding = map[string]string{"masquerade": "NAT", "direct": "DR", "tunnel": "TUN"}

// keepalivedChecksum are keepalived's words for the checksums of tunnels.
var keepalivedChecksum = map[string]string{"checksum": " csum", "remote": " remcsum"}

// KeepalivedServices returns the part of keepalived's configuration that
// balances.
func KeepalivedServices(services []Service) string {
	var b strings.Builder
	for _, s := range services {
		s.writeKeepalived(&b)
	}
	return b.String()
}

// writeKeepalived writes a service as a block virtual_server, and the group of
// its addresses before that if it has several.
func (s Service) writeKeepalived(b *strings.Builder) {
	target := fmt.Sprintf("fwmark %d", s.Mark)
	switch len(s.Addresses) {
	case 0:
	case 1:
		target = keepalivedAddress(s.Addresses[0])
	default:
		target = "group " + s.Name
		fmt.Fprintf(b, "virtual_server_group %s {\n", s.Name)
		for _, a := range s.Addresses {
			fmt.Fprintf(b, "    %s\n", keepalivedAddress(a))
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(b, "virtual_server %s {\n", target)
	for _, line := range s.keepalivedOptions() {
		fmt.Fprintf(b, "    %s\n", line)
	}
	for _, rs := range s.Servers {
		fmt.Fprintf(b, "    real_server %s {\n        weight %d\n%s    }\n", keepalivedAddress(rs.Address), rs.Weight, keepalivedChecks[s.Check])
	}
	b.WriteString("}\n")
}

// keepalivedOptions returns what is said of a service before its real servers.
func (s Service) keepalivedOptions() []string {
	lines := []string{"delay_loop 1", "lvs_sched " + s.Scheduler, "lvs_method " + s.keepalivedMethod()}
	if len(s.Addresses) == 0 {
		// Marked packets of any protocol are meant, and keepalived wants none.
		if s.IPv6 {
			lines = append(lines, "ip_family inet6")
		}
	} else {
		lines = append(lines, "protocol "+strings.ToUpper(s.Protocol))
	}
	lines = append(lines, s.Flags...)
	if s.OnePacket {
		lines = append(lines, "ops")
	}
	if s.Persistence > 0 {
		lines = append(lines, fmt.Sprintf("persistence_timeout %d", int(s.Persistence.Seconds())))
	}
	if s.PersistencePrefix > 0 {
		lines = append(lines, "persistence_granularity "+s.keepalivedGranularity())
	}
	if s.PersistenceEngine != "" {
		lines = append(lines, "persistence_engine "+s.PersistenceEngine)
	}
	return lines
}

// keepalivedMethod is the value of lvs_method.
func (s Service) keepalivedMethod() string {
	method := keepalivedForwarding[s.Forwarding]
	if s.Forwarding == "tunnel" {
		method += " type " + cmp.Or(s.Tunnel.Type, "ipip")
		if s.Tunnel.Port != 0 {
			method += fmt.Sprintf(" port %d", s.Tunnel.Port)
		}
		method += keepalivedChecksum[s.Tunnel.Checksum]
	}
	return method
}

// keepalivedGranularity is the prefix as a netmask for IPv4, as a number for
// IPv6.
func (s Service) keepalivedGranularity() string {
	if s.is6() {
		return fmt.Sprint(s.PersistencePrefix)
	}
	ones := ^uint32(0) << (32 - s.PersistencePrefix)
	return netip.AddrFrom4([4]byte{byte(ones >> 24), byte(ones >> 16), byte(ones >> 8), byte(ones)}).String()
}

// keepalivedChecks are the blocks of the checks in a block real_server.
var keepalivedChecks = map[CheckKind]string{
	CheckHTTP: `        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 1
            retry 0
        }
`,
	CheckTCP: `        TCP_CHECK {
            connect_timeout 1
            retry 0
        }
`,
}

// keepalivedAddress is an address with its port as keepalived writes it.
func keepalivedAddress(a netip.AddrPort) string { return fmt.Sprintf("%v %d", a.Addr(), a.Port()) }
