package lab

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// addressPorts parses addresses with their ports.
func addressPorts(list ...string) []netip.AddrPort {
	var parsed []netip.AddrPort
	for _, s := range list {
		parsed = append(parsed, netip.MustParseAddrPort(s))
	}
	return parsed
}

// TestServiceText puts services into the words of both programs.
func TestServiceText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		service          Service
		keepalived, toml string
	}{
		{"web site", Service{Name: "www", Addresses: addressPorts("192.168.56.10:80"), Protocol: "tcp", Scheduler: "wrr", Forwarding: "masquerade",
			Servers: []RealServer{{netip.MustParseAddrPort("192.168.200.11:80"), 3}}, Check: CheckHTTP}, `virtual_server 192.168.56.10 80 {
    delay_loop 1
    lvs_sched wrr
    lvs_method NAT
    protocol TCP
    real_server 192.168.200.11 80 {
        weight 3
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 1
            retry 0
        }
    }
}
`, `
[virtual_server.www]
address = "192.168.56.10:80"
protocol = "tcp"
scheduler = "wrr"
forwarding = "masquerade"
check = { type = "http", path = "/", status = "200-399", interval = "1s", timeout = "1s", rise = 1, fall = 1 }

[[virtual_server.www.real_server]]
address = "192.168.200.11:80"
weight = 3
`},
		{"everything", Service{Name: "all", Addresses: addressPorts("192.168.56.10:80", "192.168.56.10:443"), Protocol: "udp", Scheduler: "sh",
			Flags: []string{"sh-port"}, OnePacket: true, Persistence: time.Minute, PersistencePrefix: 20, PersistenceEngine: "sip",
			Forwarding: "tunnel", Tunnel: Tunnel{Type: "gue", Port: 6080, Checksum: "remote"}, Check: CheckNone}, `virtual_server_group all {
    192.168.56.10 80
    192.168.56.10 443
}
virtual_server group all {
    delay_loop 1
    lvs_sched sh
    lvs_method TUN type gue port 6080 remcsum
    protocol UDP
    sh-port
    ops
    persistence_timeout 60
    persistence_granularity 255.255.240.0
    persistence_engine sip
}
`, `
[virtual_server.all]
addresses = ["192.168.56.10:80", "192.168.56.10:443"]
protocol = "udp"
scheduler = "sh"
forwarding = "tunnel"
scheduler_flags = ["sh-port"]
one_packet = true
persistence = { timeout = "60s", prefix = 20, engine = "sip" }
tunnel = { type = "gue", port = 6080, checksum = "remote" }
check = { type = "none" }
`},
		{"mark", Service{Name: "mark", Mark: 7, IPv6: true, Scheduler: "rr", Persistence: time.Minute, Forwarding: "direct", Check: CheckTCP,
			Servers: []RealServer{{netip.MustParseAddrPort("[fd00:56::21]:0"), 1}}}, `virtual_server fwmark 7 {
    delay_loop 1
    lvs_sched rr
    lvs_method DR
    ip_family inet6
    persistence_timeout 60
    real_server fd00:56::21 0 {
        weight 1
        TCP_CHECK {
            connect_timeout 1
            retry 0
        }
    }
}
`, `
[virtual_server.mark]
fwmark = 7
family = "ipv6"
scheduler = "rr"
forwarding = "direct"
persistence = "60s"
check = { type = "tcp", interval = "1s", timeout = "1s", rise = 1, fall = 1 }

[[virtual_server.mark.real_server]]
address = "fd00:56::21"
weight = 1
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.keepalived, KeepalivedServices([]Service{tt.service})); diff != "" {
				t.Errorf("keepalived (-want +got):\n%s", diff)
			}
			empty := BasculeConfig{}.TOML()
			got := BasculeConfig{Services: []Service{tt.service}}.TOML()
			if diff := cmp.Diff(empty+tt.toml, got); diff != "" {
				t.Errorf("bascule (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBasculeConfig writes what surrounds the services.
func TestBasculeConfig(t *testing.T) {
	t.Parallel()
	want := `nodes = ["lb", "lb2"]

[group.web]
priority = { lb = 150, lb2 = 100 }
advertisement_interval = "500ms"
preempt = false

[group.web.router.public6]
interface = "enp0s3"
vrid = 56
addresses = ["fe80::100/64", "fd00:56::10/64"]

[group.web.router.internal6]
interface = "enp0s8"
vrid = 200
addresses = ["fe80::250/64", "fd00:200::250/64"]

[connection_sync]
group = "web"
interface = "enp0s8"
id = 1
`
	got := BasculeConfig{Interval: time.Second / 2, NoPreempt: true, Families: IPv6, Sync: true}.TOML()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}
