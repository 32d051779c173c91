package ipvstest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"bascule/lvs/ipvs"
)

// TCP returns a TCP service as moby/ipvs has it, with the netmask that means
// nothing.
func TCP(address, scheduler string) *moby.Service {
	at := netip.MustParseAddrPort(address)
	s := &moby.Service{
		AddressFamily: unix.AF_INET, Netmask: 0xffffffff, Protocol: unix.IPPROTO_TCP,
		Address: at.Addr().AsSlice(), Port: at.Port(), SchedName: scheduler,
	}
	if at.Addr().Is6() {
		s.AddressFamily, s.Netmask = unix.AF_INET6, 128
	}
	return s
}

// Destination returns a masqueraded destination as moby/ipvs has it.
func Destination(address string, weight int) *moby.Destination {
	at := netip.MustParseAddrPort(address)
	d := &moby.Destination{AddressFamily: unix.AF_INET, Address: at.Addr().AsSlice(), Port: at.Port(), Weight: weight}
	if at.Addr().Is6() {
		d.AddressFamily = unix.AF_INET6
	}
	return d
}

// Conform checks that what open returns, a connection to an empty table, is
// IPVS with the given schedulers: the errors of edits that cannot be done, and
// what is read back. It is run on the kernel and on this package's Kernel.
func Conform(t *testing.T, schedulers []string, open func(*testing.T) ipvs.Handle) {
	for name, test := range map[string]func(*testing.T, ipvs.Handle){
		"errors":     conformErrors,
		"netmask":    conformNetmask,
		"read back":  conformReadBack,
		"deletion":   conformDeletion,
		"schedulers": func(t *testing.T, h ipvs.Handle) { conformSchedulers(t, h, schedulers) },
		"weights":    conformWeights,
		"families":   conformFamilies,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			defer h.Close()
			test(t, h)
		})
	}
}

// step is a call with the errno that it must fail with; 0 is success.
type step struct {
	name  string
	call  func() error
	errno syscall.Errno
}

// walk makes calls in order and compares their errors.
func walk(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		if err := s.call(); s.errno == 0 && err != nil || s.errno != 0 && !errors.Is(err, s.errno) {
			t.Errorf("%s: error %v, want %v", s.name, err, s.errno)
		}
	}
}

// conformErrors checks the error of every edit, in states where it cannot be
// done and where it can.
func conformErrors(t *testing.T, h ipvs.Handle) {
	s, other, unknown := TCP("192.0.2.1:80", "wrr"), TCP("192.0.2.2:80", "rr"), TCP("192.0.2.1:80", "nosuch")
	d, inverted := Destination("198.51.100.1:80", 1), Destination("198.51.100.9:80", 1)
	inverted.LowerThreshold, inverted.UpperThreshold = 2, 1
	walk(t, []step{
		{"update a missing service", func() error { return h.UpdateService(s) }, unix.ESRCH},
		{"delete a missing service", func() error { return h.DelService(s) }, unix.ESRCH},
		{"add a service with an unknown scheduler", func() error { return h.NewService(unknown) }, unix.ENOENT},
		{"add to a missing service", func() error { return h.NewDestination(s, d) }, unix.ESRCH},
		{"update in a missing service", func() error { return h.UpdateDestination(s, d) }, unix.ESRCH},
		{"delete from a missing service", func() error { return h.DelDestination(s, d) }, unix.ESRCH},
		{"add a service", func() error { return h.NewService(s) }, 0},
		{"add it again", func() error { return h.NewService(s) }, unix.EEXIST},
		{"add it again with an unknown scheduler", func() error { return h.NewService(unknown) }, unix.EEXIST},
		{"change to an unknown scheduler", func() error { return h.UpdateService(unknown) }, unix.ENOENT},
		{"update a missing destination", func() error { return h.UpdateDestination(s, d) }, unix.ENOENT},
		{"delete a missing destination", func() error { return h.DelDestination(s, d) }, unix.ENOENT},
		{"add a destination", func() error { return h.NewDestination(s, d) }, 0},
		{"add it again", func() error { return h.NewDestination(s, d) }, unix.EEXIST},
		{"add one with inverted thresholds", func() error { return h.NewDestination(s, inverted) }, unix.ERANGE},
		{"add a multicast address", func() error { return h.NewDestination(s, Destination("224.0.0.18:80", 1)) }, unix.EINVAL},
		{"add a broadcast address", func() error { return h.NewDestination(s, Destination("255.255.255.255:80", 1)) }, unix.EINVAL},
		{"add an address of this machine", func() error { return h.NewDestination(s, Destination("127.0.0.1:80", 1)) }, 0},
		{"delete it", func() error { return h.DelDestination(s, Destination("127.0.0.1:80", 1)) }, 0},
		{"update the destination", func() error { return h.UpdateDestination(s, d) }, 0},
		{"delete it", func() error { return h.DelDestination(s, d) }, 0},
		{"delete it again", func() error { return h.DelDestination(s, d) }, unix.ENOENT},
		{"add another service", func() error { return h.NewService(other) }, 0},
		{"delete the service", func() error { return h.DelService(s) }, 0},
		{"delete it again", func() error { return h.DelService(s) }, unix.ESRCH},
	})
	if got := describe(t, h); !slices.Equal(got, []string{"192.0.2.2:80 rr"}) {
		t.Errorf("table after all: %q", got)
	}
}

