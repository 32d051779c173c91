package lvs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// OverrideKind is what an administrator decides about a real server.
type OverrideKind uint8

// The kinds of override.
const (
	Enable OverrideKind = iota // there is none: configuration and check decide
	Drain                      // no new connections; it is out when those that it has end
	Weigh                      // another weight than the configured one
)

// String returns the word that commands and status use.
func (k OverrideKind) String() string {
	switch k {
	case Enable:
		return "enable"
	case Drain:
		return "drain"
	case Weigh:
		return "weight"
	}
	return "invalid override"
}

// Override is what an administrator has decided about a real server, until
// the decision is ended. Its zero value is none.
type Override struct {
	Kind   OverrideKind
	Weight uint32 // of Weigh
	Reason string // the administrator's; may be empty
	Since  time.Time
}

// String says what has been decided and why: "drained by the administrator: new disk".
func (o *Override) String() string {
	text := "no override"
	switch o.Kind {
	case Drain:
		text = "drained by the administrator"
	case Weigh:
		text = fmt.Sprintf("weight %d set by the administrator", o.Weight)
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

// Override takes a decision of the administrator about a real server: Enable
// ends it. A real server may be named without its port if that is clear
// enough. The error says what there is to be named.
func (m *Model) Override(now time.Time, virtualServer string, realServer netip.AddrPort, o Override) error {
	if err := o.check(); err != nil {
		return err
	}
	v, err := m.named(virtualServer)
	if err != nil {
		return err
	}
	rs, err := v.named(realServer)
	if err != nil {
		return err
	}
	o.Since = now
	drained := rs.drained()
	rs.override = &o
	if o.Kind == Enable {
		rs.override = nil
	}
	if drained && !rs.drained() && rs.passes() {
		// It has been without clients, like one that its check brings back.
		rs.ramp = newRamp(now, v.config.SlowStart)
	}
	v.touch()
	return nil
}

// check says what is wrong with an override.
func (o *Override) check() error {
	switch {
	case o.Kind > Weigh:
		return fmt.Errorf("override %d: %v, %v and %v are allowed", uint8(o.Kind), Enable, Drain, Weigh)
	case o.Kind == Weigh && o.Weight > MaxWeight:
		return fmt.Errorf("weight %d: 0 to %d are allowed", o.Weight, MaxWeight)
	}
	return nil
}

// ServicesOf returns the services of a virtual server, or all that are ours if
// the name is empty. The error says what there is to be named.
func (m *Model) ServicesOf(virtualServer string) (keys []ServiceKey, err error) {
	if virtualServer == "" {
		return slices.Clone(m.Owned()), nil
	}
	v, err := m.named(virtualServer)
	if err != nil {
		return nil, err
	}
	for _, service := range v.config.Services {
		keys = append(keys, service.ServiceKey)
	}
	return keys, nil
}

// named returns the virtual server of a name.
func (m *Model) named(name string) (*virtualServer, error) {
	var names []string
	for _, v := range m.servers {
		if v.config.Name == name {
			return v, nil
		}
		names = append(names, fmt.Sprintf("%q", v.config.Name))
	}
	return nil, fmt.Errorf("no virtual server %q is configured, %s", name, offer(names))
}

// named returns the real server of an address; port 0 stands for any if there
// is only one.
func (v *virtualServer) named(address netip.AddrPort) (*realServer, error) {
	var found *realServer
	var all []string
	matches := 0
	for _, rs := range v.realServers {
		own := rs.config.Address
		all = append(all, own.String())
		if own == address || v.names(own, address) {
			return rs, nil
		}
		if own.Addr() == address.Addr() && address.Port() == 0 {
			found, matches = rs, matches+1
		}
	}
	switch matches {
	case 0:
		return nil, fmt.Errorf("virtual server %q has no real server %v, %s", v.config.Name, address, offer(all))
	case 1:
		return found, nil
	}
	return nil, fmt.Errorf("virtual server %q has %d real servers with the address %v: a port is needed, %s",
		v.config.Name, matches, address.Addr(), offer(all))
}

// names says whether an address is that of a real server in one of the
// services, whose port it has.
func (v *virtualServer) names(own, address netip.AddrPort) bool {
	for _, service := range v.config.Services {
		if service.destination(own) == address {
			return true
		}
	}
	return false
}

// offered is how many names an error lists at most.
const offered = 10

// offer lists what there is.
func offer(names []string) string {
	switch {
	case len(names) == 0:
		return "there is none"
	case len(names) > offered:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:offered], ", "), len(names)-offered)
	}
	return "there are " + strings.Join(names, ", ")
}
