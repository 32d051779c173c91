package lvs_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bascule/lvs"
)

// scenario is a history of one virtual server with the real servers 1, 2 and
// 3 of weight 100 and possibly the sorry server 9.
type scenario struct {
	name   string
	config func(*lvs.VirtualServerConfig)
	steps  []step
}

// step is something that happens, and what the kernel is wanted to hold then:
// real servers with their weights, and the quorum unless there is none.
type step struct{ what, want string }

// stage is a scenario under way.
type stage struct {
	*timed
	t      *testing.T
	config lvs.VirtualServerConfig // with all real servers
	busy   bool                    // whether all destinations have connections
}

// numberedServer returns the address of a real server of a scenario.
func numberedServer(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(n)}), 80)
}

// withSorry gives a virtual server the sorry server 9.
func withSorry(c *lvs.VirtualServerConfig) {
	c.Sorry = []lvs.RealServerConfig{{Address: numberedServer(9), Weight: 1}}
}

// newStage returns the beginning of a scenario: the kernel is empty, and no
// check has ended.
func newStage(t *testing.T, change func(*lvs.VirtualServerConfig)) *stage {
	s := &stage{timed: newTimed(), t: t, config: www()}
	for n := range 3 {
		s.config.RealServers = append(s.config.RealServers, lvs.RealServerConfig{Address: numberedServer(n + 1), Weight: 100, Checked: true})
	}
	if change != nil {
		change(&s.config)
	}
	s.Configure([]lvs.VirtualServerConfig{s.config}, nil)
	s.Learn(table())
	return s
}

// do lets something happen: a word and the number of a real server, or what
// else belongs to the word.
func (s *stage) do(what string) {
	word, rest, _ := strings.Cut(what, " ")
	var n, weight int
	_, _ = fmt.Sscan(rest, &n, &weight)
	switch word {
	case "start":
	case "good", "bad":
		s.Observe(lvs.RealServerKey{Service: vip, Address: numberedServer(n)}, lvs.Fact{Healthy: word == "good", Reason: "says its check"})
	case "asks":
		s.Observe(lvs.RealServerKey{Service: vip, Address: numberedServer(n)}, lvs.Fact{Healthy: true, Reason: "says its check", Advice: advice(rest)})
	case "drain":
		s.override(n, lvs.Override{Kind: lvs.Drain, Reason: "new disk"})
	case "enable":
		s.override(n, lvs.Override{})
	case "weigh":
		s.override(n, lvs.Override{Kind: lvs.Weigh, Weight: uint32(weight)})
	case "without":
		s.reload(func(c *lvs.VirtualServerConfig) {
			c.RealServers = slices.DeleteFunc(c.RealServers, func(rs lvs.RealServerConfig) bool { return rs.Address == numberedServer(n) })
		})
	case "limit":
		limit, without, _ := strings.Cut(rest, " without ")
		d, err := time.ParseDuration(limit)
		if err != nil {
			s.t.Fatalf("step %q", what)
		}
		s.reload(func(c *lvs.VirtualServerConfig) {
			c.DrainLimit = d
			if without != "" {
				c.RealServers = c.RealServers[1:]
			}
		})
	case "reload":
		s.reload(func(c *lvs.VirtualServerConfig) { c.Name = "renamed" })
	case "heavier":
		s.reload(func(c *lvs.VirtualServerConfig) { c.RealServers[n-1].Weight++ })
	case "busy", "idle":
		s.busy = word == "busy"
	default:
		d, err := time.ParseDuration(what)
		if err != nil {
			s.t.Fatalf("step %q", what)
		}
		s.wait(d)
	}
}

// advice reads what a check advises behind the number of its real server:
// "weight 7", "percent 50", "drain", or several of these.
func advice(words string) (a lvs.Advice) {
	fields := strings.Fields(words)[1:]
	for n, word := range fields {
		var value uint32
		if n+1 < len(fields) {
			_, _ = fmt.Sscan(fields[n+1], &value)
		}
		switch word {
		case "weight":
			a.Weight = lvs.Asked{Set: true, Value: value}
		case "percent":
			a.Percent = lvs.Asked{Set: true, Value: value}
		case "drain":
			a.Drain = true
		}
	}
	return a
}

