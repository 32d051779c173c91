package director_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// large is how many real servers there are in each virtual server of
// largeConfig.
const large = 500

// largeConfig returns ten virtual servers with five hundred real servers
// each, more than are read at a time. The first one has a service before all others,
// and one between them.
func largeConfig() []lvs.VirtualServerConfig {
	var list []lvs.VirtualServerConfig
	for n := range 10 {
		config := unchecked(large)
		config.Services[0].Address = numbered(n)
		list = append(list, config)
	}
	second := list[0].Services[0]
	second.Address = netip.AddrPortFrom(numbered(5).Addr(), 8080)
	list[0].Services = append(list[0].Services, second)
	return list
}

// TestLargeTable checks that of a large table services are compared at once,
// and destinations within seconds, wherever they are.
func TestLargeTable(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := largeConfig()
		f.configure(config...)
		f.start()
		f.wait(2 * time.Second)
		count := func() (n int) {
			for _, entry := range f.kernel.Table() {
				n += len(entry.Destinations)
			}
			return n
		}
		if got := count(); got != 11*large {
			t.Fatalf("%d destinations, want %d", got, 11*large)
		}
		f.log.take()
		f.kernel.Flush()
		f.wait(500 * time.Millisecond)
		if got := count(); got != 11*large {
			t.Errorf("%d destinations 500 ms after ipvsadm -C, want %d", got, 11*large)
		}
		f.checkLog(`level=WARN msg="ipvs table repaired" operations=5511`)
		for n := range config {
			f.kernel.Edit(lvs.Op{Kind: lvs.DeleteDestination, Service: config[n].Services[0], Destination: lvs.Destination{Address: numbered(n)}})
		}
		passes := f.passes.Load()
		f.wait(2 * time.Second)
		if got := count(); got != 11*large {
			t.Errorf("%d destinations 2 s after one of each service was deleted, want %d", got, 11*large)
		}
		if got := f.passes.Load() - passes; got < 4 || got > 6 {
			t.Errorf("%d readings in 2 s, want about 5", got)
		}
		if usage := f.Snapshot().Usage; len(usage) != 11 || len(usage[config[9].Services[0].ServiceKey]) != large {
			t.Errorf("usage of %d services", len(usage))
		}
	})
}

// TestLargeTableAfterFailure checks that the whole of a large table is read at
// once when an edit fails on what is remembered of it.
func TestLargeTableAfterFailure(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := largeConfig()
		f.configure(config...)
		f.start()
		f.wait(2 * time.Second)
		for n := range config {
			f.kernel.Edit(lvs.Op{Kind: lvs.DeleteDestination, Service: config[n].Services[0], Destination: lvs.Destination{Address: numbered(n)}})
		}
		f.kernel.Break("SET_DEST "+config[4].Services[0].Address.String()+" "+numbered(large-1).String(), unix.ENOBUFS)
		changed := largeConfig()
		changed[4].RealServers[large-1].Weight = 2
		f.configure(changed...)
		f.wait(20 * time.Millisecond)
		for n := range config {
			if got := len(f.kernel.Table()[config[n].Services[0].ServiceKey].Destinations); got != large {
				t.Errorf("%v has %d destinations, want 500", config[n].Services[0], got)
			}
		}
		if problems := f.Snapshot().Problems; len(problems) != 1 {
			t.Errorf("problems %q, want the one edit that fails", problems)
		}
	})
}

// TestLargeTableDrain checks that draining ends in a large table as soon as in
// a small one, though the services of the virtual server are far apart.
func TestLargeTableDrain(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := largeConfig()
		config[0].DrainLimit = time.Hour
		f.configure(config...)
		f.start()
		f.wait(2 * time.Second)
		f.busy(true)
		changed := largeConfig()
		changed[0].DrainLimit, changed[0].RealServers = time.Hour, changed[0].RealServers[1:]
		f.configure(changed...)
		state := func() lvs.RealServerState {
			list := f.Snapshot().VirtualServers[0].RealServers
			if last := list[len(list)-1]; last.Leaving {
				return last.State
			}
			return lvs.Out
		}
		f.wait(10 * time.Second)
		if got := state(); got != lvs.Draining {
			t.Errorf("with connections: %v", got)
		}
		f.busy(false)
		f.wait(500 * time.Millisecond)
		if got := state(); got != lvs.Out {
			t.Errorf("500 ms after the last connection: %v", got)
		}
	})
}

// TestLargeTableClear checks that an ordered stop, which has little time, does
// not read all destinations before it deletes their services, also those that
// another program has made anew.
func TestLargeTableClear(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		config := largeConfig()
		f.configure(config...)
		f.start()
		f.wait(2 * time.Second)
		service := config[3].Services[0]
		f.kernel.Edit(lvs.Op{Kind: lvs.DeleteService, Service: service}, lvs.Op{Kind: lvs.AddService, Service: service})
		f.kernel.Edit(held("192.168.56.99:80", "rr", web3)...)
		wholes := f.wholes.Load()
		if err := f.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		if got := f.wholes.Load() - wholes; got != 0 {
			t.Errorf("the whole table was read %d times", got)
		}
		f.check("-A -t 192.168.56.99:80 -s rr", "-a -t 192.168.56.99:80 -r "+web3+" -m -w 1")
	})
}
