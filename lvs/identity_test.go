package lvs_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/lvs"
)

// site returns a virtual server with services at some addresses and the real
// servers 1 and 2 at a port.
func site(name string, port uint16, services ...string) lvs.VirtualServerConfig {
	c := lvs.VirtualServerConfig{Name: name, DrainLimit: time.Minute}
	for _, s := range services {
		c.Services = append(c.Services, lvs.Service{ServiceKey: key(s), Scheduler: "rr"})
	}
	for n := range 2 {
		c.RealServers = append(c.RealServers, lvs.RealServerConfig{
			Address: netip.AddrPortFrom(numberedServer(n+1).Addr(), port), Weight: 1, Checked: true,
		})
	}
	return c
}

// The services of these tests.
const (
	http  = "192.0.2.1:80"
	https = "192.0.2.1:443"
	other = "192.0.2.2:80"
)

// TestIdentity reloads a virtual server that has been told good facts of real
// server 1 and a decision about it, and checks that it keeps them.
func TestIdentity(t *testing.T) {
	for _, test := range []struct {
		name   string
		before lvs.VirtualServerConfig
		after  []lvs.VirtualServerConfig
		kept   bool
	}{
		{"the same", site("a", 0, http), []lvs.VirtualServerConfig{site("a", 0, http)}, true},
		{"renamed", site("a", 0, http), []lvs.VirtualServerConfig{site("b", 0, http)}, true},
		{"a service more", site("a", 0, http), []lvs.VirtualServerConfig{site("a", 0, https, http)}, true},
		{"a service less", site("a", 0, http, https), []lvs.VirtualServerConfig{site("a", 0, https)}, true},
		{"split", site("a", 0, http, https), []lvs.VirtualServerConfig{site("a", 0, http), site("b", 0, https)}, true},
		{"the port is said", site("a", 0, http), []lvs.VirtualServerConfig{site("a", 80, http)}, true},
		{"the port is not said any more", site("a", 443, http, https), []lvs.VirtualServerConfig{site("a", 0, http, https)}, true},
		{"another service", site("a", 0, http), []lvs.VirtualServerConfig{site("a", 0, other)}, false},
		{"another port", site("a", 80, http), []lvs.VirtualServerConfig{site("a", 81, http)}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := configured(table(), test.before)
			address := test.before.RealServers[0].Address
			if err := m.Override(m.now, "a", address, lvs.Override{Kind: lvs.Weigh, Weight: 7}); err != nil {
				t.Fatal(err)
			}
			k := keysOf(test.before.Services, address)[0]
			if _, taken := m.Observe(k, lvs.Fact{Healthy: true}); !taken {
				t.Fatalf("fact about %v not taken", k)
			}
			for n := range test.after {
				slices.Reverse(test.after[n].RealServers)
			}
			m.Configure(test.after, nil)
			for _, vs := range m.Status() {
				rs := vs.RealServers[1]
				if kept := rs.State == lvs.Member && rs.Weight == 7; kept != test.kept {
					t.Errorf("%s: %+v, want kept: %v", vs.Name, rs, test.kept)
				}
			}
		})
	}
}

// TestPortOfService checks that a real server without a port has that of each
// service, and that facts about any of them count for all.
func TestPortOfService(t *testing.T) {
	m := configured(table(), site("a", 0, http, https))
	m.Observe(lvs.RealServerKey{Service: key(https), Address: netip.MustParseAddrPort("10.1.0.2:443")}, lvs.Fact{Healthy: true})
	checkWanted(t, m, table(
		entry(http, "rr", destination("10.1.0.2:80", 1)),
		entry(https, "rr", destination("10.1.0.2:443", 1)),
	))
	for _, k := range []lvs.RealServerKey{
		{Service: key(http), Address: netip.MustParseAddrPort("10.1.0.2:443")},
		{Service: key(https), Address: netip.MustParseAddrPort("10.1.0.2:80")},
		{Service: key(other), Address: netip.MustParseAddrPort("10.1.0.2:80")},
	} {
		if _, taken := m.Observe(k, lvs.Fact{}); taken {
			t.Errorf("fact about %v taken", k)
		}
	}
}

