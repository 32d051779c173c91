package lvs_test

import (
	"testing"
	"time"

	"bascule/lvs"
)

// adviceScenarios are what becomes of advice, in words.
var adviceScenarios = []scenario{
	{"a check may ask for a weight, in numbers or in per cent", nil, []step{
		{"asks 1 weight 7", "1:7"}, {"asks 1 weight 300", "1:300"}, {"asks 1 weight 70000", "1:65535"}, {"asks 1 percent 50", "1:50"},
		{"asks 1 percent 1", "1:1"}, {"asks 1 percent 150", "1:150"}, {"asks 1 percent 0", "1:0"}, {"asks 1 percent 50 weight 40", "1:40"},
		{"asks 1 percent 50 weight 60", "1:50"}, {"good 1", "1:100"},
	}},
	{"per cent are rounded up, so that only none of it is 0", func(c *lvs.VirtualServerConfig) { c.RealServers[0].Weight = 3 }, []step{
		{"asks 1 percent 1", "1:1"}, {"asks 1 percent 34", "1:2"}, {"asks 1 percent 67", "1:3"}, {"asks 1 percent 0", "1:0"},
	}},
	{"the weight that the administrator sets counts", nil, []step{
		{"asks 1 percent 50", "1:50"}, {"weigh 1 80", "1:80"}, {"asks 1 percent 10", "1:80"}, {"enable 1", "1:10"},
	}},
	{"the latest advice outlives reloads, and no failure", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownAll }, []step{
		{"asks 1 percent 50", "1:50"}, {"reload", "1:50"}, {"bad 1", "1:100"}, {"good 1", "1:100"},
	}},
	{"slow start goes to the weight that is asked for", func(c *lvs.VirtualServerConfig) { c.SlowStart = 10 * time.Second }, []step{
		{"asks 1 percent 22", "1:2"}, {"1s", "1:4"}, {"asks 1 percent 11", "1:2"}, {"9s", "1:11"}, {"asks 1 percent 100", "1:100"},
	}},
	{"the quorum counts the weights that are asked for", func(c *lvs.VirtualServerConfig) {
		c.Quorum = lvs.Quorum{Weight: 150, Hysteresis: 50}
		withSorry(c)
	}, []step{
		{"good 1", "9:1 awaited"}, {"asks 2 percent 50", "1:100 2:50 reached"}, {"asks 1 percent 50", "1:50 2:50 reached"},
		{"asks 2 weight 49", "9:1 lost"}, {"asks 2 weight 150", "1:50 2:150 reached"}, {"asks 2 drain", "9:1 lost"},
	}},
	{"all down but one that asks for weight 0", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }, []step{
		{"good 1", "1:100"}, {"asks 2 weight 0", "1:100 2:0"}, {"bad 1", "1:100 2:0"}, {"good 2", "2:100"},
	}},
	{"a check may have its real server drain, without a limit", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"asks 1 drain", "1:0"}, {"24h", "1:0"}, {"reload", "1:0"}, {"idle", ""}, {"good 1", "1:100"},
	}},
	{"that ends when the check fails", nil, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"asks 1 drain", "1:0"}, {"bad 1", ""}, {"asks 1 drain", ""}, {"good 1", "1:100"},
	}},
	{"or, if that inhibits, goes on", func(c *lvs.VirtualServerConfig) { c.OnFailure = lvs.InhibitOnFailure }, []step{
		{"busy", "1:0 2:0 3:0"}, {"good 1", "1:100 2:0 3:0"}, {"asks 1 drain", "1:0 2:0 3:0"}, {"bad 1", "1:0 2:0 3:0"}, {"good 1", "1:100 2:0 3:0"},
	}},
	{"one that comes back from draining starts slowly", func(c *lvs.VirtualServerConfig) { c.SlowStart = 10 * time.Second }, []step{
		{"busy", ""}, {"good 1", "1:9"}, {"10s", "1:100"}, {"asks 1 drain", "1:0"}, {"1m", "1:0"}, {"good 1", "1:9"}, {"10s", "1:100"},
	}},
	{"the administrator's drain and the check's end one after the other", func(c *lvs.VirtualServerConfig) { c.SlowStart = 10 * time.Second }, []step{
		{"busy", ""}, {"good 1", "1:9"}, {"10s", "1:100"}, {"asks 1 drain", "1:0"}, {"drain 1", "1:0"}, {"1m", "1:0"}, {"enable 1", "1:0"},
		{"drain 1", "1:0"}, {"good 1", "1:0"}, {"1m", "1:0"}, {"enable 1", "1:9"},
	}},
	{"a limit is that of the administrator's drain", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"asks 1 drain", "1:0"}, {"1h", "1:0"}, {"drain 1", "1:0"}, {"59s", "1:0"}, {"1s", ""},
	}},
	{"and of the removal from the configuration", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"asks 1 drain", "1:0"}, {"1h", "1:0"}, {"without 1", "1:0"}, {"59s", "1:0"}, {"1s", ""},
	}},
	{"a weight that the administrator sets does not end it", nil, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"asks 1 drain", "1:0"}, {"weigh 1 5", "1:0"}, {"good 1", "1:5"},
	}},
	{"all drain: those that failed last stay", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }, []step{
		{"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"bad 2", "1:100"}, {"busy", "1:100"}, {"asks 1 drain", "1:0 2:100"}, {"good 1", "1:100"},
	}},
}

