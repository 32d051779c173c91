package ipvstest

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"bascule/lvs"
	"bascule/lvs/ipvs"
)

// conformSettings checks that all settings of services are read back, those
// that mean nothing too, and that a change leaves none from before.
func conformSettings(t *testing.T, h ipvs.Handle) {
	plain, plain6 := TCP("192.0.2.1:80", "rr"), TCP("[2001:db8::1]:80", "rr")
	walk(t, h,
		onService("add a service", ipvs.NewService, plain, 0),
		onService("add one of IPv6", ipvs.NewService, plain6, 0),
	)
	for name, change := range map[string]func(*ipvs.Service){
		"scheduler":              func(s *ipvs.Service) { s.Scheduler = "lc" },
		"no scheduler":           func(s *ipvs.Service) { s.Scheduler = "none" },
		"one packet of TCP":      func(s *ipvs.Service) { s.Flags = uint32(lvs.OnePacket) },
		"flags of the scheduler": func(s *ipvs.Service) { s.Scheduler, s.Flags = "sh", uint32(lvs.SchedulerFlag1|lvs.SchedulerFlag2) },
		"flags it does not have": func(s *ipvs.Service) { s.Flags = uint32(lvs.SchedulerFlag3) },
		"flags nobody has":       func(s *ipvs.Service) { s.Flags = 0x4000 },
		"persistence":            func(s *ipvs.Service) { s.Flags, s.Timeout = ipvs.FlagPersistent, 300 },
		"persistence of a net": func(s *ipvs.Service) {
			s.Flags, s.Timeout, s.Netmask = ipvs.FlagPersistent, 1, 24
		},
		"timeout without persistence": func(s *ipvs.Service) { s.Timeout = 300 },
		"persistence without timeout": func(s *ipvs.Service) { s.Flags = ipvs.FlagPersistent },
		"engine": func(s *ipvs.Service) {
			s.Flags, s.Timeout, s.Engine = ipvs.FlagPersistent|uint32(lvs.OnePacket), 60, "sip"
		},
		"engine without persistence": func(s *ipvs.Service) { s.Engine = "sip" },
	} {
		changed, changed6 := with(plain, change), with(plain6, change)
		walk(t, h,
			onService(name, ipvs.SetService, changed, 0),
			onService(name, ipvs.SetService, changed6, 0),
		)
		check(t, h, held{Service: changed}, held{Service: changed6})
		walk(t, h,
			onService("undo "+name, ipvs.SetService, plain, 0),
			onService("undo "+name, ipvs.DelService, plain6, 0),
			onService("add with "+name, ipvs.NewService, changed6, 0),
		)
		check(t, h, held{Service: plain}, held{Service: changed6})
	}
}

// conformKeys checks that protocols, address families, ports and firewall
// marks are told apart.
func conformKeys(t *testing.T, h ipvs.Handle) {
	tcp := TCP("192.0.2.1:53", "rr")
	udp := with(TCP("192.0.2.1:53", "wrr"), func(s *ipvs.Service) { s.Protocol = unix.IPPROTO_UDP })
	sctp := with(TCP("192.0.2.1:53", "wlc"), func(s *ipvs.Service) { s.Protocol = unix.IPPROTO_SCTP })
	esp := with(TCP("192.0.2.1:53", "rr"), func(s *ipvs.Service) { s.Protocol = unix.IPPROTO_ESP })
	any6 := TCP("[2001:db8::1]:0", "lc")
	mark := Mark(7, "sh")
	mark6 := with(Mark(7, "dh"), func(s *ipvs.Service) { s.Family, s.Netmask = unix.AF_INET6, 128 })
	highest := Mark(1<<32-1, "rr")
	services := []ipvs.Service{tcp, udp, esp, sctp, any6, mark, mark6, highest}
	var want []held
	for i, s := range services {
		d := Destination(fmt.Sprintf("198.51.100.%d:53", 1+i), 1)
		if s.Family == unix.AF_INET6 {
			d = Destination(fmt.Sprintf("[2001:db8::%d]:53", 1+i), 1)
		}
		walk(t, h,
			onService(fmt.Sprint("add ", s), ipvs.NewService, s, 0),
			onDestination(fmt.Sprint("add to ", s), ipvs.NewDest, s, d, 0),
		)
		want = append(want, held{s, []ipvs.Destination{d}})
	}
	check(t, h, want...)
	for _, s := range services {
		walk(t, h, onService(fmt.Sprint("delete ", s), ipvs.DelService, s, 0))
	}
	check(t, h)
}

