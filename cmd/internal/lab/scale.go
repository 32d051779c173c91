package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Wide is a laboratory of two directors that share any number of LANs, and of
// nothing else: what is measured on it is the virtual routers' alone.
type Wide struct {
	LB, LB2 *Host

	lab   *Lab
	names []string // of the LANs, and of the directors' cards on them
}

// The bounds of a Wide laboratory: its addresses are 10.1.LAN.HOST, and the
// virtual router of a VRID has the host number of that VRID.
const (
	wideLANs     = 255
	wideRouters  = 250
	wideLB       = 251                   // host number of the first director; the second follows
	wideInterval = 20 * time.Millisecond // how often AwaitVirtualAddresses asks: each time takes the kernel a millisecond
)

// NewWide builds a laboratory with up to 255 LANs in network namespaces whose
// names begin with the prefix, as New does.
func NewWide(prefix string, lans int) (*Wide, error) {
	if lans < 1 || lans > wideLANs {
		return nil, fmt.Errorf("a laboratory of %d LANs, want 1 to %d", lans, wideLANs)
	}
	directory, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("directory of the laboratory: %v", err)
	}
	w := &Wide{lab: &Lab{prefix: prefix, directory: directory}}
	w.lab.onClose(func() error { return os.RemoveAll(directory) })
	if err := w.build(lans); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// NewWideT builds a laboratory for a test and removes it when the test ends.
func NewWideT(t T, lans int) *Wide {
	t.Helper()
	if err := Sweep(); err != nil {
		t.Fatalf("sweep: %v", err)
	}
	w, err := NewWide(fmt.Sprintf("%s%d-%d-", testPrefix, os.Getpid(), serial.Add(1)), lans)
	if err != nil {
		t.Fatalf("laboratory: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Fatalf("end of the laboratory: %v", err)
		}
	})
	return w
}

// Close ends all that was started in the laboratory and removes it. It can be
// called again.
func (w *Wide) Close() error { return w.lab.Close() }

// build makes the switch and the two directors.
func (w *Wide) build(lans int) error {
	bridges, err := w.lab.addHost(switchName)
	if err != nil {
		return err
	}
	w.lab.bridges = bridges
	for i := range lans {
		name := fmt.Sprintf("lan%d", i)
		w.names = append(w.names, name)
		if err := bridges.addBridge(name); err != nil {
			return err
		}
	}
	for i, name := range []string{"lb", "lb2"} {
		host, err := w.lab.addHost(name)
		if err != nil {
			return err
		}
		w.lab.hosts = append(w.lab.hosts, host)
		if err := w.lab.furnish(host, widePlan(name, w.names, wideLB+i)); err != nil {
			return err
		}
	}
	w.LB, w.LB2 = w.lab.hosts[0], w.lab.hosts[1]
	return nil
}

// widePlan is a director with a card on each of the LANs.
func widePlan(name string, lans []string, number int) plan {
	p := plan{name: name}
	for i, lan := range lans {
		p.cards = append(p.cards, card{lan, lan, wideAddress(i, number)})
	}
	return p
}

// wideAddress is the address of a host number on a LAN.
func wideAddress(lan, number int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(lan), byte(number)}), 24)
}

// Capture starts to record what passes over all LANs. Stop ends it.
func (w *Wide) Capture() (*Capture, error) { return w.lab.captureOn(w.names...) }

// VirtualAddresses counts the virtual addresses on a director now. While
// addresses change the kernel cannot tell how many there are, and the error is
// netlink.ErrDumpInterrupted.
func (w *Wide) VirtualAddresses(host *Host) (int, error) {
	list, err := host.space.handle.AddrList(nil, unix.AF_INET)
	if err != nil {
		return 0, fmt.Errorf("addresses of %s: %w", host.Name, err)
	}
	n := 0
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP.To4())
		if b := ip.As4(); b[0] == 10 && b[1] == 1 && b[3] < wideLB {
			n++
		}
	}
	return n, nil
}

// AwaitVirtualAddresses waits until a director has that many virtual
// addresses.
func (w *Wide) AwaitVirtualAddresses(ctx context.Context, host *Host, want int) error {
	for {
		n, err := w.VirtualAddresses(host)
		switch {
		case err != nil && !errors.Is(err, netlink.ErrDumpInterrupted):
			return err
		case err == nil && n == want:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has %d virtual addresses, want %d: %v", host.Name, n, want, ctx.Err())
		case <-time.After(wideInterval):
		}
	}
}

// WideConfig is what the directors of a Wide laboratory are told: virtual
// routers of one address each, every one a group of its own, lb preferred.
type WideConfig struct {
	LANs     int
	Routers  int // on each LAN, up to 250
	Interval time.Duration
}

// The priorities of the directors.
const (
	widePriorityLB  = 150
	widePriorityLB2 = 100
)

// Total returns how many virtual routers there are.
func (c WideConfig) Total() int { return c.LANs * c.Routers }

// each calls a function with each virtual router.
func (c WideConfig) each(f func(lan, vrid int, address netip.Prefix)) {
	for lan := range c.LANs {
		for vrid := 1; vrid <= min(c.Routers, wideRouters); vrid++ {
			f(lan, vrid, wideAddress(lan, vrid))
		}
	}
}

// TOML returns the configuration of bascule.
func (c WideConfig) TOML() string {
	var b strings.Builder
	b.WriteString("nodes = [\"lb\", \"lb2\"]\n")
	c.each(func(lan, vrid int, address netip.Prefix) {
		fmt.Fprintf(&b, `
[group.lan%[1]d-%[2]d]
priority = { lb = %[5]d, lb2 = %[6]d }
advertisement_interval = "%[4]v"

[group.lan%[1]d-%[2]d.router.only]
interface = "lan%[1]d"
vrid = %[2]d
addresses = ["%[3]v"]
`, lan, vrid, address, c.Interval, widePriorityLB, widePriorityLB2)
	})
	return b.String()
}

// Keepalived returns the configuration of keepalived on a host, with what else
// is to stand in its block global_defs.
func (c WideConfig) Keepalived(host, global string) string {
	priority := widePriorityLB2
	if host == "lb" {
		priority = widePriorityLB
	}
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n    router_id %s\n    vrrp_version 3\n    %s\n}\n", host, global)
	c.each(func(lan, vrid int, address netip.Prefix) {
		fmt.Fprintf(&b, `vrrp_instance lan%[1]d-%[2]d {
    state BACKUP
    interface lan%[1]d
    virtual_router_id %[2]d
    priority %[5]d
    advert_int %[4]v
    virtual_ipaddress {
        %[3]v dev lan%[1]d
    }
}
`, lan, vrid, address, c.Interval.Seconds(), priority)
	})
	return b.String()
}

// StartKeepalivedWith runs keepalived, VRRP only, with a configuration as it
// stands. Close of the laboratory kills it.
func StartKeepalivedWith(host *Host, text string) (*Keepalived, error) {
	process, err := launchKeepalived(host, "", text, "--vrrp")
	if err != nil {
		return nil, err
	}
	return &Keepalived{host: host, process: process}, nil
}
