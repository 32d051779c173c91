package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// FRRConfig is what FRR's vrrpd on one host is told. The virtual routers are
// those of the laboratory; FRR knows no groups, each moves alone.
type FRRConfig struct {
	Priority  int           // 1 to 254
	Interval  time.Duration // between advertisements, a multiple of 10 ms; 0: 1 s
	NoPreempt bool          // leaves a router of lower priority active
	Families  Families
	Version   int // of VRRP, 2 (for IPv4 alone) or 3; 0: 3
}

// FRR is FRR's vrrpd(8) on one host, with a zebra(8) of its own: another
// implementation of VRRP that Bascule must be able to share a router with.
//
// What is different about it, of version 8.4.4:
//
//   - It has the virtual addresses on a macvlan with the virtual router's MAC
//     address, which must be there before, and takes that link's carrier away
//     (protodown) while it is not active. Its frames come from that MAC.
//   - It sends version 3 for IPv4 with the pseudo-header in the checksum, and
//     cannot be told otherwise: the toggle came with 8.5 (FRR pull request 12390).
//   - Of IPv6 its source is the first address that the kernel lists for the
//     macvlan. That may be the virtual link-local one, which loses every tie;
//     here it is one of the host's own.
//   - It sends router advertisements for the IPv6 routers that it is active for.
type FRR struct {
	host    *Host
	config  FRRConfig
	zebra   *Process
	vrrpd   *Process
	routers []VirtualRouter
}

// frrPrograms is where Debian has FRR's daemons.
const frrPrograms = "/usr/lib/frr/"

// StartFRR makes the links that vrrpd wants on a director's host, those of one
// that was killed anew, and runs zebra and vrrpd. Close of the laboratory
// kills both.
func StartFRR(ctx context.Context, host *Host, config FRRConfig) (*FRR, error) {
	f := &FRR{host: host, config: config, routers: config.Families.Routers()}
	directory, err := f.directory()
	if err != nil {
		return nil, err
	}
	if err := f.writeConfig(directory); err != nil {
		return nil, fmt.Errorf("configuration of vrrpd on %s: %v", host.Name, err)
	}
	if err := f.quieten(); err != nil {
		return nil, err
	}
	for _, r := range f.routers {
		if err := f.addMacvlan(r); err != nil {
			return nil, err
		}
	}
	socket := filepath.Join(directory, "zserv.api")
	if f.zebra, err = f.start(directory, socket, "zebra"); err != nil {
		return nil, err
	}
	if err := f.awaitFile(ctx, socket); err != nil {
		return nil, err
	}
	f.vrrpd, err = f.start(directory, socket, "vrrpd")
	return f, err
}

// Host returns the host that vrrpd runs on.
func (f *FRR) Host() *Host { return f.host }

// Log returns what zebra and vrrpd have written.
func (f *FRR) Log() string { return f.zebra.Log() + f.vrrpd.Log() }

// Holds says whether vrrpd answers for an address now. Its macvlan has the
// address at all times, and a carrier while it is active and before it has
// begun to work: so it must have said that it is active, too.
func (f *FRR) Holds(address netip.Addr) (bool, error) {
	for _, r := range f.routers {
		if slices.ContainsFunc(r.Addresses, func(p netip.Prefix) bool { return p.Addr() == address }) {
			up, err := f.host.Up(macvlanName(r))
			return up && f.state(r) == "Master", err
		}
	}
	return false, nil
}

// transition is how vrrpd logs that a virtual router changes its state.
var transition = regexp.MustCompile(`\[VRID (\d+)\] \[(IPv[46])\] \w+ -> (\w+)`)

// Ready waits until all virtual routers take part in the election.
func (f *FRR) Ready(ctx context.Context) error {
	return f.vrrpd.awaitLog(ctx, "all routers to leave Initialize", func(string) bool {
		return !slices.ContainsFunc(f.routers, func(r VirtualRouter) bool { s := f.state(r); return s == "" || s == "Initialize" })
	})
}

// state is the state that vrrpd has said last that a virtual router is in.
func (f *FRR) state(r VirtualRouter) string {
	state, family := "", map[bool]string{false: "IPv4", true: "IPv6"}[r.Is6()]
	for _, m := range transition.FindAllStringSubmatch(f.vrrpd.ownLog(), -1) {
		if m[1] == strconv.Itoa(r.VRID) && m[2] == family {
			state = m[3]
		}
	}
	return state
}

// Stop ends vrrpd in order: it resigns and takes the links' carriers away.
// Then it ends zebra, which does that for vrrpd.
func (f *FRR) Stop(ctx context.Context) error {
	if err := f.vrrpd.Stop(ctx); err != nil {
		return err
	}
	for _, r := range f.routers {
		if err := f.awaitDown(ctx, r); err != nil {
			return err
		}
	}
	return f.zebra.Stop(ctx)
}

// Kill ends both at once, as a crash of the machine does: the links stay as
// they are. zebra comes first, for it would tidy up after vrrpd.
func (f *FRR) Kill() error { return errors.Join(f.zebra.Kill(), f.vrrpd.Kill()) }

// start runs one of FRR's daemons in the foreground with files and sockets of
// its own and no terminal port.
func (f *FRR) start(directory, socket, daemon string) (*Process, error) {
	return f.host.Start(frrPrograms+daemon, "-z", socket, "--vty_socket", directory, "-P", "0",
		"-i", filepath.Join(directory, daemon+".pid"), "-f", filepath.Join(directory, daemon+".conf"))
}

