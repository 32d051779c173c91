// Package control is how an administrator talks to a running daemon: HTTP
// with JSON on a unix socket, and the table that the status command prints.
package control

import (
	"path/filepath"
	"time"
)

// Status is what `bascule status --json` prints. Fields may be added; none is
// renamed or removed. Lists are never null.
type Status struct {
	Node           string          `json:"node"`
	Version        string          `json:"version"`
	Groups         []Group         `json:"groups"`
	VirtualServers []VirtualServer `json:"virtual_servers"`
	Problems       []string        `json:"problems"` // what needs an administrator, in words
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
	Faults   []string  `json:"faults"` // what keeps it in initialize
	Routers  []Router  `json:"routers"`
}

// Router is one virtual router of a group.
type Router struct {
	Name           string   `json:"name"`
	Interface      string   `json:"interface"`
	VRID           int      `json:"vrid"`
	Family         string   `json:"family"` // "ipv4" or "ipv6"
	State          string   `json:"state"`
	Addresses      []string `json:"addresses"`
	ActiveSource   string   `json:"active_source"`   // address of the active director, empty if unknown
	ActivePriority int      `json:"active_priority"` // 0 if unknown
	ActiveChecksum string   `json:"active_checksum"` // "pseudo-header" or "message"; empty if unknown or if it is this one
	Counters       Counters `json:"counters"`
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
	Address     string       `json:"address"`
	Protocol    string       `json:"protocol"`
	Scheduler   string       `json:"scheduler"`
	Forwarding  string       `json:"forwarding"`
	RealServers []RealServer `json:"real_servers"`
}

// RealServer is one real server of a virtual server.
type RealServer struct {
	Address string `json:"address"`
	Weight  int    `json:"weight"`
	Member  bool   `json:"member"`  // whether it gets connections
	Healthy bool   `json:"healthy"` // whether nothing speaks against it: the check, or no check at all
	Health  string `json:"health"`  // "unknown", "healthy", "unhealthy" or "unchecked"
	Reason  string `json:"reason"`  // why it is in or out
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