// override takes a decision of the administrator.
func (s *stage) override(n int, o lvs.Override) {
	if err := s.Override(s.now, s.Status()[0].Name, numberedServer(n), o); err != nil {
		s.t.Fatal(err)
	}
	s.Advance(s.now)
}

// reload configures the virtual server with a change.
func (s *stage) reload(change func(*lvs.VirtualServerConfig)) {
	config := s.config.Clone()
	change(&config)
	s.Configure([]lvs.VirtualServerConfig{config}, nil)
}

// pass lets the kernel hold what is wanted, and tells the model so.
func (s *stage) pass() {
	reading := lvs.Reading{State: lvs.State{Table: s.Wanted()}, Usage: lvs.UsageTable{vip: {}}}
	for address := range reading.Table[vip].Destinations {
		usage := lvs.Usage{}
		if s.busy {
			usage.Active = 1
		}
		reading.Usage[vip][address] = usage
	}
	s.read(reading)
}

// String returns what the kernel is wanted to hold, as step has it.
func (s *stage) String() string {
	var words []string
	for n := range 10 {
		if d, held := s.Wanted()[vip].Destinations[numberedServer(n)]; held {
			words = append(words, fmt.Sprintf("%d:%d", n, d.Weight))
		}
	}
	if q := s.Status()[0].Quorum.State; q != lvs.QuorumUnneeded {
		words = append(words, q.String())
	}
	return strings.Join(words, " ")
}

