package realserver

import (
	"fmt"
	"strconv"
	"strings"

	"bascule/lvs"
)

// DefaultPort is the UDP port of GUE (IANA's "gue").
const DefaultPort = 6080

// checksumWord asks for GRE with checksums. GUE's need no asking: what a port
// takes is checked if it has a checksum.
const checksumWord = "checksum"

// Tunnel is a way in which the director wraps packets.
type Tunnel struct {
	Type     lvs.TunnelType
	Port     uint16 // of GUE, else 0
	Checksum bool   // of GRE
	Outer    Outer
}

// Outer is the family of the packets around those to the virtual addresses:
// that of the address by which the director reaches the real server.
type Outer string

// The families of the outer packets.
const (
	SameFamily Outer = "" // as the virtual address
	OuterIPv4  Outer = "ipv4"
	OuterIPv6  Outer = "ipv6"
)

// ParseTunnel reads "ipip", "gre", "gre:checksum", "gue" or "gue:PORT", and
// after that "/ipv4" or "/ipv6" if only one family is wrapped around both.
func ParseTunnel(s string) (Tunnel, error) {
	word, family, hasFamily := strings.Cut(s, "/")
	outer := Outer(family)
	if hasFamily && outer != OuterIPv4 && outer != OuterIPv6 {
		return Tunnel{}, fmt.Errorf("tunnel %q: outer family %q: want ipv4 or ipv6", s, family)
	}
	name, option, hasOption := strings.Cut(word, ":")
	switch {
	case name == lvs.GUE.String() && !hasOption:
		return Tunnel{Type: lvs.GUE, Port: DefaultPort, Outer: outer}, nil
	case name == lvs.GUE.String():
		n, err := strconv.ParseUint(option, 10, 16)
		if err != nil || n == 0 {
			return Tunnel{}, fmt.Errorf("tunnel %q: port %q: want 1 to 65535", s, option)
		}
		return Tunnel{Type: lvs.GUE, Port: uint16(n), Outer: outer}, nil
	case word == lvs.IPIP.String():
		return Tunnel{Type: lvs.IPIP, Outer: outer}, nil
	case name == lvs.GRE.String() && (!hasOption || option == checksumWord):
		return Tunnel{Type: lvs.GRE, Checksum: hasOption, Outer: outer}, nil
	}
	return Tunnel{}, fmt.Errorf("tunnel %q: want ipip, gre, gre:checksum, gue or gue:PORT, and /ipv4 or /ipv6 after it for outer packets of that family", s)
}

// String returns what ParseTunnel reads.
func (t Tunnel) String() string {
	text := t.Type.String()
	switch {
	case t.Type == lvs.GUE:
		text += fmt.Sprintf(":%d", t.Port)
	case t.Checksum:
		text += ":" + checksumWord
	}
	if t.Outer != SameFamily {
		text += "/" + string(t.Outer)
	}
	return text
}

// MarshalText writes a tunnel as String does.
func (t Tunnel) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a tunnel as ParseTunnel does.
func (t *Tunnel) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTunnel(string(text))
	return err
}

// outer6 says whether the packets are of IPv6 that are around those to virtual
// addresses of a family.
func (t Tunnel) outer6(ipv6 bool) bool {
	return t.Outer == OuterIPv6 || t.Outer == SameFamily && ipv6
}

// device returns the interface that unwraps packets to virtual addresses of a
// family. GUE is unwrapped at its port; what it held is IP in IP, for the same
// device as without.
func (t Tunnel) device(ipv6 bool) Device {
	outer6 := t.outer6(ipv6)
	switch {
	case t.Checksum && outer6:
		return Device{Name: "bascule-ip6gre", Kind: "ip6gre", Own: true, Checksum: true}
	case t.Checksum:
		return Device{Name: "bascule-gre", Kind: "gre", Own: true, Checksum: true}
	case t.Type == lvs.GRE && outer6:
		return Device{Name: "ip6gre0", Kind: "ip6gre"}
	case t.Type == lvs.GRE:
		return Device{Name: "gre0", Kind: "gre"}
	case outer6:
		return Device{Name: "bascule-ip6tnl", Kind: "ip6tnl", Own: true}
	case ipv6:
		return Device{Name: "sit0", Kind: "sit"}
	}
	return Device{Name: "tunl0", Kind: "ipip"}
}

// rival returns the interface that would take a device's packets before the
// device does, if it is up, and drop them: it is for those without checksums.
// It is empty if there is none.
func (d Device) rival() string {
	if d.Checksum {
		return d.Kind + "0"
	}
	return ""
}

// module is the kernel's module for a device.
func (d Device) module() string {
	switch d.Kind {
	case "gre":
		return "ip_gre"
	case "ip6gre":
		return "ip6_gre"
	case "ip6tnl":
		return "ip6_tunnel"
	}
	return d.Kind
}
