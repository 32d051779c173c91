package daemon

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bascule/cmd/internal/config"
	"bascule/cmd/internal/control"
	"bascule/vrrp"
)

// TestViewRouter shows of each way to speak what an administrator compares
// between directors.
func TestViewRouter(t *testing.T) {
	addr := netip.MustParseAddr
	auth := &vrrp.Auth{
		Keys:   []vrrp.Key{{ID: 2, Secret: []byte("a secret of sixteen")}, {ID: 1, Secret: []byte("and another one....")}},
		Active: 2, Mode: vrrp.AuthPermissive, Window: 5 * time.Second,
	}
	status := func(family vrrp.Family, state vrrp.State) vrrp.RouterStatus {
		return vrrp.RouterStatus{
			RouterKey: vrrp.RouterKey{Interface: "eth0", Family: family, VRID: 7}, Name: "r", State: state,
			ActiveSource: addr("192.0.2.12"), ActiveChecksum: vrrp.ChecksumMessage,
		}
	}
	tests := []struct {
		name   string
		status vrrp.RouterStatus
		config vrrp.RouterConfig
		want   control.Router
	}{
		{"the usual", status(vrrp.IPv4, vrrp.Backup), vrrp.RouterConfig{},
			control.Router{Family: "ipv4", Version: 3, State: "backup", Checksum: "pseudo-header", ActiveChecksum: "message"}},
		{"active", status(vrrp.IPv4, vrrp.Active), vrrp.RouterConfig{Checksum: vrrp.ChecksumMessage},
			control.Router{Family: "ipv4", Version: 3, State: "active", Checksum: "message"}},
		{"version 2", status(vrrp.IPv4, vrrp.Backup), vrrp.RouterConfig{Version: vrrp.Version2, Password: "12345678"},
			control.Router{Family: "ipv4", Version: 2, State: "backup", Password: true}},
		{"IPv6, unicast and signed", status(vrrp.IPv6, vrrp.Backup), vrrp.RouterConfig{
			Unicast: &vrrp.Unicast{Source: addr("fe80::11"), Peers: []vrrp.Peer{{Address: addr("2001:db8::12"), Routed: true}, {Address: addr("fe80::13")}}},
			Auth:    auth,
		}, control.Router{
			Family: "ipv6", Version: 3, State: "backup",
			Unicast:        &control.Unicast{Source: "fe80::11", Peers: []control.UnicastPeer{{Address: "2001:db8::12", Routed: true}, {Address: "fe80::13"}}},
			Authentication: &control.Authentication{Mode: "permissive", ActiveKey: 2, Keys: []int{1, 2}, Window: "5s"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := viewRouter(test.status, test.config)
			test.want.Name, test.want.Interface, test.want.VRID, test.want.ActiveSource = "r", "eth0", 7, "192.0.2.12"
			if diff := cmp.Diff(test.want, got, compareValues); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			text, err := json.Marshal(got)
			must(t, err)
			for _, secret := range []string{"12345678", "secret", "YSBzZWNyZXQ"} { // the last is base64
				if strings.Contains(string(text), secret) {
					t.Errorf("a secret is in %s", text)
				}
			}
		})
	}
}

// TestViewGroups shows what a group waits for apart from its faults, and the
// end of its start-up delay while that is to come.
func TestViewGroups(t *testing.T) {
	node := &config.Node{Groups: []vrrp.GroupConfig{{Name: "late", StartDelay: time.Hour}, {Name: "web"}}}
	began := time.Now()
	d := &daemon{}
	d.routers.Store(newRouterConfigs(node))
	end := began.Add(time.Hour)
	starts := map[string]time.Time{"late": end}
	status := func(name string, state vrrp.State) vrrp.GroupStatus {
		return vrrp.GroupStatus{Name: name, State: state, StartsAt: starts[name], Waiting: []string{"x"}, Faults: []string{"y"}}
	}
	views := service{d}.viewGroups([]vrrp.GroupStatus{
		status("late", vrrp.Initialize), status("web", vrrp.Initialize), status("late", vrrp.Backup),
	})
	for i, want := range []*time.Time{&end, nil, nil} {
		if diff := cmp.Diff(want, views[i].StartAt); diff != "" {
			t.Errorf("start-up delay of %s, %s (-want +got):\n%s", views[i].Name, views[i].State, diff)
		}
		if diff := cmp.Diff([][]string{{"x"}, {"y"}}, [][]string{views[i].Waiting, views[i].Faults}); diff != "" {
			t.Errorf("waiting and faults (-want +got):\n%s", diff)
		}
	}
	starts["late"] = began
	if at := (service{d}).viewGroups([]vrrp.GroupStatus{status("late", vrrp.Initialize)})[0].StartAt; at != nil {
		t.Errorf("a start-up delay that is over ends at %v", at)
	}
}