// conformNetmask checks which netmasks are refused.
func conformNetmask(t *testing.T, h ipvs.Handle) {
	none, whole, whole4 := TCP("[2001:db8::1]:80", "rr"), TCP("[2001:db8::1]:80", "rr"), TCP("[2001:db8::1]:80", "rr")
	none.Netmask, whole4.Netmask = 0, 0xffffffff
	walk(t, []step{
		{"IPv6 with no netmask", func() error { return h.NewService(none) }, unix.EINVAL},
		{"IPv6 with the netmask of IPv4", func() error { return h.NewService(whole4) }, unix.EINVAL},
		{"IPv6 with prefix length 128", func() error { return h.NewService(whole) }, 0},
		{"change to no netmask", func() error { return h.UpdateService(none) }, unix.EINVAL},
	})
}

// conformReadBack checks that edits show, in place.
func conformReadBack(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	walk(t, []step{
		{"add a service", func() error { return h.NewService(s) }, 0},
		{"add a destination", func() error { return h.NewDestination(s, Destination("198.51.100.1:80", 3)) }, 0},
		{"add another", func() error { return h.NewDestination(s, Destination("198.51.100.2:8080", 1)) }, 0},
		{"change the scheduler", func() error { return h.UpdateService(TCP("192.0.2.1:80", "lc")) }, 0},
		{"change a weight", func() error { return h.UpdateDestination(s, Destination("198.51.100.1:80", 0)) }, 0},
	})
	want := []string{"192.0.2.1:80 lc", "192.0.2.1:80 198.51.100.1:80 0", "192.0.2.1:80 198.51.100.2:8080 1"}
	if got := describe(t, h); !slices.Equal(got, want) {
		t.Errorf("table:\n%q, want\n%q", got, want)
	}
	services, err := h.GetServices()
	if err != nil || len(services) != 1 || services[0].Flags != flagHashed {
		t.Errorf("services %+v, error %v: want one that is hashed", services, err)
	}
}

// conformDeletion checks that a service takes its destinations with it, and
// that asking for those of a missing service is no error.
func conformDeletion(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	walk(t, []step{
		{"add a service", func() error { return h.NewService(s) }, 0},
		{"add a destination", func() error { return h.NewDestination(s, Destination("198.51.100.1:80", 3)) }, 0},
		{"delete the service", func() error { return h.DelService(s) }, 0},
	})
	if destinations, err := h.GetDestinations(s); len(destinations) > 0 || err != nil {
		t.Errorf("destinations of a deleted service: %v, error %v", destinations, err)
	}
	walk(t, []step{{"add the service again", func() error { return h.NewService(s) }, 0}})
	if got := describe(t, h); !slices.Equal(got, []string{"192.0.2.1:80 wrr"}) {
		t.Errorf("table: %q", got)
	}
}

