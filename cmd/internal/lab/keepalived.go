package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// KeepalivedConfig is what keepalived on one host is told. The virtual
// routers are always those of the laboratory, in one sync group.
type KeepalivedConfig struct {
	Priority int           // 1 to 254
	Interval time.Duration // between advertisements; 0: 1 s
	// NoPreempt leaves a director of lower priority active.
	NoPreempt bool
	// Balance has it balance the web site too, with weights 3, 1 and 1 and an
	// HTTP check every second. That needs IPVS.
	Balance bool
}

// Keepalived is keepalived(8) on one host: what Bascule must be able to share
// a virtual router with, and what it is compared to.
type Keepalived struct {
	host    *Host
	process *Process
}

// keepalivedTemplate is the configuration: VRRP version 3, both virtual
// routers, and their addresses.
var keepalivedTemplate = template.Must(template.New("keepalived.conf").Parse(`global_defs {
    router_id {{.Name}}
    vrrp_version 3
}
vrrp_sync_group web {
    group {
{{- range .Routers}}
        {{.Name}}
{{- end}}
    }
}
{{- range .Routers}}
vrrp_instance {{.Name}} {
    state BACKUP
    interface {{.Interface}}
    virtual_router_id {{.VRID}}
    priority {{$.Priority}}
    advert_int {{$.Interval.Seconds}}
{{- if $.NoPreempt}}
    nopreempt
{{- end}}
    virtual_ipaddress {
        {{.Address}} dev {{.Interface}}
    }
}
{{- end}}
{{- if .Balance}}
virtual_server {{.Service.Addr}} {{.Service.Port}} {
    delay_loop 1
    lvs_sched wrr
    lvs_method NAT
    protocol TCP
{{- range .Web}}
    real_server {{.Address.Addr}} {{.Address.Port}} {
        weight {{.Weight}}
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 1
            retry 0
        }
    }
{{- end}}
}
{{- end}}
`))

// keepalivedWeights are the weights of the web servers in keepalivedTemplate.
var keepalivedWeights = []int{3, 1, 1}

// keepalivedServer is a real server in keepalivedTemplate.
type keepalivedServer struct {
	Address netip.AddrPort
	Weight  int
}

// keepalivedWeb returns the web servers of the laboratory.
func keepalivedWeb() []keepalivedServer {
	var web []keepalivedServer
	for _, p := range plans() {
		if p.gateway.IsValid() {
			address := netip.AddrPortFrom(p.cards[0].address.Addr(), ServiceAddress.Port())
			web = append(web, keepalivedServer{address, keepalivedWeights[len(web)]})
		}
	}
	return web
}

// keepalivedRouter is a virtual router in keepalivedTemplate.
type keepalivedRouter struct {
	Name      string
	Interface string
	VRID      int
	Address   string
}

// keepalivedText renders the configuration file of a host.
func keepalivedText(host string, config KeepalivedConfig) (string, error) {
	if config.Interval == 0 {
		config.Interval = time.Second
	}
	var text strings.Builder
	err := keepalivedTemplate.Execute(&text, struct {
		KeepalivedConfig
		Name    string
		Routers []keepalivedRouter
		Service netip.AddrPort
		Web     []keepalivedServer
	}{config, host, []keepalivedRouter{
		{Public, FirstCard, PublicVRID, PublicVIP.String()},
		{Internal, SecondCard, InternalVRID, InternalVIP.String()},
	}, ServiceAddress, keepalivedWeb()})
	return text.String(), err
}

// StartKeepalived runs keepalived on a director's host, VRRP only unless it is
// to balance too. Close of the laboratory kills it.
func StartKeepalived(host *Host, config KeepalivedConfig) (*Keepalived, error) {
	directory, err := host.Directory()
	if err != nil {
		return nil, err
	}
	text, err := keepalivedText(host.Name, config)
	if err != nil {
		return nil, fmt.Errorf("configuration of keepalived on %s: %v", host.Name, err)
	}
	file := filepath.Join(directory, "keepalived.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("configuration of keepalived on %s: %v", host.Name, err)
	}
	// Several may run on one machine: each has process id files of its own.
	// Those of a killed one would stop it from starting where nobody has
	// reaped its children yet.
	args := []string{"--dont-fork", "--log-console", "--log-detail", "--no-syslog", "--use-file", file}
	if !config.Balance {
		args = append(args, "--vrrp")
	}
	for option, name := range map[string]string{
		"--pid": "keepalived.pid", "--vrrp_pid": "keepalived-vrrp.pid", "--checkers_pid": "keepalived-checkers.pid",
	} {
		path := filepath.Join(directory, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("keepalived on %s: %v", host.Name, err)
		}
		args = append(args, option, path)
	}
	process, err := host.Start("keepalived", args...)
	if err != nil {
		return nil, err
	}
	return &Keepalived{host: host, process: process}, nil
}

// Host returns the host that keepalived runs on.
func (k *Keepalived) Host() *Host { return k.host }

// Stop ends keepalived in order: it gives up its addresses and tells so.
func (k *Keepalived) Stop(ctx context.Context) error { return k.process.Stop(ctx) }

// Kill ends keepalived and its children at once, as a crash of the machine
// does; its addresses stay.
func (k *Keepalived) Kill() error { return k.process.Kill() }

// Log returns what keepalived has written.
func (k *Keepalived) Log() string { return k.process.Log() }
