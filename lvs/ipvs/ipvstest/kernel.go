// Package ipvstest is IPVS in memory, for tests: it answers moby/ipvs's calls
// as the kernel does, with the kernel's errors, and fails when it is told to.
// The conformance test runs on it and on the real kernel.
package ipvstest

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"

	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// serviceID is what the kernel finds a service by.
type serviceID struct {
	family, protocol uint16
	address          netip.AddrPort
	mark             uint32
}

// service is a service that the kernel holds.
type service struct {
	moby.Service
	id           serviceID
	destinations []*moby.Destination // in the order of their addition
}

// Kernel is the IPVS of one network namespace. All its methods may be called
// by several goroutines.
type Kernel struct {
	mu       sync.Mutex
	services map[serviceID]*service
	absent   bool
	failures int // how many calls are still to fail; all if negative
	errno    syscall.Errno
	broken   map[string]syscall.Errno // edits that fail, by their journal line
	dials    int
	journal  []string
}

// New returns a kernel with an empty table.
func New() *Kernel {
	return &Kernel{services: make(map[serviceID]*service)}
}

// Dial returns a client of this kernel; the error is ipvs.ErrNoIPVS while the
// kernel is absent.
func (k *Kernel) Dial() (*ipvs.Client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dials++
	if k.absent {
		return nil, ipvs.ErrNoIPVS
	}
	return ipvs.NewClient(k.Handle()), nil
}

// Handle returns a connection to this kernel.
func (k *Kernel) Handle() ipvs.Handle {
	return &handle{kernel: k}
}

// SetAbsent removes the kernel's IPVS with its table, or brings it back.
func (k *Kernel) SetAbsent(absent bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.absent = absent
	clear(k.services)
}

// Fail makes the next n calls of any kind fail; all of them, until it is
// called again, if n is negative.
func (k *Kernel) Fail(n int, errno syscall.Errno) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures, k.errno = n, errno
}

// Break makes one edit fail until Mend is called. The edit is given as Journal
// shows it, without the outcome: "NEW_DEST 192.168.56.10:80 192.168.200.11:80".
func (k *Kernel) Break(edit string, errno syscall.Errno) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil {
		k.broken = make(map[string]syscall.Errno)
	}
	k.broken[edit] = errno
}

// Mend ends what Fail and Break have begun.
func (k *Kernel) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures, k.broken = 0, nil
}

// Flush empties the table, as ipvsadm -C does.
func (k *Kernel) Flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.services)
}

// Edit carries out operations as somebody else would, and fails the caller's
// test by panic if one of them cannot be done. The journal does not show them.
func (k *Kernel) Edit(ops ...lvs.Op) {
	client := ipvs.NewClient(&handle{kernel: k, private: true})
	for _, op := range ops {
		if err := client.Apply(op); err != nil {
			panic(err)
		}
	}
}

// Table returns the table, whatever failures were asked for.
func (k *Kernel) Table() lvs.Table {
	table, err := ipvs.NewClient(&handle{kernel: k, private: true}).Table()
	if err != nil {
		panic(err)
	}
	return table
}

// Journal returns the edits that were asked of the kernel since the last
// call, each with its errno if it failed: "NEW_SERVICE 192.168.56.10:80: file exists".
func (k *Kernel) Journal() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	journal := k.journal
	k.journal = nil
	return journal
}

// Dials returns how many times a client was asked for.
func (k *Kernel) Dials() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dials
}

// String returns the table as ipvsadm -Sn prints it, services sorted by
// address.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	services := slices.SortedFunc(maps.Values(k.services), func(a, b *service) int {
		return cmp.Or(a.id.address.Compare(b.id.address), strings.Compare(a.option(), b.option()))
	})
	for _, s := range services {
		fmt.Fprintf(&b, "-A %s -s %s\n", s.option(), s.SchedName)
		for _, d := range s.destinations {
			method := [...]string{"-m", "-l", "-i", "-g"}[d.ConnectionFlags&3]
			fmt.Fprintf(&b, "-a %s -r %s %s -w %d\n", s.option(), destinationAddress(d), method, d.Weight)
		}
	}
	return b.String()
}

// option returns the service as an option of ipvsadm: "-t 192.168.56.10:80".
func (s *service) option() string {
	switch {
	case s.FWMark != 0:
		return fmt.Sprintf("-f %d", s.FWMark)
	case s.Protocol == unix.IPPROTO_UDP:
		return "-u " + s.id.address.String()
	}
	return "-t " + s.id.address.String()
}

// find returns the index of the destination that d names, -1 if there is none.
func (s *service) find(d *moby.Destination) int {
	return slices.IndexFunc(s.destinations, func(present *moby.Destination) bool {
		return destinationAddress(present) == destinationAddress(d)
	})
}

// identify returns what the kernel finds a service by.
func identify(s *moby.Service) serviceID {
	if s.FWMark != 0 {
		return serviceID{family: s.AddressFamily, mark: s.FWMark}
	}
	address, _ := netip.AddrFromSlice(s.Address)
	return serviceID{family: s.AddressFamily, protocol: s.Protocol, address: netip.AddrPortFrom(address, s.Port)}
}

// destinationAddress returns a destination's address and port.
func destinationAddress(d *moby.Destination) netip.AddrPort {
	address, _ := netip.AddrFromSlice(d.Address)
	return netip.AddrPortFrom(address, d.Port)
}
