package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Lab is a laboratory that stands. Its methods and those of its hosts may be
// called from several goroutines.
type Lab struct {
	Client *Host
	LB     *Host // the director that the configuration prefers
	LB2    *Host
	Web    []*Host // web1, web2, web3
	Direct []*Host // direct1 and direct2, once AddDirect has been called

	prefix    string
	directory string
	hosts     []*Host // all that are not the switch, from the client inwards
	bridges   *Host   // the switch

	mu      sync.Mutex
	closers []func() error // in the order in which their objects were made
}

// New builds the laboratory in network namespaces whose names are the prefix
// and the host's name. What a laboratory of the same prefix has left behind
// is an error: see Remove. After an error nothing is left.
func New(prefix string) (*Lab, error) {
	directory, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("directory of the laboratory: %v", err)
	}
	l := &Lab{prefix: prefix, directory: directory}
	l.onClose(func() error { return os.RemoveAll(directory) })
	// Some peers run as users of their own, and must find theirs in it.
	if err := os.Chmod(directory, 0o711); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := l.build(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// T is what NewT needs of *testing.T.
type T interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// serial tells apart the laboratories that one process makes at a time.
var serial atomic.Uint32

// NewT builds a laboratory for a test and removes it when the test ends. The
// namespaces that a killed test has left are removed too.
func NewT(t T) *Lab {
	t.Helper()
	if err := Sweep(); err != nil {
		t.Fatalf("sweep: %v", err)
	}
	l, err := New(fmt.Sprintf("%s%d-%d-", testPrefix, os.Getpid(), serial.Add(1)))
	if err != nil {
		t.Fatalf("laboratory: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Fatalf("end of the laboratory: %v", err)
		}
	})
	return l
}

// Close ends all that was started in the laboratory, the last first, then
// removes its namespaces and files. It can be called again.
func (l *Lab) Close() error {
	l.mu.Lock()
	closers := l.closers
	l.closers = nil
	l.mu.Unlock()
	var errs []error
	for _, closer := range slices.Backward(closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// onClose has Close call a function, before those that were there earlier.
func (l *Lab) onClose(closer func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, closer)
}

// Hosts returns the six hosts, from the client inwards, then those that were
// added.
func (l *Lab) Hosts() []*Host { return slices.Clone(l.hosts) }

// Host returns the host of a name, or nil.
func (l *Lab) Host(name string) *Host {
	i := slices.IndexFunc(l.hosts, func(h *Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return l.hosts[i]
}

// build makes the switch and all hosts.
func (l *Lab) build() error {
	bridges, err := l.addHost(switchName)
	if err != nil {
		return err
	}
	l.bridges = bridges
	for _, lan := range []string{Public, Internal} {
		if err := bridges.addBridge(lan); err != nil {
			return err
		}
	}
	for _, p := range plans() {
		host, err := l.addHost(p.name)
		if err != nil {
			return err
		}
		l.hosts = append(l.hosts, host)
		if err := l.furnish(host, p); err != nil {
			return err
		}
	}
	l.Client, l.LB, l.LB2, l.Web = l.hosts[0], l.hosts[1], l.hosts[2], l.hosts[3:]
	return nil
}

// addHost makes an empty host with its loopback up.
func (l *Lab) addHost(name string) (*Host, error) {
	space, err := addNamespace(l.prefix + name)
	if err != nil {
		return nil, err
	}
	l.onClose(space.remove)
	host := &Host{Name: name, lab: l, space: space}
	return host, host.setUp("lo")
}

// furnish gives a host its cards, its default route and its sysctls.
func (l *Lab) furnish(host *Host, p plan) error {
	for _, c := range p.cards {
		if err := l.plug(host, c); err != nil {
			return err
		}
	}
	for _, gateway := range p.gateways {
		if err := host.addDefaultRoute(gateway); err != nil {
			return err
		}
	}
	if !p.forward {
		return nil
	}
	return errors.Join(host.Sysctl("net/ipv4/ip_forward", "1"), host.Sysctl("net/ipv6/conf/all/forwarding", "1"))
}

// plug connects a card of a host to the bridge of its LAN.
func (l *Lab) plug(host *Host, c card) error {
	port := portName(host.Name, c.name)
	bridge, err := l.bridges.space.handle.LinkByName(c.lan)
	if err != nil {
		return fmt.Errorf("bridge %s: %v", c.lan, err)
	}
	link := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index, TxQLen: -1},
		PeerName:         c.name,
		PeerHardwareAddr: hardwareAddress(c.address.Addr()),
		PeerNamespace:    netlink.NsFd(host.space.ns),
	}
	if err := l.bridges.space.handle.LinkAdd(link); err != nil {
		return fmt.Errorf("cable %s: %v", port, err)
	}
	host.cards = append(host.cards, c)
	if err := l.bridges.setUp(port); err != nil {
		return err
	}
	for _, address := range []netip.Prefix{c.address, c.address6()} {
		if err := host.addAddress(c.name, address); err != nil {
			return err
		}
	}
	return host.setUp(c.name)
}

// portName is the port of the switch that a host's card is plugged into.
func portName(host, card string) string { return host + "-" + card }

// AttachedHost is a host of a laboratory that another process holds.
type AttachedHost struct {
	*Host
	lab *Lab
}

// Attach opens a host of the laboratory of a prefix that another process has
// built. Close it when done; the laboratory stays.
func Attach(prefix, name string) (*AttachedHost, error) {
	ns, err := netns.GetFromName(prefix + name)
	if err != nil {
		return nil, fmt.Errorf("host %s of the laboratory %s (is it up?): %v", name, prefix, err)
	}
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netlink in %s%s: %v", prefix, name, err), ns.Close())
	}
	l := &Lab{prefix: prefix}
	l.onClose(func() error {
		handle.Close()
		return ns.Close()
	})
	return &AttachedHost{Host: &Host{Name: name, lab: l, space: &namespace{prefix + name, ns, handle}}, lab: l}, nil
}

// Close ends what was started on the host by way of this value.
func (a *AttachedHost) Close() error { return a.lab.Close() }
