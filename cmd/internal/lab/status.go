package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The states of a group and of a virtual router, as status says them.
const (
	StateInitialize = "initialize"
	StateBackup     = "backup"
	StateActive     = "active"
)

// Status is what "bascule status --json" says, as somebody else's program
// reads it: only documented keys, others left aside.
type Status struct {
	Node           string
	Version        string
	Groups         []GroupStatus
	VirtualServers []VirtualServerStatus `json:"virtual_servers"`
	Problems       []string
	// Dropped counts advertisements that belong to no virtual router, by reason.
	Dropped map[string]int
}

// GroupStatus is the state of one group on a director.
type GroupStatus struct {
	Name     string
	State    string
	Since    time.Time
	Priority int
	Faults   []string
	Routers  []RouterStatus
}

// RouterStatus is the state of one virtual router of a group.
type RouterStatus struct {
	Name         string
	Interface    string
	VRID         int
	Family       string
	State        string
	Addresses    []string
	ActiveSource string `json:"active_source"` // of the director that is active now; empty: unknown
	Counters     RouterCounters
}

// RouterCounters count the advertisements of a virtual router.
type RouterCounters struct {
	Dropped map[string]int // by reason
}

// VirtualServerStatus is a virtual server with its real servers.
type VirtualServerStatus struct {
	Name        string
	Address     string
	Protocol    string
	Scheduler   string
	Forwarding  string
	RealServers []RealServerStatus `json:"real_servers"`
}

// RealServerStatus says how a real server is, and whether it gets traffic.
type RealServerStatus struct {
	Address string
	Weight  int
	Member  bool
	Healthy bool
	Reason  string // why it is not healthy
}

// Group returns the group of a name; false if there is none.
func (s Status) Group(name string) (GroupStatus, bool) {
	i := slices.IndexFunc(s.Groups, func(g GroupStatus) bool { return g.Name == name })
	if i < 0 {
		return GroupStatus{}, false
	}
	return s.Groups[i], true
}

// Members returns the addresses of all real servers that are members of a
// virtual server, in their order.
func (s Status) Members(virtualServer string) []string {
	var members []string
	for _, vs := range s.VirtualServers {
		for _, rs := range vs.RealServers {
			if vs.Name == virtualServer && rs.Member {
				members = append(members, rs.Address)
			}
		}
	}
	return members
}

// parseStatus decodes the JSON of a status.
func parseStatus(text string) (Status, error) {
	var s Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Status{}, fmt.Errorf("status of bascule: %v: %q", err, text)
	}
	return s, nil
}