// directory makes an empty directory for FRR's files, which belongs to its
// user.
func (f *FRR) directory() (string, error) {
	base, err := f.host.Directory()
	if err != nil {
		return "", err
	}
	directory := filepath.Join(base, "frr")
	frr, err := user.Lookup("frr")
	if err != nil {
		return "", fmt.Errorf("user of FRR (package frr): %v", err)
	}
	uid, _ := strconv.Atoi(frr.Uid) // a number on Linux
	gid, _ := strconv.Atoi(frr.Gid)
	err = errors.Join(os.RemoveAll(directory), os.Mkdir(directory, 0o755), os.Chown(directory, uid, gid))
	if err != nil {
		return "", fmt.Errorf("directory of FRR on %s: %v", f.host.Name, err)
	}
	return directory, nil
}

// writeConfig writes the configuration files of both daemons.
func (f *FRR) writeConfig(directory string) error {
	const zebra = "log stdout informational\n"
	return errors.Join(
		os.WriteFile(filepath.Join(directory, "zebra.conf"), []byte(zebra), 0o644),
		os.WriteFile(filepath.Join(directory, "vrrpd.conf"), []byte(f.text()), 0o644))
}

// text renders the configuration of vrrpd. A VRID of both families is one
// router to it.
func (f *FRR) text() string {
	interval, version := f.config.Interval, f.config.Version
	if interval == 0 {
		interval = time.Second
	}
	if version == 0 {
		version = 3
	}
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("log stdout debugging\ndebug vrrp protocol")
	for _, r := range f.routers {
		line("interface %s", r.Interface)
		line(" vrrp %d version %d", r.VRID, version)
		line(" vrrp %d priority %d", r.VRID, f.config.Priority)
		line(" vrrp %d advertisement-interval %d", r.VRID, interval.Milliseconds())
		if f.config.NoPreempt {
			line(" no vrrp %d preempt", r.VRID)
		}
		for _, address := range r.Addresses {
			family := map[bool]string{false: "ip", true: "ipv6"}[r.Is6()]
			line(" vrrp %d %s %s", r.VRID, family, address.Addr())
		}
		line("exit")
	}
	return text.String()
}

// quieten keeps the host from answering for the addresses of a macvlan on the
// interface below it, as FRR's manual wants it.
func (f *FRR) quieten() error {
	return errors.Join(
		f.host.Sysctl("net/ipv4/conf/all/arp_ignore", "1"),
		f.host.Sysctl("net/ipv4/conf/all/arp_announce", "2"))
}

// addMacvlan makes the link that has the addresses of a virtual router. It
// begins without a carrier, for zebra finds out only later that vrrpd does not
// want it to be seen yet.
func (f *FRR) addMacvlan(r VirtualRouter) error {
	name, handle := macvlanName(r), f.host.space.handle
	if old, err := handle.LinkByName(name); err == nil {
		if err := handle.LinkDel(old); err != nil {
			return fmt.Errorf("old link %s of %s: %v", name, f.host.Name, err)
		}
	}
	parent, err := f.host.link(r.Interface)
	if err != nil {
		return err
	}
	if err := handle.LinkAdd(&netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
		Name: name, ParentIndex: parent.Attrs().Index, HardwareAddr: virtualMAC(r), TxQLen: -1,
	}}); err != nil {
		return fmt.Errorf("link %s of %s: %v", name, f.host.Name, err)
	}
	// Two routers with one MAC address must not make the same address of it.
	const none = "1"
	if err := f.host.Sysctl("net/ipv6/conf/"+name+"/addr_gen_mode", none); err != nil {
		return fmt.Errorf("link %s of %s: %v", name, f.host.Name, err)
	}
	addresses := r.Addresses
	if r.Is6() {
		// The kernel lists the newest first, and vrrpd sends from the first.
		addresses = append(slices.Clone(addresses), f.source(r))
	}
	for _, address := range addresses {
		if err := f.host.addAddress(name, address); err != nil {
			return err
		}
	}
	return f.host.setUp(name)
}

// source is the address that the advertisements of an IPv6 router come from.
// It is higher than those that the kernel makes of the cards' MAC addresses,
// so that the second director wins a tie as it does in IPv4.
func (f *FRR) source(r VirtualRouter) netip.Prefix {
	own, _ := f.host.OwnAddress(r.Interface, false) // a director has it
	return prefix(fmt.Sprintf("fe80::ffff:%d:%d/64", r.VRID, own.As4()[3]))
}

// awaitFile waits until there is a file, or zebra has ended instead.
func (f *FRR) awaitFile(ctx context.Context, path string) error {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-f.zebra.Done():
			return fmt.Errorf("zebra on %s has ended: %s", f.host.Name, f.zebra.Log())
		case <-ctx.Done():
			return fmt.Errorf("zebra on %s has not made %s: %v", f.host.Name, path, ctx.Err())
		case <-time.After(holderInterval):
		}
	}
}

// awaitDown waits until the link of a virtual router has no carrier.
func (f *FRR) awaitDown(ctx context.Context, r VirtualRouter) error {
	for {
		up, err := f.host.Up(macvlanName(r))
		if err != nil || !up {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %s keeps its carrier: %v", macvlanName(r), f.host.Name, ctx.Err())
		case <-time.After(holderInterval):
		}
	}
}

// macvlanName is the name of the link of a virtual router.
func macvlanName(r VirtualRouter) string {
	return fmt.Sprintf("vrrp%c-%d", map[bool]rune{false: '4', true: '6'}[r.Is6()], r.VRID)
}

// virtualMAC is the MAC address of a virtual router (RFC 9568 section 7.3).
func virtualMAC(r VirtualRouter) net.HardwareAddr {
	family := map[bool]byte{false: 1, true: 2}[r.Is6()]
	return net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, family, byte(r.VRID)}
}
