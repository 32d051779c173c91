package link

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// frameTimeout bounds how long one frame may wait for room in the socket.
const frameTimeout = 100 * time.Millisecond

// hardwareLen is the length of an Ethernet address. Interfaces of other kinds
// (loopback with none, point-to-point) have nobody to announce to.
const hardwareLen = 6

// frameWriter is a link-layer socket: packet.Conn.
type frameWriter interface {
	WriteTo(frame []byte, to net.Addr) (int, error)
	SetWriteDeadline(time.Time) error
	Close() error
}

// frameSender announces addresses on one interface: by gratuitous ARP, and by
// unsolicited neighbour advertisements. It has one socket for each, which it
// opens again when the interface has another index. It belongs to one
// goroutine.
type frameSender struct {
	device func() (device, bool) // as last seen; false if there is no interface
	open   func(device, ethernet.EtherType) (frameWriter, error)
	conns  map[ethernet.EtherType]frameWriter
	index  int // of the interface that conns are open on
}

// send announces addr from the interface's own hardware address. A missing
// interface is unix.ENODEV; a loopback interface has nobody to tell, which is
// no error.
func (s *frameSender) send(addr netip.Addr) error {
	d, ok := s.device()
	if !ok {
		return unix.ENODEV
	}
	if len(d.hardware) != hardwareLen {
		return nil
	}
	frame, err := announcement(d, addr)
	if err != nil {
		return err
	}
	conn, err := s.conn(d, frame.EtherType)
	if err != nil {
		return fmt.Errorf("open the socket for announcements: %w", err)
	}
	bytes, err := frame.MarshalBinary()
	if err != nil {
		return fmt.Errorf("announce %s: %w", addr, err)
	}
	// An error here comes back with the write.
	_ = conn.SetWriteDeadline(time.Now().Add(frameTimeout))
	if _, err := conn.WriteTo(bytes, &packet.Addr{HardwareAddr: frame.Destination}); err != nil {
		s.close()
		return fmt.Errorf("announce %s: %w", addr, err)
	}
	return nil
}

// announcement returns the frame that announces addr on an interface.
func announcement(d device, addr netip.Addr) (*ethernet.Frame, error) {
	if addr.Is4() {
		return gratuitousARP(d.hardware, addr)
	}
	return unsolicitedNA(d.hardware, addr, d.router)
}

// conn returns the open socket for a protocol.
func (s *frameSender) conn(d device, protocol ethernet.EtherType) (frameWriter, error) {
	if s.index != d.index {
		s.close()
	}
	if c, ok := s.conns[protocol]; ok {
		return c, nil
	}
	c, err := s.open(d, protocol)
	if err != nil {
		return nil, err
	}
	if s.conns == nil {
		s.conns = make(map[ethernet.EtherType]frameWriter)
	}
	s.conns[protocol], s.index = c, d.index
	return c, nil
}

// close releases the sockets. The next send opens another.
func (s *frameSender) close() {
	for _, c := range s.conns {
		_ = c.Close()
	}
	clear(s.conns)
}

// openFrames opens a socket for frames of that protocol. It works on an
// interface without any address and receives nothing.
func openFrames(d device, protocol ethernet.EtherType) (frameWriter, error) {
	deny, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return nil, err
	}
	ifi := &net.Interface{Index: d.index, HardwareAddr: d.hardware}
	return packet.Listen(ifi, packet.Raw, int(protocol), &packet.Config{Filter: deny})
}
