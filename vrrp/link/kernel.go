package link

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netlinkTimeout bounds one request to the kernel. It is generous: another
// program may hold the kernel's configuration lock for seconds.
const netlinkTimeout = 10 * time.Second

// dumpAttempts is how often a list is read again that changed while it was read.
const dumpAttempts = 3

// device is what the kernel says of one interface.
type device struct {
	index    int
	up       bool             // administratively up and able to carry packets
	hardware net.HardwareAddr // six bytes on Ethernet
	router   bool             // forwards IPv6; known only where IPv6 is used
}

// address is one IPv4 or IPv6 address of an interface.
type address struct {
	prefix    netip.Prefix
	scope     netlink.Scope
	secondary bool // IPv4: another address of the same subnet was there first; IPv6: temporary

	// These are about IPv6 only.
	tentative  bool // still being looked for on other machines (RFC 4862 section 5.4)
	duplicate  bool // found on another machine
	deprecated bool // not to be chosen as a source without need
}

// kernel is rtnetlink in the network namespace of this process. An interface
// that does not exist is unix.ENODEV, and has no addresses. The zero value is
// ready; it may be used by several goroutines.
type kernel struct {
	mu     sync.Mutex
	handle *netlink.Handle // opened when it is first needed
}

var (
	_ deviceReader  = (*kernel)(nil)
	_ addressEditor = (*kernel)(nil)
)

// client returns the open handle.
func (k *kernel) client() (*netlink.Handle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.handle != nil {
		return k.handle, nil
	}
	// Without a family the handle would open sockets that many kernels lack.
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := h.SetSocketTimeout(netlinkTimeout); err != nil {
		h.Close()
		return nil, fmt.Errorf("set the netlink timeout: %w", err)
	}
	k.handle = h
	return h, nil
}

// Close releases the socket; a later use opens another.
func (k *kernel) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.handle != nil {
		k.handle.Close()
		k.handle = nil
	}
}

// Device returns the present state of an interface.
func (k *kernel) Device(name string) (device, error) {
	if !validName(name) {
		return device{}, unix.ENODEV
	}
	h, err := k.client()
	if err != nil {
		return device{}, err
	}
	l, err := h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return device{}, unix.ENODEV
	}
	if err != nil {
		return device{}, fmt.Errorf("read interface %s: %w", name, err)
	}
	a := l.Attrs()
	// IFF_RUNNING is the operational state: it is absent without carrier.
	const up = unix.IFF_UP | unix.IFF_RUNNING
	return device{index: a.Index, up: a.RawFlags&up == up, hardware: a.HardwareAddr}, nil
}

// DeviceAddresses lists the addresses of the interface with that index, in
// the kernel's order: the primary ones of a scope in the order of their
// arrival, then the secondary ones.
func (k *kernel) DeviceAddresses(index int) ([]address, error) {
	h, err := k.client()
	if err != nil {
		return nil, err
	}
	var list []netlink.Addr
	err = netlink.ErrDumpInterrupted
	for attempt := 0; errors.Is(err, netlink.ErrDumpInterrupted) && attempt < dumpAttempts; attempt++ {
		list, err = h.AddrList(linkAt(index), netlink.FAMILY_ALL)
	}
	if err != nil {
		return nil, fmt.Errorf("list the addresses of interface %d: %w", index, err)
	}
	out := make([]address, 0, len(list))
	for _, a := range list {
		if p, ok := prefixOf(a.IPNet); ok {
			out = append(out, newAddress(p, a.Flags, netlink.Scope(a.Scope)))
		}
	}
	return out, nil
}

// newAddress returns an address with the flags IFA_F_*. Linux allows the use
// of an optimistic one before it was looked for.
func newAddress(p netip.Prefix, flags int, scope netlink.Scope) address {
	has := func(flag int) bool { return flags&flag != 0 }
	return address{
		prefix: p, scope: scope, secondary: has(unix.IFA_F_SECONDARY),
		tentative: has(unix.IFA_F_TENTATIVE) && !has(unix.IFA_F_OPTIMISTIC),
		duplicate: has(unix.IFA_F_DADFAILED), deprecated: has(unix.IFA_F_DEPRECATED),
	}
}