// TestObserveAdvice checks when advice is a matter for the kernel.
func TestObserveAdvice(t *testing.T) {
	m := configured(table(), www(web1))
	for _, test := range []struct {
		name    string
		fact    lvs.Fact
		changed bool
	}{
		{"good", lvs.Fact{Healthy: true}, true},
		{"weight", lvs.Fact{Healthy: true, Advice: advice("1 weight 5")}, true},
		{"the same weight", lvs.Fact{Healthy: true, Reason: "again", Advice: advice("1 weight 5")}, false},
		{"the same in per cent", lvs.Fact{Healthy: true, Advice: advice("1 percent 500")}, false},
		{"drain", lvs.Fact{Healthy: true, Advice: advice("1 percent 500 drain")}, true},
		{"bad", lvs.Fact{Advice: advice("1 drain")}, true},
		{"still bad", lvs.Fact{Advice: advice("1 weight 7")}, false},
		{"good again", lvs.Fact{Healthy: true}, true},
	} {
		if changed, taken := m.Observe(realKey(web1), test.fact); changed != test.changed || !taken {
			t.Errorf("%s: changed %t, taken %t, want %t", test.name, changed, taken, test.changed)
		}
	}
}

// TestRestartKeepsDrained checks that a successor cuts off nobody whose real
// server has weight 0 in the kernel, until its check says something.
func TestRestartKeepsDrained(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*lvs.VirtualServerConfig)
		steps  []step
	}{
		{"until it is idle", nil, []step{{"busy", "1:0"}, {"1h", "1:0"}, {"idle", ""}}},
		{"until it is bad", nil, []step{{"busy", "1:0"}, {"bad 1", ""}}},
		{"until it is good", nil, []step{{"busy", "1:0"}, {"good 1", "1:100"}}},
		{"and is drained again", nil, []step{{"busy", "1:0"}, {"asks 1 drain", "1:0"}, {"1h", "1:0"}, {"idle", ""}}},
		{"beside sorry servers", withSorry, []step{{"busy", "1:0 9:1 awaited"}, {"good 2", "1:0 2:100 reached"}}},
		{"not if it is removed", nil, []step{{"busy", "1:0"}, {"without 1", ""}}},
		{"as all that are inhibited", func(c *lvs.VirtualServerConfig) { c.OnFailure = lvs.InhibitOnFailure }, []step{{"idle", "1:0 2:0 3:0"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, test.change)
			s.timed, s.busy = newTimed(), true
			s.Configure([]lvs.VirtualServerConfig{s.config}, nil)
			held := destination(numberedServer(1).String(), 0)
			s.read(lvs.Reading{
				State: lvs.State{Table: table(entry(vip.Address.String(), "wrr", held))},
				Usage: lvs.UsageTable{vip: {held.Address: {Active: 1}}},
			})
			if got, want := s.Status()[0].RealServers[0].Reason, "found in the kernel with weight 0, no check result yet"; got != want {
				t.Errorf("reason %q, want %q", got, want)
			}
			for n, step := range test.steps {
				s.do(step.what)
				s.pass()
				if got := s.String(); got != step.want {
					t.Fatalf("after step %d, %q: %q, want %q", n+1, step.what, got, step.want)
				}
			}
		})
	}
}

