package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// syncID is what tells the directors' synchronised connections from those of
// others on the LAN.
const syncID = 1

// BasculeConfig is what bascule is told on both directors: the virtual routers
// of the laboratory in one group, and what is balanced.
type BasculeConfig struct {
	Interval  time.Duration // between advertisements; 0: 1 s
	NoPreempt bool          // leaves a director of lower priority active
	Families  Families      // of the virtual routers
	Services  []Service
	Sync      bool // the active director tells the other one its connections
}

// TOML returns the configuration.
func (c BasculeConfig) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes = [\"lb\", \"lb2\"]\n\n[group.%s]\npriority = { lb = 150, lb2 = 100 }\nadvertisement_interval = %q\npreempt = %v\n",
		ReferenceGroup, cmp.Or(c.Interval, time.Second).String(), !c.NoPreempt)
	for _, r := range c.Families.Routers() {
		name := r.Name
		if r.Is6() {
			name += "6"
		}
		fmt.Fprintf(&b, "\n[group.%s.router.%s]\ninterface = %q\nvrid = %d\naddresses = [%s]\n",
			ReferenceGroup, name, r.Interface, r.VRID, quoted(r.Addresses))
	}
	if c.Sync {
		fmt.Fprintf(&b, "\n[connection_sync]\ngroup = %q\ninterface = %q\nid = %d\n", ReferenceGroup, SecondCard, syncID)
	}
	for _, s := range c.Services {
		s.writeTOML(&b)
	}
	return b.String()
}

// writeTOML writes a service as a table virtual_server.
func (s Service) writeTOML(b *strings.Builder) {
	fmt.Fprintf(b, "\n[virtual_server.%s]\n", s.Name)
	switch len(s.Addresses) {
	case 0:
		fmt.Fprintf(b, "fwmark = %d\n", s.Mark)
		if s.IPv6 {
			b.WriteString("family = \"ipv6\"\n")
		}
	case 1:
		fmt.Fprintf(b, "address = %q\nprotocol = %q\n", s.Addresses[0].String(), s.Protocol)
	default:
		fmt.Fprintf(b, "addresses = [%s]\nprotocol = %q\n", quoted(s.Addresses), s.Protocol)
	}
	fmt.Fprintf(b, "scheduler = %q\nforwarding = %q\n", s.Scheduler, s.Forwarding)
	s.writeTOMLOptions(b)
	for _, rs := range s.Servers {
		fmt.Fprintf(b, "\n[[virtual_server.%s.real_server]]\naddress = %q\nweight = %d\n", s.Name, rs.toml(), rs.Weight)
	}
}

// toml is the address as bascule's configuration has it: without a port where
// the real server gets packets at the port that they came to.
func (rs RealServer) toml() string {
	if rs.Address.Port() == 0 {
		return rs.Address.Addr().String()
	}
	return rs.Address.String()
}

// writeTOMLOptions writes what a service need not have.
func (s Service) writeTOMLOptions(b *strings.Builder) {
	if len(s.Flags) > 0 {
		fmt.Fprintf(b, "scheduler_flags = [%s]\n", quoted(s.Flags))
	}
	if s.OnePacket {
		b.WriteString("one_packet = true\n")
	}
	if s.Persistence > 0 {
		fmt.Fprintf(b, "persistence = %s\n", s.tomlPersistence())
	}
	if s.Forwarding == "tunnel" {
		fmt.Fprintf(b, "tunnel = { type = %q", cmp.Or(s.Tunnel.Type, "ipip"))
		if s.Tunnel.Port != 0 {
			fmt.Fprintf(b, ", port = %d", s.Tunnel.Port)
		}
		if s.Tunnel.Checksum != "" {
			fmt.Fprintf(b, ", checksum = %q", s.Tunnel.Checksum)
		}
		b.WriteString(" }\n")
	}
	switch s.Check {
	case CheckHTTP:
		b.WriteString("check = { type = \"http\", path = \"/\", status = \"200-399\", interval = \"1s\", timeout = \"1s\", rise = 1, fall = 1 }\n")
	default:
		fmt.Fprintf(b, "check = { type = %q", s.Check)
		if s.Check == CheckTCP {
			b.WriteString(", interval = \"1s\", timeout = \"1s\", rise = 1, fall = 1")
		}
		b.WriteString(" }\n")
	}
}

// tomlPersistence is the value of persistence: a table if more than the time
// is said.
func (s Service) tomlPersistence() string {
	timeout := fmt.Sprintf("\"%ds\"", int(s.Persistence.Seconds()))
	if s.PersistencePrefix == 0 && s.PersistenceEngine == "" {
		return timeout
	}
	value := "{ timeout = " + timeout
	if s.PersistencePrefix > 0 {
		value += fmt.Sprintf(", prefix = %d", s.PersistencePrefix)
	}
	if s.PersistenceEngine != "" {
		value += fmt.Sprintf(", engine = %q", s.PersistenceEngine)
	}
	return value + " }"
}

// quoted is a list of TOML strings without its brackets.
func quoted[E string | netip.Prefix | netip.AddrPort](list []E) string {
	words := make([]string, len(list))
	for i, e := range list {
		words[i] = fmt.Sprintf("%q", fmt.Sprint(e))
	}
	return strings.Join(words, ", ")
}