// TestMark checks a service of a firewall mark, which has no port.
func TestMark(t *testing.T) {
	c := site("a", 0)
	c.Services = []lvs.Service{{ServiceKey: lvs.MarkKey(7, false), Scheduler: "rr"}}
	m := configured(table(), c)
	k := lvs.RealServerKey{Service: lvs.MarkKey(7, false), Address: netip.AddrPortFrom(numberedServer(1).Addr(), 0)}
	m.Observe(k, lvs.Fact{Healthy: true})
	want := lvs.Entry{Service: c.Services[0], Destinations: map[netip.AddrPort]lvs.Destination{k.Address: {Address: k.Address, Weight: 1}}}
	checkWanted(t, m, lvs.Table{k.Service: want})
}

// TestRestartLosesNothing checks what a successor makes of what it finds in
// the kernel and is told.
func TestRestartLosesNothing(t *testing.T) {
	c := site("a", 80, http)
	c.Quorum, c.SlowStart = lvs.Quorum{Weight: 2, Hysteresis: 1}, time.Minute
	m := newTimed()
	m.Configure([]lvs.VirtualServerConfig{c}, nil)
	m.SetOverrides([]lvs.StoredOverride{
		{Key: lvs.RealServerKey{Service: key(http), Address: numberedServer(2)}, Override: lvs.Override{Kind: lvs.Drain}},
		{Key: lvs.RealServerKey{Service: key(http), Address: numberedServer(7)}, Override: lvs.Override{Kind: lvs.Drain}},
		{Key: lvs.RealServerKey{Service: key(http), Address: numberedServer(1)}, Override: lvs.Override{Kind: lvs.Weigh, Weight: 65536}},
		{Key: lvs.RealServerKey{Service: key(http), Address: numberedServer(1)}, Override: lvs.Override{Kind: 9}},
		{Key: lvs.RealServerKey{Service: key(http), Address: numberedServer(1)}},
	})
	m.Learn(table(entry(http, "rr", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 0), destination("10.1.0.3:80", 4))))
	checkWanted(t, m, table(entry(http, "rr", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 0), destination("10.1.0.3:80", 0))))
	if got := m.Overrides(); len(got) != 1 || got[0].Key.Address != numberedServer(2) || got[0].Override.Kind != lvs.Drain {
		t.Errorf("overrides %+v", got)
	}
	if deadline := m.Deadline(); !deadline.Equal(m.now.Add(time.Minute)) {
		t.Errorf("deadline %v, want the end of draining", deadline)
	}
	m.wait(time.Minute)
	checkWanted(t, m, table(entry(http, "rr", destination("10.1.0.1:80", 1))))
}

