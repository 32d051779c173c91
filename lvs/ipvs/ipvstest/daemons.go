package ipvstest

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// ticks is how many ticks a second of this kernel has, as Debian's has: it
// limits timeouts.
const ticks = 250

// What the kernel chooses for what a daemon is not told.
const (
	defaultPort = 8848
	defaultTTL  = 1
)

// defaultGroup returns the multicast group of a daemon that is told none.
func defaultGroup() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 81}) }

// startDaemon starts a sync daemon.
func (k *Kernel) startDaemon(d ipvs.Daemon) error {
	mtu, there := k.interfaces[d.Interface]
	_, running := k.daemons[d.Role]
	switch {
	case d.Group.IsValid() && !d.Group.IsMulticast(), k.mixed():
		return unix.EINVAL
	case !there:
		return unix.ENODEV
	case d.Role != lvs.SyncSender && d.Role != lvs.SyncReceiver:
		return unix.EINVAL
	case running:
		return unix.EEXIST
	}
	if !d.Group.IsValid() {
		d.Group = defaultGroup()
	}
	if d.Port == 0 {
		d.Port = defaultPort
	}
	if d.TTL == 0 {
		d.TTL = defaultTTL
	}
	d.MaxLength, d.Index = maxLength(d, mtu), 0 // the kernel does not say where it is
	k.daemons[d.Role] = d.SyncDaemon
	return nil
}

// stopDaemon stops a sync daemon.
func (k *Kernel) stopDaemon(role lvs.SyncRole) error {
	if role != lvs.SyncSender && role != lvs.SyncReceiver {
		return unix.EINVAL
	}
	if _, running := k.daemons[role]; !running {
		return unix.ESRCH
	}
	delete(k.daemons, role)
	return nil
}

// maxLength returns the length that the kernel makes of the wanted one: a
// receiver does not go below that of senders that were told none.
func maxLength(d ipvs.Daemon, mtu int) uint16 {
	header := 28
	if d.Group.Is6() {
		header = 48
	}
	shortest, usual := 1, 1500
	if d.Role == lvs.SyncReceiver {
		shortest, usual = 1024, min(max(mtu, 1500), 65535)
	}
	if d.MaxLength == 0 {
		return uint16(usual - header)
	}
	return uint16(min(max(int(d.MaxLength), shortest), 65535-header))
}

// mixed says whether a destination is of another address family than its
// service.
func (k *Kernel) mixed() bool {
	for _, s := range k.services {
		for i := range s.destinations {
			if s.destinations[i].Family != s.Family {
				return true
			}
		}
	}
	return false
}

// defaultTimeouts are those of a kernel that was told none.
func defaultTimeouts() lvs.Timeouts {
	return lvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
}

// setTimeouts changes the timeouts that are not zero.
func (k *Kernel) setTimeouts(t lvs.Timeouts) error {
	for _, d := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
		if d < 0 || d/time.Second > (1<<31-1)/ticks {
			return unix.EINVAL
		}
	}
	for _, each := range []struct {
		to   *time.Duration
		from time.Duration
	}{{&k.timeouts.TCP, t.TCP}, {&k.timeouts.TCPFin, t.TCPFin}, {&k.timeouts.UDP, t.UDP}} {
		if each.from >= time.Second {
			*each.to = each.from.Truncate(time.Second)
		}
	}
	return nil
}
