package lvs

import (
	"net/netip"
	"time"
)

// State is what the kernel's IPVS holds, or is wanted to hold.
type State struct {
	Table    Table
	Daemons  map[SyncRole]SyncDaemon // the daemons of connection synchronization that run
	Timeouts Timeouts
}

// Reading is what the kernel said at one moment.
type Reading struct {
	State
	Usage UsageTable    // of the services that were asked for their destinations; nil: the state is remembered, and was not read
	Spent time.Duration // processor time that the reading took; 0 if it is not known
}

// UsageTable is what the destinations of services do. Of a service that is in
// it, every destination is.
type UsageTable map[ServiceKey]map[netip.AddrPort]Usage

// Of returns what a destination does, and whether that is known.
func (t UsageTable) Of(key RealServerKey) (usage Usage, known bool) {
	usage, known = t[key.Service][key.Address]
	return usage, known
}

// Usage counts what a destination does and has done since its service was
// added or zeroed.
type Usage struct {
	Active, Inactive, Persistent uint32 // connections now
	Connections                  uint64
	PacketsIn, PacketsOut        uint64
	BytesIn, BytesOut            uint64
}

// Idle says whether the destination has no connections, so that nothing is
// lost with it.
func (u Usage) Idle() bool { return u.Active == 0 && u.Inactive == 0 }

// Timeouts are how long the kernel remembers idle connections, in whole
// seconds. A zero one is not wanted, and left as it is.
type Timeouts struct {
	TCP    time.Duration // of established connections
	TCPFin time.Duration // after one side has ended it
	UDP    time.Duration
}

// SyncRole is the part of a director in the synchronization of connections, by
// the kernel's number (IP_VS_STATE_*).
type SyncRole uint8

// The roles. A kernel can have both.
const (
	SyncSender   SyncRole = 1 // tells its connections: of the active director
	SyncReceiver SyncRole = 2 // takes them over: of the others
)

// String returns ipvsadm's word: "master" or "backup" are the kernel's, and
// the project's are "sender" and "receiver".
func (r SyncRole) String() string {
	switch r {
	case SyncSender:
		return "sender"
	case SyncReceiver:
		return "receiver"
	}
	return "invalid role"
}

// SyncDaemon is a daemon of the kernel that sends or receives connections.
type SyncDaemon struct {
	Interface string
	Index     int        // of the interface, for another one may get its name; 0: not known
	ID        uint8      // 0 to 255; a receiver takes what has its own, or everything if that is 0
	MaxLength uint16     // of the payload of a packet, in bytes; 0 in what is wanted: the kernel's choice
	Group     netip.Addr // multicast group; invalid in what is wanted: 224.0.0.81
	Port      uint16     // 0 in what is wanted: 8848
	TTL       uint8      // 0 in what is wanted: 1
}