// IPv6Setting returns the value of net.ipv6.conf.IFACE.NAME.
func (k *kernel) IPv6Setting(iface, name string) (int, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + iface + "/" + name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Index returns the index of the interface that has the name now.
func (k *kernel) Index(iface string) (int, error) { return indexOf(iface) }

// AddressesAt lists the addresses of the interface with that index in the
// kernel's order. Where there is no such interface, there are none.
func (k *kernel) AddressesAt(index int) ([]netip.Prefix, error) {
	list, err := k.DeviceAddresses(index)
	if err != nil {
		return nil, err
	}
	out := make([]netip.Prefix, len(list))
	for i, a := range list {
		out[i] = a.prefix
	}
	return out, nil
}

// AddAt puts an address on an interface; unix.EEXIST if it is there already.
func (k *kernel) AddAt(index int, p netip.Prefix) error {
	h, err := k.client()
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: ipNetOf(p)}
	if p.Addr().Is4() {
		a.Broadcast = net.IPv4zero // none of its own, as with "ip address add"
	} else {
		// Another director may have it for a moment longer, and detection
		// of duplicates would disable it here for good.
		a.Flags = unix.IFA_F_NODAD
		if p.IsSingleIP() {
			// Of no use to talk to the neighbours with, it must not be chosen
			// as a source: it is deprecated from the start, as by keepalived.
			a.ValidLft, a.PreferedLft = math.MaxInt, 0 // which is for ever
		}
	}
	return h.AddrAdd(linkAt(index), a)
}

// DeleteAt takes an address off an interface; unix.EADDRNOTAVAIL if it is not
// there.
func (k *kernel) DeleteAt(index int, p netip.Prefix) error {
	h, err := k.client()
	if err != nil {
		return err
	}
	err = h.AddrDel(linkAt(index), &netlink.Addr{IPNet: ipNetOf(p)})
	if !errors.Is(err, unix.EADDRNOTAVAIL) || !p.IsSingleIP() {
		return err
	}
	return deletePointToPoint(h, index, p)
}

// deletePointToPoint takes an address off an interface that has another one as
// its peer: it is listed without a subnet, because the subnet is the peer's,
// but the kernel wants that to delete it.
func deletePointToPoint(h *netlink.Handle, index int, p netip.Prefix) error {
	list, err := h.AddrList(linkAt(index), netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses of interface %d: %w", index, err)
	}
	for _, a := range list {
		if q, ok := prefixOf(a.IPNet); ok && q == p && a.Peer != nil {
			return h.AddrDel(linkAt(index), &netlink.Addr{IPNet: a.IPNet, Peer: a.Peer})
		}
	}
	return unix.EADDRNOTAVAIL
}

// linkAt is an interface for the netlink library, which needs the index only.
func linkAt(index int) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

// indexOf resolves the name of an interface at the moment of use, without
// waiting for the kernel's configuration lock.
func indexOf(iface string) (int, error) {
	if !validName(iface) {
		return 0, unix.ENODEV
	}
	req, err := unix.NewIfreq(iface)
	if err != nil {
		return 0, fmt.Errorf("interface name %q: %w", iface, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket to resolve interface %s: %w", iface, err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

// validName reports whether an interface may have that name. Longer names are
// alternative ones, which the library would look up by reading all interfaces.
func validName(name string) bool { return name != "" && len(name) < unix.IFNAMSIZ }

// prefixOf converts an address of the netlink library.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, bits := n.Mask.Size()
	if bits == 128 && addr.Is4In6() {
		ones -= 96
	}
	p := netip.PrefixFrom(addr.Unmap(), ones)
	return p, p.IsValid()
}

// ipNetOf converts an address for the netlink library.
func ipNetOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
