//go:build !ipvs

package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bascule/cmd/internal/lab"
)

// peer is another implementation of VRRP on a director's host.
type peer interface {
	Ready(context.Context) error
	Holds(netip.Addr) (bool, error)
	Stop(context.Context) error
	Kill() error
	Log() string
}

// wire is what two directors are both configured to speak.
type wire struct {
	families lab.Families
	version  int              // of IPv4, 2 or 3
	checksum lab.ChecksumForm // of IPv4 and version 3
	password string           // of version 2; empty: none
	unicast  bool
	// farPeer has Bascule take any TTL from a unicast peer, and keepalived
	// choose its own, which is 64 for IPv6: RFC 9568 section 5.1.2.3 wants 255.
	// Without it keepalived is told to send 255.
	farPeer  bool
	interval time.Duration
}

// part is what one of the two is told besides.
type part struct {
	priority  int
	noPreempt bool
	interval  time.Duration // 0: that of the wire
}

// implementation is a program that Bascule shares virtual routers with.
type implementation struct {
	name string
	// groups says that its virtual routers move together, as Bascule's do.
	groups bool
	start  func(ctx context.Context, host *lab.Host, w wire, p part) (peer, error)
	// version asks the program for its version, which begins with release.
	version func(ctx context.Context) (string, error)
	release string
}

// The programs that Bascule is tested beside.
var (
	keepalived227 = implementation{
		name: "keepalived 2.2.7", groups: true, start: startKeepalived(""), version: versionOfKeepalived(""), release: "2.2.7",
	}
	keepalived233 = implementation{
		name: "keepalived 2.3.3", groups: true, start: startKeepalived(trixie), version: versionOfKeepalived(trixie), release: "2.3.",
	}
	frr844 = implementation{name: "FRR 8.4.4", start: startFRR, version: lab.FRRVersion, release: "8.4."}
)

// trixie is Debian 13.
const trixie = "trixie"

// versionOfKeepalived asks keepalived of a suite of Debian; none: this
// machine's.
func versionOfKeepalived(suite string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		root, err := keepalivedRoot(ctx, suite)
		if err != nil {
			return "", err
		}
		return lab.KeepalivedVersion(ctx, root)
	}
}

// keepalivedRoot is the directory of a suite of Debian with keepalived; none:
// this machine's.
func keepalivedRoot(ctx context.Context, suite string) (string, error) {
	if suite == "" {
		return "", nil
	}
	return lab.DebianRoot(ctx, suite, "keepalived")
}

// startKeepalived starts keepalived of a suite of Debian; none: this
// machine's.
func startKeepalived(suite string) func(context.Context, *lab.Host, wire, part) (peer, error) {
	return func(ctx context.Context, host *lab.Host, w wire, p part) (peer, error) {
		config := lab.KeepalivedConfig{
			Priority: p.priority, NoPreempt: p.noPreempt, Interval: p.interval,
			Families: w.families, Version: w.version, Password: w.password, Unicast: w.unicast, Checksum: w.checksum,
		}
		if w.unicast && !w.farPeer {
			config.UnicastTTL = 255
		}
		root, err := keepalivedRoot(ctx, suite)
		if err != nil {
			return nil, err
		}
		config.Root = root
		return lab.StartKeepalived(host, config)
	}
}

// startFRR starts FRR's vrrpd.
func startFRR(ctx context.Context, host *lab.Host, w wire, p part) (peer, error) {
	return lab.StartFRR(ctx, host, lab.FRRConfig{
		Priority: p.priority, NoPreempt: p.noPreempt, Interval: p.interval, Families: w.families, Version: w.version,
	})
}

// basculeText is Bascule's configuration on lb, with its part of the wire.
func basculeText(l *lab.Lab, w wire, p part) string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("nodes = [\"lb\", \"lb2\"]\n[group.web]")
	line("priority = { lb = %d, lb2 = 1 }\npreempt = %v\nadvertisement_interval = %q", p.priority, !p.noPreempt, p.interval)
	for _, r := range w.families.Routers() {
		line("[group.web.router.%s]", routerName(r))
		line("interface = %q\nvrid = %d", r.Interface, r.VRID)
		line("addresses = [%s]", quoted(r.Addresses))
		if !r.Is6() && w.version == 2 {
			line("version = 2")
		}
		if !r.Is6() && w.version == 3 {
			line("checksum = %q", w.checksum)
		}
		if !r.Is6() && w.password != "" {
			line("password = %q", w.password)
		}
		if w.unicast {
			lb, _ := l.LB.OwnAddress(r.Interface, r.Is6()) // a director has it
			lb2, _ := l.LB2.OwnAddress(r.Interface, r.Is6())
			line("unicast = { lb = %q, lb2 = %q }", lb, lb2)
			if w.farPeer {
				line("unicast_routed = [\"lb2\"]")
			}
		}
	}
	return text.String()
}

// routerName is the name of a virtual router in Bascule's configuration.
func routerName(r lab.VirtualRouter) string {
	if r.Is6() {
		return r.Name + "6"
	}
	return r.Name
}

// quoted writes addresses as an array's elements.
func quoted(addresses []netip.Prefix) string {
	var words []string
	for _, a := range addresses {
		words = append(words, fmt.Sprintf("%q", a))
	}
	return strings.Join(words, ", ")
}
