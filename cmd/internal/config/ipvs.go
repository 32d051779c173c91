package config

import (
	"net/netip"
	"time"

	"bascule/lvs"
)

// maxTimeout is the longest timeout of the kernel that is of any use.
const maxTimeout = 31 * 24 * time.Hour

// The longest payloads of packets with connections that the kernel sends.
const (
	maxSyncLength  = 65507
	maxSyncLength6 = 65487
)

// What the kernel takes for the synchronization of connections unless it is
// told otherwise. It is told always, so that no two kernels differ, and so that
// the status shows it.
const (
	syncPort = 8848
	syncTTL  = 1
)

// syncGroup is the multicast group that goes with them.
func syncGroup() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 81}) }

// ipvs is what is said of the kernel's IPVS as a whole.
type ipvs struct {
	exclusive bool
	timeouts  lvs.Timeouts
}

// ipvs reads what is said of the kernel's IPVS as a whole.
func (p *problems) ipvs(top section) ipvs {
	var result ipvs
	n := top.table["ipvs"]
	if n == nil {
		return result
	}
	s, ok := p.section(n, "exclusive", "tcp_timeout", "tcp_fin_timeout", "udp_timeout")
	if !ok {
		return result
	}
	result.exclusive = optional(s, "exclusive", false, boolean)
	seconds := wholeSeconds(time.Second, maxTimeout)
	result.timeouts = lvs.Timeouts{
		TCP: optional(s, "tcp_timeout", 0, seconds), TCPFin: optional(s, "tcp_fin_timeout", 0, seconds), UDP: optional(s, "udp_timeout", 0, seconds),
	}
	return result
}

// Sync says how connections are synchronized between the directors.
type Sync struct {
	Group  string // whose active director tells its connections, and whose others take them over
	Daemon lvs.SyncDaemon
}

// connectionSync is Sync for all directors.
type connectionSync struct {
	at         place
	group      string
	groupAt    place
	interfaces map[string]string // by node
	daemon     lvs.SyncDaemon    // without the interface
}

// connectionSync reads how connections are synchronized, nil if they are not.
func (p *problems) connectionSync(top section, nodes []string) *connectionSync {
	n := top.table["connection_sync"]
	if n == nil {
		return nil
	}
	result := &connectionSync{at: n.place, groupAt: n.child("group")}
	s, ok := p.section(n, "group", "interface", "id", "multicast_group", "port", "ttl", "max_length")
	if !ok {
		return result
	}
	result.group, _ = required(s, "group", "the group whose active director tells its connections to the others", text("the name of a group"))
	if given := s.table["group"]; given != nil {
		result.groupAt = given.place
	}
	result.interfaces = perNode(s, "interface", "the interface between the directors", nodes, interfaceName)
	d := &result.daemon
	d.ID = uint8(optional(s, "id", 1, integer(1, 255, "1 to 255")))
	d.Group = optional(s, "multicast_group", syncGroup(), multicastGroup)
	d.Port = uint16(optional(s, "port", syncPort, integer(1, 65535, "1 to 65535")))
	d.TTL = uint8(optional(s, "ttl", syncTTL, integer(1, 255, "1 to 255")))
	most, allowed := int64(maxSyncLength), "1024 to 65507"
	if d.Group.Is6() {
		most, allowed = maxSyncLength6, "1024 to 65487 for a group of IPv6"
	}
	d.MaxLength = uint16(optional(s, "max_length", 0, integer(1024, most, allowed)))
	return result
}

// multicastGroup reads the address of a multicast group.
func multicastGroup(p *problems, n *node) (netip.Addr, bool) {
	written, ok := text("the address of a multicast group")(p, n)
	addr, err := netip.ParseAddr(written)
	if ok && (err != nil || !addr.IsMulticast() || addr.Zone() != "") {
		p.add(n.place, `%s is no multicast group: such as "224.0.0.81" or "ff02::81"`, quote(written))
		return netip.Addr{}, false
	}
	return addr, ok
}

// forNode is the synchronization as one director sees it.
func (c *connectionSync) forNode(name string) *Sync {
	if c == nil {
		return nil
	}
	daemon := c.daemon
	daemon.Interface = c.interfaces[name]
	return &Sync{Group: c.group, Daemon: daemon}
}
