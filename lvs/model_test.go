package lvs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/lvs"
)

// TestMembership checks the rule of membership, with the status that explains
// it.
func TestMembership(t *testing.T) {
	good, bad := lvs.Fact{Healthy: true, Reason: "200 OK"}, lvs.Fact{Reason: "connection refused"}
	for _, test := range []struct {
		name    string
		checked bool
		held    bool
		facts   []lvs.Fact
		state   lvs.RealServerState
		health  lvs.Health
		reason  string
	}{
		{"unchecked", false, false, nil, lvs.Member, lvs.Unchecked, "no check configured"},
		{"unchecked, facts do not count", false, false, []lvs.Fact{bad}, lvs.Member, lvs.Unchecked, "no check configured"},
		{"new, no fact", true, false, nil, lvs.Out, lvs.Unknown, "no check result yet"},
		{"new, good", true, false, []lvs.Fact{good}, lvs.Member, lvs.Healthy, "200 OK"},
		{"new, bad", true, false, []lvs.Fact{bad}, lvs.Out, lvs.Unhealthy, "connection refused"},
		{"held, no fact", true, true, nil, lvs.Member, lvs.Unknown, "found in the kernel, no check result yet"},
		{"held, bad", true, true, []lvs.Fact{bad}, lvs.Out, lvs.Unhealthy, "connection refused"},
		{"the latest fact counts", true, false, []lvs.Fact{good, bad, good}, lvs.Member, lvs.Healthy, "200 OK"},
		{"held does not outlive a fact", true, true, []lvs.Fact{good, bad}, lvs.Out, lvs.Unhealthy, "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := www(web1)
			config.RealServers[0].Checked = test.checked
			config.RealServers[0].Weight = 7
			have := table()
			if test.held {
				have = table(entry("192.168.56.10:80", "rr", destination(web1, 1)))
			}
			m := configured(have, config)
			for _, fact := range test.facts {
				m.Observe(realKey(web1), fact)
			}
			want := entry("192.168.56.10:80", "wrr")
			weight := uint32(0)
			if test.state == lvs.Member {
				weight = 7
				want = entry("192.168.56.10:80", "wrr", destination(web1, 7))
			}
			checkWanted(t, m, table(want))
			status := []lvs.VirtualServerStatus{{
				Name:     "www",
				Services: config.Services,
				RealServers: []lvs.RealServerStatus{{
					Address: realKey(web1).Address, State: test.state, Since: start, Reason: test.reason, Health: test.health, Configured: 7, Weight: weight,
				}},
				Quorum: lvs.QuorumStatus{Since: start, Weight: uint64(weight)},
			}}
			if diff := cmp.Diff(status, m.Status(), netipComparer); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

// TestObserve checks which facts are taken, and which move a real server.
func TestObserve(t *testing.T) {
	unchecked := www(web1, web2)
	unchecked.RealServers[1].Checked = false
	m := configured(table(), unchecked)
	for _, test := range []struct {
		name           string
		key            lvs.RealServerKey
		fact           lvs.Fact
		changed, taken bool
	}{
		{"bad at first", realKey(web1), lvs.Fact{Reason: "timeout"}, false, true},
		{"another reason", realKey(web1), lvs.Fact{Reason: "refused"}, false, true},
		{"good", realKey(web1), lvs.Fact{Healthy: true}, true, true},
		{"good again", realKey(web1), lvs.Fact{Healthy: true}, false, true},
		{"bad", realKey(web1), lvs.Fact{}, true, true},
		{"not checked", realKey(web2), lvs.Fact{}, false, false},
		{"not configured", realKey(web3), lvs.Fact{}, false, false},
		{"of another service", lvs.RealServerKey{Service: key("10.0.0.1:80"), Address: realKey(web1).Address}, lvs.Fact{}, false, false},
	} {
		changed, taken := m.Observe(test.key, test.fact)
		if changed != test.changed || taken != test.taken {
			t.Errorf("%s: changed %v taken %v, want %v %v", test.name, changed, taken, test.changed, test.taken)
		}
	}
}

// TestAdoptionIsRemembered checks that a real server that was taken over stays
// a member when the kernel loses it, and that nobody becomes a member by
// being added to the kernel later.
func TestAdoptionIsRemembered(t *testing.T) {
	m := configured(table(entry("192.168.56.10:80", "rr", destination(web1, 1))), www(web1, web2))
	m.Learn(table())
	m.Learn(table(entry("192.168.56.10:80", "rr", destination(web1, 1), destination(web2, 1))))
	checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1))))
}

// TestAdoptionIsForTheStart checks that a real server that a reload brings is
// a newcomer, also if the kernel holds it: a check may have put it out, or
// somebody else may have added it.
func TestAdoptionIsForTheStart(t *testing.T) {
	held := table(entry("192.168.56.10:80", "wrr", destination(web1, 1), destination(web2, 1)))
	m := configured(table(), www(web1))
	m.Observe(realKey(web1), lvs.Fact{Healthy: true})
	m.Observe(realKey(web1), lvs.Fact{Reason: "connection refused"})
	m.Configure(nil, nil)
	m.Configure([]lvs.VirtualServerConfig{www(web1, web2)}, nil)
	m.Learn(held)
	checkWanted(t, m, table(entry("192.168.56.10:80", "wrr")))
}

// TestAdoptionAfterReload checks that a reload before the kernel's table could
// be read takes nothing from adoption.
func TestAdoptionAfterReload(t *testing.T) {
	m := newTimed()
	m.Configure([]lvs.VirtualServerConfig{www(web1)}, nil)
	m.Configure([]lvs.VirtualServerConfig{www(web1, web2, web3)}, nil)
	m.Learn(table(entry("192.168.56.10:80", "wrr", destination(web1, 1), destination(web2, 1))))
	checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1), destination(web2, 1))))
}

