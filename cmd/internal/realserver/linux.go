package realserver

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netlinkTimeout bounds one request to the kernel, which another program may
// keep waiting for seconds.
const netlinkTimeout = 10 * time.Second

// dumpAttempts is how often a list is read that changes while it is read.
const dumpAttempts = 3

// labelSuffix marks our IPv4 addresses for those who look at the interfaces,
// where there is room for it: it is not for the interfaces of our own.
const labelSuffix = ":bascule"

// Linux is the kernel of this machine. It is of the network namespace of the
// thread that uses it.
type Linux struct{ handle *netlink.Handle }

var _ Kernel = (*Linux)(nil)

// Open opens the kernel.
func Open() (*Linux, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := h.SetSocketTimeout(netlinkTimeout); err != nil {
		h.Close()
		return nil, fmt.Errorf("set the netlink timeout: %w", err)
	}
	return &Linux{h}, nil
}

// Close releases the socket.
func (l *Linux) Close() { l.handle.Close() }

// Network returns the cookie of the network namespace.
func (l *Linux) Network() (uint64, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("open a netlink socket: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil && !errors.Is(err, unix.ENOPROTOOPT) { // of Linux before 5.14
		return 0, fmt.Errorf("read the cookie of the network namespace: %w", err)
	}
	return cookie, nil
}

// Interfaces lists all interfaces.
func (l *Linux) Interfaces() ([]Interface, error) {
	links, err := dump(l.handle.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var out []Interface
	for _, link := range links {
		a := link.Attrs()
		has := func(flag uint32) bool { return a.RawFlags&flag != 0 }
		out = append(out, Interface{a.Name, has(unix.IFF_UP), has(unix.IFF_LOOPBACK), !has(unix.IFF_NOARP)})
	}
	return out, nil
}

// Addresses lists the addresses of all interfaces.
func (l *Linux) Addresses() ([]Address, error) {
	links, err := dump(l.handle.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	list, err := dump(func() ([]netlink.Addr, error) { return l.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list the addresses: %w", err)
	}
	var out []Address
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if ok {
			ones, _ := a.Mask.Size()
			out = append(out, Address{names[a.LinkIndex], netip.PrefixFrom(addr, ones)})
		}
	}
	return out, nil
}

// dump reads a list again that has changed while it was read.
func dump[T any](read func() ([]T, error)) (list []T, err error) {
	err = netlink.ErrDumpInterrupted
	for attempt := 0; errors.Is(err, netlink.ErrDumpInterrupted) && attempt < dumpAttempts; attempt++ {
		list, err = read()
	}
	return list, err
}

// AddAddress adds an address in such a way that it is not chosen as the source
// of what the machine has to say by itself: with the scope of the host, or,
// where there are no scopes, deprecated from the start.
func (l *Linux) AddAddress(p Place) error {
	link, err := l.link(p.Interface)
	if err != nil {
		return err
	}
	wanted := ipNet(p.Address)
	if p.Address.Is4() {
		wanted.Scope, wanted.Broadcast = int(netlink.SCOPE_HOST), net.IPv4zero
		if label := p.Interface + labelSuffix; len(label) < unix.IFNAMSIZ {
			wanted.Label = label
		}
	} else {
		// Others have it too: looking for duplicates would find them.
		wanted.Flags = unix.IFA_F_NODAD
		wanted.ValidLft, wanted.PreferedLft = math.MaxInt, 0 // for ever, and not preferred
	}
	return l.handle.AddrAdd(link, wanted)
}

// DeleteAddress takes an address off its interface.
func (l *Linux) DeleteAddress(p Place) error {
	link, err := l.link(p.Interface)
	if err != nil {
		return err
	}
	return l.handle.AddrDel(link, ipNet(p.Address))
}

// ipNet is an address without a subnet for the netlink library.
func ipNet(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
}

// link finds an interface.
func (l *Linux) link(name string) (netlink.Link, error) {
	link, err := l.handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, unix.ENODEV
	}
	return link, err
}

// SetUp sets an interface up or down.
func (l *Linux) SetUp(name string, up bool) error {
	link, err := l.link(name)
	if err != nil {
		return err
	}
	if up {
		return l.handle.LinkSetUp(link)
	}
	return l.handle.LinkSetDown(link)
}

// sysctlRoot is where the kernel shows its sysctls.
const sysctlRoot = "/proc/sys"

// Sysctl reads a sysctl.
func (l *Linux) Sysctl(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(sysctlRoot, name))
	if err != nil {
		return 0, fmt.Errorf("read sysctl: %w", err)
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("sysctl %s: %q is no number", sysctlName(name), text)
	}
	return value, nil
}

// SetSysctl writes a sysctl.
func (l *Linux) SetSysctl(name string, value int) error {
	return os.WriteFile(filepath.Join(sysctlRoot, name), []byte(strconv.Itoa(value)), 0)
}
