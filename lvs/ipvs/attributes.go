package ipvs

import "golang.org/x/sys/unix"

// The address families of services and destinations.
const (
	familyIPv4 = unix.AF_INET
	familyIPv6 = unix.AF_INET6
)

// attributeNested marks an attribute that is made of attributes.
const attributeNested = unix.NLA_F_NESTED

// The attributes of a command (IPVS_CMD_ATTR_*).
const (
	commandService = 1
	commandDest    = 2
	commandDaemon  = 3
	commandTCP     = 4
	commandTCPFin  = 5
	commandUDP     = 6
)

// The attributes of a service (IPVS_SVC_ATTR_*).
const (
	serviceFamily    = 1
	serviceProtocol  = 2
	serviceAddress   = 3
	servicePort      = 4
	serviceMark      = 5
	serviceScheduler = 6
	serviceFlags     = 7
	serviceTimeout   = 8
	serviceNetmask   = 9
	serviceEngine    = 11
)

// The attributes of a destination (IPVS_DEST_ATTR_*).
const (
	destAddress     = 1
	destPort        = 2
	destMethod      = 3
	destWeight      = 4
	destUpper       = 5
	destLower       = 6
	destActive      = 7
	destInactive    = 8
	destPersistent  = 9
	destStats       = 10
	destFamily      = 11
	destStats64     = 12
	destTunnelType  = 13
	destTunnelPort  = 14
	destTunnelFlags = 15
)

// The attributes of counters (IPVS_STATS_ATTR_*).
const (
	statsConnections = 1
	statsPacketsIn   = 2
	statsPacketsOut  = 3
	statsBytesIn     = 4
	statsBytesOut    = 5
)

// The attributes of a sync daemon (IPVS_DAEMON_ATTR_*).
const (
	daemonRole      = 1
	daemonInterface = 2
	daemonID        = 3
	daemonMaxLength = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

// The attributes of the answer to getInfo (IPVS_INFO_ATTR_*).
const (
	infoVersion   = 1
	infoTableSize = 2
)
