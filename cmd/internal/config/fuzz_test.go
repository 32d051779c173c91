package config

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"bascule/checker"
	"bascule/lvs"
	"bascule/vrrp"
)

// Whatever a file contains: no panic; errors have a place; a configuration
// without errors has a part for each of its nodes that keeps what it promises.
func FuzzParse(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		for _, path := range examples(f, kind) {
			f.Add(readExample(f, path).Content)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := []File{{Name: "bascule.toml", Content: text}}
		c, err := Parse(files)
		if err != nil {
			checkErrors(t, err, files)
			return
		}
		for _, name := range c.Nodes() {
			node, err := c.ForNode(name)
			if err != nil {
				t.Fatal(err)
			}
			checkNode(t, node)
		}
	})
}

// checkNode demands what the rest of the program relies on.
func checkNode(t *testing.T, node *Node) {
	t.Helper()
	for _, g := range node.Groups {
		if g.Priority == 0 || len(g.Routers) == 0 || g.AdvertisementInterval%vrrp.MinInterval != 0 || g.AdvertisementInterval < vrrp.MinInterval {
			t.Errorf("group %+v", g)
		}
		for _, r := range g.Routers {
			checkRouter(t, g, r)
		}
	}
	for _, vs := range node.VirtualServers {
		if len(vs.Services) == 0 || len(vs.RealServers) == 0 {
			t.Errorf("virtual server %+v", vs)
		}
		for _, service := range vs.Services {
			if !service.Address.IsValid() || service.Scheduler == "" {
				t.Errorf("virtual server %+v", vs)
			}
		}
		checkServices(t, node, vs)
		for _, rs := range vs.RealServers {
			condition, checked := vs.Checks[rs.Address]
			if checked != rs.Checked {
				t.Errorf("real server %+v is checked: %t", rs, checked)
			}
			for _, spec := range condition.Specs() {
				spec.Probe = withoutFiles(spec.Probe)
				if _, err := checker.New(spec); err != nil {
					t.Errorf("real server %+v has the check %+v: %v", rs, spec, err)
				}
			}
		}
	}
}

// withoutFiles is a probe without the files that only a director has.
func withoutFiles(probe checker.Probe) checker.Probe {
	fresh := reflect.New(reflect.TypeOf(probe)).Elem()
	fresh.Set(reflect.ValueOf(probe))
	for _, name := range []string{"TLS", "Options"} {
		if options := fresh.FieldByName(name); options.IsValid() {
			for _, file := range []string{"CA", "Certificate", "Key"} {
				options.FieldByName(file).SetString("")
			}
		}
	}
	return fresh.Interface().(checker.Probe)
}

// checkServices demands what package lvs relies on.
func checkServices(t *testing.T, node *Node, vs VirtualServer) {
	t.Helper()
	for _, s := range vs.Services {
		p := s.Persistence
		sound := (p.Timeout == 0) == (p.Prefix == 0) && (s.Mark != 0 || s.Protocol != 0) && (s.Address.Port() != 0 || s.Mark != 0 || p.Timeout > 0)
		for _, rs := range append(slices.Clone(vs.RealServers), vs.Sorry...) {
			mixed := rs.Address.Addr().Is6() != s.IPv6()
			sound = sound && rs.Lower <= rs.Upper && (!mixed || rs.Forwarding == lvs.Tunnel && node.Sync == nil)
		}
		if !sound {
			t.Errorf("service %+v of %+v", s, vs)
		}
	}
	if q := vs.Quorum; q.Weight != 0 && q.Hysteresis >= q.Weight {
		t.Errorf("quorum %+v", q)
	}
}

// checkRouter demands what package vrrp relies on.
func checkRouter(t *testing.T, g vrrp.GroupConfig, r vrrp.RouterConfig) {
	t.Helper()
	limit := vrrp.MaxInterval
	if r.Version == vrrp.Version2 {
		limit = maxInterval2
	}
	sound := r.VRID != 0 && r.Interface != "" && len(r.Addresses) > 0 && g.AdvertisementInterval <= limit
	for _, p := range r.Addresses {
		sound = sound && p.IsValid() && vrrp.FamilyOf(p.Addr()) == r.Family && !p.Addr().Is4In6()
	}
	if r.Version == vrrp.Version2 {
		sound = sound && r.Family == vrrp.IPv4 && r.Auth == nil && g.AdvertisementInterval%time.Second == 0
	} else {
		sound = sound && r.Password == ""
	}
	if u := r.Unicast; u != nil {
		sound = sound && len(u.Peers) > 0 && vrrp.FamilyOf(u.Source) == r.Family
		for _, peer := range u.Peers {
			sound = sound && peer.Address.IsValid() && peer.Address != u.Source && vrrp.FamilyOf(peer.Address) == r.Family
		}
	}
	if a := r.Auth; a != nil {
		sound = sound && a.Active != 0 && a.Window >= 0
	}
	if !sound || len(r.Password) > vrrp.MaxPassword {
		t.Errorf("virtual router %+v", r)
	}
}
