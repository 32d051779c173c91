package ipvs

import (
	"fmt"
	"net/netip"
	"time"

	"bascule/lvs"
)

// maxTimeout is the longest timeout, as in ipvsadm. The kernel counts in ticks
// of which 32 bits hold little more, and does not say if they overflow.
const maxTimeout = 31 * 24 * time.Hour

// valid returns an error for an operation of which the kernel would make
// something else than it says.
func valid(op lvs.Op) error {
	switch op.Kind {
	case lvs.SetTimeouts:
		return validTimeouts(op.Timeouts)
	case lvs.StartDaemon, lvs.StopDaemon:
		return validDaemon(op)
	}
	if err := validKey(op.Service.ServiceKey); err != nil {
		return err
	}
	switch op.Kind {
	case lvs.AddService, lvs.UpdateService:
		return validService(op.Service)
	case lvs.DeleteDestination:
		return validAddress(op.Destination.Address)
	case lvs.AddDestination, lvs.UpdateDestination:
		return validDestination(op)
	}
	return nil
}

// validKey checks what a service is found by.
func validKey(key lvs.ServiceKey) error {
	address := key.Address.Addr()
	switch {
	case address.Is4In6() || !address.IsValid():
		return fmt.Errorf("service address %v: an IPv4 or IPv6 address is needed", key.Address)
	case address.Zone() != "":
		return fmt.Errorf("service address %v: IPVS knows no zones", key.Address)
	case key.Mark != 0 && key != lvs.MarkKey(key.Mark, address.Is6()):
		return fmt.Errorf("firewall mark %d: it has an address or protocol", key.Mark)
	case key.Mark == 0 && key.Protocol != lvs.TCP && key.Protocol != lvs.UDP && key.Protocol != lvs.SCTP:
		// The kernel would add it, and the client never read it.
		return fmt.Errorf("service protocol %d: TCP, UDP and SCTP are known", key.Protocol)
	}
	return nil
}

// validService checks the settings of a service.
func validService(s lvs.Service) error {
	p := s.Persistence
	whole := wholePrefix(familyOf(s.Address.Addr()))
	switch {
	case !validDuration(p.Timeout):
		return fmt.Errorf("persistence timeout %v: whole seconds up to %v are allowed", p.Timeout, maxTimeout)
	case p.Timeout == 0 && p != lvs.Persistence{}:
		return fmt.Errorf("persistence prefix length %d, engine %q: only with a timeout is there persistence", p.Prefix, p.Engine)
	case p.Timeout != 0 && (p.Prefix == 0 || p.Prefix > whole):
		return fmt.Errorf("persistence prefix length %d: 1 to %d is allowed", p.Prefix, whole)
	case uint32(s.Flags)&^serviceFlagsMask != 0:
		return fmt.Errorf("service flags %#x: only those in %#x are known", uint32(s.Flags), serviceFlagsMask)
	case len(s.Scheduler) > maxName || len(p.Engine) > maxName:
		return fmt.Errorf("scheduler %q, persistence engine %q: at most %d bytes are allowed", s.Scheduler, p.Engine, maxName)
	}
	return nil
}

// maxName is the longest name of a scheduler, of an engine and of an
// interface.
const maxName = 15

// validDuration says whether a timeout can be told to the kernel.
func validDuration(d time.Duration) bool {
	return d >= 0 && d <= maxTimeout && d%time.Second == 0
}

// validAddress checks the address of a destination.
func validAddress(address netip.AddrPort) error {
	if !address.IsValid() || address.Addr().Is4In6() || address.Addr().Zone() != "" {
		return fmt.Errorf("destination address %v: an IPv4 or IPv6 address is needed", address)
	}
	return nil
}

// mixed says whether a destination is of another address family than its
// service.
func mixed(op lvs.Op) bool {
	return op.Service.IPv6() != op.Destination.Address.Addr().Is6()
}

// maxThreshold is the highest threshold that all kernels take: Debian's 6.1
// refuses a higher one.
const maxThreshold = 1<<31 - 1

