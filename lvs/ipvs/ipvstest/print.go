package ipvstest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// String returns the table as ipvsadm -Sn prints it, services sorted by
// address, those of firewall marks last. ipvsadm leaves out thresholds.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	services := slices.SortedFunc(maps.Values(k.services), func(x, y *service) int {
		return cmp.Or(
			cmp.Compare(x.Mark, y.Mark),
			netip.AddrPortFrom(x.Address, x.Port).Compare(netip.AddrPortFrom(y.Address, y.Port)),
			strings.Compare(x.option(), y.option()),
		)
	})
	for _, s := range services {
		fmt.Fprintf(&b, "-A %s -s %s%s\n", s.option(), s.Scheduler, s.settings())
		for _, d := range s.destinations {
			fmt.Fprintf(&b, "-a %s -r %s %s -w %d%s\n", s.option(), d.AddrPort(), method(d.Method), d.Weight, tunnel(&d))
		}
	}
	return b.String()
}

// option returns the service as an option of ipvsadm: "-t 192.168.56.10:80".
func (s *service) option() string {
	address := netip.AddrPortFrom(s.Address, s.Port).String()
	switch {
	case s.Mark != 0 && s.Family == unix.AF_INET6:
		return fmt.Sprintf("-f %d -6", s.Mark)
	case s.Mark != 0:
		return fmt.Sprintf("-f %d", s.Mark)
	case s.Protocol == unix.IPPROTO_UDP:
		return "-u " + address
	case s.Protocol == unix.IPPROTO_SCTP:
		return "--sctp-service " + address
	}
	return "-t " + address
}

// settings returns the options of ipvsadm for what a service has besides its
// scheduler.
func (s *service) settings() (options string) {
	if s.Flags&ipvs.FlagPersistent != 0 {
		options = fmt.Sprintf(" -p %d", s.Timeout)
		var mask [4]byte
		binary.NativeEndian.PutUint32(mask[:], s.Netmask)
		switch {
		case s.Family == unix.AF_INET && s.Netmask != 1<<32-1:
			options += " -M " + netip.AddrFrom4(mask).String()
		case s.Family == unix.AF_INET6 && s.Netmask != 128:
			options += fmt.Sprintf(" -M %d", s.Netmask)
		}
		if s.Engine != "" {
			options += " --pe " + s.Engine
		}
	}
	if s.Flags&uint32(lvs.OnePacket) != 0 {
		options += " -o"
	}
	if names := s.flagNames(); len(names) > 0 {
		options += " -b " + strings.Join(names, ",")
	}
	return options
}

// flagNames returns ipvsadm's names of the flags of the service's scheduler.
func (s *service) flagNames() (names []string) {
	words := []string{"flag-1", "flag-2", "flag-3"}
	if s.Scheduler == "sh" || s.Scheduler == "mh" {
		words[0], words[1] = s.Scheduler+"-fallback", s.Scheduler+"-port"
	}
	for i, word := range words {
		if s.Flags&(uint32(lvs.SchedulerFlag1)<<i) != 0 {
			names = append(names, word)
		}
	}
	return names
}

// method returns ipvsadm's option for a forwarding method.
func method(method uint32) string {
	return [...]string{"-m", "-l", "-i", "-g"}[method&3]
}

// tunnel returns the options of ipvsadm for the encapsulation of a destination.
func tunnel(d *ipvs.Destination) (options string) {
	if d.Method != ipvs.MethodTunnel {
		return ""
	}
	kind := lvs.TunnelType(d.TunnelType)
	options = " --tun-type " + kind.String()
	if kind == lvs.GUE {
		options += fmt.Sprintf(" --tun-port %d", d.TunnelPort)
	}
	if kind == lvs.IPIP {
		return options
	}
	return options + " --tun-" + map[lvs.TunnelChecksum]string{
		lvs.NoChecksum: "nocsum", lvs.Checksum: "csum", lvs.RemoteChecksum: "remcsum",
	}[lvs.TunnelChecksum(d.TunnelFlags)]
}
