package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is one machine of the laboratory: a network namespace with network
// cards.
type Host struct {
	Name string

	lab   *Lab
	space *namespace
	cards []card
}

// Namespace returns the name that ip-netns(8) knows the host's namespace by.
func (h *Host) Namespace() string { return h.space.name }

// Do calls a function on a thread that is inside the host: the sockets that
// it opens stay there. The function must do so itself, not by a goroutine.
func (h *Host) Do(f func() error) error { return h.space.do(f) }

// Command prepares a program to run on the host, by ip-netns(8), which
// becomes that program: the process is the program's own. It is killed when
// the context ends, or when this process ends in whatever way.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.Namespace(), name}, args...)...)
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

// Output runs a program on the host and returns its standard output. The
// error has what it wrote to standard error.
func (h *Host) Output(ctx context.Context, name string, args ...string) (string, error) {
	return output(h.Command(ctx, name, args...))
}

// Sysctl writes a kernel parameter of the host, named with slashes.
func (h *Host) Sysctl(name, value string) error {
	return h.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
	})
}

// Directory returns a directory of the host's own, which is removed with the
// laboratory.
func (h *Host) Directory() (string, error) {
	directory := filepath.Join(h.lab.directory, h.Name)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", fmt.Errorf("directory of %s: %v", h.Name, err)
	}
	return directory, nil
}

// Interfaces returns the names of the host's network cards.
func (h *Host) Interfaces() []string {
	var names []string
	for _, c := range h.cards {
		names = append(names, c.name)
	}
	return names
}

// OwnAddresses returns the IPv4 addresses that the host was built with, which
// a failing director keeps, in the order of its cards.
func (h *Host) OwnAddresses() []netip.Prefix {
	var own []netip.Prefix
	for _, c := range h.cards {
		own = append(own, c.address)
	}
	return own
}

// OwnAddress returns the address of a family that an interface of the host was
// built with: of IPv6 it is the unique local one. An interface that the host
// has not got is an error.
func (h *Host) OwnAddress(iface string, ipv6 bool) (netip.Addr, error) {
	i := slices.IndexFunc(h.cards, func(c card) bool { return c.name == iface })
	switch {
	case i < 0:
		return netip.Addr{}, fmt.Errorf("host %s has no interface %s (it has %v)", h.Name, iface, h.Interfaces())
	case ipv6:
		return h.cards[i].address6().Addr(), nil
	}
	return h.cards[i].address.Addr(), nil
}

// Sent says whether a frame came from a card of the host on the frame's LAN.
func (h *Host) Sent(f Frame) bool {
	return slices.ContainsFunc(h.cards, func(c card) bool {
		return c.lan == f.LAN && f.MAC == hardwareAddress(c.address.Addr()).String()
	})
}

// Addresses returns what the kernel has on an interface of the host now, in
// the kernel's order.
func (h *Host) Addresses(iface string) ([]netip.Prefix, error) {
	link, err := h.link(iface)
	if err != nil {
		return nil, err
	}
	list, err := h.space.handle.AddrList(link, netlink.FAMILY_ALL)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // the addresses changed meanwhile
		list, err = h.space.handle.AddrList(link, netlink.FAMILY_ALL)
	}
	if err != nil {
		return nil, fmt.Errorf("addresses of %s on %s: %v", iface, h.Name, err)
	}
	var addresses []netip.Prefix
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		addresses = append(addresses, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return addresses, nil
}

// AwaitLinkLocal waits until all cards of the host have a link-local address
// that can be used: the kernel first looks for duplicates, for one to two
// seconds after the carrier has come (RFC 4862 section 5.4).
func (h *Host) AwaitLinkLocal(ctx context.Context) error {
	for _, c := range h.cards {
		for {
			usable, err := h.hasLinkLocal(c.name)
			if err != nil {
				return err
			}
			if usable {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s of %s has no usable link-local address: %v", c.name, h.Name, ctx.Err())
			case <-time.After(holderInterval):
			}
		}
	}
	return nil
}

// hasLinkLocal says whether an interface has a usable link-local address that
// is not a virtual one.
func (h *Host) hasLinkLocal(iface string) (bool, error) {
	link, err := h.link(iface)
	if err != nil {
		return false, err
	}
	list, err := h.space.handle.AddrList(link, netlink.FAMILY_V6)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("addresses of %s on %s: %v", iface, h.Name, err)
	}
	return slices.ContainsFunc(list, func(a netlink.Addr) bool {
		return a.IP.IsLinkLocalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_NODAD) == 0
	}), nil
}

