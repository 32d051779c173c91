package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bascule/lvs"
	"bascule/lvs/director"
)

// procSys is where the kernel shows its settings.
const procSys = "/proc/sys"

// forwardingProblems says of each family whether real servers behind this
// machine need it to be a router, and it is none: with masquerade their
// replies pass through it.
func forwardingProblems(status *director.Status, procSys string) []string {
	var masquerades [2]bool // IPv4, and IPv6
	for _, vs := range status.VirtualServers {
		for _, rs := range slices.Concat(vs.RealServers, vs.Sorry) {
			switch {
			case rs.Forwarding != lvs.Masquerade:
			case rs.Address.Addr().Is6():
				masquerades[1] = true
			default:
				masquerades[0] = true
			}
		}
	}
	var problems []string
	if masquerades[0] && !routes(procSys, "ipv4") {
		problems = append(problems, "masquerade over IPv4 needs net.ipv4.ip_forward = 1: replies of real servers are not forwarded")
	}
	if masquerades[1] && !routes(procSys, "ipv6") {
		problems = append(problems, "masquerade over IPv6 needs net.ipv6.conf.all.forwarding = 1: replies of real servers are not forwarded")
	}
	return problems
}

// routes says whether any interface forwards packets of a family, or it cannot
// be told. Where not all do, the administrator has chosen those that do.
func routes(procSys, family string) bool {
	names, err := filepath.Glob(filepath.Join(procSys, "net", family, "conf", "*", "forwarding"))
	if err != nil || len(names) == 0 {
		return true
	}
	for _, name := range names {
		if filepath.Base(filepath.Dir(name)) == "default" {
			continue
		}
		if value, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(value)) != "0" {
			return true
		}
	}
	return false
}
