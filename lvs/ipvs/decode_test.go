package ipvs

import (
	"net/netip"
	"testing"
	"time"

	"bascule/lvs"
)

// TestRoundTrip checks that what is written is read back.
func TestRoundTrip(t *testing.T) {
	k := names{}
	for _, s := range []Service{
		{ServiceID: ServiceID{Family: familyIPv4, Protocol: 6, Address: netip.MustParseAddr("192.0.2.1"), Port: 80}, Scheduler: "wrr"},
		{ServiceID: ServiceID{Family: familyIPv6, Mark: 1<<32 - 1}, Scheduler: "a-name-of-15-by", Flags: 1<<32 - 1, Timeout: 300, Netmask: 64, Engine: "sip"},
	} {
		var e encoder
		e.service(&s)
		if got, err := decodeService(e.buf, k); err != nil || got != s {
			t.Errorf("%+v, error %v; want %+v", got, err, s)
		}
	}
	d := Destination{
		Family: familyIPv6, Address: netip.MustParseAddr("2001:db8::1"), Port: 8080, Method: MethodTunnel, Weight: 1<<31 - 1,
		Upper: 20, Lower: 10, TunnelType: 1, TunnelPort: 6080, TunnelFlags: 2,
	}
	var e encoder
	e.destination(&d, true)
	if got, err := decodeDestination(e.buf, familyIPv4); err != nil || got != d {
		t.Errorf("%+v, error %v; want %+v", got, err, d)
	}
	for _, group := range []string{"224.0.0.81", "ff02::81"} {
		want := Daemon{lvs.SyncReceiver, lvs.SyncDaemon{Interface: "eth0", ID: 255, MaxLength: 1400, Group: netip.MustParseAddr(group), Port: 8848, TTL: 1}}
		e.buf = e.buf[:0]
		e.daemon(&want, true)
		if got, err := decodeDaemon(e.buf); err != nil || got != want {
			t.Errorf("%+v, error %v; want %+v", got, err, want)
		}
	}
	timeouts := lvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: time.Second}
	e.buf = e.buf[:0]
	e.timeouts(timeouts)
	if got := decodeTimeouts(e.buf); got != timeouts {
		t.Errorf("%+v, want %+v", got, timeouts)
	}
}

// TestCounters checks that 64 bits of counters are read where there are as
// many, and the others else.
func TestCounters(t *testing.T) {
	for _, test := range []struct {
		kinds []uint16
		want  uint64
	}{
		{[]uint16{destStats, destStats64}, 1 << 40},
		{[]uint16{destStats64, destStats}, 1 << 40},
		{[]uint16{destStats}, 7},
	} {
		var e encoder
		start := e.nest(commandDest)
		e.address(destAddress, netip.MustParseAddr("198.51.100.1"))
		for _, kind := range test.kinds {
			stats := e.nest(kind)
			for counter := uint16(statsConnections); counter <= statsBytesOut; counter++ {
				if kind == destStats64 || counter >= statsBytesIn {
					e.bytes(counter, native.AppendUint64(nil, test.want)...)
				} else {
					e.uint32(counter, 7)
				}
			}
			e.close(stats)
		}
		e.close(start)
		d, err := decodeDestination(e.buf, familyIPv4)
		want := lvs.Usage{Connections: test.want, PacketsIn: test.want, PacketsOut: test.want, BytesIn: test.want, BytesOut: test.want}
		if err != nil || d.Usage != want {
			t.Errorf("%v: %+v, error %v; want %+v", test.kinds, d.Usage, err, want)
		}
	}
}

// FuzzDecode checks that whatever is received is read or refused.
func FuzzDecode(f *testing.F) {
	request := message{kind: 30, sequence: 1}
	f.Add(part(request, 7, 0))
	f.Add(done(request))
	f.Add(answer(request, 0, func(e *encoder) {
		e.destination(&Destination{Family: familyIPv4, Address: netip.MustParseAddr("198.51.100.1")}, true)
		e.daemon(&Daemon{Role: 1, SyncDaemon: lvs.SyncDaemon{Interface: "eth0"}}, true)
		e.timeouts(lvs.Timeouts{TCP: time.Hour})
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = messages(b, func(m message) error {
			_ = m.errno()
			in, err := m.attributes()
			if err != nil {
				return err
			}
			if s, err := decodeService(in, names{}); err == nil && s.Mark == 0 && !s.Address.IsValid() {
				t.Errorf("service %+v", s)
			}
			if d, err := decodeDestination(in, familyIPv4); err == nil && !d.Address.IsValid() {
				t.Errorf("destination %+v", d)
			}
			_, _ = decodeDaemon(in)
			_, _ = decodeTimeouts(in), decodeInfo(in)
			return nil
		})
	})
}
