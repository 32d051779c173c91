package realserver

import "net/netip"

// Kernel is what is read and changed of the network of this machine. Errors
// are those of the kernel, for errors.Is: what is there already is
// unix.EEXIST, an address that is not there unix.EADDRNOTAVAIL, an interface
// that is not there unix.ENODEV, a sysctl that is not there fs.ErrNotExist.
type Kernel interface {
	// Network identifies the network namespace among all of this boot.
	Network() (uint64, error)
	addressEditor
	sysctlEditor
	deviceEditor
	portEditor
}

// addressEditor reads all addresses, and edits those without a subnet.
type addressEditor interface {
	Addresses() ([]Address, error)
	AddAddress(Place) error
	DeleteAddress(Place) error
}

// sysctlEditor reads and writes sysctls, which are named with slashes.
type sysctlEditor interface {
	Sysctl(name string) (int, error)
	SetSysctl(name string, value int) error
}

// deviceEditor reads all interfaces, and edits those of tunnels. A device that
// the kernel cannot have is ErrUnsupported.
type deviceEditor interface {
	Interfaces() ([]Interface, error)
	AddDevice(Device) error
	DeleteDevice(name string) error
	SetUp(name string, up bool) error
}

// portEditor edits the UDP ports at which GUE is unwrapped. A kernel that has
// no such ports says ErrUnsupported.
type portEditor interface {
	Ports() ([]Port, error)
	AddPort(Port) error
	DeletePort(Port) error
}

// Interface is one interface of this machine.
type Interface struct {
	Name     string
	Up       bool // administratively
	Loopback bool
	ARP      bool // resolves addresses, and answers those who do
}

// Address is an address of an interface.
type Address struct {
	Interface string
	Prefix    netip.Prefix
}

// Place is where a virtual address is to be.
type Place struct {
	Interface string     `json:"interface"`
	Address   netip.Addr `json:"address"`
}

// address is a virtual address as its interface has it, without a subnet.
func (p Place) address() Address {
	return Address{p.Interface, netip.PrefixFrom(p.Address, p.Address.BitLen())}
}

// Device is the interface that receives what a tunnel brings. For some kinds
// the kernel makes one by itself, for packets from anywhere, when it loads the
// module. Where that one does not do, Own says that another is made: it takes
// what no other interface is for, before the kernel's.
type Device struct {
	Name     string
	Kind     string // as ip-link(8) names it
	Own      bool
	Checksum bool // GRE has checksums: packets without are dropped, or those with
}

// Port is a UDP port at which packets in GUE are unwrapped.
type Port struct {
	Number uint16 `json:"number"`
	IPv6   bool   `json:"ipv6"` // the outer packets are
}