// scenarios are the policies, in words.
var scenarios = []scenario{
	{"without policies the check decides", nil, []step{
		{"start", ""}, {"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"bad 1", "2:100"}, {"bad 2", ""},
	}},
	{"inhibited: weight 0 instead of removal", func(c *lvs.VirtualServerConfig) { c.OnFailure = lvs.InhibitOnFailure }, []step{
		{"start", "1:0 2:0 3:0"}, {"good 1", "1:100 2:0 3:0"}, {"bad 1", "1:0 2:0 3:0"},
	}},
	{"a quorum with hysteresis and sorry servers", func(c *lvs.VirtualServerConfig) {
		c.Quorum = lvs.Quorum{Weight: 150, Hysteresis: 50}
		withSorry(c)
	}, []step{
		{"start", "9:1 awaited"}, {"good 1", "9:1 awaited"}, {"good 2", "1:100 2:100 reached"},
		{"bad 1", "2:100 reached"}, {"bad 2", "9:1 lost"}, {"good 2", "9:1 lost"}, {"weigh 2 199", "9:1 lost"},
		{"weigh 2 200", "2:200 reached"}, {"weigh 2 100", "2:100 reached"}, {"weigh 2 99", "9:1 lost"},
		{"good 1", "9:1 lost"}, {"good 3", "1:100 2:99 3:100 reached"}, {"drain 1", "2:99 3:100 reached"},
	}},
	{"a lost quorum without sorry servers leaves those that remain", func(c *lvs.VirtualServerConfig) {
		c.Quorum = lvs.Quorum{Weight: 200}
	}, []step{
		{"good 1", "1:100 awaited"}, {"good 2", "1:100 2:100 reached"}, {"bad 2", "1:100 lost"}, {"good 2", "1:100 2:100 reached"},
	}},
	{"sorry servers without a quorum are for the time without any", withSorry, []step{
		{"start", "9:1 awaited"}, {"good 1", "1:100 reached"}, {"bad 1", "9:1 lost"}, {"good 2", "2:100 reached"},
	}},
	{"sorry servers beside those that are inhibited", func(c *lvs.VirtualServerConfig) {
		c.Quorum, c.OnFailure = lvs.Quorum{Weight: 200}, lvs.InhibitOnFailure
		withSorry(c)
	}, []step{
		{"good 1", "1:0 2:0 3:0 9:1 awaited"}, {"good 2", "1:100 2:100 3:0 reached"}, {"bad 1", "1:0 2:0 3:0 9:1 lost"},
	}},
	{"all down: those that failed last stay", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }, []step{
		{"bad 1", ""}, {"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"bad 1", "2:100"}, {"1s", "2:100"},
		{"bad 2", "2:100"}, {"bad 3", "2:100"}, {"reload", "2:100"}, {"drain 2", "1:100"}, {"enable 2", "2:100"}, {"good 3", "3:100"},
	}},
	{"all down at one moment: all of them stay", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }, []step{
		{"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"bad 1", "2:100"}, {"bad 2", "1:100 2:100"},
	}},
	{"all down but one without weight: that takes no connections, and those that failed last stay", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }, []step{
		{"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"weigh 1 0", "1:0 2:100"}, {"bad 2", "1:0 2:100"}, {"good 3", "1:0 3:100"}, {"1s", "1:0 3:100"},
		{"bad 3", "1:0 3:100"}, {"weigh 3 0", "1:0 2:100"}, {"enable 1", "1:100"},
	}},
	{"all down but one that is drained", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"drain 1", "1:0 2:100"}, {"bad 2", "1:0 2:100"}, {"enable 1", "1:100"},
	}},
	{"all down but one that starts slowly", func(c *lvs.VirtualServerConfig) {
		c.AllDown, c.SlowStart = lvs.AllDownLast, time.Minute
	}, []step{
		{"good 1", "1:9"}, {"1m", "1:100"}, {"good 2", "1:100 2:9"}, {"bad 1", "2:9"},
	}},
	{"all down but one without weight: all that were checked are members", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownAll }, []step{
		{"good 1", "1:100"}, {"weigh 1 0", "1:0"}, {"bad 2", "1:0 2:100"}, {"bad 3", "1:0 2:100 3:100"}, {"enable 1", "1:100"},
	}},
	{"all down: all that were checked are members", func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownAll }, []step{
		{"start", ""}, {"good 1", "1:100"}, {"bad 2", "1:100"}, {"bad 1", "1:100 2:100"}, {"bad 3", "1:100 2:100 3:100"},
		{"drain 2", "1:100 3:100"}, {"good 3", "3:100"},
	}},
	{"slow start in ten steps", func(c *lvs.VirtualServerConfig) { c.SlowStart = 10 * time.Second }, []step{
		{"good 1", "1:9"}, {"999ms", "1:9"}, {"1ms", "1:18"}, {"good 1", "1:18"}, {"reload", "1:18"}, {"8s", "1:90"}, {"1s", "1:100"},
		{"reload", "1:100"}, {"bad 1", ""}, {"good 1", "1:9"}, {"weigh 1 11", "1:1"}, {"weigh 1 1", "1:1"}, {"weigh 1 0", "1:0"}, {"enable 1", "1:9"}, {"1h", "1:100"},
	}},
	{"slow start after the administrator's decision", func(c *lvs.VirtualServerConfig) { c.SlowStart = 10 * time.Second }, []step{
		{"busy", ""}, {"good 1", "1:9"}, {"1m", "1:100"}, {"drain 1", "1:0"}, {"idle", ""}, {"enable 1", "1:9"}, {"1s", "1:18"}, {"enable 1", "1:18"},
		{"9s", "1:100"}, {"drain 1", ""}, {"weigh 1 11", "1:1"}, {"10s", "1:11"}, {"enable 1", "1:100"},
		{"drain 1", ""}, {"bad 1", ""}, {"enable 1", ""}, {"good 1", "1:9"},
	}},
	{"a drained real server leaves when its connections have ended", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"59s", "1:0"}, {"idle", ""}, {"bad 1", ""}, {"good 1", ""}, {"enable 1", "1:100"},
	}},
	{"or when it has had its time", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"59s", "1:0"}, {"1s", ""},
	}},
	{"without a limit it waits for the last connection", nil, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"24h", "1:0"}, {"reload", "1:0"}, {"idle", ""}, {"enable 1", "1:100"},
	}},
	{"without a limit one that is removed from the configuration leaves at once", nil, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"without 1", ""},
	}},
	{"and so does one that drains without a limit", nil, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"without 1", ""},
	}},
	{"a drain that goes on has the limit of the present configuration", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"50s", "1:0"}, {"limit 2m", "1:0"}, {"69s", "1:0"}, {"1s", ""},
	}},
	{"a shorter one too, counted from the beginning", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Hour }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"50s", "1:0"}, {"limit 1m", "1:0"}, {"9s", "1:0"}, {"1s", ""},
	}},
	{"or none", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"drain 1", "1:0"}, {"limit 0s", "1:0"}, {"1h", "1:0"}, {"limit 2h", "1:0"}, {"1h", ""},
	}},
	{"one that is not configured any more has the limit of the present configuration", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"without 1", "1:0"}, {"50s", "1:0"}, {"limit 2m without 1", "1:0"}, {"69s", "1:0"}, {"1s", ""},
	}},
	{"one that is removed from the configuration drains", func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }, []step{
		{"busy", ""}, {"good 1", "1:100"}, {"good 2", "1:100 2:100"}, {"without 1", "1:0 2:100"}, {"without 3", "1:100 2:100"},
		{"without 1", "1:0 2:100"}, {"idle", "2:100"}, {"without 3", "2:100"},
	}},
	{"one that is inhibited drains, one that is out does not", func(c *lvs.VirtualServerConfig) {
		c.DrainLimit, c.OnFailure = time.Minute, lvs.InhibitOnFailure
	}, []step{
		{"busy", "1:0 2:0 3:0"}, {"good 1", "1:100 2:0 3:0"}, {"bad 1", "1:0 2:0 3:0"}, {"without 1", "1:0 2:0 3:0"}, {"1m", "2:0 3:0"},
	}},
	{"a decision outlives reloads and failures", nil, []step{
		{"good 1", "1:100"}, {"weigh 1 5", "1:5"}, {"reload", "1:5"}, {"bad 1", ""}, {"good 1", "1:5"}, {"enable 1", "1:100"},
	}},
}

