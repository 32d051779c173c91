package lvs_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/lvs"
)

// netipComparer lets cmp compare addresses, whose fields are not exported.
var netipComparer = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

// start is when all tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// timed is a model with the present time. What it is told happens now, and
// what follows is derived at once.
type timed struct {
	lvs.Model
	now time.Time
}

// newTimed returns a model without virtual servers.
func newTimed() *timed { return &timed{now: start} }

// Configure configures now.
func (m *timed) Configure(servers []lvs.VirtualServerConfig, owned []lvs.ServiceKey) {
	m.Model.Configure(m.now, servers, owned)
	m.Advance(m.now)
}

// Observe tells a fact of now.
func (m *timed) Observe(key lvs.RealServerKey, fact lvs.Fact) (changed, taken bool) {
	changed, taken = m.Model.Observe(m.now, key, fact)
	m.Advance(m.now)
	return changed, taken
}

// Learn tells what the kernel holds now; nothing is known of its use.
func (m *timed) Learn(have lvs.Table) bool {
	return m.read(lvs.Reading{State: lvs.State{Table: have}})
}

// read tells what the kernel says now.
func (m *timed) read(reading lvs.Reading) bool {
	first := m.Model.Learn(m.now, reading)
	m.Advance(m.now)
	return first
}

// wait lets time pass.
func (m *timed) wait(d time.Duration) {
	m.now = m.now.Add(d)
	m.Advance(m.now)
}

// Wanted returns the wanted table.
func (m *timed) Wanted() lvs.Table {
	return m.Model.Wanted().Table
}

// vip is the service of the virtual server of these tests.
var vip = key("192.168.56.10:80")

// The real servers of these tests.
const (
	web1 = "192.168.200.11:80"
	web2 = "192.168.200.12:80"
	web3 = "192.168.200.13:80"
)

// www returns a virtual server with checked real servers of weight 1.
func www(addresses ...string) lvs.VirtualServerConfig {
	config := lvs.VirtualServerConfig{Name: "www", Services: []lvs.Service{{ServiceKey: vip, Scheduler: "wrr"}}}
	for _, address := range addresses {
		config.RealServers = append(config.RealServers, real(address, 1))
	}
	return config
}

// real returns the configuration of a checked real server.
func real(address string, weight uint32) lvs.RealServerConfig {
	return lvs.RealServerConfig{Address: netip.MustParseAddrPort(address), Weight: weight, Checked: true}
}

// realKey returns the key of a real server of www.
func realKey(address string) lvs.RealServerKey {
	return lvs.RealServerKey{Service: vip, Address: netip.MustParseAddrPort(address)}
}

// configured returns a model with one configuration, that has been told what
// the kernel holds.
func configured(have lvs.Table, config ...lvs.VirtualServerConfig) *timed {
	m := newTimed()
	m.Configure(config, nil)
	m.Learn(have)
	return m
}

// checkWanted compares what a model wants.
func checkWanted(t *testing.T, m *timed, want lvs.Table) {
	t.Helper()
	if diff := cmp.Diff(want, m.Wanted(), netipComparer, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("wanted table (-want +got):\n%s", diff)
	}
}

// tables is a state with nothing but a table.
func tables(table lvs.Table) lvs.State { return lvs.State{Table: table} }
