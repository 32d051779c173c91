// Package ipvstest is IPVS in memory, for tests: it holds what the kernel
// holds, answers as the kernel does, with the kernel's errors, and fails when
// it is told to. The conformance test runs on it and on the real kernel.
package ipvstest

import (
	"fmt"
	"sync"
	"syscall"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// service is a service that the kernel holds.
type service struct {
	ipvs.Service
	destinations []ipvs.Destination // in the order of their addition
}

// Kernel is the IPVS of one network namespace. All its methods may be called
// by several goroutines.
type Kernel struct {
	mu         sync.Mutex
	services   map[ipvs.ServiceID]*service
	daemons    map[lvs.SyncRole]lvs.SyncDaemon
	timeouts   lvs.Timeouts
	interfaces map[string]int // the MTU of each
	absent     bool
	failures   int // how many calls are still to fail; all if negative
	errno      syscall.Errno
	broken     map[string]syscall.Errno // edits that fail, by their journal line
	dials      int
	journal    []string
}

// New returns a kernel with an empty table. Its interfaces are lo, eth0 and
// eth1.
func New() *Kernel {
	return &Kernel{
		services:   make(map[ipvs.ServiceID]*service),
		daemons:    make(map[lvs.SyncRole]lvs.SyncDaemon),
		timeouts:   defaultTimeouts(),
		interfaces: map[string]int{"lo": 65536, "eth0": 1500, "eth1": 1500},
	}
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

// SetAbsent removes the kernel's IPVS with all that it holds, or brings it
// back.
func (k *Kernel) SetAbsent(absent bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.absent = absent
	k.timeouts = defaultTimeouts()
	clear(k.services)
	clear(k.daemons)
}

// SetInterface adds a network interface that a sync daemon can use, or changes
// its MTU.
func (k *Kernel) SetInterface(name string, mtu int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interfaces[name] = mtu
}

// SetUsage sets what a destination does, and has done; the caller's test fails
// by panic if there is no such destination.
func (k *Kernel) SetUsage(key lvs.RealServerKey, usage lvs.Usage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, s := range k.services {
		for i := range s.destinations {
			if d := &s.destinations[i]; d.AddrPort() == key.Address && names(id, key.Service) {
				d.Usage = usage
				return
			}
		}
	}
	panic(fmt.Sprintf("no destination %v of %v", key.Address, key.Service))
}

// names says whether a key is that of the service with an ID.
func names(id ipvs.ServiceID, key lvs.ServiceKey) bool {
	if id.Mark != 0 || key.Mark != 0 {
		return id.Mark == key.Mark && id.String() == key.String()
	}
	return id.Protocol == uint16(key.Protocol) && id.Address == key.Address.Addr() && id.Port == key.Address.Port()
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

// Reading returns what the kernel holds, whatever failures were asked for.
func (k *Kernel) Reading() lvs.Reading {
	reading, err := ipvs.NewClient(&handle{kernel: k, private: true}).Read()
	if err != nil {
		panic(err)
	}
	return reading
}

// Table returns the table, whatever failures were asked for.
func (k *Kernel) Table() lvs.Table { return k.Reading().Table }

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
