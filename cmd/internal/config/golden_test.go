package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bascule/checker"
	"bascule/lvs"
	"bascule/vrrp"
	"bascule/vrrp/link"
)

// update rewrites the expected files of the tests below. Read the difference
// before it is committed.
var update = flag.Bool("update", false, "rewrite the expected files in testdata/config")

// testdata is the directory of configurations.
const testdata = "../../../testdata/config"

// examples returns the paths of the configurations in a directory of testdata.
func examples(tb testing.TB, kind string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(testdata, kind, "*.toml"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no %s configurations in %s: %v", kind, testdata, err)
	}
	return paths
}

// readExample returns a configuration under its base name.
func readExample(tb testing.TB, path string) File {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return File{Name: filepath.Base(path), Content: string(content)}
}

// golden compares a text with an expected file, or rewrites that.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Each bad configuration has the exact errors beside it, with line and key.
func TestBadConfigurations(t *testing.T) {
	paths := examples(t, "bad")
	if len(paths) < 20 {
		t.Errorf("%d bad configurations, want at least 20", len(paths))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file := readExample(t, path)
			c, err := Parse([]File{file})
			if c != nil || err == nil {
				t.Fatalf("got %v, %v, want no configuration and an error", c, err)
			}
			checkErrors(t, err, []File{file})
			golden(t, strings.TrimSuffix(path, ".toml")+".err", err.Error()+"\n")
		})
	}
}

// Each good configuration has beside it what it means on every node.
func TestGoodConfigurations(t *testing.T) {
	for _, path := range examples(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := Parse([]File{readExample(t, path)})
			if err != nil {
				t.Fatal(err)
			}
			names := c.Nodes()
			if len(names) == 0 {
				names = []string{"any"}
			}
			var meaning strings.Builder
			for _, name := range names {
				node, err := c.ForNode(name)
				if err != nil {
					t.Fatal(err)
				}
				writeNode(&meaning, node)
			}
			for _, w := range c.Warnings() {
				fmt.Fprintf(&meaning, "warning: %v\n", w)
			}
			golden(t, strings.TrimSuffix(path, ".toml")+".txt", meaning.String())
		})
	}
}

// writeNode writes everything that a configuration can say to a director.
func writeNode(w io.Writer, node *Node) {
	fmt.Fprintf(w, "node %s\n", node.Name)
	if a := node.Announcement; a != link.DefaultSchedule() {
		fmt.Fprintf(w, "  announcement: %d frames, again after %s, %d each %s, refresh %d every %s\n",
			a.Repeat, a.Delay, a.Volley, a.Interval, a.RefreshRepeat, a.Refresh)
	}
	if node.Exclusive || node.Timeouts != (lvs.Timeouts{}) {
		fmt.Fprintf(w, "  ipvs: exclusive %t, timeouts %+v\n", node.Exclusive, node.Timeouts)
	}
	if node.Sync != nil {
		fmt.Fprintf(w, "  connections synchronized by %+v\n", *node.Sync)
	}
	for _, g := range node.Groups {
		writeGroup(w, g)
	}
	if node.Secrets != nil {
		for _, f := range node.Secrets.files {
			fmt.Fprintf(w, "  secret of %s: %s\n", f.at.key, f.Path)
		}
	}
	for _, f := range node.KeyFiles {
		fmt.Fprintf(w, "  keys of group %s: %s\n", f.Group, f.Path)
	}
	for _, vs := range node.VirtualServers {
		writeServices(w, vs)
		for _, rs := range vs.RealServers {
			fmt.Fprintf(w, "    real server %s: weight %d, %s%s, checked %t\n", rs.Address, rs.Weight, rs.Forwarding, details(rs), rs.Checked)
			for _, spec := range vs.Checks[rs.Address].Specs() {
				fmt.Fprintf(w, "      %s %s%s: interval %s, timeout %s, jitter %s, rise %d, fall %d, %+v\n",
					spec.Probe.Kind(), spec.Target, rare(spec), spec.Interval, spec.Timeout, spec.Jitter, spec.Rise, spec.Fall,
					unprintable.Replace(fmt.Sprintf("%+v", spec.Probe)))
			}
		}
	}
}

// unprintable replaces the bytes of the examples that are no text.
var unprintable = strings.NewReplacer("\r", `\r`, "\n", `\n`, "\x00", `\x00`, "\xff", `\xff`)