// TestScenarios plays the scenarios.
func TestScenarios(t *testing.T) {
	for _, scenario := range slices.Concat(scenarios, adviceScenarios) {
		t.Run(scenario.name, func(t *testing.T) {
			s := newStage(t, scenario.config)
			for n, step := range scenario.steps {
				s.do(step.what)
				s.pass()
				if got := s.String(); got != step.want {
					t.Fatalf("after step %d, %q: %q, want %q", n+1, step.what, got, step.want)
				}
			}
		})
	}
}

// TestReasons checks what status says of every real server, and of the quorum.
func TestReasons(t *testing.T) {
	all := func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownAll }
	last := func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }
	drain := func(c *lvs.VirtualServerConfig) { c.DrainLimit = time.Minute }
	quorum := func(c *lvs.VirtualServerConfig) { c.Quorum = lvs.Quorum{Weight: 200, Hysteresis: 50} }
	sorry := func(c *lvs.VirtualServerConfig) { quorum(c); withSorry(c) }
	slow := func(c *lvs.VirtualServerConfig) { c.SlowStart = time.Minute }
	for _, test := range []struct {
		name   string
		config func(*lvs.VirtualServerConfig)
		steps  string
		want   string // of real server 1
		quorum string
	}{
		{"no result", nil, "start", "out: no check result yet", ""},
		{"healthy", nil, "good 1", "member: says its check", ""},
		{"all", all, "bad 1", "member: all are down, all stay: says its check", ""},
		{"last", last, "good 1,bad 1", "member: all are down, it failed last and stays: says its check", ""},
		{"drained", drain, "busy,good 1,drain 1", "draining: drained by the administrator: new disk until 1m0s", ""},
		{"drained without a limit", nil, "busy,good 1,drain 1", "draining: drained by the administrator: new disk", ""},
		{"drained away", drain, "good 1,drain 1", "out: drained by the administrator: new disk", ""},
		{"slow start", slow, "good 1,10s", "member: says its check, weight 18 (slow start) until 50s", ""},
		{"weight by the administrator", nil, "good 1,weigh 1 7", "member: says its check, weight 7 (weight 7 set by the administrator)", ""},
		{"the configured one by the administrator", nil, "asks 1 weight 7,weigh 1 100", "member: says its check", ""},
		{"weight by the check", nil, "asks 1 weight 7", "member: says its check, weight 7 (weight 7 by its check)", ""},
		{"per cent by the check", nil, "asks 1 percent 50", "member: says its check, weight 50 (weight 50 % by its check)", ""},
		{"both by the check", nil, "asks 1 percent 50 weight 40", "member: says its check, weight 40 (weight 40 by its check)", ""},
		{"all of it by the check", nil, "asks 1 percent 100", "member: says its check", ""},
		{"weight by the check and slow start", slow, "asks 1 percent 50,10s", "member: says its check, weight 9 (weight 50 % by its check, slow start) until 50s", ""},
		{"weight of one that fails", nil, "asks 1 percent 50,bad 1", "out: says its check", ""},
		{"drained by the check", drain, "busy,good 1,asks 1 drain", "draining: drained by its check", ""},
		{"drained by both", drain, "busy,good 1,asks 1 drain,drain 1", "draining: drained by the administrator: new disk until 1m0s", ""},
		{"awaited", quorum, "good 1", "member: says its check", "awaited: healthy real servers have weight 100, 200 is needed: no sorry server, the remaining members stay"},
		{"reached", quorum, "good 1,good 2", "member: says its check", "reached: healthy real servers have weight 200, lost below 150"},
		{"lost", quorum, "good 1,good 2,bad 2", "member: says its check", "lost: healthy real servers have weight 100, reached again from 250 on: no sorry server, the remaining members stay"},
		{"sorry", sorry, "good 1,good 2,bad 2", "out: the sorry servers have taken over", "lost: healthy real servers have weight 100, reached again from 250 on: the sorry servers have taken over"},
		{"sorry and bad", sorry, "good 1,good 2,bad 1", "out: says its check", "lost: healthy real servers have weight 100, reached again from 250 on: the sorry servers have taken over"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, test.config)
			for what := range strings.SplitSeq(test.steps, ",") {
				s.do(what)
				s.pass()
			}
			status := s.Status()[0]
			rs := status.RealServers[0]
			got := rs.State.String() + ": " + rs.Reason
			if rs.Weighing != "" {
				got += fmt.Sprintf(", weight %d (%s)", rs.Weight, rs.Weighing)
			}
			if !rs.Until.IsZero() {
				got += " until " + rs.Until.Sub(s.now).String()
			}
			if got != test.want {
				t.Errorf("real server %q, want %q", got, test.want)
			}
			if q := status.Quorum; q.State != lvs.QuorumUnneeded && q.State.String()+": "+q.Reason != test.quorum {
				t.Errorf("quorum %q, want %q", q.State.String()+": "+q.Reason, test.quorum)
			}
		})
	}
}

