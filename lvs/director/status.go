package director

import "bascule/lvs"

// Status is what a director knows at one moment.
type Status struct {
	VirtualServers []lvs.VirtualServerStatus       // all that are configured
	Usage          lvs.UsageTable                  // of every service in the table; nil if it is not known
	Daemons        map[lvs.SyncRole]lvs.SyncDaemon // the sync daemons that run, also those of others
	Timeouts       lvs.Timeouts                    // of the kernel; zero if they are not known
	WantedDaemons  map[lvs.SyncRole]lvs.SyncDaemon // the sync daemons that are wanted
	WantedTimeouts lvs.Timeouts                    // a zero one is not wanted
	Problems       []string                        // what keeps the kernel's state from being as wanted, now
	Overrides      []lvs.StoredOverride            // decisions of the administrator: what a successor is to be told
	Owned          []lvs.ServiceKey                // what the kernel may hold because of us: what a successor is to be told
	OwnedRoles     []lvs.SyncRole                  // of sync daemons that the kernel may run because of us
	Left           []lvs.SyncDaemon                // what a predecessor may have left, until the kernel has been read
}
