package director

import "bascule/lvs"

// Status is what a director knows at one moment.
type Status struct {
	VirtualServers []lvs.VirtualServerStatus // all that are configured
	Problems       []string                  // what keeps the kernel's table from being as wanted, now
	Owned          []lvs.ServiceKey          // what the kernel may hold because of us: what a successor is to be told
	Counters       Counters
}

// Counters count since the start.
type Counters struct {
	Passes     uint64 // comparisons with the kernel that could be made
	Operations uint64 // edits that succeeded
	Failures   uint64 // edits, and attempts to read the table, that failed
	Repairs    uint64 // edits among Operations that undid what others had done
}
