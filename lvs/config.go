package lvs

import "net/netip"

// VirtualServerConfig is what the administrator asks of one virtual server.
type VirtualServerConfig struct {
	Name string
	Service
	Forwarding  Forwarding
	RealServers []RealServerConfig
}

// RealServerConfig is one real server of a virtual server.
type RealServerConfig struct {
	Address netip.AddrPort
	Weight  uint32
	Checked bool // a health check decides on membership; without one it is always a member
}

// RealServerKey identifies a real server among all virtual servers: facts
// about it are kept under this key, whatever its place in the configuration.
type RealServerKey struct {
	Service ServiceKey
	Address netip.AddrPort
}
