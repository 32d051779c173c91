package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/template"
	"time"
)

// keepalivedTemplate is the configuration: the virtual routers, and their
// addresses.
var keepalivedTemplate = template.Must(template.New("keepalived.conf").Parse(`global_defs {
    router_id {{.Name}}
{{- if .Sync}}
    lvs_sync_daemon {{(index .Routers 1).Interface}} {{(index .Routers 1).Name}} id {{.SyncID}}
{{- end}}
}
{{- if not .Single}}
vrrp_sync_group web {
    group {
{{- range .Routers}}
        {{.Name}}
{{- end}}
    }
}
{{- end}}
{{- range .Routers}}
vrrp_instance {{.Name}} {
    state {{$.State}}
    version {{.Version}}
    interface {{.Interface}}
    virtual_router_id {{.VRID}}
    priority {{$.Priority}}
    advert_int {{$.Interval.Seconds}}
{{- if $.NoPreempt}}
    nopreempt
{{- end}}
{{- if .AsVersion2}}
    v3_checksum_as_v2
{{- end}}
{{- if .Password}}
    authentication {
        auth_type PASS
        auth_pass {{.Password}}
    }
{{- end}}
{{- if $.Unicast}}
    unicast_src_ip {{.Source}}
    unicast_peer {
        {{.Peer}}
    }
{{- with $.UnicastTTL}}
    unicast_ttl {{.}}
{{- end}}
{{- end}}
    virtual_ipaddress {
{{- range .Addresses}}
        {{.}}
{{- end}}
    }
}
{{- end}}
{{.Balancing}}`))

// keepalivedRouter is a virtual router in keepalivedTemplate.
type keepalivedRouter struct {
	VirtualRouter
	Name         string // shadows the LAN's, which both families have
	Version      int
	AsVersion2   bool
	Password     string
	Source, Peer netip.Addr
}

// keepalivedRouters returns the virtual routers as a director's host has them.
func keepalivedRouters(host *Host, config KeepalivedConfig) ([]keepalivedRouter, error) {
	var routers []keepalivedRouter
	for _, vr := range config.Families.Routers() {
		r := keepalivedRouter{VirtualRouter: vr, Name: vr.Name, Version: cmp.Or(config.Version, 3), Password: config.Password}
		if vr.Is6() {
			r.Name, r.Version, r.Password = vr.Name+"6", 3, ""
		}
		r.AsVersion2 = !vr.Is6() && r.Version == 3 && config.Checksum == ChecksumMessage
		var err error
		if r.Source, err = host.OwnAddress(vr.Interface, vr.Is6()); err != nil {
			return nil, err
		}
		if r.Peer, err = host.otherDirector().OwnAddress(vr.Interface, vr.Is6()); err != nil {
			return nil, err
		}
		routers = append(routers, r)
	}
	return routers, nil
}

// keepalivedText renders the configuration file of a director's host.
func keepalivedText(host string, routers []keepalivedRouter, config KeepalivedConfig) (string, error) {
	config.Interval = cmp.Or(config.Interval, time.Second)
	if config.Version == 2 && config.Interval%time.Second != 0 {
		return "", fmt.Errorf("interval %v: want whole seconds in version 2", config.Interval)
	}
	// keepalived takes 255 for a BACKUP's error (2.2.7: "will be reset to 254").
	state := "BACKUP"
	if config.Priority == 255 {
		state = "MASTER"
	}
	var text strings.Builder
	err := keepalivedTemplate.Execute(&text, struct {
		KeepalivedConfig
		Name      string
		State     string
		Routers   []keepalivedRouter
		SyncID    int
		Balancing string
	}{config, host, state, routers, syncID, KeepalivedServices(config.Services)})
	return text.String(), err
}

// otherDirector returns the host of the laboratory's other director.
func (h *Host) otherDirector() *Host {
	directors := []*Host{h.lab.LB, h.lab.LB2}
	return directors[(slices.Index(directors, h)+1)%len(directors)]
}