// TestTakesConnections checks what status says of a virtual server as a whole:
// the policy by which there are members, and whether anybody takes connections.
func TestTakesConnections(t *testing.T) {
	all := func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownAll }
	last := func(c *lvs.VirtualServerConfig) { c.AllDown = lvs.AllDownLast }
	inhibit := func(c *lvs.VirtualServerConfig) { c.OnFailure = lvs.InhibitOnFailure }
	for _, test := range []struct {
		name    string
		config  func(*lvs.VirtualServerConfig)
		steps   string
		takes   bool
		staying lvs.AllDown
	}{
		{"no result", last, "start", false, lvs.AllDownNone},
		{"healthy", last, "good 1", true, lvs.AllDownNone},
		{"the last stays", last, "good 1,bad 1", true, lvs.AllDownLast},
		{"all stay", all, "bad 1", true, lvs.AllDownAll},
		{"and are healthy again", all, "bad 1,good 2", true, lvs.AllDownNone},
		{"none stays", nil, "good 1,bad 1", false, lvs.AllDownNone},
		{"inhibited", inhibit, "good 1,bad 1", false, lvs.AllDownNone},
		{"without weight", nil, "good 1,weigh 1 0", false, lvs.AllDownNone},
		{"drained", nil, "busy,good 1,drain 1", false, lvs.AllDownNone},
		{"sorry", withSorry, "good 1,bad 1", true, lvs.AllDownNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, test.config)
			for what := range strings.SplitSeq(test.steps, ",") {
				s.do(what)
				s.pass()
			}
			if got := s.Status()[0]; got.TakesConnections() != test.takes || got.Staying != test.staying {
				t.Errorf("takes connections: %t, want %t; policy %v, want %v", got.TakesConnections(), test.takes, got.Staying, test.staying)
			}
			s.Withdraw()
			if got := s.Status()[0]; got.TakesConnections() && len(got.Sorry) == 0 || got.Staying != lvs.AllDownNone {
				t.Errorf("withdrawn: takes connections: %t, policy %v", got.TakesConnections(), got.Staying)
			}
		})
	}
}
