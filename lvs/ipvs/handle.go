package ipvs

import (
	"net/netip"

	"bascule/lvs"
)

// Handle is a connection to IPVS, in the kernel's own terms. It belongs to one
// goroutine. Its edits fail with a bare errno: EEXIST for what is there
// already, ESRCH for a service that is not and for a daemon that does not run,
// ENOENT for a destination that is not and for a module that the kernel cannot
// load. Every call fails with ErrNoIPVS if the kernel has lost its IPVS.
type Handle interface {
	// Services appends all services to a slice.
	Services(to []Service) ([]Service, error)
	// Destinations appends the destinations of a service to a slice: none, and
	// no error, if there is no such service.
	Destinations(of ServiceID, to []Destination) ([]Destination, error)
	// Daemons returns the daemons of connection synchronization that run.
	Daemons() ([]Daemon, error)
	// Timeouts returns the timeouts of connections.
	Timeouts() (lvs.Timeouts, error)
	// Info returns what does not change while IPVS is loaded.
	Info() (Info, error)
	// Edit carries out requests in order, whatever becomes of each, and returns
	// the error of each. One whose answer is lost is made again, and may then
	// fail as what was carried out before does.
	Edit(requests ...Request) []error
	// Close ends the connection.
	Close() error
}

// Command is what a request asks of the kernel, by its number (IPVS_CMD_*).
type Command uint8

// The commands. Those that are not exported are the calls of a Handle that
// read.
const (
	NewService Command = 1
	SetService Command = 2
	DelService Command = 3
	getService Command = 4
	NewDest    Command = 5
	SetDest    Command = 6
	DelDest    Command = 7
	getDest    Command = 8
	NewDaemon  Command = 9
	DelDaemon  Command = 10
	getDaemon  Command = 11
	SetConfig  Command = 12
	getConfig  Command = 13
	getInfo    Command = 15
	Zero       Command = 16 // the counters of a service and of its destinations
)

// String returns the kernel's word for a command that edits.
func (c Command) String() string {
	switch c {
	case NewService:
		return "NEW_SERVICE"
	case SetService:
		return "SET_SERVICE"
	case DelService:
		return "DEL_SERVICE"
	case NewDest:
		return "NEW_DEST"
	case SetDest:
		return "SET_DEST"
	case DelDest:
		return "DEL_DEST"
	case NewDaemon:
		return "NEW_DAEMON"
	case DelDaemon:
		return "DEL_DAEMON"
	case SetConfig:
		return "SET_CONFIG"
	case Zero:
		return "ZERO"
	}
	return "invalid command"
}

// OnDestination says whether the command is about one destination.
func (c Command) OnDestination() bool { return c == NewDest || c == SetDest || c == DelDest }

// OnService says whether the command is about a service, or one of its
// destinations.
func (c Command) OnService() bool { return c <= DelDest || c == Zero }

// Request is one edit. Which fields count depends on the command.
type Request struct {
	Command     Command
	Service     Service     // only its ServiceID unless it is added or set
	Destination Destination // only its address and family if it is deleted
	Daemon      Daemon      // only its role if it is stopped
	Timeouts    lvs.Timeouts
}

// String returns the command and what it is about: "NEW_SERVICE 192.0.2.1:80",
// "NEW_DEST fwmark 7 198.51.100.1:80", "NEW_DAEMON sender".
func (r Request) String() string {
	switch {
	case r.Command.OnDestination():
		return r.Command.String() + " " + r.Service.ServiceID.String() + " " + r.Destination.AddrPort().String()
	case r.Command.OnService():
		return r.Command.String() + " " + r.Service.ServiceID.String()
	case r.Command == SetConfig:
		return r.Command.String()
	}
	return r.Command.String() + " " + r.Daemon.Role.String()
}

// The flags of services (IP_VS_SVC_F_*) that lvs.ServiceFlags does not have.
const (
	FlagPersistent = 0x1
	FlagHashed     = 0x2 // the kernel sets it on every service that it holds
)

// ServiceID is what the kernel finds a service by.
type ServiceID struct {
	Family   uint16     // AF_INET or AF_INET6
	Protocol uint16     // IPPROTO_*; 0 of a firewall mark
	Address  netip.Addr // zero of a firewall mark
	Port     uint16
	Mark     uint32
}

// String returns the address and port, or the mark.
func (id ServiceID) String() string {
	if id.Mark != 0 {
		return lvs.MarkKey(id.Mark, id.Family == familyIPv6).String()
	}
	return netip.AddrPortFrom(id.Address, id.Port).String()
}

// Service is a service as the kernel holds it.
type Service struct {
	ServiceID
	Scheduler string
	Flags     uint32 // FlagPersistent, FlagHashed and lvs.ServiceFlags
	Timeout   uint32 // of persistence, in seconds
	Netmask   uint32 // of persistence: of IPv4 a mask, whose bytes are in network order; of IPv6 a prefix length
	Engine    string // of persistence
}

// The forwarding methods (IP_VS_CONN_F_*).
const (
	MethodMasquerade uint32 = 0
	MethodLocalNode  uint32 = 1
	MethodTunnel     uint32 = 2
	MethodDirect     uint32 = 3
)

// Destination is a destination as the kernel holds it.
type Destination struct {
	Family       uint16 // that of the service if it is 0
	Address      netip.Addr
	Port         uint16
	Method       uint32
	Weight       uint32
	Upper, Lower uint32 // thresholds
	TunnelType   uint8  // lvs.TunnelType
	TunnelPort   uint16
	TunnelFlags  uint16    // lvs.TunnelChecksum
	Usage        lvs.Usage // only read
}

// AddrPort returns what tells the destination from others of its service.
func (d Destination) AddrPort() netip.AddrPort { return netip.AddrPortFrom(d.Address, d.Port) }

// Daemon is a daemon of connection synchronization.
type Daemon struct {
	Role lvs.SyncRole
	lvs.SyncDaemon
}

// Info is what the kernel says of its IPVS as a whole.
type Info struct {
	Version   string // "1.2.1"
	TableSize uint32 // buckets of the table of connections
}
