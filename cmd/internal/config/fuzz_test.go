package config

import (
	"testing"

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
			if r.VRID == 0 || r.Interface == "" || len(r.Addresses) == 0 {
				t.Errorf("virtual router %+v", r)
			}
		}
	}
	for _, vs := range node.VirtualServers {
		if !vs.Address.IsValid() || vs.Scheduler == "" || len(vs.RealServers) == 0 {
			t.Errorf("virtual server %+v", vs)
		}
		for _, rs := range vs.RealServers {
			spec, checked := vs.Checks[rs.Address]
			if checked != rs.Checked || checked && (spec.Timeout > spec.Interval || spec.Timeout <= 0 || spec.Fall < 1) {
				t.Errorf("real server %+v has the check %+v", rs, spec)
			}
		}
	}
}