// rare writes what few checks have.
func rare(spec checker.Spec) string {
	text := ""
	if spec.Via != (checker.Via{}) {
		text += fmt.Sprintf(" via %+v", spec.Via)
	}
	if spec.Quick != 0 {
		text += fmt.Sprintf(" quickly %s", spec.Quick)
	}
	if spec.Delay != 0 {
		text += fmt.Sprintf(" after %s", spec.Delay)
	}
	return text
}

// writeServices writes what a virtual server is, apart from its real servers.
func writeServices(w io.Writer, vs VirtualServer) {
	fmt.Fprintf(w, "  virtual server %s\n", vs.Name)
	for _, s := range vs.Services {
		fmt.Fprintf(w, "    service %v, %s", s.ServiceKey, s.Scheduler)
		if s.Flags != 0 {
			fmt.Fprintf(w, ", flags %#x", s.Flags)
		}
		if s.Persistence != (lvs.Persistence{}) {
			fmt.Fprintf(w, ", persistent %+v", s.Persistence)
		}
		fmt.Fprintln(w)
	}
	for _, m := range vs.Match {
		fmt.Fprintf(w, "    match %v\n", m)
	}
	for _, rs := range vs.Sorry {
		fmt.Fprintf(w, "    sorry server %s: weight %d, %s%s\n", rs.Address, rs.Weight, rs.Forwarding, details(rs))
	}
	policies := VirtualServer{}
	policies.Quorum, policies.AllDown, policies.OnFailure = vs.Quorum, vs.AllDown, vs.OnFailure
	policies.SlowStart, policies.DrainLimit = vs.SlowStart, vs.DrainLimit
	if !cmp.Equal(policies, VirtualServer{}, cmpopts.EquateComparable(netip.AddrPort{})) {
		fmt.Fprintf(w, "    quorum %+v, all down: %v, on failure: %v, slow start %v, drain %v\n",
			vs.Quorum, vs.AllDown, vs.OnFailure, vs.SlowStart, vs.DrainLimit)
	}
}

// details writes what few real servers have.
func details(rs lvs.RealServerConfig) string {
	text := ""
	if rs.Forwarding == lvs.Tunnel {
		text += fmt.Sprintf(" (%v port %d checksum %v)", rs.Tunnel.Type, rs.Tunnel.Port, rs.Tunnel.Checksum)
	}
	if rs.Upper != 0 {
		text += fmt.Sprintf(", thresholds %d and %d", rs.Upper, rs.Lower)
	}
	return text
}

// writeGroup writes a group as a director has it.
func writeGroup(w io.Writer, g vrrp.GroupConfig) {
	fmt.Fprintf(w, "  group %s: priority %d, every %s, preempt %t after %s, start after %s\n",
		g.Name, g.Priority, g.AdvertisementInterval, g.Preempt.Enabled, g.Preempt.Delay, g.StartDelay)
	for _, r := range g.Routers {
		fmt.Fprintf(w, "    router %s: version %s, %s vrid %d on %s, %s checksum, password %q, %s\n",
			r.Name, r.Version, r.Family, r.VRID, r.Interface, r.Checksum, r.Password, r.Addresses)
		if u := r.Unicast; u != nil {
			fmt.Fprintf(w, "      unicast from %s to %v\n", u.Source, u.Peers)
		}
		if a := r.Auth; a != nil {
			fmt.Fprintf(w, "      authentication: mode %s, key %d of %d, window %s\n", a.Mode, a.Active, len(a.Keys), a.Window)
		}
	}
}

// checkErrors demands that every error has a file and a line that exist.
func checkErrors(t *testing.T, err error, files []File) {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("error is a %T of %d, want Errors that are not empty", err, len(list))
	}
	lines := map[string]int{}
	for _, f := range files {
		lines[f.Name] = 1 + strings.Count(f.Content, "\n")
	}
	for _, e := range list {
		if last, ok := lines[e.File]; !ok || e.Line < 1 || e.Line > last {
			t.Errorf("error %q: no such place; the files have lines %v", e, lines)
		}
		if e.Message == "" || strings.Contains(e.Error(), "\n") {
			t.Errorf("error %q is not one line with a message", e)
		}
	}
}