// TestRestartKeepsAdvised checks that a successor leaves a weight that it finds,
// and that the check may have advised, until the check says something, or the
// configuration another weight.
func TestRestartKeepsAdvised(t *testing.T) {
	for _, test := range []struct {
		name       string
		configured uint32
		held       uint32
		steps      []step
		weighing   string
	}{
		{"more than configured", 1, 50, []step{{"start", "1:50 reached"}, {"asks 1 weight 60", "1:60 reached"}}, "as found in the kernel"},
		{"configured as 0", 0, 50, []step{{"start", "1:50 reached"}, {"good 1", "1:0 lost"}}, "as found in the kernel"},
		{"less than configured, as in a slow start", 100, 9, []step{{"start", "1:100 reached"}}, ""},
		{"until it is configured", 1, 50, []step{{"heavier 1", "1:2 lost"}}, "as found in the kernel"},
		{"which a reload with the same is not", 1, 50, []step{{"reload", "1:50 reached"}}, "as found in the kernel"},
		{"the administrator's", 1, 50, []step{{"weigh 1 40", "1:40 reached"}, {"enable 1", "1:50 reached"}}, "as found in the kernel"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, func(c *lvs.VirtualServerConfig) {
				c.Quorum, c.RealServers[0].Weight = lvs.Quorum{Weight: 30}, test.configured
			})
			s.timed = configured(table(entry(vip.Address.String(), "wrr", destination(numberedServer(1).String(), test.held))), s.config)
			if got := s.Status()[0].RealServers[0].Weighing; got != test.weighing {
				t.Errorf("weight %q, want %q", got, test.weighing)
			}
			for n, step := range test.steps {
				s.do(step.what)
				s.pass()
				if got := s.String(); got != step.want {
					t.Fatalf("after step %d, %q: %q, want %q", n+1, step.what, got, step.want)
				}
			}
		})
	}
}

// TestRestartKeepsRising checks that a successor takes no weight that it finds
// for the whole one where real servers start slowly: what their checks advise
// may be enough for the quorum, until they say something.
func TestRestartKeepsRising(t *testing.T) {
	for _, test := range []struct {
		name       string
		configured uint32
		held       uint32
		steps      []step
	}{
		{"advised enough", 1, 9, []step{{"start", "1:9 reached"}, {"asks 1 weight 60", "1:60 reached"}}},
		{"advised too little", 1, 9, []step{{"start", "1:9 reached"}, {"asks 1 weight 20", "1:20 lost"}}},
		{"advised nothing", 20, 2, []step{{"start", "1:20 reached"}, {"good 1", "1:20 lost"}}},
		{"bad", 1, 9, []step{{"bad 1", "lost"}}},
		{"the administrator's is the whole one", 1, 9, []step{{"weigh 1 5", "1:5 lost"}}},
		{"drained by the administrator", 1, 9, []step{{"busy", "1:9 reached"}, {"drain 1", "1:0 lost"}}},
		{"beside what is known", 1, 9, []step{{"good 2", "1:9 2:1 reached"}, {"bad 1", "2:1 lost"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, func(c *lvs.VirtualServerConfig) {
				c.Quorum, c.SlowStart = lvs.Quorum{Weight: 30}, 10*time.Second
				c.RealServers[0].Weight, c.RealServers[1].Weight = test.configured, 1
			})
			s.timed = configured(table(entry(vip.Address.String(), "wrr", destination(numberedServer(1).String(), test.held))), s.config)
			for n, step := range test.steps {
				s.do(step.what)
				s.pass()
				if got := s.String(); got != step.want {
					t.Fatalf("after step %d, %q: %q, want %q", n+1, step.what, got, step.want)
				}
			}
		})
	}
}
