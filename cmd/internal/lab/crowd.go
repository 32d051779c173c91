package lab

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// Crowd is a balancing of many real servers: services of the public virtual
// address, each on a port of its own. Nobody is there to answer but
// CrowdServers.
type Crowd struct {
	Services int
	Servers  int       // of each service
	Check    CheckKind // of each real server; empty: none
	// Changed gives one real server, in the middle, weight 2 instead of 1.
	Changed bool
}

// The ports of a Crowd.
const (
	crowdPort      = 80    // of the real servers
	crowdFirstPort = 10000 // of the services
)

// crowdNetwork holds all real servers of a Crowd.
var crowdNetwork = prefix("10.2.0.0/15")

// Total returns how many real servers there are.
func (c Crowd) Total() int { return c.Services * c.Servers }

// Middle returns the service that has the real server which Changed changes,
// and that real server.
func (c Crowd) Middle() (Service, RealServer) {
	s := c.List()[c.Services/2]
	return s, s.Servers[c.Servers/2]
}

// List returns the services.
func (c Crowd) List() []Service {
	var list []Service
	address := crowdNetwork.Addr()
	for i := range c.Services {
		s := Service{
			Name:      fmt.Sprintf("s%d", i),
			Addresses: []netip.AddrPort{netip.AddrPortFrom(PublicVIP.Addr(), uint16(crowdFirstPort+i))},
			Protocol:  "tcp", Scheduler: "rr", Forwarding: "masquerade", Check: cmp.Or(c.Check, CheckNone),
		}
		for j := range c.Servers {
			address = address.Next()
			weight := 1
			if c.Changed && i == c.Services/2 && j == c.Servers/2 {
				weight = 2
			}
			s.Servers = append(s.Servers, RealServer{netip.AddrPortFrom(address, crowdPort), weight})
		}
		list = append(list, s)
	}
	return list
}

// Weight returns the weight that the host's kernel has for a real server of a
// service, and false if it has none.
func (h *Host) Weight(ctx context.Context, service, server netip.AddrPort) (int, bool, error) {
	text, err := h.Output(ctx, "ipvsadm", "-L", "-n", "-t", service.String())
	if err != nil {
		return 0, false, err
	}
	services, err := parseIPVS(text)
	if err != nil {
		return 0, false, err
	}
	for _, s := range services {
		for _, d := range s.Destinations {
			if d.Address == server.String() {
				return d.Weight, true, nil
			}
		}
	}
	return 0, false, nil
}

// Reload gives keepalived another configuration, and does not wait until it
// has taken it.
func (k *Keepalived) Reload(config KeepalivedConfig) error {
	text, err := keepalivedText(k.host.Name, k.routers, config)
	if err != nil {
		return fmt.Errorf("configuration of keepalived on %s: %v", k.host.Name, err)
	}
	if _, err := writeKeepalived(k.host, text); err != nil {
		return err
	}
	return k.process.Signal(syscall.SIGHUP)
}