// conformSchedulers checks that every scheduler is accepted when a service is
// added and when it is changed, and read back.
func conformSchedulers(t *testing.T, h ipvs.Handle, schedulers []string) {
	changed := TCP("192.0.2.9:80", "rr")
	walk(t, []step{{"add a service", func() error { return h.NewService(changed) }, 0}})
	for i, name := range schedulers {
		added := TCP(fmt.Sprintf("192.0.2.1:%d", 1+i), name)
		changed.SchedName = name
		walk(t, []step{
			{"add with " + name, func() error { return h.NewService(added) }, 0},
			{"change to " + name, func() error { return h.UpdateService(changed) }, 0},
		})
		got := describe(t, h)
		for _, want := range []string{fmt.Sprintf("192.0.2.1:%d %s", 1+i, name), "192.0.2.9:80 " + name} {
			if !slices.Contains(got, want) {
				t.Errorf("%q is not in the table %q", want, got)
			}
		}
	}
}

// conformWeights checks the limits of weights as far as they can be read.
func conformWeights(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	walk(t, []step{{"add a service", func() error { return h.NewService(s) }, 0}})
	for weight, want := range map[int]int{0: 0, 1: 1, 65535: 65535, 65536: 0, 100000: 34464} {
		d := Destination("198.51.100.1:80", weight)
		walk(t, []step{{fmt.Sprint("weight ", weight), func() error { return h.NewDestination(s, d) }, 0}})
		if got, err := h.GetDestinations(s); err != nil || len(got) != 1 || got[0].Weight != want {
			t.Errorf("weight %d: read back %+v, error %v; want %d", weight, got, err, want)
		}
		walk(t, []step{{"delete it", func() error { return h.DelDestination(s, d) }, 0}})
	}
	negative := Destination("198.51.100.1:80", -1)
	walk(t, []step{{"negative weight", func() error { return h.NewDestination(s, negative) }, unix.ERANGE}})
}

// conformFamilies checks that protocols, address families and firewall marks
// are told apart.
func conformFamilies(t *testing.T, h ipvs.Handle) {
	tcp, udp, six := TCP("192.0.2.1:53", "rr"), TCP("192.0.2.1:53", "wrr"), TCP("[2001:db8::1]:53", "lc")
	udp.Protocol = unix.IPPROTO_UDP
	mark := &moby.Service{AddressFamily: unix.AF_INET, Netmask: 0xffffffff, FWMark: 7, SchedName: "sh"}
	for _, s := range []*moby.Service{tcp, udp, six, mark} {
		walk(t, []step{{"add " + s.SchedName, func() error { return h.NewService(s) }, 0}})
	}
	walk(t, []step{
		{"add an IPv6 destination", func() error { return h.NewDestination(six, Destination("[2001:db8::2]:53", 1)) }, 0},
		{"add to the firewall mark", func() error { return h.NewDestination(mark, Destination("198.51.100.1:53", 1)) }, 0},
		{"add to TCP", func() error { return h.NewDestination(tcp, Destination("198.51.100.2:53", 1)) }, 0},
	})
	want := []string{
		"192.0.2.1:53 198.51.100.2:53 1", "192.0.2.1:53 rr", "192.0.2.1:53 wrr",
		"[2001:db8::1]:53 [2001:db8::2]:53 1", "[2001:db8::1]:53 lc", "mark 7 198.51.100.1:53 1", "mark 7 sh",
	}
	got := describe(t, h)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("table:\n%q, want\n%q", got, want)
	}
}

// describe returns the table as lines: services with their scheduler, each
// followed by its destinations, sorted, with their weight.
func describe(t *testing.T, h ipvs.Handle) []string {
	t.Helper()
	services, err := h.GetServices()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range services {
		name := identify(s).address.String()
		if s.FWMark != 0 {
			name = fmt.Sprint("mark ", s.FWMark)
		}
		lines = append(lines, name+" "+s.SchedName)
		destinations, err := h.GetDestinations(s)
		if err != nil {
			t.Fatal(err)
		}
		first := len(lines)
		for _, d := range destinations {
			lines = append(lines, fmt.Sprintf("%s %v %d", name, destinationAddress(d), d.Weight))
		}
		slices.Sort(lines[first:])
	}
	return lines
}
