package lvs_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/lvs"
)

// decided returns a site with services at some addresses, where real server 1
// is drained.
func decided(t *testing.T, config ...lvs.VirtualServerConfig) *timed {
	t.Helper()
	m := configured(table(), config...)
	if err := m.Override(m.now, config[0].Name, config[0].RealServers[0].Address, lvs.Override{Kind: lvs.Drain, Reason: "new disk"}); err != nil {
		t.Fatal(err)
	}
	return m
}

// drains returns which real servers are drained, as "name address", and which
// decisions have been lost.
func drains(m *timed) (inForce, lost []string) {
	for _, vs := range m.Status() {
		for _, rs := range vs.RealServers {
			if rs.Override.Kind != lvs.Enable {
				inForce = append(inForce, fmt.Sprint(vs.Name, " ", rs.Address))
			}
		}
	}
	for _, o := range m.LostOverrides() {
		lost = append(lost, fmt.Sprint(o.VirtualServer, " ", o.RealServer, " ", o.Override.String()))
	}
	return inForce, lost
}

// TestOverridesFollow reloads a configuration in which real server 1 of "a" is
// drained: the decision follows the name of the virtual server and the address
// of the real server, else what the kernel identifies, or is lost and says so.
func TestOverridesFollow(t *testing.T) {
	without := func(c lvs.VirtualServerConfig) lvs.VirtualServerConfig {
		c.RealServers = c.RealServers[1:]
		return c
	}
	gone := "a 10.1.0.1:80 drained by the administrator: new disk"
	for _, test := range []struct {
		name   string
		before []lvs.VirtualServerConfig
		after  []lvs.VirtualServerConfig
		drains string
		lost   string
	}{
		{"the same", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{site("a", 80, http)}, "[a 10.1.0.1:80]", "[]"},
		{"renamed", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{site("b", 80, http)}, "[b 10.1.0.1:80]", "[]"},
		{"at another address", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{site("a", 80, other)}, "[a 10.1.0.1:80]", "[]"},
		{"the port is said", []lvs.VirtualServerConfig{site("a", 0, http)}, []lvs.VirtualServerConfig{site("a", 80, other)}, "[a 10.1.0.1:80]", "[]"},
		{"the port is not said any more", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{site("a", 0, other)}, "[a 10.1.0.1:0]", "[]"},
		{"addresses change places: the name decides", []lvs.VirtualServerConfig{site("a", 80, http), site("b", 80, other)},
			[]lvs.VirtualServerConfig{site("a", 80, other), site("b", 80, http)}, "[a 10.1.0.1:80]", "[]"},
		{"moved into another one", []lvs.VirtualServerConfig{site("a", 80, http), without(site("b", 80, other))},
			[]lvs.VirtualServerConfig{site("b", 80, other, http)}, "[b 10.1.0.1:80]", "[]"},
		{"split", []lvs.VirtualServerConfig{site("a", 80, http, https)},
			[]lvs.VirtualServerConfig{site("a", 80, http), site("b", 80, https)}, "[a 10.1.0.1:80 b 10.1.0.1:80]", "[]"},
		{"another port", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{site("a", 81, http)}, "[]", "[" + gone + "]"},
		{"without the real server", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{without(site("a", 80, http))}, "[]", "[" + gone + "]"},
		{"without the virtual server", []lvs.VirtualServerConfig{site("a", 80, http)}, nil, "[]", "[" + gone + "]"},
		{"another name and address", []lvs.VirtualServerConfig{site("a", 80, http)}, []lvs.VirtualServerConfig{site("b", 80, other)}, "[]", "[" + gone + "]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := decided(t, test.before...)
			m.Configure(test.after, nil)
			inForce, lost := drains(m)
			if fmt.Sprint(inForce) != test.drains || fmt.Sprint(lost) != test.lost {
				t.Errorf("drained %v, lost %v; want %s, %s", inForce, lost, test.drains, test.lost)
			}
			if again := m.LostOverrides(); again != nil {
				t.Errorf("told twice: %v", again)
			}
		})
	}
}

// TestOverrideIsLostWithItsRealServer checks that a decision that was lost does
// not come back with a real server whose connections have not ended yet.
func TestOverrideIsLostWithItsRealServer(t *testing.T) {
	c := site("a", 80, http)
	c.RealServers[0].Checked = false
	m := decided(t, c)
	busy := lvs.Usage{Active: 1}
	m.read(lvs.Reading{State: tables(table(entry(http, "rr", destination("10.1.0.1:80", 1)))),
		Usage: lvs.UsageTable{key(http): {numberedServer(1): busy}}})
	reduced := c.Clone()
	reduced.RealServers = reduced.RealServers[1:]
	m.Configure([]lvs.VirtualServerConfig{reduced}, nil)
	checkWanted(t, m, table(entry(http, "rr", destination("10.1.0.1:80", 0))))
	m.Configure([]lvs.VirtualServerConfig{c}, nil)
	checkWanted(t, m, table(entry(http, "rr", destination("10.1.0.1:80", 1))))
}

// TestStoredOverrides starts with what a predecessor has stored for "a" with
// the services http and https, under another configuration.
func TestStoredOverrides(t *testing.T) {
	stored := decided(t, site("a", 0, http, https)).Overrides()
	for _, test := range []struct {
		name         string
		config       lvs.VirtualServerConfig
		drains, lost string
	}{
		{"the same", site("a", 0, http, https), "[a 10.1.0.1:0]", "[]"},
		{"renamed, with one of the services", site("b", 0, https), "[b 10.1.0.1:0]", "[]"},
		{"at another address", site("a", 0, other), "[a 10.1.0.1:0]", "[]"},
		{"another name and address", site("b", 0, other), "[]", "[a 10.1.0.1:80 drained by the administrator: new disk]"},
		{"another port", site("a", 81, http, https), "[]", "[a 10.1.0.1:80 drained by the administrator: new disk]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newTimed()
			m.Configure([]lvs.VirtualServerConfig{test.config}, nil)
			m.SetOverrides(stored)
			inForce, lost := drains(m)
			if fmt.Sprint(inForce) != test.drains || fmt.Sprint(lost) != test.lost {
				t.Errorf("drained %v, lost %v; want %s, %s", inForce, lost, test.drains, test.lost)
			}
		})
	}
}

// TestOverrides checks under which names decisions are stored.
func TestOverrides(t *testing.T) {
	m := decided(t, site("a", 0, http, https))
	o := lvs.Override{Kind: lvs.Drain, Reason: "new disk", Since: m.now}
	want := []lvs.StoredOverride{
		{VirtualServer: "a", Key: lvs.RealServerKey{Service: key(http), Address: netip.MustParseAddrPort("10.1.0.1:80")}, Override: o},
		{VirtualServer: "a", Key: lvs.RealServerKey{Service: key(https), Address: netip.MustParseAddrPort("10.1.0.1:443")}, Override: o},
	}
	m.wait(time.Hour)
	if diff := cmp.Diff(want, m.Overrides(), netipComparer); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
