package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bascule/lvs"
	"bascule/lvs/director"
)

// TestForwardingProblems checks who needs a router of which family, and which
// settings make one.
func TestForwardingProblems(t *testing.T) {
	const four, six = "masquerade over IPv4", "masquerade over IPv6"
	for _, test := range []struct {
		name     string
		settings map[string]string
		servers  []lvs.RealServerStatus
		want     string // the problems, by their beginnings
	}{
		{"both families, no router", map[string]string{"ipv4/conf/all": "0", "ipv6/conf/all": "0"}, realServers("10.1.0.1:80", "[2001:db8::1]:80"), four + " " + six},
		{"one family", map[string]string{"ipv4/conf/all": "0", "ipv6/conf/all": "0"}, realServers("10.1.0.1:80"), four},
		{"routers", map[string]string{"ipv4/conf/all": "1", "ipv6/conf/all": "1"}, realServers("10.1.0.1:80", "[2001:db8::1]:80"), ""},
		{"one interface", map[string]string{"ipv4/conf/all": "0", "ipv4/conf/eth0": "1"}, realServers("10.1.0.1:80"), ""},
		{"interfaces to come", map[string]string{"ipv4/conf/all": "0", "ipv4/conf/default": "1"}, realServers("10.1.0.1:80"), four},
		{"nobody knows", nil, realServers("10.1.0.1:80"), ""},
		{"direct routing", map[string]string{"ipv4/conf/all": "0"}, []lvs.RealServerStatus{{Address: netip.MustParseAddrPort("10.1.0.1:80"), Forwarding: lvs.Direct}}, ""},
		{"no real server", map[string]string{"ipv4/conf/all": "0"}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, value := range test.settings {
				at := filepath.Join(dir, "net", name)
				must(t, os.MkdirAll(at, 0o755))
				must(t, os.WriteFile(filepath.Join(at, "forwarding"), []byte(value+"\n"), 0o644))
			}
			for _, vs := range []lvs.VirtualServerStatus{{RealServers: test.servers}, {Sorry: test.servers}} {
				var got []string
				for _, p := range forwardingProblems(&director.Status{VirtualServers: []lvs.VirtualServerStatus{vs}}, dir) {
					words, _, _ := strings.Cut(p, " needs")
					got = append(got, words)
				}
				if words := strings.Join(got, " "); words != test.want {
					t.Errorf("%q, want %q", words, test.want)
				}
			}
		})
	}
}

// realServers are masqueraded.
func realServers(addresses ...string) (list []lvs.RealServerStatus) {
	for _, a := range addresses {
		list = append(list, lvs.RealServerStatus{Address: netip.MustParseAddrPort(a)})
	}
	return list
}

// TestForwardingOfThisKernel reads the real settings of an empty network, which
// is no router until somebody says so.
func TestForwardingOfThisKernel(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, setting := range []struct{ family, name string }{{"ipv4", "net/ipv4/ip_forward"}, {"ipv6", "net/ipv6/conf/all/forwarding"}} {
		for _, value := range []string{"0", "1"} {
			must(t, os.WriteFile(filepath.Join(procSys, setting.name), []byte(value), 0))
			if got := routes(procSys, setting.family); got != (value == "1") {
				t.Errorf("%s = %s: a router: %t", setting.name, value, got)
			}
		}
	}
}
