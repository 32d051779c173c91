package vrrp

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the traces of the scenarios with what comes out. Read the
// difference before you keep it: every line of it is a change of behaviour.
var update = flag.Bool("update", false, "rewrite the traces in testdata/vrrp")

// TestScenarios runs every script of testdata/vrrp and compares the whole of
// what the directors did.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../testdata/vrrp/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			steps, err := readScript(file, string(text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := runScript(file, steps)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s: trace (-want +got):\n%s", file, diff)
			}
		})
	}
}

// TestScriptErrors: a scenario with a mistake in it is refused with the place
// of the mistake, not half understood.
func TestScriptErrors(t *testing.T) {
	const nodes = "> node a pub=192.0.2.1\n> group web priority=a:100\n"
	const routed = nodes + "> router web public pub 1 192.0.2.9/24\n"
	tests := []struct{ text, want string }{
		{"> jump 1s", `x.txt:1: unknown command "jump"; known are clock, cut, forge, group,`},
		{"# why\n\n> run", "x.txt:3: usage: run DURATION"},
		{"> run 1s 2s", "x.txt:1: usage: run DURATION"},
		{"> ", "x.txt:1: an empty command"},
		{"run 1s", `x.txt:1: "run 1s" is no command ("> "), no comment, and follows no command as its trace`},
		{"> run 1s\n# a comment ends the trace\n1s a send", `x.txt:3: "1s a send" is no command`},
		{"> run 1s\nsend", `x.txt:2: a line of the trace begins with a time, not with "send"`},
		{"> run soon", `x.txt:1: "soon" is not a duration of 0 or more`},
		{"> run -1s", `x.txt:1: "-1s" is not a duration of 0 or more`},
		{"> node a pub", `x.txt:1: "pub" is not INTERFACE=IPV4-ADDRESS[,IPV6-ADDRESS...]`},
		{"> node a pub=fe80::1", `x.txt:1: "pub=fe80::1" is not INTERFACE=IPV4-ADDRESS`},
		{"> node a pub=192.0.2.1,192.0.2.2", `x.txt:1: "pub=192.0.2.1,192.0.2.2" has a second address of IPv4`},
		{nodes + "> node a pub=192.0.2.2", `x.txt:3: there is a node "a" already`},
		{"> start b", `x.txt:1: no node "b"`},
		{nodes + "> stop a", "x.txt:3: node a: does not run"},
		{nodes + "> start a\n> start a", "x.txt:4: node a: runs already"},
		{nodes + "> resume a", "x.txt:3: node a: is not paused"},
		{"> node a pub=192.0.2.1\n> group web\n> start a", "x.txt:3: node a: group web gives it no priority"},
		{"> group web priority=a:256", `x.txt:1: "a:256" is not NODE:PRIORITY with a priority of 1 to 255`},
		{"> group web colour=red", `x.txt:1: unknown setting "colour=red"`},
		{"> group web interval=fast", `x.txt:1: time: invalid duration "fast"`},
		{"> group web interval=15ms", `x.txt:1: "15ms" is not an interval of 10ms to 40.95s in steps of 10ms`},
		{"> group web start_delay=long", `x.txt:1: time: invalid duration "long"`},
		{"> group web preempt=maybe", `x.txt:1: time: invalid duration "maybe"`},
		{"> router web public pub 1", `x.txt:1: no group "web"`},
		{nodes + "> router web public pub 0", `x.txt:3: "0" is not a VRID of 1 to 255`},
		{nodes + "> router web public pub 1 here", `x.txt:3: netip.ParsePrefix("here")`},
		{nodes + "> router web public pub 1 192.0.2.9/24 fe80::9/64", `x.txt:3: "fe80::9/64" is of another family than 192.0.2.9/24`},
		{nodes + "> set web public version=2", `x.txt:3: no router "public" in group "web"`},
		{routed + "> set web public colour=red", `x.txt:4: unknown setting "colour=red"`},
		{routed + "> set web public version=4", `x.txt:4: "4" is not a version of ipv4`},
		{routed + "> router web six pub 1 fe80::9/64\n> set web six version=2", `x.txt:5: "2" is not a version of ipv6`},
		{routed + "> set web public password=123456789", `x.txt:4: password "123456789" is longer than 8`},
		{routed + "> set web public keys=secret", `x.txt:4: "secret" is not ID:SECRET`},
		{routed + "> set web public mode=strict", `x.txt:4: "strict" is none of receive-only, permissive, enforce`},
		{routed + "> set web public window=wide", `x.txt:4: time: invalid duration "wide"`},
		{routed + "> set web public unicast=a", `x.txt:4: ParseAddr("")`},
		{routed + "> set web public unicast=b:192.0.2.2\n> start a", `x.txt:5: node a: group web: router public: unicast gives it no address`},
		{routed + "> set web public version=2\n> group web interval=100ms\n> start a", `x.txt:6: node a: group web: router public: version 2 has whole seconds`},
		{routed + "> router web twin pub 1 192.0.2.8/24\n> start a", `x.txt:5: node a: vrid 1 of ipv4 is twice on pub`},
		{nodes + "> clock a late", `x.txt:3: time: invalid duration "late"`},
		{nodes + "> record pub", `x.txt:3: nothing was advertised on "pub" yet`},
		{nodes + "> replay pub", `x.txt:3: nothing was recorded on "pub"`},
		{nodes + "> forge pub 192.0.2.9 to=ff02::12", `x.txt:3: ff02::12 and 192.0.2.9 are of different families`},
		{nodes + "> remove web public", `x.txt:3: no router "public" in group "web"`},
		{nodes + "> link a int up", `x.txt:3: node a has no interface "int"`},
		{nodes + "> link a pub sideways", `x.txt:3: a link goes up, down or is tentative, not "sideways"`},
		{nodes + "> heal int", `x.txt:3: no node has an interface "int"`},
		{nodes + "> forge pub 192.0.2.9 priority=300", `x.txt:3: "priority=300": strconv.ParseUint`},
		{nodes + "> forge pub 192.0.2.9 colour=1", `x.txt:3: unknown field "colour=1"`},
	}
	for _, tt := range tests {
		steps, err := readScript("x.txt", tt.text)
		if err == nil {
			_, err = runScript("x.txt", steps)
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}