// conformWeights checks the limits of weights.
func conformWeights(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	walk(t, h, onService("add a service", ipvs.NewService, s, 0))
	for _, weight := range []uint32{0, 1, 65535, 65536, 100000, 1<<31 - 1} {
		d := Destination("198.51.100.1:80", weight)
		walk(t, h, onDestination(fmt.Sprint("weight ", weight), ipvs.NewDest, s, d, 0))
		check(t, h, held{s, []ipvs.Destination{d}})
		walk(t, h, onDestination("delete it", ipvs.DelDest, s, d, 0))
	}
	negative := Destination("198.51.100.1:80", 1<<31)
	walk(t, h,
		onDestination("negative weight", ipvs.NewDest, s, negative, unix.ERANGE),
		onDestination("change a missing one to it", ipvs.SetDest, s, negative, unix.ERANGE),
	)
}

// conformAddresses checks which addresses of destinations are taken, and that
// one of the machine itself keeps its forwarding method.
func conformAddresses(t *testing.T, h ipvs.Handle) {
	s, six := TCP("192.0.2.1:80", "wrr"), TCP("[2001:db8::1]:80", "wrr")
	walk(t, h,
		onService("add a service", ipvs.NewService, s, 0),
		onService("add one of IPv6", ipvs.NewService, six, 0),
	)
	for _, test := range []struct {
		address string
		errno   unix.Errno
	}{
		{"198.51.100.1:0", 0},
		{"127.0.0.1:80", 0},
		{"169.254.0.1:80", 0},
		{"240.0.0.1:80", 0},
		{"0.0.0.0:80", unix.EINVAL},
		{"0.0.0.1:80", 0},
		{"224.0.0.18:80", unix.EINVAL},
		{"255.255.255.255:80", unix.EINVAL},
		{"[2001:db8::2]:0", 0},
		{"[::1]:80", 0},
		{"[fd00::1]:80", 0},
		{"[::]:80", unix.EINVAL},
		{"[fe80::1]:80", unix.EINVAL},
		{"[ff02::12]:80", unix.EINVAL},
	} {
		to, name := s, "add "+test.address
		if netip.MustParseAddrPort(test.address).Addr().Is6() {
			to = six
		}
		walk(t, h, onDestination(name, ipvs.NewDest, to, Destination(test.address, 1), test.errno))
		if test.errno == 0 {
			walk(t, h, onDestination("delete "+test.address, ipvs.DelDest, to, Destination(test.address, 1), 0))
		}
	}
	local := make([]ipvs.Destination, 0, 4)
	for method := range uint32(4) {
		d := with(Destination(fmt.Sprintf("127.0.0.1:%d", 80+method), 1), func(d *ipvs.Destination) { d.Method = method })
		walk(t, h, onDestination(fmt.Sprint("add a local address with method ", method), ipvs.NewDest, s, d, 0))
		local = append(local, d)
	}
	check(t, h, held{s, local}, held{Service: six})
}

// maxThreshold is the highest threshold.
const maxThreshold = 1<<31 - 1

// destinations are of every kind, for a service of IPv4 on port 80.
func destinations() []ipvs.Destination {
	return []ipvs.Destination{
		Destination("198.51.100.1:80", 3),
		with(Destination("198.51.100.2:80", 1), func(d *ipvs.Destination) { d.Method = ipvs.MethodDirect }),
		// The kernel takes another port, which such packets do not have.
		with(Destination("198.51.100.3:8080", 1), func(d *ipvs.Destination) { d.Method = ipvs.MethodDirect }),
		Tunnel("198.51.100.4:80", lvs.IPIP, 0, lvs.NoChecksum),
		Tunnel("198.51.100.5:80", lvs.GUE, 6080, lvs.NoChecksum),
		Tunnel("198.51.100.6:80", lvs.GUE, 6080, lvs.Checksum),
		Tunnel("198.51.100.7:80", lvs.GUE, 6080, lvs.RemoteChecksum),
		Tunnel("198.51.100.8:80", lvs.GRE, 0, lvs.NoChecksum),
		Tunnel("198.51.100.9:80", lvs.GRE, 0, lvs.Checksum),
		with(Destination("198.51.100.10:80", 1), func(d *ipvs.Destination) { d.Upper, d.Lower = 20, 10 }),
		with(Destination("198.51.100.11:80", 1), func(d *ipvs.Destination) { d.Upper, d.Lower = maxThreshold, maxThreshold }),
		// The kernel keeps what means nothing.
		with(Tunnel("198.51.100.12:80", lvs.GUE, 6080, lvs.Checksum), func(d *ipvs.Destination) { d.Method = ipvs.MethodMasquerade }),
		Tunnel("198.51.100.13:80", lvs.IPIP, 1, lvs.RemoteChecksum),
		with(Tunnel("198.51.100.14:80", 9, 0, 0), func(d *ipvs.Destination) { d.TunnelFlags = 0x8000 }),
		with(Destination("198.51.100.15:80", 1), func(d *ipvs.Destination) { d.Method = 4 }),
		with(Destination("198.51.100.16:80", 1), func(d *ipvs.Destination) { d.Method = 7 }),
	}
}

