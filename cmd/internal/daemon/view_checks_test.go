package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/checker"
	"bascule/cmd/internal/config"
	"bascule/cmd/internal/control"
	"bascule/lvs"
)

// fileSpec returns a check that reads what the target is like from a file.
func fileSpec(path, target string) checker.Spec {
	return checker.Spec{
		Probe: checker.File{Path: path, Wanted: checker.FileContent}, Target: netip.MustParseAddrPort(target),
		Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1,
	}
}

// say writes what a target is like.
func say(t *testing.T, path, what string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(what+"\n"), 0o600))
}

// checkedBy returns a configuration in which conditions decide on the real
// servers 10.0.1.1:80, 10.0.1.2:80, … of one virtual server.
func checkedBy(conditions ...checker.Condition) *config.Node {
	vs := config.VirtualServer{Checks: map[netip.AddrPort]checker.Condition{}}
	vs.Name, vs.Services = "www", []lvs.Service{{ServiceKey: service80("10.0.0.1")}}
	for n, condition := range conditions {
		vs.Checks[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(n + 1)}), 80)] = condition
	}
	return &config.Node{VirtualServers: []config.VirtualServer{vs}}
}

// TestViewChecks shows a check, whoever uses it, once, with what is known of it
// and what it has found.
func TestViewChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
		say(t, good, "75%")
		say(t, bad, "down # too hot")
		shared, broken := fileSpec(good, "10.0.1.1:80"), fileSpec(bad, "10.0.1.2:0")
		broken.Via = checker.Via{Source: netip.MustParseAddr("10.0.1.250"), Device: "eth0", Mark: 7, Namespace: "blue"}
		a := newAudience(checkedBy(checker.Leaf(shared), checker.All(checker.Leaf(shared), checker.Leaf(broken))))
		pool := checker.NewPool(func(checker.Spec, checker.Known) {})
		defer pool.Close()
		must(t, pool.Set(a.specs()))
		start := time.Now()
		time.Sleep(2500 * time.Millisecond)
		got := slices.Collect(viewChecks(&a, pool, control.ChecksRequest{Results: true}))
		want := []control.Check{{
			Name: "file 10.0.1.1:80", Kind: "file", Target: "10.0.1.1:80", Parameters: "path " + good + " wanted content",
			Interval: "1s", Timeout: "1s", State: "healthy", Since: &start, Weight: "75 %",
			Users: []control.CheckUser{{VirtualServer: "www", RealServer: "10.0.1.1:80"}, {VirtualServer: "www", RealServer: "10.0.1.2:80"}},
		}, {
			Name: "file 10.0.1.2", Kind: "file", Target: "10.0.1.2", Parameters: "path " + bad + " wanted content",
			Way:      "from 10.0.1.250 through eth0 with mark 7 in namespace blue",
			Interval: "1s", Timeout: "1s", State: "unhealthy", Since: &start, Reason: "file says down: too hot",
			Users: []control.CheckUser{{VirtualServer: "www", RealServer: "10.0.1.2:80"}},
		}}
		for n := range want {
			for second := range 3 {
				want[n].Results = append(want[n].Results, control.CheckResult{
					Start: start.Add(time.Duration(second) * time.Second), Good: n == 0, Verdict: true, Reason: want[n].Reason,
					State: want[n].State, Changed: second == 0,
				})
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("checks (-want +got):\n%s", diff)
		}
		for _, test := range []struct {
			match string
			names string
		}{
			{"", "file 10.0.1.1:80, file 10.0.1.2"},
			{"www", "file 10.0.1.1:80, file 10.0.1.2"},
			{"file", "file 10.0.1.1:80, file 10.0.1.2"},
			{"10.0.1.1", "file 10.0.1.1:80"},
			{"10.0.1.1:80", "file 10.0.1.1:80"},
			{"10.0.1.2", "file 10.0.1.2"},
			{"ww", ""},
			{"nothing 10.0.1.1", "file 10.0.1.1:80"},
		} {
			var names []string
			for c := range viewChecks(&a, pool, control.ChecksRequest{Match: strings.Fields(test.match)}) {
				names = append(names, c.Name)
				if c.Results != nil {
					t.Errorf("%q: results that nobody has asked for", test.match)
				}
			}
			if got := strings.Join(names, ", "); got != test.names {
				t.Errorf("%q matches %q, want %q", test.match, got, test.names)
			}
		}
	})
}

// TestViewChecksBeforeTheStart shows nothing where there is nothing yet.
func TestViewChecksBeforeTheStart(t *testing.T) {
	f := fanOut{}
	if got := slices.Collect(viewChecks(f.audience.Load(), nil, control.ChecksRequest{})); got != nil {
		t.Errorf("checks %v", got)
	}
	if got := f.warnings(); got == nil || len(got) > 0 {
		t.Errorf("warnings %#v, want an empty list", got)
	}
}

// TestParameters tells checks of one kind and target apart, and gives no secret
// away.
func TestParameters(t *testing.T) {
	secret := checker.NewSecret("topsecret")
	for _, test := range []struct {
		probe checker.Probe
		want  string
	}{
		{checker.TCP{}, ""},
		{checker.HTTP{Method: "GET", Path: "/", Status: "200-399", User: "me", Password: secret, Secure: true},
			"method GET path / status 200-399 user me password *** secure"},
		{checker.Script{Argv: checker.NewStrings("/bin/x", "a b"), User: "nobody", Weight: true, Env: checker.NewStrings("A=topsecret")},
			`argv "/bin/x" "a b" user nobody weight env ***`},
	} {
		spec := checker.Spec{Probe: test.probe}
		c := viewCheck(spec, nil, checker.NewPool(nil), false)
		if c.Parameters != test.want {
			t.Errorf("%q, want %q", c.Parameters, test.want)
		}
	}
}
