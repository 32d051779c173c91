package director_test

import (
	"testing"
	"time"

	"bascule/lvs"
)

// asks reports a good check of a real server of www, with advice.
func (f *fixture) asks(address string, advice lvs.Advice) {
	f.Report(lvs.RealServerKey{Service: key(vip), Address: netipAddress(address)}, lvs.Fact{Healthy: true, Advice: advice})
}

// TestAdvice checks that what a check advises reaches the kernel in place,
// stands against interference, and costs nobody a connection.
func TestAdvice(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := www(web1)
		config.RealServers[0].Weight, config.DrainLimit = 10, time.Minute
		half := lvs.Advice{Percent: lvs.Asked{Set: true, Value: 50}}
		service := "-A -t " + vip + " -s wrr"
		with := func(weight string) string { return "-a -t " + vip + " -r " + web1 + " -m -w " + weight }
		f.configure(config)
		f.start()
		f.good(web1)
		f.wait(time.Second)
		f.check(service, with("10"))
		f.asks(web1, half)
		f.wait(time.Second)
		f.check(service, with("5"))
		f.checkJournal("NEW_SERVICE "+vip, "NEW_DEST "+vip+" "+web1, "SET_DEST "+vip+" "+web1)
		if rs := f.Snapshot().VirtualServers[0].RealServers[0]; rs.Weight != 5 || rs.Weighing != "weight 50 % by its check" {
			t.Errorf("status: %+v", rs)
		}
		f.kernel.Edit(lvs.Op{Kind: lvs.UpdateDestination, Service: lvs.Service{ServiceKey: key(vip)},
			Destination: lvs.Destination{Address: netipAddress(web1), Weight: 77}})
		f.wait(time.Second)
		f.check(service, with("5"))
		f.busy(true)
		f.asks(web1, lvs.Advice{Percent: half.Percent, Drain: true})
		f.wait(time.Hour)
		f.check(service, with("0"))
		f.asks(web1, half)
		f.wait(time.Second)
		f.check(service, with("5"))
		f.asks(web1, lvs.Advice{Drain: true})
		f.wait(time.Second)
		f.busy(false)
		f.wait(time.Second)
		f.check(service)
		f.asks(web1, lvs.Advice{})
		f.wait(time.Second)
		f.check(service, with("10"))
	})
}
