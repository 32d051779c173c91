package daemon

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"bascule/cmd/internal/config"
	"bascule/lvs"
	"bascule/vrrp"
)

// How long a role goes on after the group's state has changed. The kernel
// collects what it sends for up to 2 s, looks after that once a second, and
// drops it when the sender ends. Whoever takes over receives for a little
// longer than others send.
const (
	senderLinger   = 3 * time.Second
	receiverLinger = 5 * time.Second
)

// interfacePeriod is how often it is looked whether the interface is the same.
const interfacePeriod = time.Second

// follower gives this director its role in the synchronization of connections:
// sender while its group is active, else receiver, for it may become active
// next. tell must not wait, because the speaker's loop calls moved.
type follower struct {
	tell  func(map[lvs.SyncRole]lvs.SyncDaemon)
	index func(iface string) int // of an interface; 0 if there is none

	mu     sync.Mutex
	wanted *config.Sync    // nil: connections are not synchronized
	active map[string]bool // the groups that are active
	former lvs.SyncRole    // goes on for a while; 0 if none does
	timer  *time.Timer     // ends former
	told   map[lvs.SyncRole]lvs.SyncDaemon
	ended  bool
}

// newFollower returns a follower that tells its roles to tell.
func newFollower(tell func(map[lvs.SyncRole]lvs.SyncDaemon), index func(string) int) *follower {
	return &follower{tell: tell, index: index, active: make(map[string]bool)}
}

// configure replaces the configuration, which has these groups.
func (f *follower) configure(wanted *config.Sync, groups []string) {
	if wanted != nil {
		wanted = f.located(*wanted)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.active, func(name string, _ bool) bool { return !slices.Contains(groups, name) })
	if f.wanted != nil && wanted != nil && *f.wanted == *wanted {
		return
	}
	f.wanted = wanted
	f.linger(0, 0)
	f.update()
}

// end leaves the roles as they are for the rest of its life: in an ordered stop
// they end soon, and nothing is to begin for a state that comes before that. It
// returns whether this director is a sender.
func (f *follower) end() (sends bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	_, sends = f.told[lvs.SyncSender]
	return sends
}

// located returns the configuration with the index of its interface.
func (f *follower) located(wanted config.Sync) *config.Sync {
	wanted.Daemon.Index = f.index(wanted.Daemon.Interface)
	return &wanted
}

// moved takes over the state of a group.
func (f *follower) moved(group string, to vrrp.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.active[group]
	if to == vrrp.Active {
		f.active[group] = true
	} else {
		delete(f.active, group)
	}
	if f.wanted == nil || f.wanted.Group != group || f.active[group] == before {
		return
	}
	if before {
		f.linger(lvs.SyncSender, senderLinger)
	} else {
		f.linger(lvs.SyncReceiver, receiverLinger)
	}
	f.update()
}

// linger lets a role go on for a while instead of any other, 0 none. The lock
// is held.
func (f *follower) linger(role lvs.SyncRole, duration time.Duration) {
	if f.timer != nil {
		f.timer.Stop()
	}
	f.former, f.timer = role, nil
	if role == 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(duration, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.timer == timer {
			f.former = 0
			f.update()
		}
	})
	f.timer = timer
}

// update tells the roles if they are others than those that were told, nil
// without synchronization. The lock is held.
func (f *follower) update() {
	if f.ended {
		return
	}
	var roles map[lvs.SyncRole]lvs.SyncDaemon
	if f.wanted != nil {
		roles = make(map[lvs.SyncRole]lvs.SyncDaemon)
		role := lvs.SyncReceiver
		if f.active[f.wanted.Group] {
			role = lvs.SyncSender
		}
		roles[role] = f.wanted.Daemon
		if f.former != 0 {
			roles[f.former] = f.wanted.Daemon
		}
	}
	if (roles == nil) != (f.told == nil) || !maps.Equal(roles, f.told) {
		f.told = roles
		f.tell(roles)
	}
}

// run looks until ctx ends whether the interface has been made again: the
// kernel's daemons stay with the one that is gone.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(interfacePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.relocate()
		}
	}
}

// relocate tells the roles again if their interface is another one now.
func (f *follower) relocate() {
	f.mu.Lock()
	before := f.wanted
	f.mu.Unlock()
	if before == nil {
		return
	}
	now := f.located(*before)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted == before && now.Daemon.Index != 0 && *now != *before {
		f.wanted = now
		f.update()
	}
}

// interfaceIndex returns the index of a network interface, 0 if there is none.
func interfaceIndex(name string) int {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0
	}
	return link.Attrs().Index
}
