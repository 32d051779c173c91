// Package control is how an administrator talks to a running daemon: HTTP
// with JSON on a unix socket, and the table that the status command prints.
package control

import (
	"path/filepath"
	"time"
)

// Status is what the daemon does, without its checks. Fields may be added; none is
// renamed or removed. Lists are never null.
type Status struct {
	Node           string          `json:"node"`
	Version        string          `json:"version"`
	Groups         []Group         `json:"groups"`
	VirtualServers []VirtualServer `json:"virtual_servers"`
	Problems       []string        `json:"problems"` // what needs an administrator, in words
	Warnings       []string        `json:"warnings"` // what will need one, as checks say
	SyncDaemons    []SyncDaemon    `json:"sync_daemons"`
	Timeouts       *Timeouts       `json:"timeouts"` // null: the kernel's are not known
	// Dropped counts packets that belong to no configured virtual router, by
	// reason; reasons that did not occur are left out.
	Dropped map[string]uint64 `json:"dropped"`
}

// Group is one group of virtual routers.
type Group struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // "initialize", "backup" or "active"
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"` // why it came into this state
	Priority int       `json:"priority"`
	Faults   []string  `json:"faults"`  // what keeps it in initialize
	Waiting  []string  `json:"waiting"` // what it waits for in the ordinary course of things, which is no fault
	// StartAt is when its start-up delay ends; null if there is none, or if it is over.
	StartAt *time.Time `json:"start_at"`
	Routers []Router   `json:"routers"`
}

// Router is one virtual router of a group.
type Router struct {
	Name           string          `json:"name"`
	Interface      string          `json:"interface"`
	VRID           int             `json:"vrid"`
	Family         string          `json:"family"`         // "ipv4" or "ipv6"
	Version        int             `json:"version"`        // of the protocol: 3 or 2
	Checksum       string          `json:"checksum"`       // the form that is sent; empty where there is but one
	Password       bool            `json:"password"`       // whether version 2 has one
	Unicast        *Unicast        `json:"unicast"`        // null: multicast
	Authentication *Authentication `json:"authentication"` // null: neither signed nor verified
	State          string          `json:"state"`
	Addresses      []string        `json:"addresses"`
	ActiveSource   string          `json:"active_source"`   // address of the active director, empty if unknown
	ActivePriority int             `json:"active_priority"` // 0 if unknown
	ActiveChecksum string          `json:"active_checksum"` // "pseudo-header" or "message"; empty if unknown or if it is this one
	Counters       Counters        `json:"counters"`
}

// Unicast is whom a virtual router talks to instead of a multicast group.
type Unicast struct {
	Source string        `json:"source"`
	Peers  []UnicastPeer `json:"peers"`
}

// UnicastPeer is another director.
type UnicastPeer struct {
	Address string `json:"address"`
	Routed  bool   `json:"routed"` // whether there are routers in between
}

// Authentication is how advertisements are signed, without the secrets.
type Authentication struct {
	Mode      string `json:"mode"`       // "receive-only", "permissive" or "enforce"
	ActiveKey int    `json:"active_key"` // the one that signs, unless receive-only
	Keys      []int  `json:"keys"`       // all that are accepted
	Window    string `json:"window"`     // how far clocks may differ; "0s": they are not compared
}

// Counters count the advertisements of one virtual router.
type Counters struct {
	Sent                 uint64            `json:"sent"`
	SentPriorityZero     uint64            `json:"sent_priority_zero"`
	Received             uint64            `json:"received"`
	ReceivedPriorityZero uint64            `json:"received_priority_zero"`
	BecameActive         uint64            `json:"became_active"`
	Dropped              map[string]uint64 `json:"dropped"` // by reason; reasons that did not occur are left out
}

// VirtualServer is one virtual server.
type VirtualServer struct {
	Name        string       `json:"name"`
	Address     string       `json:"address"`  // of the first service; empty of a firewall mark
	Protocol    string       `json:"protocol"` // empty of a firewall mark
	Services    []string     `json:"services"` // "tcp 192.168.56.10:80", "fwmark 7"
	Scheduler   string       `json:"scheduler"`
	Persistence string       `json:"persistence"` // how long clients stay with their real server; empty: they do not
	Forwarding  string       `json:"forwarding"`
	Quorum      *Quorum      `json:"quorum"` // null: none is needed
	RealServers []RealServer `json:"real_servers"`
	Sorry       []RealServer `json:"sorry_servers"`
}

