package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"

	"bascule/cmd/internal/realserver"
)

// directPlans are the hosts of AddDirect. They are on the clients' own LAN, so
// that answers reach the clients without a director, and so that a host which
// answered ARP for the virtual address would be noticed.
func directPlans() []plan {
	return []plan{
		{name: "direct1", cards: []card{{FirstCard, Public, prefix("192.168.56.21/24")}}},
		{name: "direct2", cards: []card{{FirstCard, Public, prefix("192.168.56.22/24")}}},
	}
}

// AddDirect adds two hosts for direct routing and for tunnels, direct1 and
// direct2: on the public LAN, without a route through the directors. The
// public virtual addresses are theirs too, as by "bascule realserver up" with
// RealServerDirectory.
func (l *Lab) AddDirect() ([]*Host, error) {
	var added []*Host
	for _, p := range directPlans() {
		host, err := l.addHost(p.name)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(l.furnish(host, p), host.acceptVirtual(PublicVIP.Addr(), PublicVIP6[1].Addr())); err != nil {
			return nil, err
		}
		l.hosts = append(l.hosts, host)
		added = append(added, host)
	}
	l.Direct = added
	return added, nil
}

// RealServerDirectory returns the directory in which the host, as a real server,
// has recorded what is to be undone: that of --runtime-dir.
func (h *Host) RealServerDirectory() (string, error) {
	directory, err := h.Directory()
	return filepath.Join(directory, "realserver"), err
}

// acceptVirtual sets the host up as a real server for virtual addresses.
func (h *Host) acceptVirtual(addresses ...netip.Addr) error {
	directory, err := h.RealServerDirectory()
	if err != nil {
		return err
	}
	err = h.Do(func() error {
		kernel, err := realserver.Open()
		if err != nil {
			return err
		}
		defer kernel.Close()
		return realserver.New(kernel, directory).Up(addresses, nil)
	})
	if err != nil {
		return fmt.Errorf("real server %s: %v", h.Name, err)
	}
	return nil
}

// AddClients gives the client more addresses on the public LAN, 192.168.56.2
// and on, and returns all that it has then, the first one included, n of each
// family.
func (l *Lab) AddClients(n int) (addresses []netip.Addr, err error) {
	for i := range n {
		c := card{address: prefix(fmt.Sprintf("192.168.56.%d/24", i+1))}
		for _, p := range []netip.Prefix{c.address, c.address6()} {
			if i > 0 {
				err = errors.Join(err, l.Client.addAddress(FirstCard, p))
			}
			addresses = append(addresses, p.Addr())
		}
	}
	return addresses, err
}

// Mark has the host mark what comes to an address and to some ports of a
// protocol, before it is routed: IPVS then finds it by the mark.
func (h *Host) Mark(ctx context.Context, mark uint32, protocol string, address netip.Addr, ports ...uint16) error {
	family := "ip"
	if address.Is6() {
		family = "ip6"
	}
	rules := "table inet lab {\n chain marks {\n type filter hook prerouting priority mangle;\n"
	for _, port := range ports {
		rules += fmt.Sprintf("%s daddr %v %s dport %d meta mark set %d\n", family, address, protocol, port, mark)
	}
	_, err := h.Output(ctx, "nft", rules+"}\n}\n")
	return err
}

// Reboot leaves of the host's kernel what a machine has after a power cut: its
// own addresses, and nothing of IPVS. Its programs must have ended.
func (h *Host) Reboot(ctx context.Context) error {
	var errs []error
	for _, c := range h.cards {
		link, err := h.link(c.name)
		if err != nil {
			return err
		}
		addresses, err := h.Addresses(c.name)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			own := a == c.address || a == c.address6() || a.Addr().IsLinkLocalUnicast() && !slices.Contains(PublicVIP6, a) && !slices.Contains(InternalVIP6, a)
			if !own {
				errs = append(errs, h.space.handle.AddrDel(link, &netlink.Addr{IPNet: ipNet(a)}))
			}
		}
	}
	if _, err := h.Output(ctx, "ipvsadm", "--clear"); err != nil {
		errs = append(errs, err)
	}
	for _, state := range []string{"master", "backup"} {
		_, _ = h.Output(ctx, "ipvsadm", "--stop-daemon", state) // an error: there was none
	}
	return errors.Join(errs...)
}