// TestRestartKeepsQuorum checks that the members that the kernel holds say
// that the quorum had been reached, so that one which hysteresis has kept is
// not lost by a restart.
func TestRestartKeepsQuorum(t *testing.T) {
	sorry := destination("10.1.0.9:80", 1)
	for _, test := range []struct {
		name string
		held []lvs.Destination
		want string
	}{
		{"reached", []lvs.Destination{destination("10.1.0.1:80", 1)}, "10.1.0.1:80 reached"},
		{"weight 0 is no member", []lvs.Destination{destination("10.1.0.1:80", 0)}, "10.1.0.9:80 awaited"},
		{"the sorry servers were members", []lvs.Destination{destination("10.1.0.1:80", 1), sorry}, "10.1.0.9:80 awaited"},
		{"nothing", nil, "10.1.0.9:80 awaited"},
		{"too few for any", []lvs.Destination{destination("10.1.0.2:80", 1)}, "10.1.0.9:80 awaited"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := site("a", 80, http)
			c.Quorum, c.RealServers[0].Weight = lvs.Quorum{Weight: 3, Hysteresis: 1}, 2
			withSorry(&c)
			m := configured(table(entry(http, "rr", test.held...)), c)
			got := m.Status()[0].Quorum.State.String()
			for address, d := range m.Wanted()[key(http)].Destinations {
				if d.Weight > 0 {
					got = address.String() + " " + got
				}
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestWeightZeroIsNotTakenOver checks that a real server that a predecessor
// had put out with weight 0 stays out until a check lets it in.
func TestWeightZeroIsNotTakenOver(t *testing.T) {
	c := site("a", 80, http)
	c.OnFailure = lvs.InhibitOnFailure
	held := table(entry(http, "rr", destination("10.1.0.1:80", 0), destination("10.1.0.2:80", 1)))
	m := configured(held, c)
	checkWanted(t, m, held)
	m.Observe(lvs.RealServerKey{Service: key(http), Address: numberedServer(1)}, lvs.Fact{Healthy: true})
	checkWanted(t, m, table(entry(http, "rr", destination("10.1.0.1:80", 1), destination("10.1.0.2:80", 1))))
}

// TestExclusive checks that everything in the table is ours if it is said so.
func TestExclusive(t *testing.T) {
	m := newTimed()
	m.Adjust(lvs.Settings{Exclusive: true})
	if m.Empty() {
		t.Error("there is nothing to do, and the table may hold something")
	}
	have := tables(table(entry(other, "rr")))
	m.read(lvs.Reading{State: have})
	if diff := cmp.Diff([]string{"delete service tcp " + other}, lines(lvs.Diff(have, m.Model.Wanted(), m))); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	m.Withdraw()
	m.Settle(tables(table()))
	if !m.Empty() {
		t.Error("withdrawn, the table is empty, and there is something to do")
	}
}

// TestOverrideErrors checks that a decision about nothing says what there is.
func TestOverrideErrors(t *testing.T) {
	m := configured(table(), site("a", 0, http, https), site("b", 80, other))
	bare := netip.AddrPortFrom(numberedServer(1).Addr(), 0)
	for _, test := range []struct {
		name    string
		address netip.AddrPort
		o       lvs.Override
		want    string
	}{
		{"a", bare, lvs.Override{Kind: lvs.Drain}, ""},
		{"a", netip.MustParseAddrPort("10.1.0.1:443"), lvs.Override{}, ""},
		{"b", bare, lvs.Override{}, ""},
		{"b", netip.MustParseAddrPort("10.1.0.1:443"), lvs.Override{}, `virtual server "b" has no real server 10.1.0.1:443, there are 10.1.0.1:80, 10.1.0.2:80`},
		{"c", bare, lvs.Override{}, `no virtual server "c" is configured, there are "a", "b"`},
		{"a", bare, lvs.Override{Kind: lvs.Weigh, Weight: 65536}, "weight 65536: 0 to 65535 are allowed"},
		{"a", bare, lvs.Override{Kind: 3}, "override 3: enable, drain and weight are allowed"},
	} {
		got := ""
		if err := m.Override(m.now, test.name, test.address, test.o); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s %v: %q, want %q", test.name, test.address, got, test.want)
		}
	}
}

// TestAmbiguousOverride checks that a port is asked for where it matters, and
// that an error does not list thousands.
func TestAmbiguousOverride(t *testing.T) {
	c := site("a", 80, http)
	for n := range uint16(20) {
		c.RealServers = append(c.RealServers, lvs.RealServerConfig{Address: netip.AddrPortFrom(numberedServer(1).Addr(), 8000+n)})
	}
	m := configured(table(), c)
	err := m.Override(m.now, "a", netip.AddrPortFrom(numberedServer(1).Addr(), 0), lvs.Override{})
	want := `virtual server "a" has 21 real servers with the address 10.1.0.1: a port is needed, ` +
		`there are 10.1.0.1:80, 10.1.0.2:80, 10.1.0.1:8000, 10.1.0.1:8001, 10.1.0.1:8002, 10.1.0.1:8003, 10.1.0.1:8004, 10.1.0.1:8005, 10.1.0.1:8006, 10.1.0.1:8007 and 12 more`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
