package lvs_test

import (
	"net/netip"
	"testing"

	"bascule/lvs"
)

// The size of the benchmarks: what users of keepalived complained about.
const (
	benchServices = 2300
	benchReal     = 16
)

// benchConfig returns many virtual servers with real servers.
func benchConfig() []lvs.VirtualServerConfig {
	config := make([]lvs.VirtualServerConfig, benchServices)
	for n := range config {
		c := &config[n]
		address := netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)})
		c.Services = []lvs.Service{{ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Address: netip.AddrPortFrom(address, 80)}, Scheduler: "wrr"}}
		for r := range benchReal {
			c.RealServers = append(c.RealServers, lvs.RealServerConfig{
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, byte(n), byte(r)}), 80), Weight: 1, Checked: true,
			})
		}
	}
	return config
}

// benchModel returns a model in which all real servers are members, with its
// configuration and what the kernel holds.
func benchModel() (*timed, []lvs.VirtualServerConfig, lvs.State) {
	config := benchConfig()
	m := configured(lvs.Table{}, config...)
	for _, c := range config {
		for _, rs := range c.RealServers {
			m.Model.Observe(m.now, lvs.RealServerKey{Service: c.Services[0].ServiceKey, Address: rs.Address}, lvs.Fact{Healthy: true})
		}
	}
	m.Advance(m.now)
	have := tables(lvs.Table{})
	for _, op := range lvs.Diff(have, m.Model.Wanted(), m) {
		have.Apply(op)
	}
	m.Status()
	m.Owned()
	return m, config, have
}

// pass is what a pass does without the kernel, and counts the operations.
func pass(m *timed, have lvs.State) int {
	m.read(lvs.Reading{State: have})
	m.Changes()
	ops := lvs.Diff(have, m.Model.Wanted(), m)
	m.Settle(have)
	m.Status()
	m.Owned()
	m.Deadline()
	return len(ops)
}

// BenchmarkStart measures the first configuration, all facts, and the
// operations to an empty kernel.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchModel()
	}
}

// BenchmarkQuietPass measures a pass without anything new.
func BenchmarkQuietPass(b *testing.B) {
	m, _, have := benchModel()
	b.ReportAllocs()
	for b.Loop() {
		if n := pass(m, have); n != 0 {
			b.Fatalf("%d operations", n)
		}
	}
}

// BenchmarkOneFact measures a pass after one real server has changed.
func BenchmarkOneFact(b *testing.B) {
	m, config, have := benchModel()
	k := lvs.RealServerKey{Service: config[1000].Services[0].ServiceKey, Address: config[1000].RealServers[5].Address}
	healthy := true
	b.ReportAllocs()
	for b.Loop() {
		healthy = !healthy
		m.Observe(k, lvs.Fact{Healthy: healthy})
		if n := pass(m, have); n != 0 == healthy {
			b.Fatalf("%d operations", n)
		}
	}
}

// BenchmarkReload measures a reload with one change, and the pass after it.
func BenchmarkReload(b *testing.B) {
	m, config, have := benchModel()
	weight := uint32(1)
	b.ReportAllocs()
	for b.Loop() {
		weight = 3 - weight
		config[1000].RealServers[5].Weight = weight
		m.Configure(config, nil)
		if n := pass(m, have); n != int(weight)-1 {
			b.Fatalf("%d operations", n)
		}
	}
}

// BenchmarkOneLarge measures facts about all of 10,000 real servers of one
// virtual server: no step may go through all of them for each.
func BenchmarkOneLarge(b *testing.B) {
	c := lvs.VirtualServerConfig{Services: []lvs.Service{{ServiceKey: vip, Scheduler: "wrr"}}}
	for n := range 10_000 {
		c.RealServers = append(c.RealServers, lvs.RealServerConfig{
			Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, byte(n >> 8), byte(n)}), 80), Weight: 1, Checked: true,
		})
	}
	m := configured(lvs.Table{}, c)
	healthy := false
	b.ReportAllocs()
	for b.Loop() {
		healthy = !healthy
		for _, rs := range c.RealServers {
			m.Model.Observe(m.now, lvs.RealServerKey{Service: vip, Address: rs.Address}, lvs.Fact{Healthy: healthy})
		}
		m.Advance(m.now)
		m.Wanted()
	}
}
