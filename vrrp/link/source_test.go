package link

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bascule/vrrp"
)

// TestSources lists addresses in the order of the kernel.
func TestSources(t *testing.T) {
	w := wanted("10.0.0.10/24 10.0.0.20/24 fe80::100/64", "10.0.0.30/24 10.0.0.40/24")
	w.Owned = prefixes("10.0.0.20/24 10.0.0.40/24")
	g := nextGoal(nil, 1, w, false, false)
	on := func(s string) address { return address{prefix: netip.MustParsePrefix(s)} }
	flagged := func(s string, flags int) address { return newAddress(netip.MustParsePrefix(s), flags, 0) }
	secondary := func(a address) address { a.secondary = true; return a }
	scoped := func(a address, s netlink.Scope) address { a.scope = s; return a }
	tests := []struct {
		name   string
		list   []address
		family vrrp.Family
		want   string
	}{
		{"first of two", []address{on("10.0.0.2/24"), on("10.0.1.1/24")}, vrrp.IPv4, "10.0.0.2 10.0.1.1"},
		{"no virtual one", []address{on("10.0.0.10/24"), on("10.0.0.30/24"), on("10.0.0.3/24")}, vrrp.IPv4, "10.0.0.3"},
		{"owned ones are the interface's", []address{on("10.0.0.20/24"), on("10.0.0.40/24")}, vrrp.IPv4, "10.0.0.20 10.0.0.40"},
		{"primary before secondary", []address{secondary(on("10.0.0.3/24")), on("10.0.1.1/24")}, vrrp.IPv4, "10.0.1.1 10.0.0.3"},
		{"secondary to a virtual one", []address{on("10.0.0.10/24"), secondary(on("10.0.0.3/24"))}, vrrp.IPv4, "10.0.0.3"},
		{"global before link scope", []address{scoped(on("169.254.0.1/16"), netlink.SCOPE_LINK), secondary(on("10.0.0.3/24"))}, vrrp.IPv4, "10.0.0.3 169.254.0.1"},
		{"link scope if there is no other", []address{scoped(on("169.254.0.1/16"), netlink.SCOPE_LINK)}, vrrp.IPv4, "169.254.0.1"},
		{"not host scope", []address{scoped(on("127.0.0.1/8"), netlink.SCOPE_HOST)}, vrrp.IPv4, ""},
		{"not the other family", []address{on("2001:db8::1/64")}, vrrp.IPv4, ""},
		{"nor the other way round", []address{on("10.0.0.3/24")}, vrrp.IPv6, ""},
		{"none", nil, vrrp.IPv4, ""},
		{"a virtual one with another length", []address{on("10.0.0.10/32")}, vrrp.IPv4, ""},
		{"link-local before global", []address{on("2001:db8::1/64"), on("fe80::1/64")}, vrrp.IPv6, "fe80::1 2001:db8::1"},
		{"a virtual link-local one", []address{on("fe80::100/64"), on("2001:db8::1/64")}, vrrp.IPv6, "2001:db8::1"},
		{"the oldest, which the kernel lists last", []address{on("fe80::2/64"), on("fe80::1/64")}, vrrp.IPv6, "fe80::1 fe80::2"},
		{"tentative", []address{flagged("fe80::1/64", unix.IFA_F_TENTATIVE|unix.IFA_F_PERMANENT)}, vrrp.IPv6, ""},
		{"optimistic", []address{flagged("fe80::1/64", unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC)}, vrrp.IPv6, "fe80::1"},
		{"duplicate", []address{flagged("fe80::1/64", unix.IFA_F_DADFAILED|unix.IFA_F_OPTIMISTIC|unix.IFA_F_TENTATIVE)}, vrrp.IPv6, ""},
		{"deprecated and temporary ones are the last of their kind", []address{
			flagged("2001:db8::3/64", unix.IFA_F_TEMPORARY), flagged("2001:db8::2/64", unix.IFA_F_DEPRECATED), on("2001:db8::1/64"),
			flagged("fe80::2/64", unix.IFA_F_DEPRECATED), on("fe80::1/64"),
		}, vrrp.IPv6, "fe80::1 fe80::2 2001:db8::1 2001:db8::2 2001:db8::3"},
		{"not the loopback address", []address{scoped(on("::1/128"), netlink.SCOPE_HOST)}, vrrp.IPv6, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for i, a := range sources(tt.list, g, tt.family) {
				got += []string{"", " "}[min(i, 1)] + a.String()
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("sources (-want +got):\n%s", d)
			}
		})
	}
}