// validDestination checks a destination.
func validDestination(op lvs.Op) error {
	d := op.Destination
	switch {
	case validAddress(d.Address) != nil:
		return validAddress(d.Address)
	case d.Weight > lvs.MaxWeight:
		return fmt.Errorf("weight %d: at most %d is allowed", d.Weight, lvs.MaxWeight)
	case d.Forwarding > lvs.Tunnel:
		return fmt.Errorf("forwarding method %d: at most %d is known", d.Forwarding, lvs.Tunnel)
	case d.Forwarding != lvs.Tunnel && mixed(op):
		return fmt.Errorf("destination %v is not of the address family of the service: only a tunnel forwards to it", d.Address)
	case d.Upper > maxThreshold:
		return fmt.Errorf("upper threshold %d: at most %d is allowed", d.Upper, maxThreshold)
	case d.Upper < d.Lower:
		return fmt.Errorf("lower threshold %d: at most the upper one, %d, is allowed", d.Lower, d.Upper)
	}
	return validTunnel(d)
}

// validTunnel checks the encapsulation of a destination.
func validTunnel(d lvs.Destination) error {
	t := d.Tunnel
	switch {
	case d.Forwarding != lvs.Tunnel && t != lvs.Encapsulation{}:
		return fmt.Errorf("encapsulation %v: only a tunnel has one", t.Type)
	case t.Type > lvs.GRE || t.Checksum > lvs.RemoteChecksum:
		return fmt.Errorf("tunnel type %d, checksum %d: at most %d and %d are known", t.Type, t.Checksum, lvs.GRE, lvs.RemoteChecksum)
	case (t.Type == lvs.GUE) != (t.Port != 0):
		return fmt.Errorf("port %d of a tunnel of type %v: GUE needs one, others have none", t.Port, t.Type)
	case t.Type == lvs.IPIP && t.Checksum != lvs.NoChecksum, t.Type == lvs.GRE && t.Checksum == lvs.RemoteChecksum:
		return fmt.Errorf("checksum %v of a tunnel of type %v: it does not have that", t.Checksum, t.Type)
	}
	return nil
}

// validTimeouts checks the timeouts of connections.
func validTimeouts(t lvs.Timeouts) error {
	if !validDuration(t.TCP) || !validDuration(t.TCPFin) || !validDuration(t.UDP) {
		return fmt.Errorf("whole seconds up to %v are allowed", maxTimeout)
	}
	return nil
}

// validDaemon checks the settings of a daemon.
func validDaemon(op lvs.Op) error {
	d := op.Daemon
	shortest, longest := lengths(op.Role, d.Group)
	switch {
	case op.Role != lvs.SyncSender && op.Role != lvs.SyncReceiver:
		return fmt.Errorf("role %d: %d and %d are known", op.Role, lvs.SyncSender, lvs.SyncReceiver)
	case op.Kind == lvs.StopDaemon:
		return nil
	case d.Interface == "" || len(d.Interface) > maxName:
		return fmt.Errorf("interface %q: a name of 1 to %d bytes is needed", d.Interface, maxName)
	case d.MaxLength != 0 && (d.MaxLength < shortest || d.MaxLength > longest):
		return fmt.Errorf("length of messages %d: %d to %d is allowed, or 0 for the kernel's choice", d.MaxLength, shortest, longest)
	case d.Group.IsValid() && (!d.Group.IsMulticast() || d.Group.Is4In6() || d.Group.Zone() != ""):
		return fmt.Errorf("multicast group %v: it is not one of IPv4 or IPv6", d.Group)
	}
	return nil
}

// lengths returns the limits of what a daemon's messages can be, outside of
// which the kernel takes the nearest: a receiver must take what a sender that
// was told nothing sends, and a packet is at most 65535 bytes long with its
// headers.
func lengths(role lvs.SyncRole, group netip.Addr) (shortest, longest uint16) {
	shortest, longest = 1, 65535-20-8
	if role == lvs.SyncReceiver {
		shortest = 1024
	}
	if group.Is6() {
		longest = 65535 - 40 - 8
	}
	return shortest, longest
}
