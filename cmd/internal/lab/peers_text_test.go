package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// addressOnly is a laboratory of two directors that have addresses and no
// namespaces: enough to write configurations.
func addressOnly() *Lab {
	l := &Lab{}
	l.LB = &Host{Name: "lb", lab: l, cards: directorPlan("lb", "192.168.56.11/24", "192.168.200.251/24").cards}
	l.LB2 = &Host{Name: "lb2", lab: l, cards: directorPlan("lb2", "192.168.56.12/24", "192.168.200.252/24").cards}
	return l
}

// TestKeepalivedText renders each choice of a configuration and looks for the
// lines that it makes, and for those that must not be there.
func TestKeepalivedText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		config        KeepalivedConfig
		want, without []string
	}{
		{"nothing said", KeepalivedConfig{Priority: 100},
			[]string{"vrrp_instance public {", "vrrp_instance internal {", "state BACKUP", "version 3", "advert_int 1", "priority 100", "vrrp_sync_group web {"},
			[]string{"public6", "unicast_peer", "auth", "nopreempt", "v3_checksum_as_v2", "virtual_server"}},
		{"IPv6", KeepalivedConfig{Families: IPv6, Version: 2, Password: "secret", Checksum: ChecksumMessage},
			[]string{"vrrp_instance public6 {", "version 3", "fe80::100/64\n        fd00:56::10/64"},
			[]string{"vrrp_instance public {", "version 2", "auth", "v3_checksum_as_v2"}},
		{"both families", KeepalivedConfig{Families: DualStack},
			[]string{"        public\n        internal\n        public6\n        internal6\n"}, nil},
		{"version 2", KeepalivedConfig{Version: 2, Password: "secret", Interval: 3 * time.Second, Checksum: ChecksumMessage},
			[]string{"version 2", "advert_int 3", "auth_type PASS\n        auth_pass secret"}, []string{"v3_checksum_as_v2"}},
		{"checksum over the message", KeepalivedConfig{Checksum: ChecksumMessage, Interval: 250 * time.Millisecond},
			[]string{"v3_checksum_as_v2", "advert_int 0.25"}, nil},
		{"unicast", KeepalivedConfig{Unicast: true, Families: DualStack, UnicastTTL: 255},
			[]string{"unicast_src_ip 192.168.56.12\n    unicast_peer {\n        192.168.56.11\n    }\n    unicast_ttl 255",
				"unicast_src_ip fd00:200::252\n    unicast_peer {\n        fd00:200::251\n    }"}, nil},
		{"unicast with keepalived's own TTL", KeepalivedConfig{Unicast: true}, []string{"unicast_peer"}, []string{"unicast_ttl"}},
		{"owner, alone, passive", KeepalivedConfig{Priority: 255, Single: true, NoPreempt: true},
			[]string{"state MASTER", "priority 255", "nopreempt"}, []string{"vrrp_sync_group"}},
		{"balancing", KeepalivedConfig{Services: []Service{WebService()}},
			[]string{"virtual_server 192.168.56.10 80 {", "real_server 192.168.200.13 80 {"}, []string{"lvs_sync_daemon"}},
		{"connection sync", KeepalivedConfig{Sync: true}, []string{"lvs_sync_daemon enp0s8 internal id 1"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			routers, err := keepalivedRouters(addressOnly().LB2, tt.config)
			if err != nil {
				t.Fatal(err)
			}
			text, err := keepalivedText("lb2", routers, tt.config)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			for _, without := range tt.without {
				if strings.Contains(text, without) {
					t.Errorf("%q is in\n%s", without, text)
				}
			}
		})
	}
	if _, err := keepalivedText("lb", nil, KeepalivedConfig{Version: 2, Interval: time.Second / 2}); err == nil || !strings.Contains(err.Error(), "interval 500ms: want whole seconds") {
		t.Errorf("half a second in version 2: %v", err)
	}
}

// TestFRRText renders what vrrpd is told: a VRID of both families is one
// router to it.
func TestFRRText(t *testing.T) {
	t.Parallel()
	f := &FRR{config: FRRConfig{Priority: 90, Interval: 300 * time.Millisecond, NoPreempt: true, Families: IPv6}, routers: IPv6.Routers()}
	want := `log stdout debugging
debug vrrp protocol
interface enp0s3
 vrrp 56 version 3
 vrrp 56 priority 90
 vrrp 56 advertisement-interval 300
 no vrrp 56 preempt
 vrrp 56 ipv6 fe80::100
 vrrp 56 ipv6 fd00:56::10
exit
interface enp0s8
 vrrp 200 version 3
 vrrp 200 priority 90
 vrrp 200 advertisement-interval 300
 no vrrp 200 preempt
 vrrp 200 ipv6 fe80::250
 vrrp 200 ipv6 fd00:200::250
exit
`
	if diff := cmp.Diff(want, f.text()); diff != "" {
		t.Errorf("configuration of vrrpd (-want +got):\n%s", diff)
	}
	f = &FRR{config: FRRConfig{Priority: 1, Version: 2}, routers: IPv4.Routers()}
	for _, line := range []string{" vrrp 56 version 2\n", " vrrp 56 advertisement-interval 1000\n", " vrrp 56 ip 192.168.56.10\n"} {
		if !strings.Contains(f.text(), line) {
			t.Errorf("%q is not in\n%s", line, f.text())
		}
	}
	if strings.Contains(f.text(), "preempt") {
		t.Errorf("preemption is mentioned in\n%s", f.text())
	}
}

// TestVirtualMAC compares the MAC addresses of virtual routers with RFC 9568
// section 7.3, and the names of their links.
func TestVirtualMAC(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, r := range DualStack.Routers() {
		got[macvlanName(r)] = virtualMAC(r).String()
	}
	want := map[string]string{
		"vrrp4-56": "00:00:5e:00:01:38", "vrrp4-200": "00:00:5e:00:01:c8",
		"vrrp6-56": "00:00:5e:00:02:38", "vrrp6-200": "00:00:5e:00:02:c8",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}
