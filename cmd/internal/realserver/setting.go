package realserver

import "strings"

// setting is a sysctl of an interface. Of those of IPv4 the kernel takes the
// larger of two values: that of all interfaces and that of one.
type setting struct {
	conf string // "all", or the name of an interface
	name string // below conf
	want int    // what is set where the value does not do
	does func(int) bool
	ipv6 bool // it is one of IPv6, by itself
}

// The sysctls that matter.
const (
	arpIgnore   = "arp_ignore"
	arpAnnounce = "arp_announce"
	rpFilter    = "rp_filter"
	disableIPv6 = "disable_ipv6"
)

// confAll is where the value for all interfaces is.
const confAll = "all"

// arpSettings keep virtual addresses on lo from everybody else's ARP caches.
// They are set for all interfaces, so that one that comes later does not
// answer, and no interface can do with less.
func arpSettings() []setting {
	return []setting{
		{confAll, arpIgnore, 1, hides, false},
		{confAll, arpAnnounce, 2, announcesOwn, false},
	}
}

// pathSetting lets packets come out of a tunnel that leave the machine by
// another interface. Loose filtering wins over a strict one for all interfaces.
func pathSetting(device string) setting {
	return setting{device, rpFilter, 2, asymmetric, false}
}

// familySetting lets packets of IPv6 come out of a tunnel where new interfaces
// are without IPv6 by default.
func familySetting(device string) setting {
	return setting{device, disableIPv6, 0, func(value int) bool { return value == 0 }, true}
}

// hides says whether an interface with that arp_ignore is silent about
// addresses of lo. The kernel answers with 0, and with values that it does not
// know; 3 depends on the scope of the address.
func hides(value int) bool { return value == 1 || value == 2 || value == 8 }

// announcesOwn says whether ARP requests of an interface with that
// arp_announce are sent from the interface's own address, whatever the source
// of the packet that waits for the answer. A value that the kernel does not
// know is as 0.
func announcesOwn(value int) bool { return value == 2 }

// asymmetric says whether an rp_filter lets packets pass whose answers leave by
// another interface: any but strict filtering does.
func asymmetric(value int) bool { return value != 1 }

// path is the sysctl's name with slashes.
func (s setting) path() string {
	if s.ipv6 {
		return sysctlPath6(s.conf, s.name)
	}
	return sysctlPath(s.conf, s.name)
}

// effective returns the value that the kernel goes by.
func (s setting) effective(k sysctlEditor) (int, error) {
	value, err := k.Sysctl(s.path())
	if err != nil || s.conf == confAll || s.ipv6 {
		return value, err
	}
	all, err := k.Sysctl(sysctlPath(confAll, s.name))
	return max(value, all), err
}

// sysctlPath names a sysctl of IPv4 with slashes.
func sysctlPath(conf, name string) string { return "net/ipv4/conf/" + conf + "/" + name }

// sysctlPath6 names a sysctl of IPv6 with slashes.
func sysctlPath6(conf, name string) string { return "net/ipv6/conf/" + conf + "/" + name }

// sysctlName is a sysctl's path as sysctl(8) shows it: the dots of an
// interface's name become slashes.
func sysctlName(path string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(path)
}
