package realserver

import (
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// fake is a kernel in memory, with one network card.
type fake struct {
	network    uint64
	interfaces []Interface
	addresses  []Address
	sysctls    map[string]int
	ports      []Port
	modules    map[string]bool   // that can be loaded; one that is loaded is true
	fallback   bool              // whether a module that is loaded makes a device of its own
	external   map[string]string // the interface in external mode of each kind
	fail       map[string]error  // what a method fails with
}

var _ Kernel = (*fake)(nil)

// newFake returns a kernel as it is after a boot, with all modules to be
// loaded.
func newFake() *fake {
	f := &fake{
		network:    1,
		interfaces: []Interface{{Name: "lo", Up: true, Loopback: true, ARP: true}},
		sysctls:    map[string]int{},
		modules:    map[string]bool{"ipip": false, "ip_gre": false, "sit": false, "ip6_tunnel": false, "ip6_gre": false, "fou": false},
		fallback:   true,
		external:   map[string]string{},
		fail:       map[string]error{},
	}
	for _, conf := range []string{"all", "default", "lo"} {
		f.configure(conf)
	}
	f.addInterface(Interface{Name: "eth0", Up: true, ARP: true})
	f.addresses = []Address{{"lo", netip.MustParsePrefix("127.0.0.1/8")}, {"eth0", netip.MustParsePrefix("192.0.2.1/24")}}
	return f
}

// configure gives a new interface the sysctls of "default".
func (f *fake) configure(conf string) {
	for _, name := range []string{arpIgnore, arpAnnounce, rpFilter} {
		f.sysctls[sysctlPath(conf, name)] = f.sysctls[sysctlPath("default", name)]
	}
	f.sysctls[sysctlPath6(conf, disableIPv6)] = f.sysctls[sysctlPath6("default", disableIPv6)]
}

// addInterface adds an interface.
func (f *fake) addInterface(i Interface) {
	f.interfaces = append(f.interfaces, i)
	f.configure(i.Name)
}

// String is all that Up may change, for comparison.
func (f *fake) String() string {
	var text strings.Builder
	for _, i := range f.interfaces {
		fmt.Fprintf(&text, "%+v\n", i)
	}
	addresses := slices.Clone(f.addresses)
	slices.SortFunc(addresses, func(a, b Address) int { return a.Prefix.Compare(b.Prefix) })
	for _, a := range addresses {
		fmt.Fprintf(&text, "%s %s\n", a.Interface, a.Prefix)
	}
	for _, name := range slices.Sorted(maps.Keys(f.sysctls)) {
		fmt.Fprintf(&text, "%s = %d\n", name, f.sysctls[name])
	}
	fmt.Fprintln(&text, f.ports)
	return text.String()
}

// Network implements Kernel.
func (f *fake) Network() (uint64, error) { return f.network, f.fail["Network"] }

// Interfaces implements Kernel.
func (f *fake) Interfaces() ([]Interface, error) {
	return slices.Clone(f.interfaces), f.fail["Interfaces"]
}

// Addresses implements Kernel.
func (f *fake) Addresses() ([]Address, error) {
	return slices.Clone(f.addresses), f.fail["Addresses"]
}

// AddAddress implements Kernel. IPv6 has each address once on an interface,
// whatever its prefix.
func (f *fake) AddAddress(p Place) error {
	if err := f.fail["AddAddress"]; err != nil {
		return err
	}
	if f.index(p.Interface) < 0 {
		return unix.ENODEV
	}
	if slices.ContainsFunc(f.addresses, func(h Address) bool {
		return h == p.address() || p.Address.Is6() && h.Interface == p.Interface && h.Prefix.Addr() == p.Address
	}) {
		return unix.EEXIST
	}
	f.addresses = append(f.addresses, p.address())
	return nil
}

// DeleteAddress implements Kernel.
func (f *fake) DeleteAddress(p Place) error {
	if err := f.fail["DeleteAddress"]; err != nil {
		return err
	}
	if f.index(p.Interface) < 0 {
		return unix.ENODEV
	}
	i := slices.Index(f.addresses, p.address())
	if i < 0 {
		return unix.EADDRNOTAVAIL
	}
	f.addresses = slices.Delete(f.addresses, i, i+1)
	return nil
}

// Sysctl implements Kernel.
func (f *fake) Sysctl(name string) (int, error) {
	value, ok := f.sysctls[name]
	if !ok {
		return 0, fmt.Errorf("sysctl %s: %w", name, fs.ErrNotExist)
	}
	return value, f.fail["Sysctl"]
}

// SetSysctl implements Kernel.
func (f *fake) SetSysctl(name string, value int) error {
	if _, err := f.Sysctl(name); err != nil {
		return err
	}
	f.sysctls[name] = value
	return f.fail["SetSysctl"]
}

// AddDevice implements Kernel. The devices that the modules make by themselves
// are named after their kinds, but for one. There is one external device of a
// kind.
func (f *fake) AddDevice(d Device) error {
	loaded, available := f.modules[d.module()]
	if !available {
		return ErrUnsupported
	}
	f.modules[d.module()] = true
	fallback := d.Kind + "0"
	if d.Kind == "ipip" {
		fallback = "tunl0"
	}
	if !loaded && f.fallback && f.index(fallback) < 0 {
		f.addInterface(Interface{Name: fallback})
	}
	if f.index(d.Name) >= 0 || d.Own && f.external[d.Kind] != "" {
		return unix.EEXIST
	}
	if d.Own {
		f.external[d.Kind] = d.Name
	}
	f.addInterface(Interface{Name: d.Name})
	return nil
}

// DeleteDevice implements Kernel.
func (f *fake) DeleteDevice(name string) error {
	i := f.index(name)
	if i < 0 {
		return unix.ENODEV
	}
	f.interfaces = slices.Delete(f.interfaces, i, i+1)
	maps.DeleteFunc(f.external, func(_, external string) bool { return external == name })
	f.addresses = slices.DeleteFunc(f.addresses, func(a Address) bool { return a.Interface == name })
	maps.DeleteFunc(f.sysctls, func(path string, _ int) bool {
		return strings.HasPrefix(path, sysctlPath(name, "")) || strings.HasPrefix(path, sysctlPath6(name, ""))
	})
	return nil
}

// SetUp implements Kernel.
func (f *fake) SetUp(name string, up bool) error {
	i := f.index(name)
	if i < 0 {
		return unix.ENODEV
	}
	f.interfaces[i].Up = up
	return nil
}

// index finds an interface.
func (f *fake) index(name string) int {
	return slices.IndexFunc(f.interfaces, func(i Interface) bool { return i.Name == name })
}

// Ports implements Kernel.
func (f *fake) Ports() ([]Port, error) {
	if _, available := f.modules["fou"]; !available {
		return nil, ErrUnsupported
	}
	return slices.Clone(f.ports), nil
}

// AddPort implements Kernel.
func (f *fake) AddPort(p Port) error {
	if slices.Contains(f.ports, p) {
		return unix.EADDRINUSE
	}
	f.ports = append(f.ports, p)
	return f.fail["AddPort"]
}

// DeletePort implements Kernel.
func (f *fake) DeletePort(p Port) error {
	i := slices.Index(f.ports, p)
	if i < 0 {
		return unix.EINVAL
	}
	f.ports = slices.Delete(f.ports, i, i+1)
	return nil
}
