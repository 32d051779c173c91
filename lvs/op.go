package lvs

import (
	"cmp"
	"fmt"
	"net/netip"
)

// OpKind says what an Op does to the kernel's table.
type OpKind uint8

// The kinds of operation.
const (
	AddService OpKind = iota
	AddDestination
	UpdateService
	UpdateDestination
	DeleteDestination
	DeleteService // with its destinations
	SetTimeouts
	StartDaemon
	StopDaemon
)

// String returns the kind as the beginning of Op.String has it.
func (k OpKind) String() string {
	switch k {
	case AddService:
		return "add service"
	case AddDestination:
		return "add destination"
	case UpdateService:
		return "update service"
	case UpdateDestination:
		return "update destination"
	case DeleteDestination:
		return "delete destination"
	case DeleteService:
		return "delete service"
	case SetTimeouts:
		return "set timeouts"
	case StartDaemon:
		return "start sync daemon"
	case StopDaemon:
		return "stop sync daemon"
	}
	return "invalid operation"
}

// Op is one edit of the kernel's table. It carries the whole wanted object,
// never a difference, so that carrying it out needs no reading. It is
// comparable: equal operations are the same edit.
type Op struct {
	Kind        OpKind
	Service     Service     // only its key counts unless Kind is AddService or UpdateService
	Destination Destination // zero for operations on services
	Timeouts    Timeouts    // of SetTimeouts
	Role        SyncRole    // of StartDaemon and StopDaemon
	Daemon      SyncDaemon  // of StartDaemon
}

// OnService says whether the operation is on a service rather than on one of
// its destinations.
func (o Op) OnService() bool {
	return o.Kind == AddService || o.Kind == UpdateService || o.Kind == DeleteService
}

// String returns the operation in ipvsadm's words, for example
// "add destination 192.168.200.11:80 of tcp 192.168.56.10:80 weight 3".
func (o Op) String() string {
	switch o.Kind {
	case AddService, UpdateService:
		return fmt.Sprintf("%v %v", o.Kind, o.Service)
	case DeleteService:
		return fmt.Sprintf("%v %v", o.Kind, o.Service.ServiceKey)
	case AddDestination, UpdateDestination:
		return fmt.Sprintf("%v %v of %v weight %d", o.Kind, o.Destination.Address, o.Service.ServiceKey, o.Destination.Weight)
	case SetTimeouts:
		return fmt.Sprintf("%v tcp %v tcpfin %v udp %v", o.Kind, o.Timeouts.TCP, o.Timeouts.TCPFin, o.Timeouts.UDP)
	case StartDaemon:
		return fmt.Sprintf("%v %v interface %s id %d", o.Kind, o.Role, o.Daemon.Interface, o.Daemon.ID)
	case StopDaemon:
		return fmt.Sprintf("%v %v", o.Kind, o.Role)
	default:
		return fmt.Sprintf("%v %v of %v", o.Kind, o.Destination.Address, o.Service.ServiceKey)
	}
}

// Apply changes the table as the kernel does when it carries out the
// operation: adding what is there updates it, deleting what is not there and
// editing a service that is not there do nothing.
func (t Table) Apply(o Op) {
	key := o.Service.ServiceKey
	entry, found := t[key]
	switch {
	case o.Kind == DeleteService:
		delete(t, key)
	case o.Kind == AddService && !found:
		t[key] = Entry{Service: o.Service, Destinations: map[netip.AddrPort]Destination{}}
	case !found:
	case o.OnService():
		entry.Service = o.Service
		t[key] = entry
	case o.Kind == DeleteDestination:
		delete(entry.Destinations, o.Destination.Address)
	default:
		entry.Destinations[o.Destination.Address] = o.Destination
	}
}

// Apply changes the state as the kernel does when it carries out the
// operation.
func (s *State) Apply(o Op) {
	switch o.Kind {
	case SetTimeouts:
		s.Timeouts = o.Timeouts.over(s.Timeouts)
	case StartDaemon:
		if s.Daemons == nil {
			s.Daemons = make(map[SyncRole]SyncDaemon)
		}
		s.Daemons[o.Role] = o.Daemon
	case StopDaemon:
		delete(s.Daemons, o.Role)
	default:
		s.Table.Apply(o)
	}
}

// over returns the timeouts, and those that are not said from others.
func (t Timeouts) over(others Timeouts) Timeouts {
	return Timeouts{
		TCP:    cmp.Or(t.TCP, others.TCP),
		TCPFin: cmp.Or(t.TCPFin, others.TCPFin),
		UDP:    cmp.Or(t.UDP, others.UDP),
	}
}