// conformDestinations checks that destinations of every kind are read back.
func conformDestinations(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	walk(t, h, onService("add a service", ipvs.NewService, s, 0))
	for _, d := range destinations() {
		walk(t, h, onDestination(fmt.Sprintf("add %+v", d), ipvs.NewDest, s, d, 0))
	}
	check(t, h, held{s, destinations()})
}

// conformChanges checks that a change of a destination leaves nothing from
// before, between any two kinds.
func conformChanges(t *testing.T, h ipvs.Handle) {
	s := TCP("192.0.2.1:80", "wrr")
	plain := Destination("198.51.100.99:80", 1)
	walk(t, h,
		onService("add a service", ipvs.NewService, s, 0),
		onDestination("add a destination", ipvs.NewDest, s, plain, 0),
	)
	for _, kind := range destinations() {
		changed := with(kind, func(d *ipvs.Destination) { d.Address, d.Port = plain.Address, plain.Port })
		for _, d := range []ipvs.Destination{changed, plain, changed} {
			walk(t, h, onDestination(fmt.Sprintf("change to %+v", d), ipvs.SetDest, s, d, 0))
			check(t, h, held{s, []ipvs.Destination{d}})
		}
	}
}

// conformFamilies checks which destinations of another address family than
// their service's are taken: those of tunnels, of any type.
func conformFamilies(t *testing.T, h ipvs.Handle) {
	s, six := TCP("192.0.2.1:80", "wrr"), TCP("[2001:db8::1]:80", "wrr")
	to6 := Tunnel("[2001:db8::2]:80", lvs.IPIP, 0, 0)
	gue6 := Tunnel("[2001:db8::3]:80", lvs.GUE, 6080, 0)
	to4 := Tunnel("198.51.100.1:80", lvs.GRE, 0, lvs.Checksum)
	masquerade := Destination("[2001:db8::4]:80", 1)
	direct := with(masquerade, func(d *ipvs.Destination) { d.Method = ipvs.MethodDirect })
	unspecified := with(Destination("198.51.100.2:80", 1), func(d *ipvs.Destination) { d.Family = 0 })
	invalid := with(Destination("198.51.100.2:80", 1), func(d *ipvs.Destination) { d.Family = 99 })
	walk(t, h,
		onService("add a service", ipvs.NewService, s, 0),
		onService("add one of IPv6", ipvs.NewService, six, 0),
		onDestination("masquerade", ipvs.NewDest, s, masquerade, unix.EINVAL),
		onDestination("direct", ipvs.NewDest, s, direct, unix.EINVAL),
		onDestination("tunnel", ipvs.NewDest, s, to6, 0),
		onDestination("tunnel of GUE", ipvs.NewDest, s, gue6, 0),
		onDestination("tunnel to IPv4", ipvs.NewDest, six, to4, 0),
		onDestination("change to masquerade", ipvs.SetDest, s, with(to6, func(d *ipvs.Destination) { d.Method = 0 }), unix.EINVAL),
		onDestination("no family", ipvs.NewDest, s, unspecified, 0),
		onDestination("unknown family", ipvs.NewDest, s, invalid, unix.EAFNOSUPPORT),
	)
	check(t, h, held{s, []ipvs.Destination{Destination("198.51.100.2:80", 1), to6, gue6}}, held{six, []ipvs.Destination{to4}})
	walk(t, h,
		onDestination("delete", ipvs.DelDest, s, to6, 0),
		onDestination("delete one that never was there", ipvs.DelDest, s, masquerade, unix.ENOENT),
	)
	check(t, h, held{s, []ipvs.Destination{Destination("198.51.100.2:80", 1), gue6}}, held{six, []ipvs.Destination{to4}})
}