// Quorum is whether a virtual server has the weight that it needs.
type Quorum struct {
	State      string    `json:"state"` // "awaited", "reached" or "lost"
	Since      time.Time `json:"since"`
	Weight     uint64    `json:"weight"` // of its healthy real servers
	Needed     uint32    `json:"needed"`
	Hysteresis uint32    `json:"hysteresis"`
	Reason     string    `json:"reason"`
}

// SyncDaemon is a daemon of the kernel that synchronizes connections, as it
// runs, or else as it is wanted.
type SyncDaemon struct {
	Role      string `json:"role"` // "sender" or "receiver"
	Interface string `json:"interface"`
	ID        int    `json:"id"`
	Running   bool   `json:"running"`
	Wanted    bool   `json:"wanted"` // like that; false also of one of another program
}

// Timeouts are how long the kernel remembers idle connections.
type Timeouts struct {
	TCP    Timeout `json:"tcp"`
	TCPFin Timeout `json:"tcp_fin"`
	UDP    Timeout `json:"udp"`
}

// Timeout is one of them.
type Timeout struct {
	Wanted string `json:"wanted"` // empty: the kernel's choice
	Found  string `json:"found"`
}

// RealServer is one real server of a virtual server.
type RealServer struct {
	Address string `json:"address"`
	Weight  int    `json:"weight"`  // as configured
	Member  bool   `json:"member"`  // whether it gets connections
	Healthy bool   `json:"healthy"` // whether nothing speaks against it: the check, or no check at all
	Health  string `json:"health"`  // "unknown", "healthy", "unhealthy" or "unchecked"
	Reason  string `json:"reason"`  // why it is in or out

	State           string      `json:"state"` // "out", "member", "inhibited" or "draining"
	Since           time.Time   `json:"since"` // when it came into this state
	EffectiveWeight int         `json:"effective_weight"`
	WeightReason    string      `json:"weight_reason"` // why that of a member is not the configured one; empty if it is
	Until           *time.Time  `json:"until"`         // when its weight is the full one, or its draining ends at the latest; null: neither
	Override        *Override   `json:"override"`
	Leaving         bool        `json:"leaving"` // not configured any more
	Forwarding      string      `json:"forwarding"`
	Connections     Connections `json:"connections"`
	Traffic         Traffic     `json:"traffic"`
}

// Override is what an administrator has decided about a real server.
type Override struct {
	Action string    `json:"action"` // "drain" or "weight"
	Weight uint32    `json:"weight"` // of "weight"
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Connections are those of a real server in the kernel, of all services
// together.
type Connections struct {
	Active     uint64 `json:"active"`
	Inactive   uint64 `json:"inactive"`
	Persistent uint64 `json:"persistent"`
	Total      uint64 `json:"total"` // since its services were added, or zeroed
}

// Traffic is what a real server has received and sent through the director
// since its services were added, or zeroed. Of direct routing and tunnels the
// director does not see what is sent.
type Traffic struct {
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
	BytesIn    uint64 `json:"bytes_in"`
	BytesOut   uint64 `json:"bytes_out"`
}

// ZeroRequest says whose counters are to be zeroed.
type ZeroRequest struct {
	VirtualServer string `json:"virtual_server"` // empty: of all
}

// OverrideRequest is a decision of an administrator about a real server.
type OverrideRequest struct {
	VirtualServer string `json:"virtual_server"`
	RealServer    string `json:"real_server"` // an address, with its port or without
	Action        string `json:"action"`      // "drain", "weight" or "enable", which ends either
	Weight        uint32 `json:"weight"`
	Reason        string `json:"reason"`
}

// ReloadResult is the answer to a reload that was carried out.
type ReloadResult struct {
	Changed bool `json:"changed"` // whether the new configuration differs from the old
}

// failure is the answer to a request that was not carried out.
type failure struct {
	Error string `json:"error"`
}

// SocketPath returns the path of the socket in a runtime directory.
func SocketPath(runtimeDir string) string {
	return filepath.Join(runtimeDir, "control.sock")
}