// TestReconfigure checks what is kept by identity and what is not.
func TestReconfigure(t *testing.T) {
	held := table(entry("192.168.56.10:80", "wrr", destination(web1, 1)))
	m := configured(table(), www(web1, web2))
	m.Observe(realKey(web1), lvs.Fact{Healthy: true})
	m.Observe(realKey(web2), lvs.Fact{Healthy: true})

	t.Run("facts stay, whatever the order", func(t *testing.T) {
		config := www(web3, web2, web1)
		config.RealServers[2].Weight = 9
		m.Configure([]lvs.VirtualServerConfig{config}, nil)
		m.Learn(held)
		checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 9), destination(web2, 1))))
	})
	t.Run("facts of what leaves are forgotten", func(t *testing.T) {
		m.Configure([]lvs.VirtualServerConfig{www(web1)}, nil)
		m.Configure([]lvs.VirtualServerConfig{www(web1, web2)}, nil)
		m.Learn(held)
		checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1))))
	})
	t.Run("the end of checking makes a member", func(t *testing.T) {
		config := www(web1, web2)
		config.RealServers[1].Checked = false
		m.Configure([]lvs.VirtualServerConfig{config}, nil)
		m.Learn(held)
		checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1), destination(web2, 1))))
	})
	t.Run("the beginning of checking interrupts nothing", func(t *testing.T) {
		m.Configure([]lvs.VirtualServerConfig{www(web1, web2)}, nil)
		m.Learn(held)
		checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1), destination(web2, 1))))
		if rs := m.Status()[0].RealServers[1]; rs.Health != lvs.Unknown || rs.Reason != "not checked until now, no check result yet" {
			t.Errorf("status at the beginning of checking: %+v", rs)
		}
	})
	t.Run("the check decides from then on", func(t *testing.T) {
		m.Observe(realKey(web2), lvs.Fact{Reason: "timeout"})
		m.Configure([]lvs.VirtualServerConfig{www(web1, web2)}, nil)
		checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1))))
	})
	t.Run("the caller's slice is not kept", func(t *testing.T) {
		config := www(web1)
		m.Configure([]lvs.VirtualServerConfig{config}, nil)
		config.RealServers[0].Weight = 1000
		checkWanted(t, m, table(entry("192.168.56.10:80", "wrr", destination(web1, 1))))
	})
}

// TestOwnership checks whose services are ours, and until when.
func TestOwnership(t *testing.T) {
	old, older := key("192.168.56.20:80"), key("192.168.56.30:80")
	m := newTimed()
	if !m.Empty() || m.Ours(vip) {
		t.Error("the zero model owns something")
	}
	m.Configure([]lvs.VirtualServerConfig{www(web1)}, []lvs.ServiceKey{old, older})
	checkOwned(t, m, vip, old, older)

	m.Settle(tables(table(entry("192.168.56.20:80", "rr"))))
	checkOwned(t, m, vip, old)

	m.Configure(nil, nil)
	checkOwned(t, m, vip, old)
	m.Settle(tables(table()))
	checkOwned(t, m)
	if !m.Empty() {
		t.Error("nothing is owned, and Empty is false")
	}
}

// checkOwned compares the keys that a model owns.
func checkOwned(t *testing.T, m *timed, want ...lvs.ServiceKey) {
	t.Helper()
	if diff := cmp.Diff(want, m.Owned(), netipComparer, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("owned services (-want +got):\n%s", diff)
	}
	for _, k := range want {
		if !m.Ours(k) {
			t.Errorf("%v is owned and not ours", k)
		}
	}
}

// TestWithdraw checks that a withdrawn model wants nothing, and lets go of
// what is deleted.
func TestWithdraw(t *testing.T) {
	m := configured(table(), www(web1))
	m.Observe(realKey(web1), lvs.Fact{Healthy: true})
	m.Settle(tables(m.Wanted()))
	m.Withdraw()
	checkWanted(t, m, table())
	checkOwned(t, m, vip)
	if rs := m.Status()[0].RealServers[0]; rs.State != lvs.Out || rs.Reason != "virtual server withdrawn" {
		t.Errorf("status of a withdrawn real server: %+v", rs)
	}
	m.Settle(tables(table()))
	checkOwned(t, m)
}

// TestMissedService checks that a service which one reading misses, as can be
// when somebody else edits the table meanwhile, stays ours: only the second
// reading without it says that it is gone.
func TestMissedService(t *testing.T) {
	there := func() lvs.Table { return table(entry("192.168.56.10:80", "wrr")) }
	m := configured(there(), www())
	read := func(have lvs.Table) {
		m.read(lvs.Reading{State: tables(have), Usage: lvs.UsageTable{}})
	}
	m.Settle(tables(there()))
	m.Configure(nil, nil)
	pass := func(have lvs.Table, doubt bool, want ...lvs.ServiceKey) {
		t.Helper()
		read(have)
		m.Learn(have) // which is remembered, and says nothing new
		m.Settle(tables(have))
		checkOwned(t, m, want...)
		if m.Doubtful() != doubt {
			t.Errorf("doubtful: %t, want %t", m.Doubtful(), doubt)
		}
	}
	pass(table(), true, vip)
	pass(there(), false, vip)
	pass(table(), true, vip)
	pass(table(), false)

	m.Configure([]lvs.VirtualServerConfig{www()}, nil)
	pass(table(), false, vip)
	pass(table(), false, vip)
	m.Settle(tables(there())) // it was added
	m.Configure(nil, nil)
	pass(table(), true, vip)
	have := there()
	read(have)
	delete(have, vip) // by us
	m.Settle(tables(have))
	checkOwned(t, m)
}
