package ipvs

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"bascule/lvs"
)

// native is the byte order of netlink, except where the kernel says otherwise.
var native = binary.NativeEndian

// encoder builds netlink messages, one after the other, in a buffer that is
// used again and again: nl.RtAttr would allocate a dozen objects a message,
// and reading the table takes a message a service.
type encoder struct{ buf []byte }

// begin begins a message and returns its place.
func (e *encoder) begin(kind, flags uint16, sequence uint32, command, version uint8) int {
	start := len(e.buf)
	e.buf = native.AppendUint32(e.buf, 0) // the length
	e.buf = native.AppendUint16(e.buf, kind)
	e.buf = native.AppendUint16(e.buf, unix.NLM_F_REQUEST|flags)
	e.buf = native.AppendUint32(e.buf, sequence)
	e.buf = native.AppendUint32(e.buf, 0) // who sends it: the kernel knows
	e.buf = append(e.buf, command, version, 0, 0)
	return start
}

// end ends the message that was begun at start.
func (e *encoder) end(start int) {
	native.PutUint32(e.buf[start:], uint32(len(e.buf)-start))
}

// nest begins an attribute that is made of attributes, and returns its place.
func (e *encoder) nest(kind uint16) int {
	start := len(e.buf)
	e.buf = native.AppendUint16(e.buf, 0) // the length
	e.buf = native.AppendUint16(e.buf, attributeNested|kind)
	return start
}

// close ends the attribute that was begun at start.
func (e *encoder) close(start int) {
	native.PutUint16(e.buf[start:], uint16(len(e.buf)-start))
}

// bytes appends an attribute.
func (e *encoder) bytes(kind uint16, value ...byte) {
	e.buf = native.AppendUint16(e.buf, uint16(unix.SizeofRtAttr+len(value)))
	e.buf = native.AppendUint16(e.buf, kind)
	e.buf = append(e.buf, value...)
	for len(e.buf)%unix.NLMSG_ALIGNTO != 0 {
		e.buf = append(e.buf, 0)
	}
}

// text appends a string, which the kernel wants with its end marked.
func (e *encoder) text(kind uint16, value string) {
	var buf [32]byte
	e.bytes(kind, append(append(buf[:0], value...), 0)...)
}

// uint16 appends a number.
func (e *encoder) uint16(kind, value uint16) {
	var buf [2]byte
	native.PutUint16(buf[:], value)
	e.bytes(kind, buf[:]...)
}

// uint32 appends a number.
func (e *encoder) uint32(kind uint16, value uint32) {
	var buf [4]byte
	native.PutUint32(buf[:], value)
	e.bytes(kind, buf[:]...)
}

// seconds appends a duration.
func (e *encoder) seconds(kind uint16, value time.Duration) {
	e.uint32(kind, uint32(value/time.Second))
}

// port appends a port in network order.
func (e *encoder) port(kind, value uint16) {
	e.bytes(kind, byte(value>>8), byte(value))
}

// address appends an address in network order.
func (e *encoder) address(kind uint16, value netip.Addr) {
	if value.Is4() {
		buf := value.As4()
		e.bytes(kind, buf[:]...)
		return
	}
	buf := value.As16()
	e.bytes(kind, buf[:]...)
}

// familyQuestion appends the question for the number of the family "IPVS".
func (e *encoder) familyQuestion(sequence uint32) {
	start := e.begin(nl.GENL_ID_CTRL, 0, sequence, nl.GENL_CTRL_CMD_GETFAMILY, nl.GENL_CTRL_VERSION)
	e.text(nl.GENL_CTRL_ATTR_FAMILY_NAME, familyName)
	e.end(start)
}

// request appends the attributes of an edit.
func (e *encoder) request(r *Request) {
	switch r.Command {
	case NewService, SetService:
		e.service(&r.Service)
	case DelService, Zero:
		e.serviceID(r.Service.ServiceID)
	case NewDest, SetDest, DelDest:
		e.serviceID(r.Service.ServiceID)
		e.destination(&r.Destination, r.Command != DelDest)
	case NewDaemon, DelDaemon:
		e.daemon(&r.Daemon, r.Command == NewDaemon)
	case SetConfig:
		e.timeouts(r.Timeouts)
	}
}

// serviceID appends what the kernel finds a service by.
func (e *encoder) serviceID(id ServiceID) {
	start := e.nest(commandService)
	e.id(id)
	e.close(start)
}

// id appends the attributes of a ServiceID.
func (e *encoder) id(id ServiceID) {
	e.uint16(serviceFamily, id.Family)
	if id.Mark != 0 {
		e.uint32(serviceMark, id.Mark)
		return
	}
	e.uint16(serviceProtocol, id.Protocol)
	e.address(serviceAddress, id.Address)
	e.port(servicePort, id.Port)
}

// service appends a whole service. All flags are set as given, whatever they
// were.
func (e *encoder) service(s *Service) {
	start := e.nest(commandService)
	e.id(s.ServiceID)
	e.text(serviceScheduler, s.Scheduler)
	var flags [8]byte
	native.PutUint32(flags[:], s.Flags)
	native.PutUint32(flags[4:], ^uint32(0))
	e.bytes(serviceFlags, flags[:]...)
	e.uint32(serviceTimeout, s.Timeout)
	e.uint32(serviceNetmask, s.Netmask)
	if s.Engine != "" {
		e.text(serviceEngine, s.Engine)
	}
	e.close(start)
}

// destination appends a destination: the whole of it, or only what the kernel
// finds it by.
func (e *encoder) destination(d *Destination, whole bool) {
	start := e.nest(commandDest)
	e.address(destAddress, d.Address)
	e.port(destPort, d.Port)
	e.uint16(destFamily, d.Family)
	if whole {
		e.uint32(destMethod, d.Method)
		e.uint32(destWeight, d.Weight)
		e.uint32(destUpper, d.Upper)
		e.uint32(destLower, d.Lower)
		e.bytes(destTunnelType, d.TunnelType)
		e.port(destTunnelPort, d.TunnelPort)
		e.uint16(destTunnelFlags, d.TunnelFlags)
	}
	e.close(start)
}

// daemon appends a daemon: with its settings, or only its role. What is zero
// is left to the kernel.
func (e *encoder) daemon(d *Daemon, whole bool) {
	start := e.nest(commandDaemon)
	e.uint32(daemonRole, uint32(d.Role))
	if whole {
		e.text(daemonInterface, d.Interface)
		e.uint32(daemonID, uint32(d.ID))
		e.uint16(daemonMaxLength, d.MaxLength)
		switch {
		case d.Group.Is4():
			e.address(daemonGroup, d.Group)
		case d.Group.Is6():
			e.address(daemonGroup6, d.Group)
		}
		e.uint16(daemonPort, d.Port)
		e.bytes(daemonTTL, d.TTL)
	}
	e.close(start)
}

// timeouts appends the timeouts. The kernel leaves a zero one as it is.
func (e *encoder) timeouts(t lvs.Timeouts) {
	e.seconds(commandTCP, t.TCP)
	e.seconds(commandTCPFin, t.TCPFin)
	e.seconds(commandUDP, t.UDP)
}