// HasAddress says whether one of the host's cards has an address now.
func (h *Host) HasAddress(address netip.Addr) (bool, error) {
	for _, c := range h.cards {
		addresses, err := h.Addresses(c.name)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return p.Addr() == address }) {
			return true, nil
		}
	}
	return false, nil
}

// Up says whether an interface of the host has its carrier.
func (h *Host) Up(iface string) (bool, error) {
	link, err := h.link(iface)
	if err != nil {
		return false, err
	}
	return link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0, nil
}

// CutLinks pulls the cables of interfaces of the host (none named: of all):
// it loses the carrier and notices.
func (h *Host) CutLinks(ifaces ...string) error {
	return h.eachPort(ifaces, h.lab.bridges.space.handle.LinkSetDown)
}

// IsolateLinks has the switch forget interfaces of the host (none named: all):
// nothing passes, yet the carrier stays and the host notices nothing.
func (h *Host) IsolateLinks(ifaces ...string) error {
	return h.eachPort(ifaces, h.lab.bridges.space.handle.LinkSetNoMaster)
}

// RestoreLinks undoes CutLinks and IsolateLinks.
func (h *Host) RestoreLinks(ifaces ...string) error {
	handle := h.lab.bridges.space.handle
	return h.eachCard(ifaces, func(c card) error {
		port, err := h.lab.bridges.link(portName(h.Name, c.name))
		if err != nil {
			return err
		}
		bridge, err := h.lab.bridges.link(c.lan)
		if err != nil {
			return err
		}
		return errors.Join(handle.LinkSetMaster(port, bridge), handle.LinkSetUp(port))
	})
}

// eachPort calls an operation on the switch's ports of interfaces of the host.
func (h *Host) eachPort(ifaces []string, operation func(netlink.Link) error) error {
	return h.eachCard(ifaces, func(c card) error {
		port, err := h.lab.bridges.link(portName(h.Name, c.name))
		if err != nil {
			return err
		}
		return operation(port)
	})
}

// eachCard calls an operation for the cards of the given names, or for all.
func (h *Host) eachCard(ifaces []string, operation func(card) error) error {
	for _, name := range ifaces {
		if !slices.Contains(h.Interfaces(), name) {
			return fmt.Errorf("host %s has no interface %s (it has %v)", h.Name, name, h.Interfaces())
		}
	}
	var errs []error
	for _, c := range h.cards {
		if len(ifaces) == 0 || slices.Contains(ifaces, c.name) {
			errs = append(errs, operation(c))
		}
	}
	return errors.Join(errs...)
}

// link finds an interface of the host.
func (h *Host) link(name string) (netlink.Link, error) {
	link, err := h.space.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s of %s: %v", name, h.Name, err)
	}
	return link, nil
}

// setUp sets an interface of the host administratively up.
func (h *Host) setUp(name string) error {
	link, err := h.link(name)
	if err != nil {
		return err
	}
	if err := h.space.handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s of %s up: %v", name, h.Name, err)
	}
	return nil
}

// addAddress gives an interface of the host an address. One of IPv6 is usable
// at once, without duplicate address detection: nobody else has it here.
func (h *Host) addAddress(iface string, address netip.Prefix) error {
	link, err := h.link(iface)
	if err != nil {
		return err
	}
	wanted := &netlink.Addr{IPNet: ipNet(address)}
	if address.Addr().Is6() {
		wanted.Flags = unix.IFA_F_NODAD
	}
	if err := h.space.handle.AddrAdd(link, wanted); err != nil {
		return fmt.Errorf("address %s on %s of %s: %v", address, iface, h.Name, err)
	}
	return nil
}

// addDefaultRoute routes what is not on the host's LAN through a gateway.
func (h *Host) addDefaultRoute(gateway netip.Addr) error {
	if err := h.space.handle.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()}); err != nil {
		return fmt.Errorf("default route of %s through %s: %v", h.Name, gateway, err)
	}
	return nil
}

// addBridge makes a bridge that is up at once and floods all multicasts, as
// an ordinary unmanaged switch does.
func (h *Host) addBridge(name string) error {
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, TxQLen: -1}, MulticastSnooping: &snooping}
	if err := h.space.handle.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge %s: %v", name, err)
	}
	return h.setUp(name)
}

// ipNet is an address with its prefix as package net has it.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// hardwareAddress is a locally administered MAC address that shows the IPv4
// address of its card, so that a capture can be read.
func hardwareAddress(address netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x00}, address.AsSlice()...)
}
