package director

import "bascule/lvs"

// Status is what a director knows at one moment.
type Status struct {
	VirtualServers []lvs.VirtualServerStatus // all that are configured
	Problems       []string                  // what keeps the kernel's table from being as wanted, now
	Owned          []lvs.ServiceKey          // what the kernel may hold because of us: what a successor is to be told
}
